import { describe, expect, it } from 'vitest';

import { addCounts, countsOf } from '../../src/metrics/counts.ts';
import { Counters } from '../../src/metrics/counters.ts';
import { familiesOf } from '../../src/metrics/metrics.ts';
import { totalsOf } from '../../src/metrics/totals.ts';
import { someCoherence, someEvents, someRedis } from '../support/fleet-events.ts';
import { callRecord, purgeRecord, requestRecord, someStoreStats } from '../support/records.ts';

const routes = ['weather', 'events'];
const upstreams = ['met', 'tickets'];
const none = (): Counters => new Counters(routes, upstreams, ['hourly']);

/** Something of everything that is counted; numbers in powers of two, so that sums do not depend on their order. */
const happenings: readonly ((counters: Counters) => void)[] = [
  (counters) => counters.request(requestRecord({ durationMs: 0.25 })),
  (counters) => counters.request(requestRecord({ route: 'events', outcome: 'miss', fwd: 'uri-miss', durationMs: 64 })),
  (counters) => counters.request(requestRecord({ outcome: 'rejected', route: undefined, problem: 'route-not-found' })),
  (counters) => counters.request(requestRecord({ outcome: 'stale-error', tier: 'redis', method: 'HEAD' })),
  (counters) => counters.upstreamCall(callRecord({ durationMs: 128, attempts: 2 })),
  (counters) => counters.upstreamCall(callRecord({ purpose: 'warm', status: undefined, failure: 'timeout' })),
  (counters) => counters.brokenBody({ upstream: 'tickets', failure: 'truncated', reason: undefined }),
  (counters) => counters.storage('weather', 'stored'),
  (counters) => counters.storage('events', 'no-store'),
  (counters) => counters.purge(purgeRecord()),
  (counters) => counters.purge(purgeRecord({ by: 'all', soft: true, source: 'schedule', matched: 9 })),
  (counters) => counters.warm({ job: 'hourly', fetched: 3, reused: 1, failed: 2, unasked: 1, durationMs: 8 }),
  (counters) => counters.warm({ job: 'api', fetched: 1, reused: 0, failed: 0, durationMs: 8 }),
  (counters) => counters.limit('store.memory.maxBytes'),
  ...someEvents.map((event) => (counters: Counters) => counters.fleet(event)),
  (counters) => counters.upstreamCall(callRecord({ purpose: 'warm', retryAfterMs: 512, durationMs: 0 })),
];

const thread = { heapTotal: 1, heapUsed: 1, external: 1, lagMean: 0, lagP99: 0, lagMax: 0, utilization: 0 };

/** All samples that counters come to, by name and labels, but for those of the process. */
function samplesOf(counters: Counters): ReadonlyMap<string, number> {
  const load = { requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 };
  const rest = { store: someStoreStats, load, coherence: someCoherence, redis: someRedis, version: '1', thread };
  const samples = familiesOf({ counters, ...rest }).flatMap(({ name, values }) =>
    values.map((sample) => [`${sample.metricName ?? name}${JSON.stringify(sample.labels)}`, sample.value] as const),
  );
  return new Map(samples.filter(([name]) => name.startsWith('forecache_')));
}

describe('counts of warming', () => {
  it('are those of each job that is configured, however many there are, and of calls', () => {
    const jobs = Array.from({ length: 1000 }, (_none, index) => `job-${index}`);
    const counters = new Counters(routes, upstreams, jobs);
    for (const job of [...jobs, 'api']) counters.warm({ job, fetched: 1, reused: 0, failed: 0, durationMs: 8 });
    expect([...counters.warmJobs.keys()]).toEqual([...jobs, 'api']);
  });

  it('are those of no job that is made up', () => {
    const counters = none();
    for (const job of ['made-up', 'hourly', 'another']) {
      counters.warm({ job, fetched: 1, reused: 0, failed: 0, durationMs: 8 });
    }
    expect([...counters.warmJobs].map(([name, { runs }]) => [name, runs])).toEqual([
      ['other', 2],
      ['hourly', 1],
    ]);
  });
});

it('counts of the fleet are whole, since sums of fractions differ by the order in which they are made', () => {
  const counters = none();
  for (const durationMs of [0.1, 0.2, 1 / 3]) counters.upstreamCall(callRecord({ durationMs }));
  const totals = totalsOf(counters);
  const all = [totals.whole, ...totals.routes.values()].flatMap((counts) => [...counts]);
  expect(all.filter((count) => !Number.isInteger(count))).toEqual([]);
  expect(Math.max(...all)).toBe(633);
});

describe('counts of several threads', () => {
  it('add up to what one would have counted of everything', () => {
    const threads = [none(), none(), none()];
    const one = none();
    for (const [index, happens] of happenings.entries()) {
      for (let times = 0; times <= index % 4; times += 1) {
        for (const counters of [threads[(index + times) % 3], one]) if (counters !== undefined) happens(counters);
      }
    }
    const sum = none();
    // As between threads.
    for (const counters of threads) addCounts(sum, structuredClone(countsOf(counters)));
    expect(samplesOf(sum)).toEqual(samplesOf(one));
    expect(totalsOf(sum)).toEqual(totalsOf(one));
  });

  it.each(happenings.map((happens, index) => [index, happens] as const))(
    'hold everything that is counted (%i)',
    (_, happens) => {
      const counters = none();
      happens(counters);
      const sum = none();
      const empty = samplesOf(sum);
      addCounts(sum, countsOf(counters));
      expect(samplesOf(sum)).toEqual(samplesOf(counters));
      expect(samplesOf(sum)).not.toEqual(empty);
    },
  );

  it('are as they were when they were taken', () => {
    const counters = none();
    for (const happens of happenings) happens(counters);
    const taken = countsOf(counters);
    const before = structuredClone(taken);
    for (const happens of happenings) happens(counters);
    expect(taken).toEqual(before);
  });
});

/** Of lists of coprime lengths each meets each. */
function of<T>(list: readonly T[], count: number): T | undefined {
  return list[count % list.length];
}

describe('counts of answers that are alike', () => {
  it('are those that each would have been counted with', () => {
    const [each, alike] = [none(), none()];
    for (let count = 0; count < 2000; count += 1) {
      const like = requestRecord({
        route: of(['weather', 'events', undefined, 'unheard-of'], count),
        outcome: of(['hit', 'stale', 'miss', 'relayed', 'hit'] as const, count) ?? 'hit',
        method: of(['GET', 'HEAD', 'BREW'], count) ?? 'GET',
        status: of([200, 204, 404, 200, 304, 200, 500], count) ?? 200,
        tier: of(['memory', 'redis', undefined], count >> 2),
        fwd: of(['uri-miss', undefined] as const, count >> 3),
        problem: undefined,
      });
      // Quarters of a second, of which sums are exact in whatever order.
      const [bytesSent, durationMs] = [count, (count % 11) * 250];
      each.request({ ...like, bytesSent, durationMs });
      const repeats = alike.repeats(like);
      if (repeats === undefined) throw new Error('none');
      repeats.repeated(bytesSent, durationMs);
      // That they are looked at in between changes nothing.
      if (count % 500 === 0) countsOf(alike);
    }
    expect(countsOf(alike)).toEqual(countsOf(each));
    expect(countsOf(alike)).toEqual(countsOf(each));
  });

  it('are told each in full where they had a problem', () => {
    const counters = none();
    expect(counters.repeats(requestRecord({ problem: 'busy' }))).toBeUndefined();
  });
});
