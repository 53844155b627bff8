import { escaped, onceSource } from './pattern-cuts.ts';
import { ok, refused, type Result } from './problem.ts';
import { pathIssue } from './target.ts';

/** How often a part may come, in URLPattern's words. */
type Modifier = '' | '?' | '*' | '+';

/** One part of a pattern. `text` with a modifier is a literal in braces, such as `{/v1}?`. */
export type PatternPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string; readonly modifier: Modifier }
  | GroupPart;

/** A group: `:name`, `(regexp)` or `*`, with the text that comes and goes with it. */
export interface GroupPart {
  readonly kind: 'group';
  /** A number for groups without a name, counted from 0. */
  readonly name: string;
  /** Of `:name` alone: no `/` in it. `wildcard`: anything, also nothing. */
  readonly matcher: 'segment' | 'wildcard' | 'regexp';
  /** Regular expression of one occurrence. */
  readonly source: string;
  readonly prefix: string;
  readonly suffix: string;
  readonly modifier: Modifier;
}

/** What is between the braces or before the end of the pattern. */
interface Cursor {
  readonly pattern: string;
  index: number;
  /** For groups without a name. */
  count: number;
}

/** As the standard writes it. */
export const SEGMENT = String.raw`[^\/]+?`;
const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/u;

/**
 * Takes a URLPattern pathname apart. `URLPattern` itself says whether it is one; it is not asked for each request, since
 * its `exec` takes 15 µs on Node 26 (docs/decisions/0003 says how that was measured), and it decodes nothing but may
 * rewrite what a raw path holds.
 */
export function parsePattern(pattern: string): Result<readonly PatternPart[], string> {
  if (!pattern.startsWith('/')) return refused('must begin with /');
  try {
    void new URLPattern({ pathname: pattern });
  } catch {
    return refused('is not a URLPattern pathname');
  }
  const parts = readParts(pattern);
  const entangled = parts.map(entangledIssue).find((found) => found !== undefined);
  if (entangled !== undefined) return refused(entangled);
  const issue = pathIssue(samplePath(parts));
  return issue === undefined ? ok(parts) : refused(`can match no request: ${issue}`);
}

/**
 * Why the expression of a group cannot stand by itself. The standard lets captures with a name through where they are not the first thing
 * in it, and references; but captures are counted here, one for each part, and each group is also looked at without the others.
 */
function entangledIssue(part: PatternPart): string | undefined {
  if (part.kind !== 'group' || part.matcher !== 'regexp') return undefined;
  try {
    // The empty alternative matches whatever the other one is.
    const captures = new RegExp(`${part.source}|`, 'v').exec('')?.length ?? 0;
    return captures === 1 ? undefined : `has a capture within the group (${part.source}): write (?:…) for it`;
  } catch {
    return `has a group that refers to another (${part.source})`;
  }
}

/** The parse of the URLPattern standard, "parse a pattern string". */
function readParts(pattern: string): readonly PatternPart[] {
  const cursor: Cursor = { pattern, index: 0, count: 0 };
  const parts: PatternPart[] = [];
  let pending = '';
  const flush = (): void => {
    if (pending !== '') parts.push({ kind: 'literal', text: encodeNonAscii(pending) });
    pending = '';
  };
  while (cursor.index < pattern.length) {
    if (pattern[cursor.index] === '{') {
      const part = readBraces(cursor);
      if (part.kind === 'literal') pending += part.text;
      else {
        flush();
        parts.push(part);
      }
      continue;
    }
    const prefix = readChar(cursor);
    const group = readGroup(cursor);
    if (group === undefined) {
      pending += prefix ?? readEscaped(cursor);
      continue;
    }
    // A slash just before a group belongs to it: with `?` both may be missing.
    if (prefix !== '/') pending += prefix ?? '';
    flush();
    parts.push({ ...group, prefix: prefix === '/' ? '/' : '', suffix: '', modifier: readModifier(cursor) });
  }
  flush();
  return parts;
}

/** A character that stands for itself. */
function readChar(cursor: Cursor): string | undefined {
  const char = String.fromCodePoint(cursor.pattern.codePointAt(cursor.index) ?? 0);
  if (cursor.index >= cursor.pattern.length || '*+?\\{}:('.includes(char)) return undefined;
  cursor.index += char.length;
  return char;
}

function readEscaped(cursor: Cursor): string {
  if (cursor.pattern[cursor.index] === '\\') cursor.index += 1;
  const char = String.fromCodePoint(cursor.pattern.codePointAt(cursor.index) ?? 0);
  cursor.index += char.length;
  return char;
}

