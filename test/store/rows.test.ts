import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rows } from '../../src/store/rows.ts';

/** Rows of 16 bytes, each with its own number in its second word. */
function setUp() {
  const rows = new Rows(4);
  const held: number[] = [];
  const take = (count: number) => {
    for (let left = count; left > 0; left -= 1) {
      const row = rows.take();
      rows.set(row, 1, row);
      held.push(row);
    }
  };
  const release = (from: number, count: number) => {
    for (const row of held.splice(from, count)) rows.release(row);
  };
  /** By the walk that goes past what was given back. */
  const walked = () => {
    const found: number[] = [];
    for (let row = rows.firstFrom(1); row <= rows.last; row = rows.firstFrom(row + 1)) {
      if (rows.get(row, 1) !== 0) found.push(row);
    }
    return found;
  };
  return { rows, held, take, release, walked };
}

describe('rows', () => {
  test('that all went take nothing', () => {
    const { rows, take, release } = setUp();
    take(5000);
    expect(rows.bytes).toBe(5000 * 16);
    release(0, 5000);
    expect(rows.bytes).toBe(0);
    expect(rows.size).toBe(0);
  });

  test('are given back by the 1,024 where none is in use, but for one such lot', () => {
    const { rows, take, release, held, walked } = setUp();
    take(20_480);
    release(0, 18_000);
    expect(rows.bytes).toBeLessThanOrEqual((held.length + 2 * 1024) * 16);
    expect(walked()).toEqual(held.toSorted((a, b) => a - b));
    expect(rows.needs(1024)).toBe(0);
  });

  test('are taken where others are, so that a lot runs empty when what was in it goes in any order', () => {
    const { rows, take, release, held } = setUp();
    take(20_480);
    // Every tenth stays at first, all over the place.
    for (let at = held.length - 1; at >= 0; at -= 1) if (at % 10 !== 0) release(at, 1);
    const scattered = held.length;
    for (let round = 0; round < scattered; round += 1) {
      take(1);
      release(0, 1);
    }
    expect(held).toHaveLength(scattered);
    expect(rows.bytes).toBeLessThanOrEqual((scattered + 2 * 1024) * 16);
  });

  test('of a lot that was given back are zeros when they are taken anew', () => {
    const { rows, take, release, held } = setUp();
    take(10_000);
    release(0, 9000);
    for (let times = 0; times < 9000; times += 1) {
      const row = rows.take();
      expect(held).not.toContain(row);
      expect([0, 1, 2, 3].map((word) => rows.get(row, word))).toEqual([0, 0, 0, 0]);
      rows.set(row, 1, row);
    }
    expect(rows.bytes).toBe(10_000 * 16);
  });

  test('keep what is theirs, and what is asked for beforehand is what more of them take', () => {
    const change = fc.record({ take: fc.nat(3000), from: fc.nat(10_000), release: fc.nat(6000) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        const { rows, held, take, release, walked } = setUp();
        for (const one of changes) {
          const promised = rows.bytes + rows.needs(one.take);
          take(one.take);
          expect(rows.bytes).toBe(promised);
          release(one.from % Math.max(1, held.length), one.release);
          expect(rows.size).toBe(held.length);
          expect(rows.bytes).toBeGreaterThanOrEqual(held.length * 16);
          expect(held.filter((row) => rows.get(row, 1) !== row)).toEqual([]);
          expect(walked()).toEqual(held.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 60, seed: 20_261_126 },
    );
  });
});
