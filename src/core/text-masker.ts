import { foundRanges } from './found-ranges.ts';
import type { SpeltValue } from './spelt-value.ts';

/** Takes secrets out of texts: each becomes `***`, some that overlap become one. */
export interface TextMasker {
  readonly text: (value: string) => string;
  /** The first so many characters, masked: a secret that begins there is found also where it goes on behind them. */
  readonly beginning: (value: string, length: number) => string;
}

export function createTextMasker(values: readonly SpeltValue[]): TextMasker {
  const longest = values.reduce((most, value) => Math.max(most, value.longest), 0);
  const beginning = (value: string, length: number): string => {
    const ranges = foundRanges(value.slice(0, length + longest), values);
    let clean = '';
    let at = 0;
    for (const { start, end } of ranges) {
      if (start >= length) break;
      clean += `${value.slice(at, start)}***`;
      at = end;
    }
    return clean + value.slice(at, length);
  };
  return { beginning, text: (value) => beginning(value, value.length) };
}
