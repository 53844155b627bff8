/** An exact decimal number. Zero is never negative. */
export interface Decimal {
  readonly negative: boolean;
  /** Without leading zeros; `0` at least. */
  readonly whole: string;
  /** Without trailing zeros; may be empty. */
  readonly fraction: string;
}

const DECIMAL = /^([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?$/;

/** Longer spellings than this are no number that an API takes. */
const MAX_TEXT = 100;

/** An exponent past this is refused rather than written out in zeros. Wider than that of a double (RFC 8259 §6). */
const MAX_EXPONENT = 400;

/** Reads signs, leading and trailing zeros, `.5`, `5.` and exponents; `undefined` for all else. */
export function parseDecimal(text: string): Decimal | undefined {
  const parts = text.length > MAX_TEXT ? null : DECIMAL.exec(text);
  if (parts === null) return undefined;
  const exponent = Number(parts[4] ?? '0');
  if (Math.abs(exponent) > MAX_EXPONENT) return undefined;
  let whole = parts[2] ?? '';
  let fraction = parts[3] ?? '';
  if (exponent > 0) {
    const padded = fraction.padEnd(exponent, '0');
    whole += padded.slice(0, exponent);
    fraction = padded.slice(exponent);
  } else if (exponent < 0) {
    const padded = whole.padStart(-exponent, '0');
    fraction = padded.slice(padded.length + exponent) + fraction;
    whole = padded.slice(0, padded.length + exponent);
  }
  return decimalOf(parts[1] === '-', whole, fraction);
}

function decimalOf(negative: boolean, whole: string, fraction: string): Decimal {
  const trimmedWhole = whole.replace(/^0+(?=.)/, '') || '0';
  const trimmedFraction = fraction.replace(/0+$/, '');
  const isZero = trimmedWhole === '0' && trimmedFraction === '';
  return { negative: negative && !isZero, whole: trimmedWhole, fraction: trimmedFraction };
}

/** Rounds to `places` digits after the point, half away from zero: 0.125 to two places is 0.13, -0.125 is -0.13. */
export function roundDecimal(decimal: Decimal, places: number): Decimal {
  if (decimal.fraction.length <= places) return decimal;
  const kept = decimal.whole + decimal.fraction.slice(0, places);
  const up = (decimal.fraction[places] ?? '0') >= '5';
  const digits = up ? (BigInt(kept) + 1n).toString().padStart(kept.length, '0') : kept;
  const point = digits.length - places;
  return decimalOf(decimal.negative, digits.slice(0, point), digits.slice(point));
}

/** Below zero where `a` is less than `b`, 0 where they are equal. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.negative !== b.negative) return a.negative ? -1 : 1;
  const magnitude = compareMagnitudes(a, b);
  return a.negative ? -magnitude : magnitude;
}

function compareMagnitudes(a: Decimal, b: Decimal): number {
  if (a.whole.length !== b.whole.length) return a.whole.length - b.whole.length;
  if (a.whole !== b.whole) return a.whole < b.whole ? -1 : 1;
  // Fractions compare like text: both begin at the point and have no trailing zeros.
  if (a.fraction === b.fraction) return 0;
  return a.fraction < b.fraction ? -1 : 1;
}

/** Never in exponent form. */
export function formatDecimal(decimal: Decimal): string {
  const magnitude = decimal.fraction === '' ? decimal.whole : `${decimal.whole}.${decimal.fraction}`;
  return decimal.negative ? `-${magnitude}` : magnitude;
}
