import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { samples } from '../support/metrics.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';
import { startWorkersProxy } from '../support/workers.ts';

vi.setConfig({ testTimeout: 60_000 });

let origin: Origin;

beforeAll(async () => {
  origin = await startOrigin((_request, peer) => peer.respond(200, {}, 'answer'));
});

afterAll(() => origin?.close());

function yamlOf(redisPort: number): string {
  return `
server: { listen: 127.0.0.1:0, workers: 2 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { redis: { url: "redis://127.0.0.1:${redisPort}" } }
upstreams: { api: { origin: "${origin.url}" } }
routes:
  - { name: plain, match: /plain/*, upstream: api, ttl: 1h }
`;
}

describe('the report of a process with workers whose Redis is away', () => {
  it('holds what was counted since the last reset of the fleet, whoever made that', async () => {
    await using redis = await startRedis();
    await using asked = await startWorkersProxy(yamlOf(redis.port));
    await using other = await startWorkersProxy(yamlOf(redis.port));
    for (const target of ['/plain/a', '/plain/b', '/plain/c']) await asked.get(target);
    const reset = await other.call('POST', '/api/metrics/cache/reset');
    expect(reset).toMatchObject({ status: 200, body: { requests: 0, missing: [] } });
    await asked.get('/plain/d');
    expect((await asked.call('GET', '/api/metrics/cache')).body).toMatchObject({ scope: 'fleet', requests: 1 });
    await redis.stop();
    expect((await asked.call('GET', '/api/metrics/cache')).body).toMatchObject({ scope: 'process', requests: 1 });
    // A reset that cannot be made for the fleet is made for nobody.
    expect(await asked.call('POST', '/api/metrics/cache/reset')).toMatchObject({ status: 503 });
    expect((await asked.call('GET', '/api/metrics/cache')).body).toMatchObject({ scope: 'process', requests: 1 });
  });

  it('holds nothing from before a reset of workers that ended before they told of it', async () => {
    await using redis = await startRedis();
    await using asked = await startWorkersProxy(yamlOf(redis.port));
    await using other = await startWorkersProxy(yamlOf(redis.port));
    for (const target of ['/plain/a', '/plain/b', '/plain/c']) await asked.get(target);
    expect((await asked.call('GET', '/api/metrics/cache')).body).toMatchObject({ requests: 3 });
    const workers = asked.coordinator.pool.serving;
    const told = workers.map(({ numbers }) => numbers);
    const reset = await other.call('POST', '/api/metrics/cache/reset');
    expect(reset).toMatchObject({ status: 200, body: { requests: 0, missing: [] } });
    // As if none of them had told anything since: they do every second.
    for (const [index, worker] of workers.entries()) worker.numbers = told[index];
    await Promise.all(workers.map((worker) => worker.end()));
    await redis.stop();
    expect((await asked.call('GET', '/api/metrics/cache')).body).toMatchObject({ scope: 'process', requests: 0 });
  });
});

describe('a scrape of a process with workers', () => {
  it('tells the worst of all threads, since nobody may be behind, and sums of what adds up', async () => {
    await using redis = await startRedis();
    await using proxy = await startWorkersProxy(yamlOf(redis.port));
    const before = await samples(proxy.admin);
    expect(before.get('forecache_lease_held')).toBe(1);
    const [other, worse] = proxy.coordinator.pool.serving;
    const { coherence, redis: status, thread } = worse?.numbers ?? {};
    if (worse === undefined || coherence === undefined || status === undefined || thread === undefined) {
      throw new Error('it has told nothing');
    }
    const behind = { leased: false, leaseAgeMs: 7_000_000, applied: -1, lag: 3, scopes: 1_000_000, skewMs: -9_000_000 };
    const slow = { lagMean: 500, lagP99: 600, lagMax: 700, utilization: 2, heapTotal: 2 ** 40 };
    vi.spyOn(worse, 'askNumbers').mockImplementation(async () => {
      // Behind the answer of the other one: from here on nothing that it tells by itself comes in between.
      await other?.call('turn', undefined);
      if (worse.numbers === undefined) return;
      worse.numbers = {
        ...worse.numbers,
        coherence: { ...coherence, ...behind },
        redis: { ...status, breaker: 'open', pendingBytes: 5 },
        thread: { ...thread, ...slow },
      };
    });
    const all = await samples(proxy.admin);
    const told = {
      forecache_lease_held: 0,
      forecache_lease_age_seconds: 7000,
      forecache_purge_log_position: -1,
      forecache_purge_log_lag: 3,
      forecache_purge_table_scopes: 1_000_000,
      forecache_clock_skew_seconds: -9000,
      forecache_redis_breaker_state: 2,
      nodejs_eventloop_lag_mean_seconds: 500,
      nodejs_eventloop_lag_p99_seconds: 600,
      nodejs_eventloop_lag_max_seconds: 700,
      nodejs_eventloop_utilization_ratio: 2,
    };
    expect(Object.fromEntries(Object.keys(told).map((name) => [name, all.get(name)]))).toEqual(told);
    expect(all.get('forecache_redis_pending_bytes')).toBeGreaterThanOrEqual(5);
    expect(all.get('forecache_redis_pending_max_bytes')).toBe(before.get('forecache_redis_pending_max_bytes'));
    expect(all.get('nodejs_heap_size_total_bytes')).toBeGreaterThan(2 ** 40);
    vi.restoreAllMocks();
  });
});
