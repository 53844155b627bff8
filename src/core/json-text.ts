import { ok, refused, type Result } from './problem.ts';

/** JSON text in its one canonical spelling. */
export interface CanonicalJson {
  readonly text: string;
  /** The canonical texts of an object's values by name, in canonical order; `undefined` where it is no object. */
  readonly members: ReadonlyMap<string, string> | undefined;
}

/** Objects and arrays within each other, at most: far more than APIs use, and far less than would overflow the stack. */
export const maxJsonDepth = 64;

/** An integer keeps its zeros up to this many, and a fraction those behind its point: `1e999999999` must not become a gigabyte. */
const MAX_ZEROS = 30;

/** Digits of an exponent: with more of them sums would not be exact, and no reader takes such a number. */
const MAX_EXPONENT_DIGITS = 12;

/**
 * One spelling for all texts of one value (RFC 8259), and a different one for each other value. Like RFC 8785 members
 * are sorted by the UTF-16 code units of their names, white space is gone and strings escape only what they must (lone
 * surrogates too, which UTF-8 cannot hold). Unlike there numbers are exact: `1.0`, `1` and `10e-1` are one number,
 * 9007199254740993 is not 9007199254740992, and `-0` is not `0`. Code points are not folded: NFC and NFD are different strings.
 * Refused with words: what is no JSON, is nested more than {@link maxJsonDepth} deep, or names a member twice, which
 * readers resolve in different ways (RFC 8259 §4).
 */
export function canonicalJson(text: string): Result<CanonicalJson, string> {
  const reader = new JsonReader(text);
  const isObject = reader.startsObject();
  const members = isObject ? reader.members(1) : undefined;
  const whole = isObject ? members && objectText(members) : reader.value(1);
  if (whole === undefined || !reader.isAtEnd()) return refused(reader.issue ?? 'is not JSON');
  return ok({ text: whole, members });
}

/** The canonical text of an object, of the canonical texts of its values. */
export function objectText(members: ReadonlyMap<string, string>): string {
  const names = [...members.keys()].toSorted(byCodeUnits);
  return `{${names.map((name) => `${JSON.stringify(name)}:${members.get(name) ?? ''}`).join(',')}}`;
}

function byCodeUnits(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Reads from the left; what it gives is `undefined` as soon as something is wrong, and nothing is read any more then. */
class JsonReader {
  /** Set where it is more than not being JSON. */
  issue: string | undefined;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  startsObject(): boolean {
    this.#skipSpace();
    return this.#text[this.#at] === '{';
  }

  isAtEnd(): boolean {
    this.#skipSpace();
    return this.#at === this.#text.length;
  }

  /** `depth`: of the value, were it an object or an array. */
  value(depth: number): string | undefined {
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case '{': {
        const members = this.members(depth);
        return members === undefined ? undefined : objectText(members);
      }
      case '[':
        return this.#array(depth);
      case '"': {
        const text = this.#string();
        return text === undefined ? undefined : JSON.stringify(text);
      }
      case undefined:
        return undefined;
      default:
        return this.#word() ?? this.#number();
    }
  }

  members(depth: number): ReadonlyMap<string, string> | undefined {
    const members = new Map<string, string>();
    const read = this.#sequence('}', depth, () => {
      this.#skipSpace();
      const name = this.#text[this.#at] === '"' ? this.#string() : undefined;
      if (name === undefined || !this.#takes(':')) return false;
      if (members.has(name)) {
        this.issue = 'names a member of an object twice, which readers resolve in different ways';
        return false;
      }
      const value = this.value(depth + 1);
      if (value === undefined) return false;
      members.set(name, value);
      return true;
    });
    return read ? members : undefined;
  }

  #array(depth: number): string | undefined {
    const items: string[] = [];
    const read = this.#sequence(']', depth, () => {
      const item = this.value(depth + 1);
      if (item === undefined) return false;
      items.push(item);
      return true;
    });
    return read ? `[${items.join(',')}]` : undefined;
  }

  /** What stands between an opening bracket, where it is now, and the closing one. */
  #sequence(closing: string, depth: number, item: () => boolean): boolean {
    if (depth > maxJsonDepth) {
      this.issue = `is nested more than ${maxJsonDepth} deep`;
      return false;
    }
    this.#at += 1;
    if (this.#takes(closing)) return true;
    do {
      if (!item()) return false;
    } while (this.#takes(','));
    return this.#takes(closing);
  }

  #takes(char: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  #string(): string | undefined {
    const start = this.#at;
    let escapes = false;
    for (let index = start + 1; index < this.#text.length; index += 1) {
      const code = this.#text.charCodeAt(index);
      if (code < 0x20) return undefined;
      if (code === 0x5c) {
        escapes = true;
        index += 1;
      } else if (code === 0x22) {
        this.#at = index + 1;
        return escapes ? unescaped(this.#text.slice(start, this.#at)) : this.#text.slice(start + 1, index);
      }
    }
    return undefined;
  }

  #word(): string | undefined {
    return this.#match(WORD);
  }

  #number(): string | undefined {
    const spelt = this.#match(NUMBER);
    const number = spelt === undefined ? undefined : canonicalNumber(spelt);
    if (spelt !== undefined && number === undefined) this.issue = 'holds a number with an exponent that is too long';
    return number;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #skipSpace(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at += 1;
  }
}

const WORD = /(?:true|false|null)/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** RFC 8259 §2. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** What a string literal with escapes says; `undefined` where one of them is none. */
function unescaped(literal: string): string | undefined {
  try {
    const text: unknown = JSON.parse(literal);
    return typeof text === 'string' ? text : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** `undefined` where the exponent is out of all reason. */
function canonicalNumber(spelt: string): string | undefined {
  const [mantissa = '', exponentText = '0'] = spelt.toLowerCase().split('e');
  const negative = mantissa.startsWith('-');
  const [whole = '', fraction = ''] = (negative ? mantissa.slice(1) : mantissa).split('.');
  const digits = withoutLeadingZeros(whole + fraction);
  // One spelling of zero whatever its exponent, and one of the negative zero, which most readers can tell from it.
  if (digits === '') return negative ? '-0' : '0';
  const exponent = exponentOf(exponentText);
  if (exponent === undefined) return undefined;
  const significant = withoutTrailingZeros(digits);
  const shift = exponent - fraction.length + (digits.length - significant.length);
  return `${negative ? '-' : ''}${magnitude(significant, shift)}`;
}

function exponentOf(text: string): number | undefined {
  const negative = text.startsWith('-');
  const digits = withoutLeadingZeros(/^[+-]/.test(text) ? text.slice(1) : text);
  if (digits.length > MAX_EXPONENT_DIGITS) return undefined;
  return negative ? -Number(digits) : Number(digits);
}

/** `digits` times ten to the power of `shift`: written out where that takes few zeros, else with one digit before the point. */
function magnitude(digits: string, shift: number): string {
  if (shift >= 0 && shift <= MAX_ZEROS) return digits + '0'.repeat(shift);
  const point = digits.length + shift;
  if (shift < 0 && point > 0) return `${digits.slice(0, point)}.${digits.slice(point)}`;
  if (shift < 0 && -point <= MAX_ZEROS) return `0.${'0'.repeat(-point)}${digits}`;
  const rest = digits.slice(1);
  return `${digits.slice(0, 1)}${rest === '' ? '' : `.${rest}`}e${point - 1}`;
}

function withoutLeadingZeros(digits: string): string {
  let start = 0;
  while (digits[start] === '0') start += 1;
  return digits.slice(start);
}

function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (digits[end - 1] === '0') end -= 1;
  return digits.slice(0, end);
}
