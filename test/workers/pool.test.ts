import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { WorkerNumbers } from '../../src/workers/messages.ts';
import type { PoolTimes } from '../../src/workers/pool.ts';
import { head } from '../support/hostile.ts';
import { ask } from '../support/http.ts';
import { samples } from '../support/metrics.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { openRaw } from '../support/raw.ts';
import { askEach, calm, servedBy, startWorkersProxy, type WorkersProxy } from '../support/workers.ts';

// Each start of a worker reads the program's source anew, which a busy machine takes seconds for.
vi.setConfig({ testTimeout: 90_000 });

const workers = 2;

const stack: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one.disposeAsync();
});

interface Setting {
  readonly proxy: WorkersProxy;
  readonly origin: Origin;
}

async function start(times: Partial<PoolTimes> = {}, listen = '127.0.0.1:0', ending = 'grace: 10s'): Promise<Setting> {
  const owned = new AsyncDisposableStack();
  stack.push(owned);
  const origin = await startOrigin((_request, peer) => peer.respond(200, {}, 'x'));
  owned.defer(() => origin.close());
  const proxy = await startWorkersProxy(yamlOf(origin.url, listen, ending), { ...calm, ...times });
  owned.use(proxy);
  return { proxy, origin };
}

function yamlOf(upstream: string, listen: string, ending: string): string {
  return `
server: { listen: "${listen}", workers: ${workers}, ${ending} }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  api: { origin: "${upstream}", timeout: 10s }
routes:
  - { name: ruled, match: /ruled/*, upstream: api, ttl: 1h }
  - { name: few, match: /few/*, upstream: api, ttl: 1h, maxKeys: ${workers} }
`;
}

function requestsOf(numbers: WorkerNumbers | undefined): number {
  const outcomes = [...(numbers?.counts.routes.values() ?? [])].flatMap(({ arrays }) => [...(arrays[0] ?? [])]);
  return outcomes.reduce((sum, count) => sum + count, 0);
}

describe('a worker that does not answer in time', () => {
  it('is left out of what all are asked', async () => {
    const { proxy } = await start({ answerMs: 2000 });
    const { pool } = proxy.coordinator;
    const [silent] = pool.serving;
    if (silent === undefined) throw new Error('no worker serves');
    vi.spyOn(silent, 'call').mockReturnValue(new Promise<never>(() => {}));
    const answers = await pool.askAll('count', ['all']);
    expect(answers.map(([worker, count]) => [worker.place, count])).toEqual([[2, 0]]);
    vi.restoreAllMocks();
  });

  it('holds purges up once, for as long as it may take for a turn, and is counted again when it has had one', async () => {
    const turnMs = 1000;
    const { proxy, origin } = await start({ turnMs });
    const { pool } = proxy.coordinator;
    await askEach(proxy, workers, '/ruled/a');
    const [stuck] = pool.serving;
    if (stuck === undefined) throw new Error('no worker serves');
    const goOn = Promise.withResolvers<void>();
    const call = stuck.call.bind(stuck);
    vi.spyOn(stuck, 'call').mockImplementation(async (name, input) => {
      await goOn.promise;
      return call(name, input);
    });
    const fetches = origin.requests.length;
    const startMs = performance.now();
    const counted = await proxy.call('POST', '/api/purge', { all: true, dryRun: true });
    const purges = await Promise.all(
      Array.from({ length: 4 }, () => proxy.call('POST', '/api/purge', { route: 'ruled' })),
    );
    // Each of the purges that waited by itself would end one such time later.
    expect(performance.now() - startMs).toBeLessThan(2 * turnMs);
    expect(counted.body).toMatchObject({ matched: 1 });
    expect(purges.map(({ body }) => body)).toEqual(
      [1, 0, 0, 0].map((matched) => expect.objectContaining({ matched, complete: true, missing: [] })),
    );
    goOn.resolve();
    await askEach(proxy, workers, '/ruled/a');
    expect(origin.requests.length - fetches).toBe(workers);
    const last = await proxy.call('POST', '/api/purge', { all: true });
    expect(last.body).toMatchObject({ matched: workers });
    vi.restoreAllMocks();
  });
});

