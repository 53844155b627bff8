import { expect, it } from 'vitest';

import { FlushState } from '../../src/metrics/flush-state.ts';
import type { Totals } from '../../src/metrics/totals.ts';

const purgesPlace = 4;

/** So many purges, and nothing else. */
function purges(count: number): Totals {
  const whole = new Float64Array(6);
  whole[purgesPlace] = count;
  return { routes: new Map(), whole };
}

/** One that has had so many flushes written, each of one purge more. */
function written(flushes: number): FlushState {
  const state = new FlushState();
  for (let number = 1; number <= flushes; number += 1) {
    const flush = state.next(purges(number));
    state.answered(flush, { applied: flush.number });
  }
  return state;
}

it.each([
  [1000, 'behind', 1],
  [985, 'behind', 16],
  [0, 'behind', 1001],
  [984, 'lost', undefined],
  [2, 'lost', undefined],
] as const)(
  'of 1000 flushes a ledger that holds those up to %i is %s: the last sixteen are remembered, and that there was nothing',
  (applied, answer, missing) => {
    const state = written(1000);
    const flush = state.next(purges(1001));
    expect(state.answered(flush, { applied })).toBe(answer);
    expect(answer === 'lost' ? undefined : state.next(purges(1001)).counts.get('purges')).toBe(missing);
  },
);
