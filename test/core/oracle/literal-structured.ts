/**
 * RFC 9651 §4.2, parsing structured fields, step by step, for the oracle and against `src/core/structured-field.ts`. A member
 * that is a Decimal, Byte Sequence, Date or Display String is `other`: no field that is read here has one.
 */

export type LiteralItem =
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'string' | 'token'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'other' };

export type LiteralMember = LiteralItem | { readonly type: 'inner-list'; readonly items: readonly LiteralItem[] };

/** Fails parsing (§4.2: then the whole field is ignored). */
class Unparseable extends Error {}

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const ALPHA = LOWER + LOWER.toUpperCase();
const DIGIT = '0123456789';
const TCHAR = `${ALPHA}${DIGIT}!#$%&'*+-.^_\`|~`;

/** The rest of the input, taken from the front. */
class Input {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#text.length;
  }

  /** `''` at the end. */
  peek(): string {
    return this.#text.charAt(this.#at);
  }

  take(): string {
    const char = this.peek();
    this.#at += 1;
    return char;
  }

  isNextOf(chars: string): boolean {
    return this.peek() !== '' && chars.includes(this.peek());
  }

  takeAll(chars: string): string {
    let taken = '';
    while (this.isNextOf(chars)) taken += this.take();
    return taken;
  }

  expect(char: string): void {
    if (this.take() !== char) throw new Unparseable();
  }
}

/** §4.2 with "dictionary"; `undefined` where parsing fails. */
export function literalDictionary(lines: readonly string[]): ReadonlyMap<string, LiteralMember> | undefined {
  return whole(lines, (input) => {
    const members = new Map<string, LiteralMember>();
    while (!input.isEmpty) {
      const name = key(input);
      let member: LiteralMember = { type: 'boolean', value: true };
      if (input.peek() === '=') {
        input.take();
        member = itemOrInnerList(input);
      } else {
        parameters(input);
      }
      // "overwrite its value with member": the place of the first, the value of the last.
      members.set(name, member);
      if (!comma(input)) break;
    }
    return members;
  });
}

/** §4.2 with "list". */
export function literalStructuredList(lines: readonly string[]): readonly LiteralMember[] | undefined {
  return whole(lines, (input) => {
    const members: LiteralMember[] = [];
    while (!input.isEmpty) {
      members.push(itemOrInnerList(input));
      if (!comma(input)) break;
    }
    return members;
  });
}

/** §4.2 with "item". */
export function literalItem(lines: readonly string[]): LiteralItem | undefined {
  return whole(lines, (input) => item(input));
}

function whole<T>(lines: readonly string[], parse: (input: Input) => T): T | undefined {
  const input = new Input(lines.join(', '));
  try {
    input.takeAll(' ');
    const value = parse(input);
    input.takeAll(' ');
    return input.isEmpty ? value : undefined;
  } catch (error) {
    if (error instanceof Unparseable) return undefined;
    throw error;
  }
}

/** False at the end of the input; a trailing comma fails. */
function comma(input: Input): boolean {
  input.takeAll(' \t');
  if (input.isEmpty) return false;
  input.expect(',');
  input.takeAll(' \t');
  if (input.isEmpty) throw new Unparseable();
  return true;
}

/** §4.2.3.3 */
function key(input: Input): string {
  if (!input.isNextOf(`${LOWER}*`)) throw new Unparseable();
  return input.takeAll(`${LOWER}${DIGIT}_-.*`);
}

/** §4.2.1.1 */
function itemOrInnerList(input: Input): LiteralMember {
  if (input.peek() !== '(') return item(input);
  input.take();
  const items: LiteralItem[] = [];
  for (;;) {
    input.takeAll(' ');
    if (input.isEmpty) throw new Unparseable();
    if (input.peek() === ')') {
      input.take();
      parameters(input);
      return { type: 'inner-list', items };
    }
    items.push(item(input));
    if (!input.isNextOf(' )')) throw new Unparseable();
  }
}

