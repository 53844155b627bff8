/** Members of a log line. Any value may come; what is no data (functions, symbols) is left out. */
export type LogFields = Readonly<Record<string, unknown>>;

const mask = '***';
const secretName = /authori[sz]ation|cookie|credential|passw|secret|token|api[-_]?key|^appid$|^x-api|private[-_]?key/i;
// Deeper than any line of ours: whatever is below is cut, so that a cycle cannot hang the log.
const maxDepth = 6;
const maxTextLength = 4096;

/** A copy of the fields in which members with secret names are masked, long texts are cut and errors are plain data. */
export function redactFields(fields: LogFields): Record<string, unknown> {
  return redactMembers(fields, 0);
}

function redactMembers(members: object, depth: number): Record<string, unknown> {
  // Own entries: a member called `__proto__` stays a member.
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, secretName.test(name) ? masked(value) : plain(value, depth)]),
  );
}

/** Absence is no secret. */
function masked(value: unknown): unknown {
  return value === undefined || value === null ? value : mask;
}

function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return '…';
  if (value instanceof Error) return plainError(value, depth);
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  return redactMembers(value, depth + 1);
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const cause = error.cause instanceof Error ? plain(error.cause, depth + 1) : undefined;
  return { type: error.name, message: cut(error.message), code, stack: cut(error.stack ?? ''), cause };
}

function cut(text: string): string {
  return text.length > maxTextLength ? `${text.slice(0, maxTextLength)}…` : text;
}

// Harmless to a JSON parser, but some readers end a line at NEL, U+2028 or U+2029, and a terminal obeys C1 controls
// and the marks that reverse the direction of text. In JSON these can only stand inside a string, so an escape fits.
const unsafe = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Makes a function that readies a JSON line for the stream: known secrets masked, nothing left that breaks a line. */
export function lineCleaner(secrets: readonly string[]): (line: string) => string {
  const forms = new Set(secrets.filter((secret) => secret.length >= minSecretLength).flatMap(formsOf));
  // Longest first, so that no part of a secret is left where one is the beginning of another.
  const ordered = [...forms].toSorted((a, b) => b.length - a.length);
  return (line) => {
    let cleaned = line;
    for (const form of ordered) if (cleaned.includes(form)) cleaned = cleaned.replaceAll(form, mask);
    return cleaned.replaceAll(unsafe, escaped);
  };
}

// A shorter one would mask half the words of a line, and hides nothing that could not be guessed.
const minSecretLength = 6;

/** As it is, as a JSON string holds it, and as a query holds it. */
function formsOf(secret: string): readonly string[] {
  const wellFormed = secret.toWellFormed();
  const query = encodeURIComponent(wellFormed);
  return [secret, JSON.stringify(secret).slice(1, -1), query, query.replaceAll('%20', '+')];
}

function escaped(character: string): string {
  return String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
