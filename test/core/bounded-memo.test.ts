import { assert as assertProperty, array, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedMemo } from '../../src/core/bounded-memo.ts';

describe('a bounded memo', () => {
  it('gives back what was put under a text, and nothing for another', () => {
    const memo = new BoundedMemo<number>(4);
    memo.set('a', 1);
    memo.set('__proto__', 2);
    expect([memo.get('a'), memo.get('__proto__'), memo.get('A'), memo.get('constructor')]).toEqual([
      1,
      2,
      undefined,
      undefined,
    ]);
    memo.set('a', 3);
    expect(memo.get('a')).toBe(3);
  });

  it('never holds more than its bound, and never a wrong value', () => {
    const given = array(integer({ min: 0, max: 40 }), { maxLength: 300 });
    assertProperty(
      property(given, (texts) => {
        const memo = new BoundedMemo<number>(10);
        for (const text of texts) {
          const found = memo.get(String(text));
          expect([undefined, text]).toContain(found);
          if (found === undefined) memo.set(String(text), text);
          expect(memo.get(String(text))).toBe(text);
          expect(memo.size).toBeLessThanOrEqual(10);
        }
      }),
      { seed: 2026, numRuns: 200 },
    );
  });

  it('holds as many as it may, and forgets those that nobody asked for', () => {
    const memo = new BoundedMemo<number>(10);
    for (let text = 0; text < 10; text += 1) memo.set(String(text), text);
    expect(memo.size).toBe(10);
    for (let text = 100; text < 1000; text += 1) memo.set(String(text), text);
    expect(memo.get('0')).toBeUndefined();
  });

  it('keeps what is asked for again and again, however many new texts come between', () => {
    const memo = new BoundedMemo<string>(10);
    memo.set('kept', 'still');
    for (let round = 0; round < 200; round += 1) {
      for (let text = 0; text < 4; text += 1) memo.set(`${round} ${text}`, 'new');
      expect(memo.get('kept')).toBe('still');
    }
  });
});
