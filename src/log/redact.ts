import { speltValue } from '../core/spelt-value.ts';
import { createTextMasker } from '../core/text-masker.ts';

/** Members of a log line. Any value may come; what is no data (functions, symbols) is left out. */
export type LogFields = Readonly<Record<string, unknown>>;

const mask = '***';
const secretName = /authori[sz]ation|cookie|credential|passw|secret|token|api[-_]?key|^appid$|^x-api|private[-_]?key/i;
// Deeper than any line of ours: whatever is below is cut, so that a cycle cannot hang the log.
const maxDepth = 6;
const maxTextLength = 4096;

/** What a line goes through. */
export interface LogCleaner {
  /** A copy in which members with secret names are masked, long texts are cut and errors are plain data. */
  readonly fields: (fields: LogFields) => Record<string, unknown>;
  /** Readies a JSON line for the stream: known secrets masked, nothing left that breaks a line. */
  readonly line: (line: string) => string;
  /** The text up to this length. Cut behind masking, since nothing would be found of a secret that is cut in two. */
  readonly shortened: (text: string, length: number) => string;
}

/** @param secrets masked wherever they turn up, if six characters or longer */
export function createLogCleaner(secrets: readonly string[]): LogCleaner {
  const masker = createTextMasker(secrets.filter((secret) => secret.length >= minSecretLength).map(speltValue));
  const shortened = (text: string, length: number): string =>
    text.length > length ? `${masker.beginning(text, length)}…` : text;
  // Here and in the line: a text may be JSON itself, which a line escapes once more, and names stand in the line alone.
  const plain = new PlainData((text) =>
    text.length > maxTextLength ? shortened(text, maxTextLength) : masker.text(text),
  );
  return {
    fields: (fields) => plain.membersOf(fields, 0),
    line: (line) => masker.text(line).replaceAll(unsafe, escaped),
    shortened,
  };
}

// A shorter one would mask half the words of a line, and hides nothing that could not be guessed.
const minSecretLength = 6;

class PlainData {
  readonly #cut: (text: string) => string;

  constructor(cut: (text: string) => string) {
    this.#cut = cut;
  }

  membersOf(members: object, depth: number): Record<string, unknown> {
    // Own entries: a member called `__proto__` stays a member.
    return Object.fromEntries(
      Object.entries(members).map(([name, value]) => [
        name,
        secretName.test(name) ? masked(value) : this.#plain(value, depth),
      ]),
    );
  }

  #plain(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#cut(value);
    if (typeof value === 'bigint') return String(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth >= maxDepth) return '…';
    if (value instanceof Error) return this.#error(value, depth);
    if (Array.isArray(value)) return value.map((item) => this.#plain(item, depth + 1));
    return this.membersOf(value, depth + 1);
  }

  #error(error: Error, depth: number): Record<string, unknown> {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
    const cause = error.cause instanceof Error ? this.#plain(error.cause, depth + 1) : undefined;
    return { type: error.name, message: this.#cut(error.message), code, stack: this.#cut(error.stack ?? ''), cause };
  }
}

/** Absence is no secret. */
function masked(value: unknown): unknown {
  return value === undefined || value === null ? value : mask;
}

// Harmless to a JSON parser, but some readers end a line at NEL, U+2028 or U+2029, and a terminal obeys C1 controls
// and the marks that reverse the direction of text. In JSON these can only stand inside a string, so an escape fits.
const unsafe = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(character: string): string {
  return String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
