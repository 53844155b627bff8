/** Random choices from one seed (mulberry32), so that a failing pair can be made again from the seed that fast-check prints. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `sides - 1`. */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  }

  chance(oneIn: number): boolean {
    return this.roll(oneIn) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    for (const choice of choices.slice(this.roll(choices.length))) return choice;
    throw new Error('nothing to pick from');
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.roll(1_000_000) }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

const RAW = /^[!"$'()*,\-./0-9:;<>?@A-Z[\\\]^_`a-z{|}~]$/;

const bytes = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCodePoint(byte);
  const digits = byte.toString(16).padStart(2, '0');
  return { char, isRaw: RAW.test(char), lower: `%${digits}`, upper: `%${digits.toUpperCase()}` };
});

/** Some percent-encoding of bytes: each raw where it can be, or `%HH` with hexadecimal digits of either case; a space also as `+`. */
export function spellBytes(dice: Dice, octets: Uint8Array, equalsStays: boolean): string {
  let text = '';
  for (const octet of octets) {
    const byte = bytes[octet];
    if (byte === undefined) continue;
    const luck = dice.roll(10);
    if (byte.char === ' ' && luck < 5) text += '+';
    else if ((byte.isRaw || (equalsStays && byte.char === '=')) && luck > 1) text += byte.char;
    else text += luck % 2 === 0 ? byte.lower : byte.upper;
  }
  return text;
}

/** As {@link spellBytes} for a text in UTF-8. */
export function spellText(dice: Dice, text: string, equalsStays = true): string {
  return spellBytes(dice, Buffer.from(text, 'utf8'), equalsStays);
}

/** Some text that folds to the same: other case, other white space, composed or not. */
export function unfold(dice: Dice, text: string): string {
  const spaces = [' ', '  ', '\t', '\u00a0', ' \u2003'];
  let other = text;
  const shape = dice.roll(4);
  if (shape > 1) other = other.toUpperCase();
  else if (shape > 0) other = other.replace(/^./u, (char) => char.toUpperCase());
  if (dice.chance(2)) other = other.normalize('NFD');
  if (dice.chance(3)) other = other.replaceAll(' ', () => dice.pick(spaces));
  if (dice.chance(4)) other = `${dice.pick(spaces)}${other}${dice.pick(spaces)}`;
  return other;
}

/** Some spelling of a number that is written in plain digits. */
export function unroundNumber(dice: Dice, text: string, fraction: boolean): string {
  const negative = text.startsWith('-');
  let digits = negative ? text.slice(1) : text;
  if (dice.chance(3)) digits = `00${digits}`;
  if (fraction && dice.chance(3)) digits = digits.includes('.') ? `${digits}00` : `${digits}.0`;
  if (fraction && dice.chance(5)) return `${negative ? '-' : ''}${shifted(digits)}e-2`;
  if (negative) return `-${digits}`;
  const zero = Number(text) === 0;
  return dice.pick([digits, digits, `+${digits}`, zero ? `-${digits}` : digits]);
}

/** A hundred times as much. */
function shifted(digits: string): string {
  const [whole = '', fraction = ''] = digits.split('.');
  const padded = fraction.padEnd(2, '0');
  const rest = padded.slice(2);
  return `${whole}${padded.slice(0, 2)}${rest === '' ? '' : `.${rest}`}`;
}