describe('what a worker tells by itself', () => {
  it('while another is waited for is not undone by what it was asked for before', async () => {
    const { proxy } = await start({ answerMs: 60_000 });
    const { pool } = proxy.coordinator;
    const { length } = await askEach(proxy, workers, '/ruled/a');
    const slow = pool.serving[1];
    if (slow === undefined) throw new Error('not all workers serve');
    const goOn = Promise.withResolvers<void>();
    const call = slow.call.bind(slow);
    const asked = vi.spyOn(slow, 'call').mockImplementation(async (name, input) => {
      await goOn.promise;
      return call(name, input);
    });
    const told = (): number => pool.serving.reduce((sum, { numbers }) => sum + requestsOf(numbers), 0);
    const report = proxy.call('GET', '/api/metrics/cache');
    await expect.poll(() => asked.mock.calls.length).toBe(1);
    await pool.serving[0]?.call('turn', undefined);
    const more = await Promise.all(Array.from({ length: 16 }, () => proxy.get('/ruled/a')));
    await expect.poll(told, { timeout: 10_000 }).toBe(length + more.length);
    goOn.resolve();
    expect((await report).body).toMatchObject({ requests: length + more.length });
    vi.restoreAllMocks();
  });
});

describe('the event-loop lag of workers', () => {
  it('covers the time since the last scrape, whatever reports were asked for meanwhile', async () => {
    const { proxy } = await start();
    const { pool } = proxy.coordinator;
    await samples(proxy.admin);
    const scraped = pool.serving.map(({ numbers }) => numbers?.thread);
    expect(scraped).toEqual(
      Array.from({ length: workers }, () => expect.objectContaining({ lagMax: expect.any(Number) })),
    );
    const asked = pool.serving.map((worker) => vi.spyOn(worker, 'call'));
    await proxy.call('GET', '/api/metrics/cache');
    await proxy.call('POST', '/api/metrics/cache/reset');
    // To tell it begins it anew.
    const told = await Promise.all(asked.flatMap(({ mock }) => mock.results.map(({ value }) => value as unknown)));
    expect(told).toEqual(Array.from({ length: 3 * workers }, () => expect.objectContaining({ thread: undefined })));
    expect(pool.serving.map(({ numbers }) => numbers?.thread)).toEqual(scraped);
    vi.restoreAllMocks();
    await samples(proxy.admin);
    expect(pool.serving.map(({ numbers }) => numbers?.thread)).not.toEqual(scraped);
  });
});

