import { trimOws, unquote } from './list.ts';

/** The value of a Content-Type field (RFC 9110 §8.3.1), normalised. */
export interface MediaType {
  /** `type/subtype` in lower case. */
  readonly essence: string;
  /** By lower-cased name, sorted; values without quotes. The value of `charset` is in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** `undefined` for what is no media type, or names a parameter twice. */
export function parseMediaType(value: string): MediaType | undefined {
  const [essence = '', ...rest] = splitParameters(value);
  const [type = '', subtype = '', ...more] = essence.split('/');
  if (more.length > 0 || !TOKEN.test(type) || !TOKEN.test(subtype)) return undefined;
  const parameters = parametersOf(rest);
  return parameters === undefined ? undefined : { essence: essence.toLowerCase(), parameters };
}

function parametersOf(pieces: readonly string[]): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (const piece of pieces) {
    // RFC 9110 §5.6.6: empty parameters mean nothing.
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    const name = piece.slice(0, Math.max(0, equals)).toLowerCase();
    const raw = piece.slice(equals + 1);
    const text = TOKEN.test(raw) ? raw : unquote(raw);
    if (!TOKEN.test(name) || text === undefined || parameters.has(name)) return undefined;
    // RFC 9110 §8.3.2: charset names are compared in any case; of other values nobody knows.
    parameters.set(name, name === 'charset' ? text.toLowerCase() : text);
  }
  return new Map([...parameters].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The one spelling of a media type. */
export function formatMediaType({ essence, parameters }: MediaType): string {
  const pieces = [...parameters].map(([name, value]) => `;${name}=${TOKEN.test(value) ? value : quoted(value)}`);
  return essence + pieces.join('');
}

/** True for JSON and what is built on it (RFC 6839 §3.1). */
export function isJsonType({ essence }: MediaType): boolean {
  return essence === 'application/json' || essence === 'text/json' || essence.endsWith('+json');
}

function quoted(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}

/** Pieces between the `;` that stand outside of quoted strings, without white space around them. */
function splitParameters(value: string): readonly string[] {
  const pieces = value.match(/(?:[^;"]|"(?:[^"\\]|\\.)*"?)+|;/gs) ?? [];
  const parts = [''];
  for (const piece of pieces) {
    if (piece === ';') parts.push('');
    else parts[parts.length - 1] = trimOws(piece);
  }
  return parts;
}
