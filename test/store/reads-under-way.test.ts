import { describe, expect, test } from 'vitest';

import { ReadsUnderWay } from '../../src/store/reads-under-way.ts';
import { Dice } from '../support/spellings.ts';

describe('reads under way', () => {
  test('are found by key and URL until they have ended', () => {
    const reads = new ReadsUnderWay<Promise<string>>();
    const hash = reads.hashOf('key').low;
    const read = Promise.resolve('read');
    const other = Promise.resolve('other');
    reads.begin(hash, { key: 'key', url: '/a', read });
    reads.begin(hash, { key: 'key', url: '/b', read: other });
    expect(reads.find(hash, 'key', '/a')).toBe(read);
    expect(reads.find(hash, 'key', '/b')).toBe(other);
    expect(reads.find(hash, 'key', '/c')).toBeUndefined();
    reads.end(hash, { key: 'key', url: '/a' });
    reads.end(hash, { key: 'key', url: '/a' });
    expect(reads.find(hash, 'key', '/a')).toBeUndefined();
    expect(reads.find(hash, 'key', '/b')).toBe(other);
  });

  test('of one chain are told apart, whichever of them ends', () => {
    const reads = new ReadsUnderWay<Promise<number>>();
    const names = ['a', 'b', 'c', 'd'];
    for (const gone of names) {
      const begun = names.map((key, index) => ({ key, url: '', read: Promise.resolve(index) }));
      for (const one of begun) reads.begin(7, one);
      reads.end(7, { key: gone, url: '' });
      for (const { key, read } of begun) expect(reads.find(7, key, '')).toBe(key === gone ? undefined : read);
      for (const key of names) reads.end(7, { key, url: '' });
    }
    for (const key of names) expect(reads.find(7, key, '')).toBeUndefined();
  });

  test('are as a map of them is, however they come and go', () => {
    const dice = new Dice(20_261_126);
    const reads = new ReadsUnderWay<Promise<number>>();
    const model = new Map<string, Promise<number>>();
    for (let step = 0; step < 20_000; step += 1) {
      const key = `key ${dice.roll(5000)}`;
      const hash = reads.hashOf(key).low;
      const known = model.get(key);
      expect(reads.find(hash, key, '')).toBe(known);
      if (known === undefined) {
        const read = Promise.resolve(step);
        model.set(key, read);
        reads.begin(hash, { key, url: '', read });
      } else {
        model.delete(key);
        reads.end(hash, { key, url: '' });
      }
    }
  });
});
