import { check, constantFrom, array, integer, property, record } from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { outcomeIndex, outcomeNames } from '../../src/metrics/labels.ts';
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts';
import { FakeClock } from '../support/clock.ts';
import { callRecord, purgeRecord, requestRecord, someStoreStats } from '../support/records.ts';

const open: Metrics[] = [];

function metrics(routes = ['weather', 'events'], clock = new FakeClock()): Metrics {
  const made = createMetrics({
    routes: routes.map((name) => ({ name })),
    upstreams: new Map([['met', {}]]),
    jobs: [{ name: 'hourly' }],
    clock,
    storeStats: () => someStoreStats,
    load: () => ({ requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 }),
    version: '1.2.3',
  });
  open.push(made);
  return made;
}

afterEach(() => {
  for (const made of open.splice(0)) made[Symbol.dispose]();
});

describe('the JSON report', () => {
  it('is all zero before anything was asked, the hit rate too', () => {
    const report = metrics().report();
    expect(report).toMatchObject({
      requests: 0,
      hits: 0,
      misses: 0,
      errors: 0,
      hit_rate: 0,
      upstream_calls_avoided: 0,
    });
    expect(report.upstream_seconds_saved_estimate).toBeNull();
    expect(Object.keys(report.routes)).toEqual(['weather', 'events', 'none']);
  });

  it('gives the hit rate in percent with two decimals', () => {
    const { observer, report } = metrics();
    for (let n = 0; n < 3; n += 1) observer.request(requestRecord());
    observer.request(requestRecord({ outcome: 'miss', fwd: 'uri-miss', tier: undefined }));
    expect(report().hit_rate).toBe(75);
    observer.request(requestRecord({ outcome: 'miss', fwd: 'uri-miss', tier: undefined }));
    observer.request(requestRecord({ outcome: 'miss', fwd: 'uri-miss', tier: undefined }));
    observer.request(requestRecord());
    expect(report().hit_rate).toBe(57.14);
  });

  it('puts each outcome where the contract says', () => {
    const { observer, report } = metrics();
    for (const outcome of outcomeNames) observer.request(requestRecord({ outcome }));
    expect(report()).toMatchObject({
      requests: 10,
      hits: 3,
      misses: 3,
      errors: 1,
      stale: 2,
      collapsed: 1,
      revalidated: 1,
      relayed: 1,
      rejected: 1,
      aborted: 1,
      hit_rate: 50,
      bytes_sent: 10_000,
      bytes_from_store: 4000,
    });
  });

  it('keeps each outcome name in the place that the index gives it', () => {
    expect(outcomeNames.map((name) => outcomeIndex[name])).toEqual(outcomeNames.map((_name, place) => place));
    expect(Object.keys(outcomeIndex)).toEqual(outcomeNames);
  });

  it('adds up whatever happens: requests are the sum of outcomes, and of routes', () => {
    const steps = array(
      record({
        outcome: constantFrom(...outcomeNames),
        route: constantFrom('weather', 'events', 'unknown', undefined),
        status: integer({ min: 0, max: 999 }),
        method: constantFrom('GET', 'POST', '__proto__', 'PURGE'),
      }),
      { maxLength: 60 },
    );
    const run = check(
      property(steps, (records) => {
        const { observer, report } = metrics();
        for (const step of records) observer.request(requestRecord(step));
        const numbers = report();
        const ofRoutes = Object.values(numbers.routes).reduce((total, route) => total + route.requests, 0);
        const ofOutcomes = Object.values(numbers.outcomes).reduce((total, count) => total + count, 0);
        const { hits, misses, errors, relayed, rejected, aborted } = numbers;
        const ofParts = hits + misses + errors + relayed + rejected + aborted;
        return [numbers.requests, ofRoutes, ofOutcomes, ofParts].every((total) => total === records.length);
      }),
      { seed: 21, numRuns: 200 },
    );
    expect(run.counterexample).toBeNull();
  });

  it('keeps routes apart and counts what matched none under none', () => {
    const { observer, report } = metrics();
    observer.request(requestRecord());
    observer.request(requestRecord({ route: 'events', outcome: 'error', status: 502 }));
    observer.request(requestRecord({ route: undefined, outcome: 'rejected', status: 404 }));
    expect(report().routes).toMatchObject({
      weather: { requests: 1, hits: 1, hit_rate: 100 },
      events: { requests: 1, errors: 1, hit_rate: 0 },
      none: { requests: 1, rejected: 1 },
    });
  });

  it('survives routes that are named like members of objects', () => {
    const { observer, report } = metrics(['__proto__', 'constructor', 'none']);
    observer.request(requestRecord({ route: '__proto__' }));
    observer.request(requestRecord({ route: undefined, outcome: 'rejected' }));
    const parsed: unknown = JSON.parse(JSON.stringify(report().routes));
    expect(Object.keys(Object(parsed))).toEqual(['__proto__', 'constructor', 'none']);
    expect(report().requests).toBe(2);
  });

  it('counts as avoided what was answered without a call, less the calls in the background', () => {
    const { observer, report } = metrics();
    observer.upstreamCall(callRecord());
    observer.request(requestRecord({ outcome: 'miss', fwd: 'uri-miss' }));
    for (let n = 0; n < 4; n += 1) observer.request(requestRecord({ outcome: 'collapsed' }));
    for (let n = 0; n < 5; n += 1) observer.request(requestRecord());
    observer.request(requestRecord({ outcome: 'stale' }));
    observer.upstreamCall(callRecord({ purpose: 'revalidate', durationMs: 300 }));
    const numbers = report();
    expect(numbers).toMatchObject({ upstream_calls: 2, upstream_calls_background: 1, upstream_calls_avoided: 9 });
    expect(numbers.upstream_calls_avoided).toBe(numbers.requests - numbers.upstream_calls);
    // Nine calls of 200 ms on average.
    expect(numbers.upstream_seconds_saved_estimate).toBe(1.8);
  });

  it('estimates by route, so that slow relays do not make hits look precious', () => {
    const { observer, report } = metrics();
    observer.upstreamCall(callRecord({ durationMs: 100 }));
    observer.request(requestRecord());
    observer.upstreamCall(callRecord({ route: 'events', durationMs: 3_600_000 }));
    observer.request(requestRecord({ route: 'events', outcome: 'relayed' }));
    expect(report().upstream_seconds_saved_estimate).toBe(0.1);
  });

  it('does not hide warming that nobody used', () => {
    const { observer, report } = metrics();
    observer.upstreamCall(callRecord({ purpose: 'warm' }));
    observer.warm({ job: 'hourly', fetched: 1, reused: 2, failed: 3, durationMs: 10 });
    expect(report()).toMatchObject({
      upstream_calls_avoided: -1,
      upstream_seconds_saved_estimate: 0,
      warm: { runs: 1, fetched: 1, reused: 2, failed: 3 },
    });
  });

  it('leaves failed calls out of the latency that it estimates from', () => {
    const { observer, report } = metrics();
    observer.upstreamCall(callRecord({ durationMs: 10_000, status: undefined, failure: 'timeout' }));
    observer.request(requestRecord());
    expect(report()).toMatchObject({ upstream_calls: 1, upstream_seconds_saved_estimate: null });
    observer.upstreamCall(callRecord({ durationMs: 50 }));
    expect(report().upstream_seconds_saved_estimate).toBe(0.05);
  });

  it('leaves calls out of it that a clock which jumped says nothing of', () => {
    const { observer, report } = metrics();
    observer.request(requestRecord());
    for (const durationMs of [50, -1_000_000, Number.NaN]) observer.upstreamCall(callRecord({ durationMs }));
    expect(report()).toMatchObject({ upstream_calls: 3, upstream_seconds_saved_estimate: 0.05 });
  });

  it('starts from zero after a reset and says since when, while Prometheus counters go on', async () => {
    const clock = new FakeClock(Date.UTC(2026, 10, 23));
    const { observer, report, resetReport, prometheus } = metrics(['weather'], clock);
    observer.request(requestRecord());
    observer.upstreamCall(callRecord());
    observer.purge(purgeRecord());
    observer.warm({ job: 'hourly', fetched: 1, reused: 0, failed: 0, durationMs: 10 });
    clock.advance(60_000);
    resetReport();
    const zero = report();
    expect(zero).toMatchObject({
      requests: 0,
      hits: 0,
      bytes_sent: 0,
      upstream_calls: 0,
      purges: 0,
      purged_responses: 0,
    });
    expect(zero.warm).toEqual({ runs: 0, fetched: 0, reused: 0, failed: 0 });
    expect(zero.upstream_seconds_saved_estimate).toBeNull();
    expect(zero.since).toBe('2026-11-23T00:01:00.000Z');
    observer.request(requestRecord());
    expect(report().requests).toBe(1);
    expect(await prometheus()).toContain(
      'forecache_requests_total{route="weather",outcome="hit",method="GET",status_class="2xx"} 2',
    );
  });

  it('tells how full the store is and what purges covered', () => {
    const { observer, report } = metrics();
    observer.purge(purgeRecord());
    observer.purge(purgeRecord({ by: 'all', matched: 7, soft: true, source: 'schedule' }));
    expect(report()).toMatchObject({
      purges: 2,
      purged_responses: 10,
      store: { responses: 12, bytes: 34_567, max_bytes: 1_000_000, tags: 5, evicted: 7 },
    });
  });
});
