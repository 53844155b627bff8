import { expect, it } from 'vitest';

import { FleetTally } from '../../src/metrics/fleet-tally.ts';
import { TokenTally } from '../../src/metrics/tallies.ts';

it('a count that is kept is that of its token, and of all others where that finds no place', () => {
  const tally = new TokenTally(2);
  const one = tally.of('one');
  tally.add('two', 0);
  const [late, later] = [tally.of('late'), tally.of('later')];
  one.value += 2;
  tally.add('one', 3);
  late.value += 4;
  later.value += 5;
  tally.add('another', 6);
  expect([...tally.entries()]).toEqual([
    ['one', 5],
    ['two', 0],
    ['other', 15],
  ]);
  expect(tally.of('one')).toBe(one);
  expect(tally.of('later')).toBe(late);
});

it('a token that is no short word in ASCII is other', () => {
  const tally = new TokenTally();
  for (const token of ['x'.repeat(100), 'x'.repeat(101), '', 'a\nb', 'ü']) tally.add(token);
  expect([...tally.entries()]).toEqual([
    ['x'.repeat(100), 1],
    ['other', 4],
  ]);
});

it('what is done at Redis in turn is counted, weighed and timed each as its own', () => {
  const tally = new FleetTally();
  for (const durationMs of [250, 500]) {
    tally.add({ kind: 'redis', operation: 'get', result: 'hit', durationMs, bytes: 10 });
    tally.add({ kind: 'redis', operation: 'get', result: 'hit', durationMs, bytes: 10 });
    tally.add({ kind: 'redis', operation: 'put', result: 'ok', durationMs: 1000, bytes: 7 });
    tally.add({ kind: 'redis', operation: 'get', result: 'miss', durationMs, bytes: 0 });
  }
  expect([...tally.operations.entries()]).toEqual([
    ['get|hit', 4],
    ['put|ok', 2],
    ['get|miss', 2],
  ]);
  expect([...tally.operationBytes.entries()]).toEqual([
    ['get', 40],
    ['put', 14],
  ]);
  const times = [...tally.operationDurations].map(([name, { count, sumSeconds }]) => [name, count, sumSeconds]);
  expect(times).toEqual([
    ['get', 6, 2.25],
    ['put', 2, 2],
  ]);
});