function readGroup(cursor: Cursor): Pick<GroupPart, 'kind' | 'name' | 'matcher' | 'source'> | undefined {
  const { pattern } = cursor;
  let name: string | undefined;
  if (pattern[cursor.index] === ':') {
    name = NAME.exec(pattern.slice(cursor.index + 1))?.[0] ?? '';
    cursor.index += name.length + 1;
  }
  if (pattern[cursor.index] === '(') {
    const source = readRegexp(cursor);
    return { kind: 'group', name: name ?? nextNumber(cursor), ...matcherOf(source) };
  }
  if (name !== undefined) return { kind: 'group', name, matcher: 'segment', source: SEGMENT };
  if (pattern[cursor.index] !== '*') return undefined;
  cursor.index += 1;
  return { kind: 'group', name: nextNumber(cursor), matcher: 'wildcard', source: '.*' };
}

function matcherOf(source: string): Pick<GroupPart, 'matcher' | 'source'> {
  if (source === SEGMENT) return { matcher: 'segment', source };
  return { matcher: source === '.*' ? 'wildcard' : 'regexp', source };
}

function nextNumber(cursor: Cursor): string {
  cursor.count += 1;
  return String(cursor.count - 1);
}

/** The expression in the parentheses that open here. */
function readRegexp(cursor: Cursor): string {
  const start = cursor.index + 1;
  let depth = 0;
  while (cursor.index < cursor.pattern.length) {
    const char = cursor.pattern[cursor.index];
    if (char === '\\') cursor.index += 1;
    else if (char === '(') depth += 1;
    else if (char === ')') depth -= 1;
    cursor.index += 1;
    if (depth === 0) break;
  }
  return cursor.pattern.slice(start, cursor.index - 1);
}

function readBraces(cursor: Cursor): PatternPart {
  cursor.index += 1;
  const prefix = readText(cursor);
  const group = readGroup(cursor);
  const suffix = readText(cursor);
  cursor.index += 1;
  const modifier = readModifier(cursor);
  if (group !== undefined) {
    return { ...group, prefix: encodeNonAscii(prefix), suffix: encodeNonAscii(suffix), modifier };
  }
  const text = prefix + suffix;
  return modifier === '' ? { kind: 'literal', text } : { kind: 'text', text: encodeNonAscii(text), modifier };
}

function readText(cursor: Cursor): string {
  let text = '';
  while (cursor.index < cursor.pattern.length) {
    const char = cursor.pattern[cursor.index] === '\\' ? readEscaped(cursor) : readChar(cursor);
    if (char === undefined) break;
    text += char;
  }
  return text;
}

function readModifier(cursor: Cursor): Modifier {
  const char = cursor.pattern[cursor.index];
  if (char !== '?' && char !== '*' && char !== '+') return '';
  cursor.index += 1;
  return char;
}

/** Request paths are ASCII: a literal `ü` in a pattern means its percent-encoded form. */
function encodeNonAscii(text: string): string {
  return text.replaceAll(/[^ -~]+/gu, (piece) => encodeURIComponent(piece.toWellFormed()));
}

/** Some path of the pattern's shape, to see that its literals are such as a request may hold. */
function samplePath(parts: readonly PatternPart[]): string {
  return parts.map((part) => (part.kind === 'group' ? `${part.prefix}x${part.suffix}` : part.text)).join('');
}

/**
 * The regular expression of the URLPattern standard, "generate a regular expression and name list" (but see
 * {@link onceSource}: it matches the same, in less time), with one capture
 * for each part that is not a literal (also for texts in braces, so that a path can be put together again from its captures).
 */
export function patternRegExp(parts: readonly PatternPart[]): RegExp {
  return new RegExp(`^${parts.map((part, index) => partSource(part, onceSource(parts, index))).join('')}$`, 'v');
}

function partSource(part: PatternPart, once: string): string {
  if (part.kind === 'literal') return escaped(part.text);
  if (part.kind === 'text') return `((?:${escaped(part.text)})${part.modifier})`;
  const { prefix, suffix, source, modifier } = part;
  const repeated = modifier === '*' || modifier === '+';
  if (prefix === '' && suffix === '') return repeated ? `((?:${source})${modifier})` : `(${once})${modifier}`;
  const before = escaped(prefix);
  const after = escaped(suffix);
  if (!repeated) return `(?:${before}(${once})${after})${modifier}`;
  const more = `(?:${after}${before}(?:${source}))*`;
  return `(?:${before}((?:${source})${more})${after})${modifier === '*' ? '?' : ''}`;
}
