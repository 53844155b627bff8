import { describe, expect, it } from 'vitest';

import { SilentKeys } from '../../src/cache/silent-keys.ts';

function noted(...kinds: readonly string[]): SilentKeys {
  const silent = new SilentKeys(1000, 2);
  for (const kind of kinds) silent.note('key', kind, 0);
  return silent;
}

describe('keys whose requests upstream kept waiting', () => {
  it('are held for the kinds that waited, and for all from the third kind on', () => {
    expect(noted('a', 'b', 'a').has('key', 'a', 999)).toBe(true);
    expect(noted('a', 'b', 'a').has('key', 'c', 0)).toBe(false);
    expect(noted('a', 'b', 'c').has('key', 'd', 999)).toBe(true);
    expect(noted('a', 'b', 'c').has('other', 'a', 0)).toBe(false);
  });

  it('are held until the time is over', () => {
    expect(noted('a').has('key', 'a', 1000)).toBe(false);
    const silent = noted('a', 'b', 'c');
    silent.note('key', 'd', 500);
    expect([silent.has('key', 'e', 999), silent.has('key', 'e', 1000)]).toEqual([true, false]);
    expect([silent.has('key', 'd', 1000), silent.has('key', 'c', 1000)]).toEqual([true, false]);
  });

  it('are forgotten for one kind that was answered, and for all where all were held', () => {
    const two = noted('a', 'b');
    two.forget('key', 'a', 0);
    expect([two.has('key', 'a', 0), two.has('key', 'b', 0)]).toEqual([false, true]);
    for (const answered of ['a', 'd']) {
      const all = noted('a', 'b', 'c');
      all.forget('key', answered, 0);
      expect([all.has('key', 'b', 0), all.size]).toEqual([false, 0]);
    }
  });

  it('are bounded: the one noted longest ago is forgotten first', () => {
    const silent = noted('a');
    silent.note('second', 'a', 0);
    silent.note('key', 'b', 0);
    silent.note('third', 'a', 0);
    expect(['key', 'second', 'third'].map((key) => silent.has(key, 'a', 0))).toEqual([true, false, true]);
    expect(silent.size).toBe(2);
  });
});
