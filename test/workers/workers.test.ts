import { Agent } from 'node:http';

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { samples } from '../support/metrics.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { askEach, servedBy, startWorkersProxy, type WorkersProxy } from '../support/workers.ts';

// Many connections are made until the kernel has met each worker with one: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const workers = 3;
const totalBytes = 8 * 2 ** 20;

/** Every answer says what the upstream's version was when it was asked. */
let version = 1;
let origin: Origin;
let proxy: WorkersProxy;

function yamlOf(upstream: string): string {
  return `
server: { listen: 127.0.0.1:0, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { memory: { maxBytes: ${totalBytes} } }
upstreams:
  api: { origin: "${upstream}", timeout: 5s, maxConnections: 7 }
routes:
  - { name: ruled, match: /ruled/:town, upstream: api, ttl: 1h, staleIfError: 1h, tags: ["town:{town}"] }
  - { name: honoured, match: /honoured/*, upstream: api, upstreamCacheControl: honour }
`;
}

beforeAll(async () => {
  origin = await startOrigin((_request, peer) =>
    peer.respond(200, { 'cache-control': 'max-age=3600' }, String(version)),
  );
  proxy = await startWorkersProxy(yamlOf(origin.url));
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await origin?.close();
});

function sum(all: ReadonlyMap<string, number>, family: string): number {
  return [...all].reduce((total, [name, value]) => total + (name.startsWith(`${family}{`) ? value : 0), 0);
}

/** What each of the workers answers, as one set of bodies. */
async function bodies(target: string): Promise<ReadonlySet<string>> {
  return new Set((await askEach(proxy, workers, target)).map(({ text }) => text));
}

/** In the memory of each worker, by the version that upstream has now. */
async function hold(town: string): Promise<void> {
  const { body } = await proxy.call('POST', '/api/warm', { route: 'ruled', with: [{ town }] });
  expect(body).toMatchObject({ failed: 0 });
}

beforeEach(async () => {
  await proxy.call('POST', '/api/purge', { all: true });
});

describe('a purge on the admin listener', () => {
  it.each([
    { all: true },
    { route: 'ruled' },
    { url: '/ruled/lima' },
    { key: 'ruled|/ruled/lima' },
    { prefix: '/ruled/li' },
    { tag: 'town:lima' },
    { tags: ['town:nowhere', 'town:lima'] },
  ])('by %j is true of every worker when it returns', async (selector) => {
    await hold('lima');
    await hold('oslo');
    const old = String(version);
    expect(await bodies('/ruled/lima')).toEqual(new Set([old]));
    const counted = await proxy.call('POST', '/api/purge', { ...selector, dryRun: true });
    version += 1;
    const { status, body } = await proxy.call('POST', '/api/purge', selector);
    expect(status).toBe(200);
    const covered = 'all' in selector || 'route' in selector ? 2 * workers : workers;
    expect(counted.body).toMatchObject({ matched: covered, dryRun: true });
    expect(body).toMatchObject({ complete: true, missing: [], matched: covered });
    expect(await bodies('/ruled/lima')).toEqual(new Set([String(version)]));
    expect(await bodies('/ruled/oslo')).toEqual(new Set([covered > workers ? String(version) : old]));
  });

  it('by the PURGE method is true of every worker', async () => {
    await hold('lima');
    version += 1;
    await proxy.call('PURGE', '/ruled/lima');
    expect(await bodies('/ruled/lima')).toEqual(new Set([String(version)]));
  });

  it('is true of connections that stay open and have asked the same before, byte for byte', async () => {
    const connections = 8 * workers;
    const agent = new Agent({ keepAlive: true, maxSockets: connections });
    const all = async (): Promise<ReadonlySet<string>> => {
      const replies = Array.from({ length: connections }, () => proxy.get('/ruled/lima', { agent }));
      return new Set((await Promise.all(replies)).map(({ text }) => text));
    };
    const before = await servedBy(proxy.admin);
    for (let round = 0; round < 20; round += 1) {
      for (let times = 0; times < 4; times += 1) expect(await all()).toEqual(new Set([String(version)]));
      version += 1;
      await proxy.call('POST', '/api/purge', { tag: 'town:lima' });
      expect(await all()).toEqual(new Set([String(version)]));
    }
    const served = await servedBy(proxy.admin);
    const each = [...served].map(([worker, count]) => count - (before.get(worker) ?? 0));
    expect(each).toHaveLength(workers);
    expect(Math.min(...each)).toBeGreaterThan(0);
    agent.destroy();
  });

  it('that is soft makes it stale in every worker', async () => {
    await hold('lima');
    await proxy.call('POST', '/api/purge', { tag: 'town:lima', soft: true });
    const { body } = await proxy.call('GET', '/api/stored');
    expect(body).toMatchObject({ stored: [{ staleSince: expect.any(String) }] });
    version += 1;
    // The window of the route is for errors only: each worker asks upstream first.
    expect(await bodies('/ruled/lima')).toEqual(new Set([String(version)]));
  });

  it('reaches a fetch that is under way in any of them', async () => {
    for (let round = 0; round < 3; round += 1) {
      const gate = Promise.withResolvers<void>();
      let asked = version;
      origin.script(async (_request, peer) => {
        asked = version;
        await gate.promise;
        await peer.respond(200, {}, String(asked));
      });
      const before = origin.requests.length;
      const waiting = Array.from({ length: 8 * workers }, () => proxy.get('/ruled/quito'));
      await origin.arrived(before + 1);
      version += 1;
      await proxy.call('POST', '/api/purge', { url: '/ruled/quito' });
      gate.resolve();
      await Promise.all(waiting);
      origin.script((_request, peer) => peer.respond(200, {}, String(version)));
      expect(await bodies('/ruled/quito')).toEqual(new Set([String(version)]));
      await proxy.call('POST', '/api/purge', { all: true });
    }
  });
});

