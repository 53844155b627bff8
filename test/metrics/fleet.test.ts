import { readFileSync } from 'node:fs';

import { afterEach, describe, expect, it } from 'vitest';

import type { CoherenceStatus, FleetEvent, RedisStatus } from '../../src/cache/fleet-ports.ts';
import { isLeased, unknownLog } from '../../src/store/coherence/protocol.ts';
import { allRules } from '../../src/store/coherence/rules.ts';
import { someEvents, someCoherence, someRedis, startMetrics, stopMetrics } from '../support/fleet-events.ts';

afterEach(stopMetrics);

async function familyNames(options: Parameters<typeof startMetrics>[0]): Promise<readonly string[]> {
  const text = await startMetrics(options).prometheus();
  return [...text.matchAll(/^# TYPE (\S+)/gmu)].map(([, name = '']) => name);
}

/** Sample lines of one metric, as `labels value`. */
function samplesOf(text: string, name: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => line.slice(name.length));
}

async function scraped(
  events: readonly FleetEvent[],
  status: { readonly coherence?: Partial<CoherenceStatus>; readonly redis?: Partial<RedisStatus> } = {},
): Promise<(name: string) => readonly string[]> {
  const { observer, prometheus } = startMetrics({
    coherence: () => ({ ...someCoherence, ...status.coherence }),
    redis: () => ({ ...someRedis, ...status.redis }),
  });
  for (const event of events) observer.fleet(event);
  const text = await prometheus();
  return (name) => samplesOf(text, name);
}

const families =
  /^# TYPE forecache_(lease|epoch|sync|purge_ack|purge_log|purge_table|redis|clock|job|reads|purges_ref)/mu;

describe('the families of the fleet', () => {
  it('are not there without Redis', async () => {
    const without = startMetrics({});
    for (const event of someEvents) without.observer.fleet(event);
    expect(await without.prometheus()).not.toMatch(families);
    const withRedis = startMetrics({ coherence: () => someCoherence, redis: () => someRedis });
    expect(await withRedis.prometheus()).toMatch(families);
  });

  it('say how the lease and the purge log stand now, in seconds', async () => {
    const samples = await scraped([]);
    expect(samples('forecache_lease_held')).toEqual([' 1']);
    expect(samples('forecache_lease_age_seconds')).toEqual([' 0.25']);
    expect(samples('forecache_lease_length_seconds')).toEqual([' 2']);
    expect(samples('forecache_purge_log_position')).toEqual([' 41']);
    expect(samples('forecache_purge_log_lag')).toEqual([' 1']);
    expect(samples('forecache_purge_table_scopes')).toEqual([' 7']);
    expect(samples('forecache_clock_skew_seconds')).toEqual([' -1.5']);
  });

  it('say that a lease ends before its nominal length, as it does', async () => {
    const text = await startMetrics({ coherence: () => someCoherence, redis: () => someRedis }).prometheus();
    expect(text).toContain(
      '# HELP forecache_lease_length_seconds Nominal length of a lease; it is given up at nine tenths',
    );
    const now = { monoMs: 901, wallMs: 901 };
    const renewed = { ...unknownLog, renewed: { monoMs: 0, wallMs: 0 } };
    expect(isLeased(renewed, now, 1000, allRules)).toBe(false);
    expect(isLeased(renewed, { monoMs: 900, wallMs: 900 }, 1000, allRules)).toBe(true);
  });

  it('have no age of a lease that never was', async () => {
    const samples = await scraped([], { coherence: { leased: false, leaseAgeMs: undefined } });
    expect(samples('forecache_lease_held')).toEqual([' 0']);
    expect(samples('forecache_lease_age_seconds')).toEqual([]);
  });

  it.each([
    ['closed', 0],
    ['half-open', 1],
    ['open', 2],
  ] as const)('show a breaker that is %s as %d', async (breaker, value) => {
    const samples = await scraped([], { redis: { breaker } });
    expect(samples('forecache_redis_breaker_state')).toEqual([` ${value}`]);
  });

  it('begin at zero, so that the first increase is seen', async () => {
    const samples = await scraped([]);
    expect(samples('forecache_lease_changes_total')).toEqual(['{state="gained"} 0', '{state="lost"} 0']);
    expect(samples('forecache_purge_laggards_total')).toEqual([' 0']);
    expect(samples('forecache_epoch_changes_total')).toContain('{reason="failover"} 0');
    expect(samples('forecache_reads_refused_total')).toContain('{reason="purged"} 0');
    expect(samples('forecache_redis_unusable_values_total')).toContain('{reason="checksum"} 0');
    expect(samples('forecache_purges_refused_total')).toContain('{source="api"} 0');
    expect(samples('forecache_job_leases_total')).toContain('{result="lost"} 0');
  });

  it('count each event once, where it belongs', async () => {
    const samples = await scraped([
      { kind: 'lease', state: 'lost' },
      { kind: 'epoch', reason: 'failover', epoch: '0123456789abcdef' },
      { kind: 'sync', result: 'ok', durationMs: 2 },
      { kind: 'sync', result: 'timeout', durationMs: 800 },
      { kind: 'refused', reason: 'purged' },
      { kind: 'unusable', reason: 'collision' },
      { kind: 'breaker', state: 'open' },
      { kind: 'job', name: 'warm:hourly:0', result: 'unavailable' },
      { kind: 'purge-refused', code: 'purge-unsure', source: 'method' },
    ]);
    expect(samples('forecache_lease_changes_total')).toContain('{state="lost"} 1');
    expect(samples('forecache_epoch_changes_total')).toContain('{reason="failover"} 1');
    expect(samples('forecache_syncs_total')).toEqual(['{result="ok"} 1', '{result="timeout"} 1']);
    expect(samples('forecache_sync_duration_seconds_sum')).toEqual([' 0.802']);
    expect(samples('forecache_reads_refused_total')).toContain('{reason="purged"} 1');
    expect(samples('forecache_redis_unusable_values_total')).toContain('{reason="collision"} 1');
    expect(samples('forecache_redis_breaker_changes_total')).toContain('{state="open"} 1');
    expect(samples('forecache_job_leases_total')).toContain('{result="unavailable"} 1');
    expect(samples('forecache_purges_refused_total')).toContain('{source="method"} 1');
  });

  it('count each acknowledgement of a purge, and those that were missing', async () => {
    const samples = await scraped([
      { kind: 'acknowledged', sidecars: [{ appliedMs: 3 }, { appliedMs: 30 }], missing: 2 },
      { kind: 'acknowledged', sidecars: [], missing: 0 },
    ]);
    expect(samples('forecache_purge_ack_seconds_count')).toEqual([' 2']);
    expect(samples('forecache_purge_ack_seconds_sum')).toEqual([' 0.033']);
    expect(samples('forecache_purge_laggards_total')).toEqual([' 2']);
  });

  it('time what was sent to Redis, and only count what was not', async () => {
    const get = { kind: 'redis', operation: 'get' } as const;
    const samples = await scraped([
      { ...get, result: 'hit', durationMs: 1, bytes: 1000 },
      { ...get, result: 'hit', durationMs: 3, bytes: 500 },
      { ...get, result: 'over-budget', durationMs: 50, bytes: 0 },
      { ...get, result: 'breaker', durationMs: undefined, bytes: 0 },
      { ...get, result: 'lease', durationMs: undefined, bytes: 0 },
      { ...get, result: 'spent', durationMs: undefined, bytes: 0 },
      { ...get, result: 'closed', durationMs: undefined, bytes: 0 },
      { kind: 'redis', operation: 'put', result: 'pending', durationMs: undefined, bytes: 0 },
      { kind: 'redis', operation: 'put', result: 'too-large', durationMs: undefined, bytes: 0 },
    ]);
    expect(samples('forecache_redis_operations_total')).toEqual([
      '{operation="get",result="hit"} 2',
      '{operation="get",result="over-budget"} 1',
      '{operation="get",result="breaker"} 1',
      '{operation="get",result="lease"} 1',
      '{operation="get",result="spent"} 1',
      '{operation="get",result="closed"} 1',
      '{operation="put",result="pending"} 1',
      '{operation="put",result="too-large"} 1',
    ]);
    expect(samples('forecache_redis_operation_duration_seconds_count')).toEqual(['{operation="get"} 3']);
    expect(samples('forecache_redis_operation_duration_seconds_sum')).toEqual([
      expect.stringMatching(/^\{operation="get"\} 0\.0540/),
    ]);
    expect(samples('forecache_redis_bytes_total')).toEqual(['{operation="get"} 1500']);
  });

  it('give the part of reads that found something by the query in docs/metrics.md, of those that were made', async () => {
    const get = { kind: 'redis', operation: 'get', bytes: 0 } as const;
    const samples = await scraped([
      { ...get, result: 'hit', durationMs: 1 },
      { ...get, result: 'miss', durationMs: 1 },
      { ...get, result: 'over-budget', durationMs: 50 },
      { ...get, result: 'lease', durationMs: undefined },
      { ...get, result: 'breaker', durationMs: undefined },
    ]);
    const docs = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const [, query = ''] = /^Part of the reads of Redis.*\n\n```promql\n([^`]+)```/mu.exec(docs) ?? [];
    const sums = [...query.matchAll(/rate\((\w+)\{([^}]*)\}\[5m\]\)/gu)].map(([, name = '', labels = '']) =>
      samples(name)
        .filter((sample) => labels.split(',').every((label) => sample.includes(label)))
        .reduce((sum, sample) => sum + Number(sample.split(' ').at(-1)), 0),
    );
    expect(sums).toEqual([1, 3]);
  });

  it('are each explained in docs/metrics.md', async () => {
    const without = new Set(await familyNames({}));
    const ofTheFleet = (await familyNames({ coherence: () => someCoherence, redis: () => someRedis })).filter(
      (name) => !without.has(name),
    );
    const docs = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    expect(ofTheFleet.length).toBeGreaterThan(20);
    expect(ofTheFleet.filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
  });

  it('have no name of a job or an epoch in any label', async () => {
    const { observer, prometheus } = startMetrics({ coherence: () => someCoherence, redis: () => someRedis });
    for (const event of someEvents) observer.fleet(event);
    const text = await prometheus();
    expect(text).not.toContain('warm:hourly');
    expect(text).not.toContain('0123456789abcdef');
  });
});
