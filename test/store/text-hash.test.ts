import { expect, test } from 'vitest';

import { recall, TextHash } from '../../src/store/text-hash.ts';

test('the hash of a text that is recalled is the one that it had, of both words and all of their bits', () => {
  const hash = new TextHash();
  const texts = Array.from({ length: 200 }, (_, index) => `GET|/v1/forecast|location=city${index}`);
  const words = texts.map((text) => {
    const { low, high } = hash.take(text);
    return { low, high };
  });
  // Below 0 too, as words are kept.
  const kept = words.map(({ low, high }) => ({ low: low | 0, high: high | 0 }));
  expect(kept.some(({ low }) => low < 0)).toBe(true);
  for (const [index, text] of texts.entries()) {
    hash.take('another');
    recall(text, kept[index] ?? { low: 0, high: 0 });
    expect(new TextHash().take(text)).toMatchObject(words[index] ?? {});
    expect(hash.take('another')).not.toMatchObject(words[index] ?? {});
    expect(hash.take(text)).toMatchObject(words[index] ?? {});
  }
});

test('what was recalled is taken for the text that it was said to be of, and for no other', () => {
  const hash = new TextHash();
  const { low, high } = hash.take('one');
  recall('one', { low: low + 1, high });
  expect(hash.take('one').low).toBe(low + 1);
  expect(hash.take('other')).not.toMatchObject({ low: low + 1, high });
  expect(hash.take('one')).toMatchObject({ low, high });
});