describe('an unsafe request to one worker', () => {
  it('has purged its URL in every worker when it is answered', async () => {
    origin.script((request, peer) => {
      if (request.method !== 'GET') version += 1;
      return peer.respond(200, { 'cache-control': 'max-age=3600' }, String(version));
    });
    for (let round = 0; round < 10; round += 1) {
      await bodies('/honoured/a');
      const { text } = await proxy.get('/honoured/a', { method: 'PUT', body: 'x' });
      expect(text).toBe(String(version));
      expect(await bodies('/honoured/a')).toEqual(new Set([text]));
    }
  });
});

describe('warming', () => {
  it('puts what one upstream call has brought into the memory of every worker', async () => {
    const before = origin.requests.length;
    await hold('bergen');
    expect(origin.requests.length - before).toBe(1);
    const replies = await askEach(proxy, workers, '/ruled/bergen');
    expect(new Set(replies.map(({ cacheStatus }) => cacheStatus.split(';')[1]))).toEqual(new Set([' hit']));
    expect(origin.requests.length - before).toBe(1);
  });

  it('leaves with the one that fetched it what others might key in another way', async () => {
    const stored = async (): Promise<unknown> =>
      (await samples(proxy.admin)).get('forecache_store_responses{tier="memory"}');
    const { body } = await proxy.call('POST', '/api/warm', { route: 'honoured', with: [{ '0': 'bergen' }] });
    expect(body).toMatchObject({ fetched: 1, failed: 0 });
    expect(await stored()).toBe(1);
    await hold('bergen');
    expect(await stored()).toBe(1 + workers);
  });

  it('asks an upstream that answered with 429 no more, whichever worker it was', async () => {
    const before = origin.requests.length;
    origin.script((_request, peer) => peer.respond(429, {}, 'enough'));
    const towns = Array.from({ length: 12 }, (_, at) => ({ town: `full-${at}` }));
    const { body } = await proxy.call('POST', '/api/warm', { route: 'ruled', with: towns });
    expect(body).toMatchObject({ fetched: 0, failed: towns.length });
    // As many as may be under way at once.
    expect(origin.requests.length - before).toBeLessThanOrEqual(4);
    origin.script((_request, peer) => peer.respond(200, {}, String(version)));
  });

  it('leaves what is warm and its hits as they are', async () => {
    await hold('bergen');
    const asked = (await askEach(proxy, workers, '/ruled/bergen')).length;
    const { body } = await proxy.call('POST', '/api/warm', { route: 'ruled', with: [{ town: 'bergen' }] });
    expect(body).toMatchObject({ reused: 1, fetched: 0 });
    expect((await proxy.call('GET', '/api/stored')).body).toMatchObject({ stored: [{ hits: asked }] });
  });
});