/** §4.2.3 */
function item(input: Input): LiteralItem {
  const value = bareItem(input);
  parameters(input);
  return value;
}

/** §4.2.3.2; none has a meaning in the fields that are read. */
function parameters(input: Input): void {
  while (input.peek() === ';') {
    input.take();
    input.takeAll(' ');
    key(input);
    if (input.peek() === '=') {
      input.take();
      bareItem(input);
    }
  }
}

/** §4.2.3.1 */
function bareItem(input: Input): LiteralItem {
  const next = input.peek();
  if (next === '-' || input.isNextOf(DIGIT)) return number(input);
  if (next === '"') return { type: 'string', value: string(input) };
  if (next === '*' || input.isNextOf(ALPHA)) return { type: 'token', value: input.takeAll(`${TCHAR}:/`) };
  if (next === ':') return byteSequence(input);
  if (next === '?') return boolean(input);
  if (next === '@') return date(input);
  if (next === '%') return displayString(input);
  throw new Unparseable();
}

/** §4.2.4 */
function number(input: Input): LiteralItem {
  const isNegative = input.peek() === '-';
  if (isNegative) input.take();
  if (!input.isNextOf(DIGIT)) throw new Unparseable();
  const integer = input.takeAll(DIGIT);
  if (input.peek() !== '.') {
    if (integer.length > 15) throw new Unparseable();
    return { type: 'integer', value: isNegative ? -Number(integer) : Number(integer) };
  }
  if (integer.length > 12) throw new Unparseable();
  input.take();
  const fraction = input.takeAll(DIGIT);
  if (fraction.length < 1 || fraction.length > 3) throw new Unparseable();
  return { type: 'other' };
}

/** §4.2.5 */
function string(input: Input): string {
  input.expect('"');
  let value = '';
  while (!input.isEmpty) {
    const char = input.take();
    if (char === '"') return value;
    if (char === '\\') {
      if (!input.isNextOf('"\\')) throw new Unparseable();
      value += input.take();
    } else if (char < ' ' || char > '~') {
      throw new Unparseable();
    } else {
      value += char;
    }
  }
  throw new Unparseable();
}

/** §4.2.7 */
function byteSequence(input: Input): LiteralItem {
  input.expect(':');
  const content = input.takeAll(`${ALPHA}${DIGIT}+/=`);
  input.expect(':');
  // Choice: no padding is accepted, as the section asks for, but wrong padding is not.
  const data = content.length % 4 === 0 ? content.replace(/={1,2}$/, '') : content;
  if (data.includes('=') || data.length % 4 === 1) throw new Unparseable();
  return { type: 'other' };
}

/** §4.2.8 */
function boolean(input: Input): LiteralItem {
  input.expect('?');
  const char = input.take();
  if (char !== '0' && char !== '1') throw new Unparseable();
  return { type: 'boolean', value: char === '1' };
}

/** §4.2.9 */
function date(input: Input): LiteralItem {
  input.expect('@');
  if (number(input).type !== 'integer') throw new Unparseable();
  return { type: 'other' };
}

/** §4.2.10 */
function displayString(input: Input): LiteralItem {
  input.expect('%');
  input.expect('"');
  const bytes: number[] = [];
  while (!input.isEmpty) {
    const char = input.take();
    if (char < ' ' || char > '~') throw new Unparseable();
    if (char === '"') return decoded(bytes);
    if (char !== '%') {
      bytes.push(char.charCodeAt(0));
      continue;
    }
    const hex = input.take() + input.take();
    if (!/^[0-9a-f]{2}$/.test(hex)) throw new Unparseable();
    bytes.push(Number.parseInt(hex, 16));
  }
  throw new Unparseable();
}

function decoded(bytes: readonly number[]): LiteralItem {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch (error) {
    if (error instanceof TypeError) throw new Unparseable();
    throw error;
  }
  return { type: 'other' };
}