describe('a worker that ends', () => {
  it('is started again on the same port, and what it had counted stays', async () => {
    const { proxy } = await start();
    const { pool } = proxy.coordinator;
    const { length } = await askEach(proxy, workers, '/ruled/a');
    const [first] = pool.serving;
    // The scrape has asked it for its counts.
    await first?.end();
    await expect.poll(() => pool.serving.length).toBe(workers);
    expect(first !== undefined && pool.serving.includes(first)).toBe(false);
    expect((await proxy.call('GET', '/api/metrics/cache')).body).toMatchObject({ requests: length });
    const replies = await askEach(proxy, workers, '/ruled/a');
    expect((await proxy.call('GET', '/api/metrics/cache')).body).toMatchObject({ requests: length + replies.length });
    expect((await samples(proxy.admin)).get('forecache_worker_restarts_total{reason="ended"}')).toBe(1);
    const readiness = await ask(proxy.admin, '/readyz');
    expect(readiness.status).toBe(200);
  });

  it('leaves what was evicted, what the fast lane answered and who served it as it was', async () => {
    const { proxy } = await start();
    const { pool } = proxy.coordinator;
    await askEach(proxy, workers, '/few/a');
    using kept = await openRaw(proxy.origin);
    for (let index = 0; index < 40; index += 1) {
      await kept.send(head(`GET /few/${index >> 1} HTTP/1.1`, 'Host: api.test'));
      expect((await kept.reply()).status).toBe(200);
    }
    const names = [
      'forecache_store_evictions_total{tier="memory",reason="route-limit"}',
      'forecache_fast_lane_requests_total',
      'forecache_fast_lane_targets_total',
      'forecache_fast_lane_waits_total',
      ...pool.serving.map(({ place }) => `forecache_worker_requests_total{worker="${place}"}`),
    ];
    const counts = async (): Promise<readonly unknown[]> => {
      const all = await samples(proxy.admin);
      return names.map((name) => all.get(name));
    };
    const before = await counts();
    expect(before.filter((count) => Number(count) > 0)).toHaveLength(names.length);
    await Promise.all(pool.serving.map((worker) => worker.end()));
    expect(await counts()).toEqual(before);
    await expect.poll(() => pool.serving.length).toBe(workers);
    expect(await counts()).toEqual(before);
  });

  it('leaves purges complete, before and after it is there again', async () => {
    const { proxy, origin } = await start({ pauseMs: 300, longestPauseMs: 300 });
    const { pool } = proxy.coordinator;
    await askEach(proxy, workers, '/ruled/a');
    const ended = pool.serving[0]?.end();
    const during = await proxy.call('POST', '/api/purge', { all: true });
    await ended;
    expect(during.body).toMatchObject({ complete: true, missing: [] });
    await expect.poll(() => pool.serving.length).toBe(workers);
    await askEach(proxy, workers, '/ruled/a');
    const before = origin.requests.length;
    expect((await proxy.call('POST', '/api/purge', { all: true })).body).toMatchObject({
      complete: true,
      matched: workers,
    });
    await askEach(proxy, workers, '/ruled/a');
    expect(origin.requests.length - before).toBe(workers);
  });

  it('makes the proxy not ready only where no other is left', async () => {
    const { proxy } = await start({ pauseMs: 100, longestPauseMs: 100 });
    const { pool } = proxy.coordinator;
    await Promise.all(pool.serving.map((worker) => worker.end()));
    expect((await ask(proxy.admin, '/readyz')).status).toBe(503);
    expect((await proxy.call('POST', '/api/explain', { url: '/ruled/a' })).status).toBe(503);
    await expect.poll(async () => (await ask(proxy.admin, '/readyz')).status).toBe(200);
    await expect.poll(() => pool.serving.length).toBe(workers);
  });

  it('is ended where it says nothing for as long as one may be silent', async () => {
    // One that works says something every second.
    const { proxy } = await start({ stuckMs: 300 });
    const { pool } = proxy.coordinator;
    // Without a scrape, which each would answer.
    await expect.poll(() => pool.restarts.stuck).toBeGreaterThan(0);
    expect(pool.restarts.ended).toBe(0);
    const { stuck } = pool.restarts;
    const told = (await samples(proxy.admin)).get('forecache_worker_restarts_total{reason="stuck"}');
    expect(told).toBeGreaterThanOrEqual(stuck);
  });

  it('is waited for longer each time that it ends soon after its start', async () => {
    const { proxy } = await start({ pauseMs: 50, longestPauseMs: 200 });
    const { pool } = proxy.coordinator;
    const pauses: number[] = [];
    for (let end = 0; end < 4; end += 1) {
      await expect.poll(() => pool.serving.length).toBe(workers);
      const one = pool.serving.find(({ place }) => place === 1);
      await one?.end();
      const endedMs = performance.now();
      await expect.poll(() => pool.serving.length, { interval: 5 }).toBe(workers);
      pauses.push(performance.now() - endedMs);
    }
    // Starting takes its time as well, so these are least times.
    for (const [index, leastMs] of [50, 100, 200, 200].entries()) {
      expect(pauses[index]).toBeGreaterThanOrEqual(leastMs - 2);
    }
  });

  it.each([
    ['as if for the first time where it had lived long enough', { soundMs: 0, longestPauseMs: 60_000 }],
    ['no longer than for the longest pause', { soundMs: 60_000, longestPauseMs: 1000 }],
  ])('is waited for %s', async (_how, times) => {
    const { proxy } = await start({ pauseMs: 1000, ...times });
    const { pool } = proxy.coordinator;
    let startMs = 0;
    for (let end = 0; end < 4; end += 1) {
      startMs = performance.now();
      await pool.serving.find(({ place }) => place === 1)?.end();
      await expect.poll(() => pool.serving.length, { timeout: 20_000 }).toBe(workers);
    }
    // Eight seconds of pause it would be now.
    expect(performance.now() - startMs).toBeLessThan(6000);
  });

  it('is not started again by a proxy that has stopped', async () => {
    const { proxy } = await start({ pauseMs: 500, longestPauseMs: 500 });
    const { pool } = proxy.coordinator;
    await pool.serving[0]?.end();
    await proxy.coordinator.stop();
    const goesOn = async (): Promise<boolean> =>
      proxy.get('/ruled/a').then(
        () => true,
        () => false,
      );
    // Longer than the pause and a start.
    for (let look = 0; look < 25; look += 1) {
      await sleep(100);
      expect([await goesOn(), pool.serving]).toEqual([false, []]);
    }
  });

  it('is waited for at the end of the proxy for its grace and some seconds more, and then ended', async () => {
    const { proxy } = await start({ stopMs: 300 }, undefined, 'grace: 200ms');
    const { pool } = proxy.coordinator;
    const [stuck] = pool.serving;
    if (stuck === undefined) throw new Error('no worker serves');
    vi.spyOn(stuck, 'call').mockReturnValue(new Promise<never>(() => {}));
    const startMs = performance.now();
    await proxy.coordinator.stop();
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(498);
    expect(pool.serving).toEqual([]);
    expect(await stuck.ended).toEqual({ error: undefined });
    vi.restoreAllMocks();
  });
});

