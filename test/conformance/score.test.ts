import { describe, expect, it } from 'vitest';

import { judge, meetsBar, renderScore, scoreOf, warning } from './score.ts';
import type { SuiteGroup, SuiteResults, SuiteTest } from './suite.ts';

function test(id: string, kind: SuiteTest['kind'] = 'required', ...dependsOn: string[]): SuiteTest {
  return { id, name: `what ${id} is about`, kind, dependsOn };
}

const group = (...tests: SuiteTest[]): readonly SuiteGroup[] => [{ id: 'some', tests }];

function verdicts(groups: readonly SuiteGroup[], results: SuiteResults): Readonly<Record<string, string>> {
  return Object.fromEntries(judge(groups, results).map((one) => [one.test.id, one.verdict]));
}

describe('a test of the suite', () => {
  it.each([
    ['passed', true, 'pass', ''],
    ['did not hold', ['Assertion', 'Response 2 comes from cache'], 'fail', 'Assertion: Response 2 comes from cache'],
    ['broke off', ['TypeError', 'fetch failed'], 'fail', 'TypeError: fetch failed'],
    ['could not be set up', ['Setup', 'Response 1 status is 502'], 'setup', 'Setup: Response 1 status is 502'],
    ['met a repeated request', ['Setup', 'retry'], 'retry', 'Setup: retry'],
    ['was left out', undefined, 'untested', 'the suite gave no result'],
  ] as const)('that %s is told apart', (_what, result, verdict, why) => {
    const results: SuiteResults = new Map(result === undefined ? [] : [['a', result]]);
    expect(judge(group(test('a')), results)).toMatchObject([{ verdict, why }]);
  });

  it('counts only where all that it builds on passed, however far down', () => {
    const groups = group(test('c', 'optimal', 'b'), test('b', 'check', 'a'), test('a'), test('d', 'required', 'a'));
    const all = { a: true, b: true, c: true, d: true } as const;
    expect(verdicts(groups, new Map(Object.entries(all)))).toEqual({ a: 'pass', b: 'pass', c: 'pass', d: 'pass' });
    const failed = new Map(Object.entries({ ...all, a: ['Assertion', 'no'] as const }));
    expect(verdicts(groups, failed)).toEqual({ a: 'fail', b: 'dependency', c: 'dependency', d: 'dependency' });
    expect(judge(groups, failed)[0]?.why).toBe('builds on b');
  });

  it('that builds on one that is not there, or on itself, does not count', () => {
    const groups = group(test('a', 'required', 'gone'), test('b', 'required', 'b'));
    const passed: SuiteResults = new Map(groups.flatMap(({ tests }) => tests.map(({ id }) => [id, true])));
    expect(verdicts(groups, passed)).toEqual({ a: 'dependency', b: 'dependency' });
  });
});

/** That many tests of each kind, of which so many pass. */
function run(required: readonly [number, number], optimal: readonly [number, number]): [SuiteGroup[], SuiteResults] {
  const tests: SuiteTest[] = [];
  const results = new Map<string, true | readonly [string, string]>();
  for (const [kind, [passed, all]] of [
    ['required', required],
    ['optimal', optimal],
  ] as const) {
    for (let at = 0; at < all; at += 1) {
      tests.push(test(`${kind}-${at}`, kind));
      results.set(`${kind}-${at}`, at < passed ? true : ['Assertion', 'no']);
    }
  }
  return [[{ id: 'some', tests }], results];
}

describe('the bar', () => {
  it.each([
    ['all', [160, 160], [105, 105], true],
    ['99 of the optimal ones', [160, 160], [99, 105], true],
    ['98 of the optimal ones', [160, 160], [98, 105], false],
    ['one required test less', [159, 160], [105, 105], false],
    ['a suite without required tests', [0, 0], [105, 105], false],
  ] as const)('with %s', (_what, required, optimal, met) => {
    const [groups, results] = run(required, optimal);
    expect(meetsBar(scoreOf(judge(groups, results)))).toBe(met);
  });
});

it('the score has a line for each group, one for all, what did not pass, and what the suite says of itself', () => {
  const groups: readonly SuiteGroup[] = [
    { id: 'fresh', tests: [test('f1'), test('f2'), test('f3', 'optimal')] },
    { id: 'asked', tests: [test('a1', 'check'), test('a2', 'check')] },
  ];
  const results: SuiteResults = new Map<string, true | readonly [string, string]>([
    ['f1', true],
    ['f2', ['Assertion', 'Response 2 comes from cache']],
    ['f3', true],
    ['a1', true],
    ['a2', ['Assertion', 'no']],
  ]);
  const text = renderScore(groups, judge(groups, results));
  expect(text).toMatch(
    /^group +required +optimal +checks yes\nfresh +1\/2 +1\/1 +-\nasked +- +- +1\/2\nall +1\/2 +1\/1 +1\/2\n/,
  );
  expect(text).toContain('  required fail: fresh/f2: Assertion: Response 2 comes from cache\n    what f2 is about\n');
  // No rule is broken where a cache does not do what a check asks about.
  expect(text).not.toContain('a2');
  expect(text).toContain('is not met');
  expect(text.endsWith(warning)).toBe(true);
});
