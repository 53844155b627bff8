import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

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
