import {
  type BareItem,
  type InnerList,
  type Item,
  parseDictionary,
  parseItem,
  parseList,
  Token,
} from 'structured-headers';

/**
 * A bare value of a structured field (RFC 9651 §3.3), as far as fields that this cache reads have such. `other`: a Decimal,
 * Byte Sequence, Date or Display String, which none of them has.
 */
export type FieldItem =
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'token'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'other' };

/** A member of a list or dictionary; its parameters are left out, since no field that is read here gives them a meaning. */
export type FieldMember = FieldItem | { readonly type: 'inner-list'; readonly items: readonly FieldItem[] };

/** Members by key, in the order of their first appearance; of a key that comes twice the last value (RFC 9651 §3.2). */
export type FieldDictionary = ReadonlyMap<string, FieldMember>;

/**
 * A structured field longer than this, its lines joined, counts as not parseable: the parser goes character by character, and
 * no upstream should decide how long that takes. Characters.
 */
export const MAX_STRUCTURED_FIELD = 16_384;

/**
 * The lines of a field as a Dictionary (RFC 9651 §4.2.2). `undefined` where they are not one: then the whole field is to be
 * ignored, never a part of it (§4.2). Empty where there is no line or nothing in them. Never throws.
 */
export function readDictionary(lines: readonly string[]): FieldDictionary | undefined {
  const members = parsed(lines, parseDictionary);
  return members && new Map(Array.from(members, ([key, member]) => [key, memberOf(member)] as const));
}

/** The lines of a field as a List (RFC 9651 §4.2.1); as {@link readDictionary} otherwise. */
export function readList(lines: readonly string[]): readonly FieldMember[] | undefined {
  return parsed(lines, parseList)?.map(memberOf);
}

/** The lines of a field as an Item (RFC 9651 §4.2.3); `undefined` where they are not exactly one. Never throws. */
export function readItem(lines: readonly string[]): FieldItem | undefined {
  const item = parsed(lines, parseItem);
  return item && itemOf(item);
}

/**
 * The strings of a List of Strings, such as Cache-Groups (RFC 9875 §2). `undefined` where the lines are no List or a member
 * is something else, since a field of the wrong type is ignored as one that cannot be parsed (RFC 9651 §1.2).
 */
export function readStringList(lines: readonly string[]): readonly string[] | undefined {
  const members = readList(lines);
  return members && stringsOf(members);
}

/** True of lines that are not looked at, since they are longer than {@link MAX_STRUCTURED_FIELD}. */
export function isUnread(lines: readonly string[]): boolean {
  return lines.join(', ').length > MAX_STRUCTURED_FIELD;
}

/** The member as a Boolean; `undefined` where it is none, or none is there. */
export function booleanOf(member: FieldMember | undefined): boolean | undefined {
  return member?.type === 'boolean' ? member.value : undefined;
}

/** The member as a whole number, of either sign; `undefined` where it is none, or none is there. */
export function integerOf(member: FieldMember | undefined): number | undefined {
  return member?.type === 'integer' ? member.value : undefined;
}

/** The strings of an Inner List of Strings; `undefined` where the member is none, or holds something else. */
export function innerStringsOf(member: FieldMember | undefined): readonly string[] | undefined {
  return member?.type === 'inner-list' ? stringsOf(member.items) : undefined;
}

function stringsOf(members: readonly FieldMember[]): readonly string[] | undefined {
  const strings: string[] = [];
  for (const member of members) {
    if (member.type !== 'string') return undefined;
    strings.push(member.value);
  }
  return strings;
}

/** Lines are joined as those of any field are (RFC 9110 §5.3). The parser throws for what is no such field, and only then. */
function parsed<T>(lines: readonly string[], parse: (text: string) => T): T | undefined {
  const text = lines.join(', ');
  if (text.length > MAX_STRUCTURED_FIELD) return undefined;
  try {
    return parse(text.includes('.0') || text.includes('@') ? withPlainNumbers(text) : text);
  } catch {
    return undefined;
  }
}

/**
 * Strings, Display Strings, Byte Sequences and words (keys, Tokens), in which digits are no number; numbers; and Dates where
 * an item may begin. What is never closed reaches to the end, and digits count as a number with or without a point behind them,
 * so that no character is looked at twice: of those that make no number nothing is tried again from the next one on.
 */
const lexemes =
  /%"[^"]*"?|"(?:[^"\\]|\\.)*"?|:[^:]*:?|[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*|(?<number>[0-9]+(?:\.[0-9]+)?)|(?<=^|[=( ,\t])(?<date>@-?[0-9]{1,15})(?![0-9.])/g;

/**
 * The package gives the same number for `60` and for `60.0`, but only the first is an Integer, and `max-age=60.0` has to count
 * for nothing (RFC 9213 §2.1). And it takes a Date only where the whole field ends with it. No value of either is read here, so
 * Decimals are put in their places that are told from whole numbers; what is well-formed stays so, and what is not too.
 */
function withPlainNumbers(text: string): string {
  return text.replaceAll(lexemes, (found, number: string | undefined, date: string | undefined) => {
    if (date !== undefined) return '0.5';
    const isWhole = number !== undefined && /^[0-9]{1,12}\.0{1,3}$/.test(number);
    return isWhole ? `${number.slice(0, number.indexOf('.'))}.5` : found;
  });
}

function memberOf(member: Item | InnerList): FieldMember {
  const [value] = member;
  return Array.isArray(value) ? { type: 'inner-list', items: value.map(itemOf) } : bareOf(value);
}

function itemOf([value]: Item): FieldItem {
  return bareOf(value);
}

function bareOf(value: BareItem): FieldItem {
  if (typeof value === 'boolean') return { type: 'boolean', value };
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'number') return Number.isInteger(value) ? { type: 'integer', value } : { type: 'other' };
  return value instanceof Token ? { type: 'token', value: value.toString() } : { type: 'other' };
}
