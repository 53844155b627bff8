import { expect, it } from 'vitest';
import { keySteps } from '../../src/core/key-steps.ts';
import { matchRoute } from '../../src/core/route-table.ts';
import { routeOf } from '../support/policy.ts';
import { folded, keyOf, ruleOf, rulesOf, sha256, tableOf } from '../support/routes.ts';

const table = tableOf(routeOf({}, { match: '/a', params: rulesOf(ruleOf('q', folded)) }));
const match = matchRoute(table, { path: '/a', host: '', listener: 'default' });

const repeats = (count: number): string => 'q&'.repeat(count);

/** Of this thread alone: a busy machine takes no part in it. Least of three, since a collection of garbage is none of it. */
function cpuMs(work: () => unknown): number {
  const times = [1, 2, 3].map(() => {
    const before = process.threadCpuUsage();
    work();
    return process.threadCpuUsage(before).user / 1000;
  });
  return Math.min(...times);
}

it.each([
  ['the key', (query: string): unknown => keyOf(table, `/a?${query}`)],
  [
    'what explain tells of it',
    (query: string): unknown => match && keySteps(match, { path: '/a', query, fields: [] }, sha256),
  ],
])('a parameter that is repeated costs time by the length of the query alone: %s', (_what, work) => {
  work(repeats(1_000));
  const whole = cpuMs(() => work(repeats(16_000)));
  const eighth = cpuMs(() => work(repeats(2_000)));
  expect(whole / Math.max(eighth, 1)).toBeLessThan(32);
});
