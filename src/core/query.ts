/** One `name=value` of a query, not decoded: which bytes it means is asked with {@link decodeQueryText} or {@link recodeQueryText}. */
export interface QueryPair {
  readonly rawName: string;
  /** `undefined` where there is no `=`; kept parameters stay without it. */
  readonly rawValue: string | undefined;
}

/** Written as they are in canonical targets: RFC 3986 unreserved, and what APIs use inside values (lists, times, ids). */
const PLAIN = /^[A-Za-z0-9\-._~,:/@]*$/;

const isPlainByte: readonly boolean[] = Array.from({ length: 256 }, (_, byte) =>
  PLAIN.test(String.fromCodePoint(byte)),
);

const escapeOfByte: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

/**
 * The pairs of a query in their order. Only `&` separates them: a `;` is part of a value, and leaves percent-encoded,
 * so an upstream that splits at `;` too sees the same parameters as the key. Empty pieces mean nothing and are dropped.
 */
export function parseQuery(raw: string | undefined): readonly QueryPair[] {
  if (raw === undefined || raw === '') return [];
  const pairs: QueryPair[] = [];
  for (const piece of raw.split('&')) {
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    if (equals === -1) pairs.push({ rawName: piece, rawValue: undefined });
    else pairs.push({ rawName: piece.slice(0, equals), rawValue: piece.slice(equals + 1) });
  }
  return pairs;
}

/** True where a `%` is not followed by two hexadecimal digits: parsers disagree on what that means. */
export function hasBrokenEscape(raw: string): boolean {
  for (let at = raw.indexOf('%'); at !== -1; at = raw.indexOf('%', at + 3)) {
    if (hexOf(raw.charCodeAt(at + 1)) > 15 || hexOf(raw.charCodeAt(at + 2)) > 15) return true;
  }
  return false;
}

/**
 * The text that a raw name or value means, `+` being a space; `undefined` where its bytes are not UTF-8 (overlong forms
 * and surrogates are not, RFC 3629 §3) or an escape is broken. Never puts U+FFFD in their place, which would fold
 * different bytes together.
 */
export function decodeQueryText(raw: string): string | undefined {
  const plain = raw.includes('+') ? raw.replaceAll('+', ' ') : raw;
  return decodePathText(plain);
}

/**
 * A raw name as lists of withheld names (`secret`, names of credentials) mean it: decoded, without white space around
 * it, lower-cased, since some upstreams read it so. What is not UTF-8 stays raw. Keys and calls both ask here, so that
 * nothing that a call leaves out is in a key.
 */
export function withheldName(rawName: string): string {
  return foldWithheld(decodeQueryText(rawName) ?? rawName);
}

/** As {@link withheldName}, of a name that is decoded already. */
export function foldWithheld(name: string): string {
  return name.trim().toLowerCase();
}

/** As {@link decodeQueryText} for a piece of a path, where `+` is a plus. */
export function decodePathText(raw: string): string | undefined {
  const first = raw.indexOf('%');
  if (first === -1) return raw;
  const ascii = decodeAscii(raw, first);
  if (ascii !== undefined) return ascii;
  try {
    return decodeURIComponent(raw);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** The text, where all escapes are of ASCII characters: measured at six tenths of what `decodeURIComponent` takes for one. */
function decodeAscii(raw: string, first: number): string | undefined {
  let text = '';
  let from = 0;
  for (let at = first; at !== -1; at = raw.indexOf('%', from)) {
    const high = hexOf(raw.charCodeAt(at + 1));
    const low = hexOf(raw.charCodeAt(at + 2));
    if (high > 7 || low > 15) return undefined;
    text += raw.slice(from, at) + (asciiOf[high * 16 + low] ?? '');
    from = at + 3;
  }
  return text + raw.slice(from);
}

const asciiOf: readonly string[] = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));

/** Of a hexadecimal digit; 16 for what is none, the end of a text among them. */
function hexOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 16;
}

/** The one canonical spelling of a raw name or value, byte by byte, so that it also serves what is not UTF-8. */
export function recodeQueryText(raw: string): string {
  if (PLAIN.test(raw)) return raw;
  let text = '';
  for (let index = 0; index < raw.length; index += 1) {
    let byte = raw.charCodeAt(index);
    if (byte === 0x2b) byte = 0x20;
    else if (byte === 0x25) {
      byte = Number.parseInt(raw.slice(index + 1, index + 3), 16);
      index += 2;
    }
    text += isPlainByte[byte] === true ? String.fromCharCode(byte) : (escapeOfByte[byte] ?? '');
  }
  return text;
}

/** The one canonical percent-encoding of a text: unreserved characters and `,:/@` stay, all else is `%HH` of its UTF-8. */
export function encodeQueryValue(text: string): string {
  if (PLAIN.test(text)) return text;
  return encodeURIComponent(text.toWellFormed()).replaceAll(/[!*'()]|%(?:2C|3A|2F|40)/g, (piece) =>
    piece.length === 1 ? (escapeOfByte[piece.charCodeAt(0)] ?? '') : decodeURIComponent(piece),
  );
}

/** As {@link encodeQueryValue} for a piece of a path: a `/` inside it is encoded too, so it stays one piece. */
export function encodePathText(text: string): string {
  return encodeQueryValue(text).replaceAll('/', '%2F');
}
