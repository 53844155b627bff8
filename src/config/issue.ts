import { type Path, type Position, type SourceNode, formatPath, isBroken, positionOf } from './source.ts';
import { escaped } from './units.ts';

/** Something wrong with the configuration file. */
export interface ConfigIssue {
  /** As it was given to `loadConfig`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `routes[0].query.days`, or `(file)` for what concerns the whole of it. */
  readonly path: string;
  /** What is wrong, what is allowed, what was given; never the value of a secret. */
  readonly message: string;
}

/** One line: `file:line:col: path: message`, printable ASCII apart from letters of other scripts. */
export function formatIssue(issue: ConfigIssue): string {
  const line = `${issue.file}:${issue.line}:${issue.column}: ${issue.path}: ${issue.message}`;
  // Control, format and separator characters could forge further lines or reorder this one on a terminal.
  return line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, escaped);
}

// A megabyte of rubbish would otherwise give a hundred thousand lines that nobody reads.
const maxIssues = 500;

/** Collects issues of one file in the order of their place, the first 500 of them. */
export class IssueList {
  readonly #file: string;
  readonly #root: SourceNode;
  readonly #found: ConfigIssue[] = [];
  /** Every path to an issue and every beginning of one. */
  readonly #touched = new Set<string>();
  readonly #seen = new Set<string>();

  constructor(file: string, root: SourceNode) {
    this.#file = file;
    this.#root = root;
  }

  /** Adds an issue; nothing where the value was already reported as broken. */
  add(path: Path, message: string, wants: 'key' | 'value' = 'value'): void {
    if (isBroken(this.#root, path)) return;
    this.addAt(positionOf(this.#root, path, wants), path, message);
  }

  /** Adds an issue whose place is known better than by its path. */
  addAt(at: Position, path: Path, message: string): void {
    for (let length = 0; length <= path.length; length += 1) this.#touched.add(JSON.stringify(path.slice(0, length)));
    if (this.#found.length >= maxIssues) return;
    const issue = { file: this.#file, line: at.line, column: at.column, path: formatPath(path), message };
    // A value that several aliases repeat is wrong once.
    const identity = JSON.stringify([at.line, at.column, path.at(-1), message]);
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.#found.push(issue);
  }

  /** True where nothing at or below this path was reported. */
  isClean(path: Path): boolean {
    return !this.#touched.has(JSON.stringify(path));
  }

  /** An empty list of the same file. */
  another(): IssueList {
    return new IssueList(this.#file, this.#root);
  }

  get size(): number {
    return this.#found.length;
  }

  sorted(): readonly ConfigIssue[] {
    return this.#found.toSorted((one, other) => one.line - other.line || one.column - other.column);
  }
}
