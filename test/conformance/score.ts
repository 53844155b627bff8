import type { SuiteGroup, SuiteResults, SuiteTest } from './suite.ts';

/** The project's bar: every required test, and this many of the optimal ones at least. */
const leastOptimal = 99;

/** Said with every score, since the suite says so of itself. */
export const warning = `The suite's own words: "passing all of the tests currently means nothing -- this is not a conformance test suite,
it's just the start of a conversation, and a tool to assess how a cache behaves".`;

/** What became of one test. */
export type Verdict =
  | 'pass'
  | 'fail'
  /** Something came between the suite's client and its server, so that nothing was tested. */
  | 'setup'
  /** The proxy sent one request twice. */
  | 'retry'
  /** A test that it builds on did not pass. */
  | 'dependency'
  | 'untested';

export interface Judged {
  readonly group: string;
  readonly test: SuiteTest;
  readonly verdict: Verdict;
  /** What the suite says of it; empty for a pass. */
  readonly why: string;
}

/** What became of each test, in the suite's order. A test counts as passed only where those that it builds on did, too. */
export function judge(groups: readonly SuiteGroup[], results: SuiteResults): readonly Judged[] {
  const tests = new Map(groups.flatMap((group) => group.tests.map((test) => [test.id, test] as const)));
  const known = new Map<string, Verdict>();
  const verdictOf = (test: SuiteTest): Verdict => {
    const before = known.get(test.id);
    if (before !== undefined) return before;
    // Against tests that depend on each other in a ring.
    known.set(test.id, 'dependency');
    const failed = unmet(test).length > 0;
    const verdict = failed ? 'dependency' : ownVerdict(results.get(test.id));
    known.set(test.id, verdict);
    return verdict;
  };
  const unmet = (test: SuiteTest): readonly string[] =>
    test.dependsOn.filter((id) => {
      const other = tests.get(id);
      return other === undefined || verdictOf(other) !== 'pass';
    });
  return groups.flatMap((group) =>
    group.tests.map((test): Judged => {
      const verdict = verdictOf(test);
      const why = verdict === 'dependency' ? `builds on ${unmet(test).join(', ')}` : wordsOf(results.get(test.id));
      return { group: group.id, test, verdict, why };
    }),
  );
}

type Result = true | readonly [name: string, message: string];

function ownVerdict(result: Result | undefined): Verdict {
  if (result === undefined) return 'untested';
  if (result === true) return 'pass';
  if (result[0] !== 'Setup') return 'fail';
  return result[1] === 'retry' ? 'retry' : 'setup';
}

function wordsOf(result: Result | undefined): string {
  if (result === true) return '';
  return result === undefined ? 'the suite gave no result' : `${result[0]}: ${result[1]}`;
}

export interface Count {
  readonly passed: number;
  readonly all: number;
}

export interface Score {
  readonly required: Count;
  readonly optimal: Count;
  /** No test of a rule: `passed` counts the cases in which the cache does what is asked about. */
  readonly checks: Count;
}

export function scoreOf(judged: readonly Judged[]): Score {
  const count = (kind: SuiteTest['kind']): Count => {
    const of = judged.filter(({ test }) => test.kind === kind);
    return { passed: of.filter(({ verdict }) => verdict === 'pass').length, all: of.length };
  };
  return { required: count('required'), optimal: count('optimal'), checks: count('check') };
}

/** True where the bar is met: a suite without tests does not meet it. */
export function meetsBar({ required, optimal }: Score): boolean {
  return required.all > 0 && required.passed === required.all && optimal.passed >= leastOptimal;
}

/** The score of each group and of all, then what did not pass. */
export function renderScore(groups: readonly SuiteGroup[], judged: readonly Judged[]): string {
  const rows = groups.map(({ id }) => lineOf(id, scoreOf(judged.filter(({ group }) => group === id))));
  const all = scoreOf(judged);
  const table = [lineOf('group', undefined), ...rows, lineOf('all', all)];
  const missed = judged.filter(({ test, verdict }) => test.kind !== 'check' && verdict !== 'pass');
  const list = missed.map(
    ({ group, test, verdict, why }) => `  ${test.kind} ${verdict}: ${group}/${test.id}: ${why}\n    ${test.name}`,
  );
  const bar = `The bar (all required, at least ${leastOptimal} optimal) is ${meetsBar(all) ? '' : 'not '}met.`;
  const failed = list.length === 0 ? [] : ['', `Not passed (${list.length}):`, ...list];
  return [...table, ...failed, '', bar, warning].join('\n');
}

function lineOf(name: string, score: Score | undefined): string {
  const cells = [
    cellOf(score?.required, 'required'),
    cellOf(score?.optimal, 'optimal'),
    cellOf(score?.checks, 'checks yes'),
  ];
  return `${name.padEnd(20)}${cells.join('  ')}`;
}

/** The title without a count. */
function cellOf(count: Count | undefined, title: string): string {
  if (count === undefined) return title.padStart(10);
  return (count.all === 0 ? '-' : `${count.passed}/${count.all}`).padStart(10);
}
