import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Places } from '../../src/core/places.ts';

describe('places', () => {
  test('hold what is in them until they are let go, and are used again', () => {
    const places = new Places<{ readonly name: string }>();
    const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
    const [first, second] = [places.add(a), places.add(b)];
    places.free(first);
    expect([places.get(first), places.get(second), places.size]).toEqual([undefined, b, 1]);
    expect(places.add(c)).toBe(first);
    expect([...places]).toEqual([c, b]);
  });

  test('that are free may be let go again, and nobody else goes with that', () => {
    const places = new Places<object>();
    const place = places.add({});
    places.free(place);
    places.free(place);
    const others = [places.add({}), places.add({})];
    expect(new Set(others).size).toBe(2);
    expect(places.size).toBe(2);
  });

  test('may be let go and taken by whoever walks through them', () => {
    const places = new Places<{ place: number }>();
    const ones = Array.from({ length: 5 }, () => ({ place: 0 }));
    for (const one of ones) one.place = places.add(one);
    const met: object[] = [];
    for (const one of places) {
      met.push(one);
      places.free(one.place);
    }
    expect(met).toEqual(ones);
    expect(places.size).toBe(0);
  });

  test('hold what a set would, whatever comes and goes', () => {
    // A number below 0: one comes; else the one in that place of those that are there goes.
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -20, max: 19 }), { maxLength: 200 }), (steps) => {
        const places = new Places<{ readonly step: number }>();
        const model = new Map<number, object>();
        const givenTwice: number[] = [];
        for (const step of steps) {
          const taken = [...model.keys()][step];
          if (taken === undefined) {
            const one = { step };
            const place = places.add(one);
            if (model.has(place)) givenTwice.push(place);
            model.set(place, one);
          } else {
            places.free(taken);
            model.delete(taken);
          }
        }
        expect(givenTwice).toEqual([]);
        expect(places.size).toBe(model.size);
        expect(new Set(places)).toEqual(new Set(model.values()));
      }),
      { seed: 20261126, numRuns: 500 },
    );
  });
});
