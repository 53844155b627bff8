import { BoundedMemo } from './bounded-memo.ts';
import type { FieldLines } from './fields.ts';
import { fieldLineValues } from './fields.ts';
import { splitList } from './list.ts';
import { CDN_LOOP } from './loop-marks.ts';
import type { StoredResponse, VaryMarker } from './stored-response.ts';
import { preferredLanguages, varyValue } from './vary-values.ts';

/**
 * Request fields that a response varies by (RFC 9110 §12.5.5): lower-cased, sorted, each once; `*` where it is among
 * the members of any line: such a response is never reused (RFC 9111 §4.1). Empty: it does not vary.
 */
export function varyNames(fields: FieldLines): readonly string[] | '*' {
  const lines = fieldLineValues(fields, 'vary');
  if (lines.length === 0) return noNames;
  const names = new Set<string>();
  for (const value of lines) {
    for (const member of splitList(value)) {
      if (member !== '') names.add(member.toLowerCase());
    }
  }
  // All calls have it, and what it says is which way each has come.
  names.delete(CDN_LOOP);
  return names.has('*') ? '*' : [...names].toSorted();
}

const noNames: readonly string[] = [];

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

/** What the variants of one key are told apart by, as their marker says it. */
export type VariantRules = Pick<VaryMarker, 'names' | 'languages'>;

/** Languages that a marker remembers at most, so that an upstream that makes them up cannot make it grow. */
export const MAX_MARKER_LANGUAGES = 16;

/**
 * Fields that the variants of one key are told apart by at most, and characters of each: every look-up goes through all of them,
 * and whoever writes to the shared tier would else have it go through millions. Answers name ten at most.
 */
export const MAX_SELECTING_FIELDS = 256;
export const MAX_SELECTING_CHARACTERS = 256;

/** Whether variants may be told apart by these fields. */
export function isSelecting(names: readonly string[]): boolean {
  return names.length <= MAX_SELECTING_FIELDS && names.every(({ length }) => length <= MAX_SELECTING_CHARACTERS);
}

/** What is remembered of a language: the tag, and the Accept-Language, which is shown in keys. */
export function isRememberedLanguage(text: string): boolean {
  return text.length <= MAX_SHOWN_CHARACTERS;
}

/** A Content-Language of one tag and no more (RFC 9110 §8.5). */
const LANGUAGE_TAG = /^[a-z]{1,8}(?:-[a-z0-9]{1,8})*$/;

/**
 * Key of the variant that these request fields select (RFC 9111 §4.1): the base key, a space, then `name=VALUE` for each
 * name, the name alone where the request has no such field. Injective but for what {@link varyValue} takes for the same:
 * `|`, `=`, `%` and the space are encoded in names and values. A base key never holds a space, since `parseTarget` refuses
 * one: a query that spells out a variant part (`?a|accept=x`) makes no variant's key.
 *
 * Where `languages` says that a stored variant is in a language that the request wants most, that one is selected: §4.1 lets
 * a cache choose by what it knows of how the origin negotiates, and no choice of an origin's could be better.
 *
 * @param sha256 lower-case hex of the text's SHA-256
 */
export function variantKey(
  baseKey: string,
  { names, languages }: VariantRules,
  requestFields: FieldLines,
  sha256: (text: string) => string,
): string {
  const parts = names.map((name) => {
    const lines = fieldLineValues(requestFields, name);
    const [line] = lines;
    if (line === undefined) return encode(name);
    const spelling = lines.length === 1 ? spellingOf(name, line, sha256) : spell(name, lines, sha256);
    if (name !== 'accept-language' || languages === undefined) return spelling.part;
    const known = knownAs(spelling, languages);
    return known === spelling.sent ? spelling.part : partOf(name, known, sha256);
  });
  return `${baseKey} ${parts.join('|')}`;
}

/** What a request field says in the keys of variants. */
interface Spelling {
  /** As {@link varyValue} gives it. */
  readonly sent: string;
  /** Its part of a key. */
  readonly part: string;
  /** Of Accept-Language what {@link preferredLanguages} gives; of others empty. */
  readonly wanted: ReadonlySet<string>;
}

/** Clients write these values: longer ones are worked out each time, so that what is kept has a bound in bytes too. */
const MAX_REMEMBERED_CHARACTERS = 256;

/**
 * By `name=value` of one line: a name holds no `=`. Most requests carry one of a few values, which browsers and libraries
 * never change, and each hit on a response that varies would else parse and sort them anew. Of shown fields alone: the
 * values of others may be credentials, which are kept nowhere.
 */
