import type { FieldLines } from './fields.ts';
import { fieldLineValues } from './fields.ts';
import { splitList } from './list.ts';

/**
 * Request fields that a response varies by (RFC 9110 §12.5.5): lower-cased, sorted, each once; `*` where it is among
 * the members of any line: such a response is never reused (RFC 9111 §4.1). Empty: it does not vary.
 */
export function varyNames(fields: FieldLines): readonly string[] | '*' {
  const names = new Set<string>();
  for (const value of fieldLineValues(fields, 'vary')) {
    for (const member of splitList(value)) {
      if (member !== '') names.add(member.toLowerCase());
    }
  }
  return names.has('*') ? '*' : [...names].toSorted();
}

/** Fields whose values are shown in keys. All others may carry a credential and enter as a digest. */
const shown: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'origin',
  'prefer',
  'user-agent',
]);

/** Longer values (after encoding) enter the key as a digest, so that a client cannot make keys grow. */
const MAX_SHOWN_CHARACTERS = 80;

/**
 * Key of the variant that these request fields select (RFC 9111 §4.1): the base key, a space, then `name=VALUE` for each
 * name, the name alone where the request has no such field. Injective: `|`, `=`, `%` and the space are encoded in names
 * and values. A base key never holds a space, since `parseTarget` refuses one: a query that spells out a variant part
 * (`?a|accept=x`) makes no variant's key. Lines are joined and white space round commas dropped, no more.
 *
 * @param sha256 lower-case hex of the text's SHA-256
 */
export function variantKey(
  baseKey: string,
  names: readonly string[],
  requestFields: FieldLines,
  sha256: (text: string) => string,
): string {
  const parts = names.map((name) => {
    const lines = fieldLineValues(requestFields, name);
    if (lines.length === 0) return encode(name);
    const value = lines.flatMap((line) => splitList(line)).join(',');
    const encoded = encode(value);
    const short = shown.has(name) && encoded.length <= MAX_SHOWN_CHARACTERS;
    // `#` cannot be in an encoded value, so a digest never equals a value that is shown.
    return `${encode(name)}=${short ? encoded : `#${sha256(value).slice(0, 32)}`}`;
  });
  return `${baseKey} ${parts.join('|')}`;
}

/** The key that a variant's key was made of; any other key is its own. A base key never holds a space. */
export function baseKeyOf(key: string): string {
  const space = key.indexOf(' ');
  return space === -1 ? key : key.slice(0, space);
}

function encode(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._~,;*/+:!-]/g, (char) => {
    const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase();
    return code.length <= 2 ? `%${code.padStart(2, '0')}` : `%u${code.padStart(4, '0')}`;
  });
}
