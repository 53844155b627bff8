import { splitList, trimOws } from './list.ts';

/** How the lines of a request field are compared. */
type Comparison = (members: readonly string[]) => string;

/** A member of a list with weights (RFC 9110 §12.4.2). */
interface Weighted {
  /** Lower-cased. */
  readonly name: string;
  /** Thousandths, 0 to 1000. */
  readonly weight: number;
}

/** A `qvalue` and no more (RFC 9110 §12.4.2); what some servers take for one (`.5`, `0.3333`) is left as it is. */
const QVALUE = /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/;

/** `language-range` of RFC 4647 §2.1. */
const RANGE = /^(?:[a-z]{1,8}(?:-[a-z0-9]{1,8})*|\*)$/;

/** A `token` (RFC 9110 §5.6.2), which content codings are, `identity` and `*` among them. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** RFC 9110 §8.4.1: a recipient should take both names for the same coding. */
const sameCoding: ReadonlyMap<string, string> = new Map([
  ['x-gzip', 'gzip'],
  ['x-compress', 'compress'],
]);

const comparisons: ReadonlyMap<string, Comparison> = new Map([
  ['accept', given],
  ['accept-charset', given],
  ['accept-language', languages],
  ['accept-encoding', codings],
  ['prefer', given],
]);

/**
 * Fields that are compared byte for byte: what stands between commas in them is no member of a list, but somebody's secret, in
 * which white space may count. Between their lines is what a cache puts there (RFC 9110 §5.3, for Cookie RFC 9113 §8.2.3).
 */
const opaque: ReadonlyMap<string, string> = new Map([
  ['authorization', ', '],
  ['cookie', '; '],
]);

/**
 * What a request field of a variant's key says, for comparison (RFC 9111 §4.1): lines joined, white space round commas
 * dropped, and of fields that are known to be lists empty members too (RFC 9110 §5.6.1.2). Accept-Language and
 * Accept-Encoding are brought to one spelling; where they are not well-formed they are compared as they came, since
 * nobody knows what a server makes of them; so are Cookie and Authorization always. A well-formed value never comes out as a malformed one.
 */
export function varyValue(name: string, lines: readonly string[]): string {
  const between = opaque.get(name);
  if (between !== undefined) return lines.join(between);
  const members = lines.flatMap((line) => splitList(line));
  const compare = comparisons.get(name);
  return compare === undefined ? members.join(',') : compare(members.filter((member) => member !== ''));
}

function given(members: readonly string[]): string {
  return members.join(',');
}

/**
 * RFC 9110 §12.5.4. Ranges are case-insensitive (RFC 4647 §2). The order among ranges of the same weight counts for nothing:
 * a server may read a preference into it, but a user agent "cannot rely" on that. A range with `q=0` says something (not this
 * one), so it stays.
 */
function languages(members: readonly string[]): string {
  return normalised(members, RANGE) ?? given(members);
}

/**
 * RFC 9110 §12.5.3. Names are case-insensitive, their order means nothing. `identity` that is named is kept apart from
 * `identity` that is not: it is acceptable both ways, but only the first gives it a weight to prefer it by. Where `*;q=0`
 * refuses all that is not named, `identity;q=0` adds nothing to it (the second rule of that section).
 */
function codings(members: readonly string[]): string {
  const parsed = weighted(members, TOKEN)?.map((one) => ({ ...one, name: sameCoding.get(one.name) ?? one.name }));
  if (parsed === undefined) return given(members);
  const refusesRest = parsed.some(({ name, weight }) => name === '*' && weight === 0);
  const saysMore = parsed.filter(({ name, weight }) => !(refusesRest && name === 'identity' && weight === 0));
  return spelt(saysMore);
}

/**
 * The languages that are wanted most: exact tags of the highest weight, lower-cased. None where the field is not
 * well-formed, where everything has weight 0, or where a tag of that weight is refused by another member.
 *
 * @param value as {@link varyValue} gives it
 */
export function preferredLanguages(value: string): readonly string[] {
  const parsed = weighted(value === '' ? [] : value.split(','), RANGE) ?? [];
  const top = Math.max(0, ...parsed.map((one) => one.weight));
  if (top === 0) return [];
  const refused = new Set(parsed.filter((one) => one.weight === 0).map((one) => one.name));
  const wanted = parsed.filter(({ name, weight }) => weight === top && name !== '*' && !refused.has(name));
  return wanted.map((one) => one.name);
}

function normalised(members: readonly string[], names: RegExp): string | undefined {
  const parsed = weighted(members, names);
  return parsed && spelt(parsed);
}

/** `undefined` where a member is not `name [;q=QVALUE]`. */
function weighted(members: readonly string[], names: RegExp): readonly Weighted[] | undefined {
  const parsed: Weighted[] = [];
  for (const member of members) {
    const one = parseWeighted(member.toLowerCase(), names);
    if (one === undefined) return undefined;
    parsed.push(one);
  }
  return parsed;
}

function parseWeighted(member: string, names: RegExp): Weighted | undefined {
  const [name = '', parameter, ...rest] = member.split(';').map(trimOws);
  if (!names.test(name) || rest.length > 0) return undefined;
  if (parameter === undefined) return { name, weight: 1000 };
  const value = parameter.startsWith('q=') ? parameter.slice(2) : '';
  return QVALUE.test(value) ? { name, weight: Math.round(Number(value) * 1000) } : undefined;
}

/** Heaviest first, then by name; each once. A weight of 1 is not written: it is what no weight means. */
function spelt(members: readonly Weighted[]): string {
  const sorted = members.toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [...new Set(sorted.map(({ name, weight }) => (weight === 1000 ? name : `${name};q=${weight / 1000}`)))].join(
    ',',
  );
}