describe('workers', () => {
  it('end what is under way before the proxy stops, and take nothing new', async () => {
    const { proxy, origin } = await start();
    const gate = Promise.withResolvers<void>();
    origin.script(async (request, peer) => {
      if (request.target !== '/ruled/new') await gate.promise;
      await peer.respond(200, {}, 'late');
    });
    const waiting = Array.from({ length: 10 }, (_none, index) => proxy.get(`/ruled/${index}`));
    await origin.arrived(10);
    const stopped = proxy.coordinator.stop();
    await expect.poll(async () => (await ask(proxy.admin, '/readyz')).status).toBe(503);
    await expect
      .poll(() =>
        proxy.get('/ruled/new').then(
          () => 'taken',
          () => 'refused',
        ),
      )
      .toBe('refused');
    gate.resolve();
    const replies = await Promise.all(waiting);
    expect(replies.map(({ text }) => text)).toEqual(Array.from({ length: 10 }, () => 'late'));
    await stopped;
    expect(proxy.coordinator.pool.serving).toEqual([]);
    await expect(ask(proxy.admin, '/readyz')).rejects.toThrow(/ECONNREFUSED/);
  });

  it('wait out the delay before a drain once, all together', async () => {
    const { proxy } = await start({}, undefined, 'drainDelay: 2s, grace: 10s');
    const startMs = performance.now();
    const stopped = proxy.coordinator.stop();
    expect((await proxy.get('/ruled/a')).status).toBe(200);
    await stopped;
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(1998);
    // Each by itself would wait another two seconds.
    expect(tookMs).toBeLessThan(3900);
  });

  it('are none where the port is taken, by whoever, and the error is the system’s', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(start({}, `127.0.0.1:${port}`)).rejects.toThrow(/listen EADDRINUSE.*127\.0\.0\.1/);
    other.close();
    const { proxy } = await start({}, `127.0.0.1:${port}`);
    expect(proxy.origin).toBe(`http://127.0.0.1:${port}`);
    // Others that share their port too.
    await expect(start({}, `127.0.0.1:${port}`)).rejects.toThrow(/EADDRINUSE/);
    await askEach(proxy, workers, '/ruled/a');
    expect((await servedBy(proxy.admin)).size).toBe(workers);
  });
});
