import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pathBehind } from '../../src/core/backward.ts';
import { parsePattern, patternRegExp } from '../../src/core/route-pattern.ts';
import { slowIssue } from '../../src/core/pattern-cuts.ts';
import { buildRouteTable, type RouteTable } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { routeOf } from '../support/policy.ts';

function regexpOf(pattern: string): RegExp {
  const parts = parsePattern(pattern);
  if (!parts.ok) throw new Error(parts.error);
  return patternRegExp(parts.value);
}

function slow(pattern: string): string | undefined {
  const parts = parsePattern(pattern);
  if (!parts.ok) throw new Error(parts.error);
  return slowIssue(parts.value);
}

function tableOf(route: Route): RouteTable {
  const table = buildRouteTable([route]);
  if (!table.ok) throw new Error(JSON.stringify(table.error));
  return table.value;
}

/** Of the fastest of three runs, so that what else runs on the machine does not count. */
function millisecondsOf(run: () => void): number {
  const times = [1, 2, 3].map(() => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Math.min(...times);
}

/** Of a target with the largest size by default. At the cube of it, it would be hours. */
const LENGTH = 8192;

const BOUND_MS = 500;

describe('the time to match a path', () => {
  test.each([
    ['/p/:a-:b-:c', '-'],
    ['/p/:a-:b-:c-:d-:e', '-'],
    ['/p/{:a}{:b}{:c}{:d}', '-'],
    ['/p/{:a--}{:b-}:c/x', '-'],
    ['/p/:a/:b/:c-:d-:e/x', '-'],
    ['/*/b/*/c', '/b'],
    ['/p/:a+/x/:b+/y', '/x'],
    ['/:a?/:b?/:c?/:d?/:e?', '/-'],
    [String.raw`/p/:a(\d+)-:b-:c-:d`, '1-'],
  ])('of %s is bounded', (pattern, piece) => {
    expect(slow(pattern)).toBeUndefined();
    const regexp = regexpOf(pattern);
    const path = `/p/${piece.repeat(LENGTH / piece.length)}/z//`;
    expect(regexp.test(path)).toBe(false);
    expect(millisecondsOf(() => regexp.test(path))).toBeLessThan(BOUND_MS);
  });

  test('of a path upstream is bounded on its way back', () => {
    const { plans } = tableOf(routeOf({}, { match: '/p/:a-:b-:c-:d', forward: '/u/{a}-{b}-{c}-{d}' }));
    const [plan] = plans;
    if (plan === undefined) throw new Error('no plan');
    const path = `/u/${'-'.repeat(LENGTH)}/z`;
    expect(pathBehind(plan, path)).toBeUndefined();
    expect(millisecondsOf(() => pathBehind(plan, path))).toBeLessThan(BOUND_MS);
    expect(pathBehind(plan, '/u/---x-y-z')).toEqual({ path: '/p/---x-y-z' });
  });

  test.each([
    ['/*/b/*/c/*/d', 'end in many places'],
    ['/p/:a-*-:b-*-:c-*-d', 'end in many places'],
    ['/p/:a+/x/:b+/y/:c+/z', 'end in many places'],
    ['/p/{-}*{-}*{-}*x', 'end in many places'],
    ['/p/x:a+', 'repeats without a /'],
    ['/p/{:a-}+x', 'repeats without a /'],
    ['/p{/*}+/x', 'repeats without a /'],
  ])('is not left to %s, which the configuration may not hold', (match, why) => {
    expect(slow(match)).toContain(why);
    expect(buildRouteTable([routeOf({}, { match })])).toMatchObject({
      ok: false,
      error: expect.arrayContaining([expect.objectContaining({ message: expect.stringContaining(why) })]),
    });
  });
});

test('groups of one segment are cut as URLPattern cuts them, with all text between them', () => {
  const text = fc.array(fc.constantFrom('-', '--', '-a', 'a', ''), { minLength: 1, maxLength: 4 });
  const path = fc.array(fc.constantFrom('-', 'a', '/', 'b'), { maxLength: 12 });
  let matched = 0;
  fc.assert(
    fc.property(text, path, fc.constantFrom('', '/x', '-'), (between, pieces, end) => {
      const pattern = `/p/${between.map((one, index) => `{:g${index}}${one}`).join('')}{:last}${end}`;
      const request = `/p/${pieces.join('')}${end}`;
      const expected = new URLPattern({ pathname: pattern }).exec({ pathname: request });
      const found = regexpOf(pattern).exec(request);
      if (expected !== null) matched += 1;
      const names = [...between.map((_, index) => `g${index}`), 'last'];
      expect(found?.slice(1)).toEqual(
        expected === null ? undefined : names.map((name) => expected.pathname.groups[name]),
      );
    }),
    { seed: 3, numRuns: 5000 },
  );
  expect(matched).toBeGreaterThan(100);
});
