import { afterEach, describe, expect, it } from 'vitest';
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts';
import { FakeClock } from '../support/clock.ts';
import { callRecord, purgeRecord, requestRecord, someStoreStats } from '../support/records.ts';
import { DurationTally, durationBounds } from '../../src/metrics/tallies.ts';

const open: Metrics[] = [];

function metrics(): Metrics {
  const made = createMetrics({
    routes: [{ name: 'weather' }, { name: 'odd "name"\\\n' }],
    upstreams: new Map([['met', {}]]),
    jobs: [{ name: 'hourly' }],
    clock: new FakeClock(),
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

/** Sample lines of one metric, as `labels value`. */
function samples(text: string, name: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => line.slice(name.length));
}

function total(text: string, name: string): number {
  return samples(text, name).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

describe('the Prometheus exposition', () => {
  it('gives each family a help text and a type, and every counter its suffix', async () => {
    const text = await metrics().prometheus();
    const types = text.split('\n').filter((line) => line.startsWith('# TYPE '));
    const helps = text.split('\n').filter((line) => /^# HELP \S+ \S/.test(line));
    expect(types.length).toBeGreaterThan(25);
    expect(helps).toHaveLength(types.length);
    for (const line of types) {
      const [, , name = '', type] = line.split(' ');
      expect(`${name} ${String(name.endsWith('_total'))}`).toBe(`${name} ${String(type === 'counter')}`);
      expect(name).toMatch(/^(forecache|process|nodejs)_[a-z0-9_]+$/);
    }
  });

  it('counts each request once, under route, outcome, method and status class', async () => {
    const { observer, prometheus } = metrics();
    observer.request(requestRecord());
    observer.request(requestRecord({ method: 'HEAD' }));
    observer.request(requestRecord({ outcome: 'miss', fwd: 'uri-miss', status: 404 }));
    observer.request(requestRecord({ outcome: 'aborted', status: 0, route: undefined }));
    const text = await prometheus();
    expect(samples(text, 'forecache_requests_total')).toEqual([
      '{route="weather",outcome="hit",method="GET",status_class="2xx"} 1',
      '{route="weather",outcome="hit",method="HEAD",status_class="2xx"} 1',
      '{route="weather",outcome="miss",method="GET",status_class="4xx"} 1',
      '{route="none",outcome="aborted",method="GET",status_class="none"} 1',
    ]);
    expect(total(text, 'forecache_request_duration_seconds_count')).toBe(4);
  });

  it('tells hits by tier, misses by reason, stale and collapsed', async () => {
    const { observer, prometheus } = metrics();
    observer.request(requestRecord());
    observer.request(requestRecord({ outcome: 'stale' }));
    observer.request(requestRecord({ outcome: 'stale-error', tier: 'redis' }));
    observer.request(requestRecord({ outcome: 'miss', fwd: 'vary-miss' }));
    observer.request(requestRecord({ outcome: 'collapsed', fwd: 'uri-miss' }));
    const text = await prometheus();
    expect(samples(text, 'forecache_hits_total')).toContain('{route="weather",tier="memory"} 2');
    expect(samples(text, 'forecache_hits_total')).toContain('{route="weather",tier="redis"} 1');
    expect(samples(text, 'forecache_misses_total')).toContain('{route="weather",reason="vary-miss"} 1');
    expect(samples(text, 'forecache_misses_total')).toContain('{route="weather",reason="uri-miss"} 1');
    expect(samples(text, 'forecache_stale_total')).toContain('{route="weather",outcome="stale-error"} 1');
    expect(samples(text, 'forecache_collapsed_total')).toContain('{route="weather"} 1');
  });

  it('counts a duration that equals a bound under that bound', () => {
    for (const [place, bound] of durationBounds.entries()) {
      const tally = new DurationTally();
      tally.add(bound * 1000);
      tally.add(bound * 1000 * 1.001);
      expect([...tally.buckets.entries()].filter(([, count]) => count > 0)).toEqual([
        [place, 1],
        [place + 1, 1],
      ]);
    }
  });

  it('resolves 100 µs and counts buckets cumulatively', async () => {
    const { observer, prometheus } = metrics();
    for (const durationMs of [0.04, 0.09, 0.15, 0.25, 0.9, 60_000]) observer.request(requestRecord({ durationMs }));
    const text = await prometheus();
    const lines = samples(text, 'forecache_request_duration_seconds_bucket').map((line) => sortLabels(line));
    expect(lines).toContain(`${sortLabels(bucket('0.00005'))} 1`);
    expect(lines).toContain(`${sortLabels(bucket('0.0001'))} 2`);
    expect(lines).toContain(`${sortLabels(bucket('0.0002'))} 3`);
    expect(lines).toContain(`${sortLabels(bucket('0.0003'))} 4`);
    expect(lines).toContain(`${sortLabels(bucket('0.001'))} 5`);
    expect(lines).toContain(`${sortLabels(bucket('30'))} 5`);
    expect(lines).toContain(`${sortLabels(bucket('+Inf'))} 6`);
  });

  it('keeps durations finite when a clock misbehaves', async () => {
    const { observer, prometheus } = metrics();
    for (const durationMs of [Number.NaN, -5, Number.POSITIVE_INFINITY])
      observer.request(requestRecord({ durationMs }));
    const text = await prometheus();
    expect(total(text, 'forecache_request_duration_seconds_sum')).toBe(0);
    expect(total(text, 'forecache_request_duration_seconds_count')).toBe(3);
  });

  it('lets no client make series grow', async () => {
    const { observer, prometheus } = metrics();
    const made = async (): Promise<number> => (await prometheus()).split('\n').length;
    for (const method of ['BREW', 'X']) observer.request(requestRecord({ method, route: 'x', outcome: 'rejected' }));
    const before = await made();
    for (let n = 0; n < 500; n += 1) {
      observer.request(requestRecord({ method: `M${n}`, route: `r${n}`, outcome: 'rejected', url: `/${n}` }));
    }
    expect(await made()).toBe(before);
    expect(samples(await prometheus(), 'forecache_requests_total')).toEqual([
      '{route="none",outcome="rejected",method="other",status_class="2xx"} 502',
    ]);
    for (let n = 0; n < 500; n += 1) {
      observer.limit(`option${n}`);
      observer.storage('weather', `result${n}`);
      observer.warm({ job: `job${n}`, fetched: 1, reused: 0, failed: 0, durationMs: 1 });
      observer.upstreamCall(callRecord({ upstream: `u${n}` }));
    }
    const text = await prometheus();
    expect(samples(text, 'forecache_limit_hits_total')).toHaveLength(65);
    expect(samples(text, 'forecache_storage_total')).toHaveLength(65);
    expect(samples(text, 'forecache_warm_runs_total')).toEqual(['{job="other"} 500']);
    expect(total(text, 'forecache_limit_hits_total')).toBe(500);
    expect(samples(text, 'forecache_upstream_calls_total')).toEqual([
      '{upstream="none",purpose="interactive",result="2xx"} 500',
    ]);
  });

  it('names what upstream answered, or how it failed', async () => {
    const { observer, prometheus } = metrics();
    observer.upstreamCall(callRecord({ status: 503 }));
    observer.upstreamCall(callRecord({ status: undefined, failure: 'too-large', purpose: 'warm' }));
    observer.upstreamCall(callRecord({ status: undefined, failure: 'dns', purpose: 'revalidate' }));
    const text = await prometheus();
    expect(samples(text, 'forecache_upstream_calls_total')).toEqual([
      '{upstream="met",purpose="interactive",result="5xx"} 1',
      '{upstream="met",purpose="revalidate",result="dns"} 1',
      '{upstream="met",purpose="warm",result="too-large"} 1',
    ]);
    expect(total(text, 'forecache_upstream_call_duration_seconds_count')).toBe(3);
  });

  it('has a class of their own for statuses of no class, apart from requests that got none', async () => {
    const { observer, prometheus } = metrics();
    for (const status of [599, 600, 999]) {
      observer.request(requestRecord({ outcome: 'relayed', status }));
      observer.upstreamCall(callRecord({ status }));
    }
    observer.request(requestRecord({ outcome: 'aborted', status: 0 }));
    const text = await prometheus();
    expect(samples(text, 'forecache_requests_total')).toEqual([
      '{route="weather",outcome="relayed",method="GET",status_class="5xx"} 1',
      '{route="weather",outcome="relayed",method="GET",status_class="other"} 2',
      '{route="weather",outcome="aborted",method="GET",status_class="none"} 1',
    ]);
    expect(samples(text, 'forecache_upstream_calls_total')).toEqual([
      '{upstream="met",purpose="interactive",result="5xx"} 1',
      '{upstream="met",purpose="interactive",result="other"} 2',
    ]);
  });

  it('counts each attempt of a call that was sent again, and answers that broke off apart', async () => {
    const { observer, prometheus, report } = metrics();
    observer.upstreamCall(callRecord({ attempts: 2 }));
    observer.brokenBody({ upstream: 'met', failure: 'truncated', reason: undefined });
    observer.brokenBody({ upstream: 'unheard-of', failure: 'timeout', reason: undefined });
    const text = await prometheus();
    expect(samples(text, 'forecache_upstream_calls_total')).toEqual([
      '{upstream="met",purpose="interactive",result="2xx"} 1',
      '{upstream="met",purpose="interactive",result="reset"} 1',
    ]);
    expect(report().upstream_calls).toBe(2);
    expect(samples(text, 'forecache_upstream_broken_bodies_total')).toEqual([
      '{upstream="met",failure="truncated"} 1',
      '{upstream="none",failure="timeout"} 1',
    ]);
  });

  it('counts answers that put off warming and refreshes, from naught on', async () => {
    const { observer, prometheus } = metrics();
    expect(samples(await prometheus(), 'forecache_upstream_put_offs_total')).toContain('{upstream="met"} 0');
    observer.upstreamCall(callRecord({ purpose: 'warm', status: 429, retryAfterMs: 60_000 }));
    observer.upstreamCall(callRecord({ purpose: 'warm', status: 429 }));
    expect(samples(await prometheus(), 'forecache_upstream_put_offs_total')).toContain('{upstream="met"} 1');
  });

  it('tells purges, warming, problems, limits, evictions and the store', async () => {
    const { observer, prometheus } = metrics();
    observer.purge(purgeRecord());
    observer.warm({ job: 'hourly', fetched: 3, reused: 2, failed: 1, durationMs: 5 });
    observer.warm({ job: 'hourly', fetched: 0, reused: 0, failed: 7, unasked: 6, durationMs: 5 });
    observer.limit('maxTargetBytes');
    observer.request(requestRecord({ outcome: 'error', status: 502, problem: 'upstream-unreachable' }));
    const text = await prometheus();
    expect(samples(text, 'forecache_purges_total')).toEqual(['{by="tags",mode="hard",source="api"} 1']);
    expect(samples(text, 'forecache_purged_responses_total')).toContain('{by="tags"} 3');
    expect(samples(text, 'forecache_warm_requests_total')).toEqual([
      '{job="hourly",result="fetched"} 3',
      '{job="hourly",result="reused"} 2',
      '{job="hourly",result="failed"} 2',
      '{job="hourly",result="unasked"} 6',
    ]);
    expect(samples(text, 'forecache_limit_hits_total')).toEqual(['{option="maxTargetBytes"} 1']);
    expect(samples(text, 'forecache_problems_total')).toEqual(['{code="upstream-unreachable"} 1']);
    expect(samples(text, 'forecache_store_evictions_total')).toContain('{tier="memory",reason="retention"} 2');
    expect(samples(text, 'forecache_store_bytes')).toEqual(['{tier="memory"} 34567']);
    expect(samples(text, 'forecache_store_max_bytes')).toEqual(['{tier="memory"} 1000000']);
    expect(samples(text, 'forecache_store_granted_bytes')).toEqual(['{tier="memory"} 600000']);
    expect(samples(text, 'forecache_build_info')).toEqual([`{version="1.2.3",node_version="${process.version}"} 1`]);
    expect(total(text, 'process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(total(text, 'process_cpu_seconds_total')).toBeGreaterThan(0);
    expect(samples(text, 'nodejs_eventloop_lag_p99_seconds')).toHaveLength(1);
  });

  it('escapes names that the configuration allowed', async () => {
    const { observer, prometheus } = metrics();
    observer.request(requestRecord({ route: 'odd "name"\\\n' }));
    expect(samples(await prometheus(), 'forecache_requests_total')).toEqual([
      String.raw`{route="odd \"name\"\\\n",outcome="hit",method="GET",status_class="2xx"} 1`,
    ]);
  });
});

function bucket(le: string): string {
  return `{le="${le}",route="weather",outcome="hit"}`;
}

function sortLabels(line: string): string {
  const [, labels = '', rest = ''] = /^\{(.*)\}(.*)$/.exec(line) ?? [];
  return `{${labels.split(',').toSorted().join(',')}}${rest}`;
}
