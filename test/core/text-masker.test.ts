import { describe, expect, test } from 'vitest';

import { speltValue } from '../../src/core/spelt-value.ts';
import { createTextMasker } from '../../src/core/text-masker.ts';

const short = 'short-secret';
const long = 'a-secret-that-is-several-times-as-long-as-the-other-one';

describe.each([
  ['the short one first', [short, long]],
  ['the long one first', [long, short]],
])('the beginning of a text that holds secrets of different length, %s', (_order, secrets) => {
  const { beginning } = createTextMasker(secrets.map(speltValue));

  test.each([
    ['short', short],
    ['long', long],
  ])('shows nothing of a %s one, wherever it is cut', (_length, secret) => {
    const text = `from ${secret} on`;
    for (let length = 6; length <= text.length; length += 1) {
      const behind = text.slice(5 + secret.length, length);
      expect(beginning(text, length)).toBe(`from ***${behind}`);
    }
  });

  test('says nothing of one that begins right behind it', () => {
    expect(beginning(`from ${long} on`, 5)).toBe('from ');
    expect(beginning(`from ${long} on`, 3)).toBe('fro');
  });
});
