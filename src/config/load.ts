import { resolve } from 'node:path';
import { type Document, LineCounter, type Node, type YAMLError, type YAMLMap } from 'yaml';
import { isAlias, isCollection, isMap, isScalar, parseDocument } from 'yaml';
import type { Config } from '../core/config.ts';
import { type Result, refused } from '../core/problem.ts';
import { faultOf, keyProblem } from './characters.ts';
import type { ConfigChecks } from './compilation.ts';
import { compileConfig } from './compile.ts';
import { type Environment, substitute } from './env.ts';
import { type ConfigIssue, IssueList } from './issue.ts';
import { decodeText, readBytes } from './read-text.ts';
import { type Path, type Position, type SourceEntry, type SourceNode } from './source.ts';
import { quoted } from './units.ts';

// Aliases multiply: ten lines can stand for a billion values. The reference file has about 150.
const maxValues = 50_000;
const maxDepth = 40;

/** Reads a configuration file, or gives every issue with it at once. Binds and calls nothing; never throws. */
export function loadConfig(
  file: string,
  env: Environment,
  checks: ConfigChecks = {},
): Result<Config, readonly ConfigIssue[]> {
  const bytes = readBytes(file);
  if (!bytes.ok) return refused([{ file, ...bytes.error.at, path: '(file)', message: bytes.error.message }]);
  return parseConfig(bytes.value, { file, env, checks });
}

/** Where bytes come from and what they may ask for. */
export interface ParseContext {
  readonly file: string;
  readonly env: Environment;
  readonly checks?: ConfigChecks;
}

/** Like {@link loadConfig}, of bytes already read. */
export function parseConfig(bytes: Buffer, context: ParseContext): Result<Config, readonly ConfigIssue[]> {
  const text = decodeText(bytes);
  if (!text.ok) {
    return refused([{ file: context.file, ...text.error.at, path: '(file)', message: text.error.message }]);
  }
  const reader = new Reader(text.value, context.env);
  const root = reader.read();
  const issues = new IssueList(context.file, root);
  for (const problem of reader.problems) issues.addAt(problem.at, problem.path, problem.message);
  if (root.kind === 'broken') return refused(issues.sorted());
  return compileConfig(root, issues, { ...context, file: resolve(context.file) });
}

interface ReadProblem {
  readonly at: Position;
  readonly path: Path;
  readonly message: string;
}

/** Turns YAML into a {@link SourceNode}: aliases followed within bounds, variables put in, duplicates found. */
class Reader {
  readonly problems: ReadProblem[] = [];
  readonly #text: string;
  readonly #env: Environment;
  readonly #lines = new LineCounter();
  readonly #anchors = new Map<string, Node>();
  /** The aliases that are being followed, outermost first. */
  readonly #following: Node[] = [];
  #values = 0;

  constructor(text: string, env: Environment) {
    this.#text = text;
    this.#env = env;
  }

  read(): SourceNode {
    const document = parseDocument(this.#text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      // Every scalar stays text, so that `1.10` and `on` reach the schema as they were written.
      schema: 'failsafe',
      merge: false,
      // The library compares each key with each other one; a Set does it below.
      uniqueKeys: false,
      // `silent` would keep quiet about a second document.
      logLevel: 'error',
    });
    for (const fault of [...document.errors, ...document.warnings]) this.#reportFault(fault);
    if (!isPlainDocument(document)) this.#report(this.#at(0), [], '% directives are not supported; remove them');
    const at = this.#at(0);
    if (this.problems.length > 0) return { kind: 'broken', at };
    if (document.contents === null) return { kind: 'nothing', at };
    const root = this.#value(document.contents, []);
    if (this.#values <= maxValues) return root;
    return { kind: 'broken', at };
  }