const spellings = new BoundedMemo<Spelling>(512);

function spellingOf(name: string, line: string, sha256: (text: string) => string): Spelling {
  if (line.length > MAX_REMEMBERED_CHARACTERS || !shown.has(name)) return spell(name, [line], sha256);
  const text = `${name}=${line}`;
  const known = spellings.get(text);
  if (known !== undefined) return known;
  const spelling = spell(name, [line], sha256);
  spellings.set(text, spelling);
  return spelling;
}

function spell(name: string, lines: readonly string[], sha256: (text: string) => string): Spelling {
  const sent = varyValue(name, lines);
  const wanted = new Set(name === 'accept-language' ? preferredLanguages(sent) : []);
  return { sent, part: partOf(name, sent, sha256), wanted };
}

function partOf(name: string, value: string, sha256: (text: string) => string): string {
  const encoded = encode(value);
  const short = shown.has(name) && encoded.length <= MAX_SHOWN_CHARACTERS;
  // `#` cannot be in an encoded value, so a digest never equals a value that is shown.
  return `${encode(name)}=${short ? encoded : `#${sha256(value).slice(0, 32)}`}`;
}

/**
 * The Accept-Language under which a stored variant is, if there is one in a language that is wanted most. The request's own
 * comes first where it is among them: of that it is known that the origin was asked for just the same.
 */
function knownAs({ sent, wanted }: Spelling, languages: NonNullable<VariantRules['languages']>): string {
  const good = languages.filter(([language]) => wanted.has(language)).map(([, acceptLanguage]) => acceptLanguage);
  return good.includes(sent) ? sent : (good[0] ?? sent);
}

/**
 * The languages of stored variants once this response is stored for a request with these fields: the latest first.
 * `undefined` where none is known. Only what was asked for and found is selected by its language: an error (a 406 above all)
 * in a language may be about what else the request accepts.
 */
export function languagesWith(
  known: VariantRules['languages'],
  names: readonly string[],
  response: Pick<StoredResponse, 'status' | 'fields'>,
  requestFields: FieldLines,
): VariantRules['languages'] {
  const lines = fieldLineValues(requestFields, 'accept-language');
  if (!names.includes('accept-language') || lines.length === 0) return known;
  const sent = varyValue('accept-language', lines);
  const language = languageOf(response.fields);
  const isShort = encode(sent).length <= MAX_SHOWN_CHARACTERS;
  const isFound = isInLanguage(response, language);
  const isTag = isRememberedLanguage(language) && LANGUAGE_TAG.test(language);
  const own = isFound && isShort && isTag ? ([language, sent] as const) : undefined;
  const wanted = new Set(preferredLanguages(sent));
  // What was just stored has to be found by the next such request. Where that is not in a language that it wants most, those
  // that are would be selected before it.
  const isHidden = own === undefined || !wanted.has(language);
  const others = (known ?? []).filter(
    ([other, acceptLanguage]) => acceptLanguage !== sent && !(isHidden && wanted.has(other)),
  );
  const all = own === undefined ? others : [own, ...others];
  return all.length === 0 ? undefined : all.slice(0, MAX_MARKER_LANGUAGES);
}

/**
 * The language that a request is promised by the marker where it selects another request's variant ({@link variantKey});
 * `undefined` where it selects its own. What is under that key may be in another language by now: another process may have
 * stored what this marker does not tell of yet.
 */
export function promisedLanguage({ names, languages }: VariantRules, requestFields: FieldLines): string | undefined {
  if (languages === undefined || !names.includes('accept-language')) return undefined;
  const lines = fieldLineValues(requestFields, 'accept-language');
  if (lines.length === 0) return undefined;
  const sent = varyValue('accept-language', lines);
  const wanted = new Set(preferredLanguages(sent));
  const good = languages.filter(([language]) => wanted.has(language));
  return good.some(([, acceptLanguage]) => acceptLanguage === sent) ? undefined : good[0]?.[0];
}

/** Whether a response was asked for and found in that one language. */
export function isInLanguage({ status, fields }: Pick<StoredResponse, 'status' | 'fields'>, language: string): boolean {
  return status >= 200 && status < 300 && languageOf(fields) === language;
}

function languageOf(fields: FieldLines): string {
  return fieldLineValues(fields, 'content-language').join(',').trim().toLowerCase();
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