describe('what operators are told', () => {
  it('adds up over the workers, and starts again at a reset', async () => {
    await proxy.call('POST', '/api/metrics/cache/reset');
    const replies = await askEach(proxy, workers, '/ruled/turin');
    const hits = replies.filter(({ cacheStatus }) => cacheStatus.includes('; hit')).length;
    await proxy.get('/no/route');
    const { body } = await proxy.call('GET', '/api/metrics/cache');
    expect(body).toMatchObject({
      scope: 'process',
      requests: replies.length + 1,
      hits,
      misses: replies.length - hits,
      rejected: 1,
      store: { max_bytes: totalBytes },
      routes: { ruled: { requests: replies.length }, none: { requests: 1 } },
    });
    const after = await proxy.call('POST', '/api/metrics/cache/reset');
    expect(after.body).toMatchObject({ requests: 0, hits: 0, misses: 0, purges: 0, missing: [] });
  });

  it('has nothing in it after a reset of what ended right before that', async () => {
    for (let round = 0; round < 5; round += 1) {
      for (let times = 0; times < 8; times += 1) await proxy.get('/ruled/turin');
      await proxy.call('POST', '/api/metrics/cache/reset');
      expect((await proxy.call('GET', '/api/metrics/cache')).body).toMatchObject({ requests: 0 });
    }
  });

  it('is the same in Prometheus text, where nothing goes back', async () => {
    const before = await samples(proxy.admin);
    const { length } = await askEach(proxy, workers, '/ruled/turin');
    const after = await samples(proxy.admin);
    for (const family of ['forecache_requests_total', 'forecache_worker_requests_total']) {
      expect(sum(after, family) - sum(before, family)).toBe(length);
    }
    expect(sum(after, 'forecache_requests_total')).toBe(sum(after, 'forecache_worker_requests_total'));
    expect(after.get('forecache_workers')).toBe(workers);
    expect(after.get('forecache_store_max_bytes{tier="memory"}')).toBe(totalBytes);
    expect(sum(after, 'forecache_request_duration_seconds_count')).toBe(sum(after, 'forecache_requests_total'));
  });

  it('lists each response once, with the hits and bytes that it has in all workers', async () => {
    await hold('lima');
    const one = (await proxy.call('GET', '/api/stored?limit=1')).body;
    const replies = await askEach(proxy, workers, '/ruled/lima');
    const { body } = await proxy.call('GET', '/api/stored?limit=1');
    expect(one).toMatchObject({ stored: [{ hits: 0, size: expect.any(Number) }] });
    expect(body).toMatchObject({ stored: [{ key: 'ruled|/ruled/lima', hits: replies.length }] });
    const stats = await samples(proxy.admin);
    // The tiers hold nothing else, and count their pages in full.
    const bytes = stats.get('forecache_store_bytes{tier="memory"}') ?? 0;
    const isOfAll = (size: number): boolean => size > 0 && size % workers === 0 && size <= bytes;
    expect(body).toMatchObject({ stored: [{ size: expect.toSatisfy(isOfAll) }] });
    expect(stats.get('forecache_store_responses{tier="memory"}')).toBe(workers);
  });

  it('lists no more responses than it was asked for, though each worker has others', async () => {
    for (let index = 0; index < 30; index += 1) await proxy.get(`/ruled/place${index}`);
    const { body } = await proxy.call('GET', '/api/stored?limit=4');
    expect(body).toMatchObject({ limit: 4, stored: Array.from({ length: 4 }, () => ({ kind: 'response' })) });
  });

  it('explains by a worker that has it stored, whichever that is', async () => {
    for (let round = 0; round < 5; round += 1) {
      await proxy.get(`/ruled/town${round}`);
      const { body } = await proxy.call('POST', '/api/explain', { url: `/ruled/town${round}` });
      expect(body).toMatchObject({ stored: { valid: true }, decision: { would: 'hit' } });
    }
  });
});

describe('limits of the whole process', () => {
  it('hold for the sum of the workers', async () => {
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, {}, 'x');
    });
    const before = origin.requests.length;
    const waiting = Array.from({ length: 60 }, (_none, index) => proxy.get(`/ruled/limit${index}`));
    // Seven slots are parts of three, two and two: as good as never does the kernel leave a worker without connections.
    await origin.arrived(before + 7);
    expect(origin.openConnections).toBeLessThanOrEqual(7);
    gate.resolve();
    await Promise.all(waiting);
    expect(origin.peakConcurrency).toBe(7);
    origin.script((_request, peer) => peer.respond(200, {}, String(version)));
  });

  it('keep what is stored within the bytes of all together', async () => {
    origin.script((_request, peer) => peer.respond(200, {}, 'x'.repeat(200_000)));
    const towns = Array.from({ length: 120 }, (_none, index) => `/ruled/large${index}`);
    await Promise.all(towns.map((target) => proxy.get(target)));
    const stats = await samples(proxy.admin);
    expect(stats.get('forecache_store_bytes{tier="memory"}')).toBeLessThanOrEqual(totalBytes);
    expect(stats.get('forecache_store_evictions_total{tier="memory",reason="capacity"}')).toBeGreaterThan(0);
    origin.script((_request, peer) => peer.respond(200, {}, String(version)));
  });

  it('let each worker fetch once for all who ask it', async () => {
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, {}, 'x');
    });
    const before = origin.requests.length;
    const waiting = Array.from({ length: 20 * workers }, () => proxy.get('/ruled/one'));
    await origin.arrived(before + workers);
    gate.resolve();
    await Promise.all(waiting);
    expect(origin.requests.length - before).toBe(workers);
    origin.script((_request, peer) => peer.respond(200, {}, String(version)));
  });
});