  #reportFault(fault: YAMLError): void {
    const [offset] = fault.pos;
    const at = this.#at(offset);
    // One slip of the pen makes the parser stumble several times on its line.
    if (this.problems.some((problem) => problem.at.line === at.line)) return;
    this.#report(at, [], this.#describeFault(fault, offset));
  }

  #describeFault(fault: YAMLError, offset: number): string {
    if (fault.code === 'MULTIPLE_DOCS') return 'a second YAML document begins here; a configuration file has one';
    if (fault.code === 'RESOURCE_EXHAUSTION') return 'is nested too deeply';
    const variable = this.#text.startsWith('${', offset - 1) || this.#text.startsWith('${', offset);
    const hint = variable ? ' (a variable inside { } or [ ] needs quotes: "${NAME}")' : '';
    return `is not valid YAML: ${withoutSource(fault)}${hint}`;
  }

  #report(at: Position, path: Path, message: string): { readonly kind: 'broken'; readonly at: Position } {
    this.problems.push({ at, path, message });
    return { kind: 'broken', at };
  }

  #at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    // The library says column 0 of line 0 for an empty text.
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  #value(node: Node | null, path: Path): SourceNode {
    const at = this.#at(node?.range?.[0] ?? 0);
    this.#values += 1;
    // Said once; what follows is not read.
    if (this.#values > maxValues + 1) return { kind: 'broken', at };
    const problem = this.#valueProblem(node, path);
    if (problem !== undefined) return this.#report(at, path, problem);
    if (isAlias(node)) return this.#alias(node.source, { path, at });
    if (isScalar(node)) return this.#scalar(node, path);
    if (isMap(node)) return this.#map(node, path);
    if (!isCollection(node)) return { kind: 'nothing', at };
    return { kind: 'list', items: node.items.map((item, index) => this.#value(asNode(item), [...path, index])), at };
  }

  #valueProblem(node: Node | null, path: Path): string | undefined {
    if (this.#values > maxValues) return `the file has more than ${maxValues} values once its aliases are followed`;
    if (path.length > maxDepth) return `is nested more than ${maxDepth} levels deep`;
    if (node?.tag !== undefined) return `the tag ${quoted(node.tag)} is not supported; remove it`;
    const anchor = isAlias(node) ? undefined : node?.anchor;
    if (!node || anchor === undefined || this.#following.length > 0) return undefined;
    const known = this.#anchors.has(anchor);
    this.#anchors.set(anchor, node);
    return known ? `an anchor of this name stands above already${quotesHint('&')}` : undefined;
  }

  #alias(name: string, where: { readonly path: Path; readonly at: Position }): SourceNode {
    const target = this.#anchors.get(name);
    if (!target)
      return this.#report(where.at, where.path, `no anchor of this name stands before this alias${quotesHint('*')}`);
    // An anchor is known from its first byte on, so an alias inside it would never end.
    if (where.path.length > maxDepth || this.#following.includes(target) || this.#encloses(target, where.at)) {
      return this.#report(where.at, where.path, `the alias *${name} contains itself`);
    }
    this.#following.push(target);
    const value = this.#value(target, where.path);
    this.#following.pop();
    return value;
  }

  #encloses(target: Node, at: Position): boolean {
    const end = this.#at(target.range?.[1] ?? 0);
    return at.line < end.line || (at.line === end.line && at.column < end.column);
  }

  #map(node: YAMLMap, path: Path): SourceNode {
    const at = this.#at(node.range?.[0] ?? 0);
    const entries = new Map<string, SourceEntry>();
    let isPartial = false;
    for (const pair of node.items) {
      const key = asNode(pair.key);
      const keyAt = key?.range ? this.#at(key.range[0]) : at;
      const { name, problem } = readKey(key);
      const first = entries.get(name);
      isPartial ||= problem !== undefined;
      if (problem !== undefined) this.#report(keyAt, path, problem);
      else if (first) this.#report(keyAt, [...path, name], `is given twice; the first is at line ${first.keyAt.line}`);
      else entries.set(name, { keyAt, value: this.#entryValue(asNode(pair.value), [...path, name], keyAt) });
    }
    return { kind: 'map', entries, isPartial, at };
  }

  #entryValue(node: Node | null, path: Path, keyAt: Position): SourceNode {
    const value = this.#value(node, path);
    // An empty value has no place of its own that an editor could show.
    return value.kind === 'nothing' ? { kind: 'nothing', at: keyAt } : value;
  }

  #scalar(node: Node, path: Path): SourceNode {
    const range = node.range ?? [0, 0, 0];
    const at = this.#at(range[0]);
    const text = isScalar(node) && typeof node.value === 'string' ? node.value : '';
    const plain = isScalar(node) && node.type === 'PLAIN';
    if (plain && /^(?:|~|null|Null|NULL)$/.test(text)) return { kind: 'nothing', at };
    const put = substitute(text, this.#env);
    if (!put.ok) {
      const source = this.#text.slice(range[0], range[1]);
      for (const problem of put.error) {
        // Escapes and folding can make the source differ from the text; then the value's beginning has to do.
        const shift = source.indexOf(text.slice(problem.offset, problem.offset + 20));
        this.#report(this.#at(range[0] + Math.max(shift, 0)), path, problem.message);
      }
      return { kind: 'broken', at };
    }
    const fault = faultOf(put.value);
    if (fault === undefined) return { kind: 'text', text: put.value, at };
    const origin = text === put.value ? 'the value' : 'the value, once its variables are put in,';
    return this.#report(at, path, `${origin} ${fault}`);
  }
}

/** A password may begin with what YAML reads as something else. No message shows it; where it is, its place says. */
function quotesHint(first: string): string {
  return ` (text that begins with ${first} needs quotes)`;
}

/** What the library says, without what it shows of the file. */
function withoutSource({ code, message }: YAMLError): string {
  if (code === 'TAG_RESOLVE_FAILED') return `tags are not supported${quotesHint('!')}`;
  if (code === 'BAD_DQ_ESCAPE') return 'Invalid escape sequence (in double quotes a \\ is written \\\\)';
  if (/^Block scalar header|^Not a YAML token/.test(message)) {
    return `Something follows on the line of a | or >${quotesHint('| or >')}`;
  }
  return message.replace(/( token in YAML (?:stream|document)): .*$/s, '$1');
}

function isPlainDocument(document: Document): boolean {
  const directives = document.directives;
  return directives?.yaml.explicit !== true && Object.keys(directives?.tags ?? {}).join(' ') === '!!';
}

function readKey(key: Node | null): { readonly name: string; readonly problem: string | undefined } {
  const isPlain = isScalar(key) && key.tag === undefined && key.anchor === undefined;
  if (!isPlain) return { name: '', problem: 'a key must be plain text' };
  const name = String(key.value);
  return { name, problem: keyProblem(name) };
}

function asNode(value: unknown): Node | null {
  return isScalar(value) || isAlias(value) || isCollection(value) ? value : null;
}
