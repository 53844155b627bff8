import { describe, expect, it } from 'vitest';
import { outcomeOf, type Observation, type ObservedOutcome } from '../../src/demo/agents.ts';
import { crossChecks, custodyCheck, reportCounts } from '../../src/demo/checks.ts';
import { figuresOf, latenciesOf, percentile } from '../../src/demo/figures.ts';
import { checkLine, createScreen, duration, figureLines } from '../../src/demo/screen.ts';

function seen(identity: string, outcome: ObservedOutcome, tookMs: number, status = 200): Observation {
  return {
    agent: 'trip-planner',
    question: { kind: 'historical', location: identity, date: '2026-01-01' },
    identity,
    target: `/${identity}/${tookMs}`,
    status,
    outcome,
    tookMs,
    bytes: 1000,
    leaked: false,
  };
}

const run = [
  seen('a', 'fetched', 200),
  seen('a', 'collapsed', 190),
  seen('a', 'hit', 1),
  seen('a', 'hit', 2),
  seen('b', 'fetched', 100),
  seen('b', 'hit', 3),
];
const upstream = { weather: 2, events: 0, authorised: 0 };
const report = { hits: 3, misses: 3, errors: 0, hitRate: 50, calls: 2, background: 0 };

function holds(observations: readonly Observation[], counts = report, calls = upstream): readonly boolean[] {
  return crossChecks(figuresOf(observations), counts, calls).map((check) => check.holds);
}

function shown(isTTY: boolean): string {
  let text = '';
  const screen = createScreen({ isTTY, write: (piece) => (text += piece) });
  for (let done = 1; done <= 100; done++) screen.progress(done, 100);
  return text;
}

describe('outcomeOf', () => {
  it.each([
    ['forecache; hit; ttl=3540; detail=memory', 'hit'],
    ['forecache; fwd=uri-miss; stored', 'fetched'],
    ['forecache; fwd=uri-miss; collapsed', 'collapsed'],
    ['edge; hit, forecache; fwd=uri-miss', 'none'],
    ['', 'none'],
    [undefined, 'none'],
  ])('reads %j as %s', (line, outcome) => {
    expect(outcomeOf(line)).toBe(outcome);
  });
});

describe('percentile', () => {
  it('is the nearest rank, and 0 without values', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(values, 0.5)).toBe(50);
    expect(percentile(values, 0.99)).toBe(99);
    expect(percentile(values, 1)).toBe(100);
    expect(percentile([7], 0.01)).toBe(7);
    expect(latenciesOf([])).toEqual({ count: 0, p50: 0, p99: 0 });
  });
});

describe('the figures of a run', () => {
  it('count a collapsed request as a miss that saved a call', () => {
    expect(figuresOf(run)).toMatchObject({
      requests: 6,
      questions: 2,
      spellings: 6,
      hits: { count: 3, p50: 2, p99: 3 },
      misses: { count: 3, p50: 190, p99: 200 },
      collapsed: 1,
      failed: 0,
      hitRatio: 50,
      callsSaved: 4,
    });
  });

  it("reckon what a hit saved from its own question's upstream call", () => {
    expect(figuresOf(run).secondsSaved).toBeCloseTo((199 + 198 + 97) / 1000, 10);
  });

  it('are shown in a table', () => {
    const text = figureLines(figuresOf(run), upstream).join('\n');
    expect(text).toMatch(/requests +6 +1 agents, 6 spellings/);
    expect(text).toMatch(/hit ratio +50\.0 % +3 hits, 3 misses/);
    expect(text).toMatch(/saved +4 calls +0\.5 s of waiting; a hit is 95 times as fast/);
  });
});

describe('the cross-checks', () => {
  it('hold where agents, proxy and simulators counted the same', () => {
    expect(holds(run)).toEqual([true, true, true]);
  });

  it('fail where an answer was no 200 or did not come from the proxy', () => {
    expect(holds([...run, seen('c', 'none', 5)])[0]).toBe(false);
    expect(holds([...run, seen('a', 'hit', 5, 502)])[0]).toBe(false);
  });

  it('fail where the proxy counted otherwise', () => {
    expect(holds(run, { ...report, hits: 4 })[1]).toBe(false);
    expect(holds(run, { ...report, errors: 1 })[1]).toBe(false);
    expect(holds(run, { ...report, hitRate: 60 })[1]).toBe(false);
    expect(holds(run, reportCounts(new Map([['hits', 3]])))[1]).toBe(false);
  });

  it('fail where upstream was called more or less often than there were questions', () => {
    expect(holds(run, report, { ...upstream, weather: 3 })[2]).toBe(false);
    expect(holds(run, { ...report, calls: 3 }, { ...upstream, weather: 3 })[2]).toBe(false);
    const twice = [...run, seen('b', 'fetched', 1)];
    expect(holds(twice, { ...report, calls: 3 }, { ...upstream, weather: 3 })[2]).toBe(false);
  });

  it('allow for calls that only warmed, and for no others', () => {
    const warmed = { ...report, calls: 5, background: 3 };
    expect(holds(run, warmed, { ...upstream, weather: 5 })[2]).toBe(true);
    expect(holds(run, warmed, { ...upstream, weather: 4 })[2]).toBe(false);
    expect(holds(run, { ...warmed, background: 2 }, { ...upstream, weather: 5 })[2]).toBe(false);
  });

  it('fail where the key leaked or did not reach the event API', () => {
    const events = { weather: 0, events: 2, authorised: 2 };
    expect(custodyCheck(events, []).holds).toBe(true);
    expect(custodyCheck({ ...events, authorised: 1 }, []).holds).toBe(false);
    const leaked = custodyCheck(events, ['/metrics']);
    expect(checkLine(leaked)).toMatch(/^ {2}✗ .*is in \/metrics$/);
  });
});

describe('the screen', () => {
  it('writes over one line on a terminal', () => {
    expect(shown(true).split('\r').length).toBe(101);
    expect(shown(true)).toMatch(/\[#{30}\] 100 of 100 requests\n$/);
  });

  it('prints plain lines elsewhere, one for each quarter', () => {
    expect(shown(false)).toBe([25, 50, 75, 100].map((done) => `  ${done} of 100 requests\n`).join(''));
  });

  it('shows durations with the digits that mean something', () => {
    expect([0.4321, 12.34, 241.6].map(duration)).toEqual(['0.43 ms', '12.3 ms', '242 ms']);
  });
});
