import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { answer, type Origin, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';

const routes = `
  - { name: ruled, match: /ruled, upstream: api, ttl: 1h, maxStoredBytes: 64KiB }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour }
`;

/** An origin script that answers each request only when the test says so. */
function held(status: number, fields: Record<string, string>, body: (count: number) => string) {
  const gates: (() => void)[] = [];
  let count = 0;
  return {
    script: async (
      _request: unknown,
      peer: { respond: (s: number, f: Record<string, string>, b: string) => Promise<void> },
    ) => {
      count += 1;
      const mine = count;
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.push(resolve);
      await promise;
      await peer.respond(status, fields, body(mine));
    },
    release: () => gates.splice(0).forEach((open) => open()),
  };
}

function inFlight(exposition: unknown): number {
  return Number(/^forecache_requests_in_flight (\d+)$/m.exec(String(exposition))?.[1]);
}

describe('concurrent requests for one key', () => {
  let origin: Origin;
  let proxy: TestProxy;

  beforeEach(async () => {
    origin = await startOrigin(answer(200, {}, 'x'));
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  /**
   * Resolves when that many requests are being handled: what they wait for is then the upstream call. That may not have come yet,
   * and what is released before it has is held for ever.
   */
  async function underWay(count: number): Promise<void> {
    await expect.poll(async () => inFlight((await proxy.call('GET', '/metrics')).body)).toBe(count);
  }

  it('are one upstream call, and all but the first say collapsed', async () => {
    const upstream = held(200, {}, () => 'shared');
    origin.script(upstream.script);
    const asked = Array.from({ length: 50 }, () => proxy.get('/ruled'));
    await underWay(50);
    await origin.arrived(1);
    upstream.release();
    const replies = await Promise.all(asked);
    expect(replies.map((reply) => reply.text)).toEqual(Array.from({ length: 50 }, () => 'shared'));
    expect(origin.requests).toHaveLength(1);
    const labels = replies.map((reply) => reply.cacheStatus).toSorted();
    expect(labels.filter((label) => label === 'forecache; fwd=uri-miss; stored')).toHaveLength(1);
    expect(labels.filter((label) => label === 'forecache; fwd=uri-miss; stored; collapsed')).toHaveLength(49);
    const report = (await proxy.call('GET', '/api/metrics/cache')).body;
    expect(report).toMatchObject({ requests: 50, misses: 50, hits: 0, collapsed: 49, upstream_calls: 1 });
  });

  it('survive the going of the client whose request began the fetch', async () => {
    const upstream = held(200, {}, () => 'shared');
    origin.script(upstream.script);
    const leaving = new AbortController();
    const leader = proxy.get('/ruled', { signal: leaving.signal });
    await origin.arrived(1);
    const follower = proxy.get('/ruled');
    await underWay(2);
    leaving.abort();
    await expect(leader).rejects.toThrow(/abort/i);
    upstream.release();
    expect((await follower).text).toBe('shared');
    expect(origin.requests).toHaveLength(1);
  });

  it('store the answer although every client has gone', async () => {
    const upstream = held(200, {}, () => 'kept');
    origin.script(upstream.script);
    const leaving = new AbortController();
    const leader = proxy.get('/ruled', { signal: leaving.signal });
    await origin.arrived(1);
    leaving.abort();
    await expect(leader).rejects.toThrow(/abort/i);
    upstream.release();
    await expect
      .poll(async () => (await proxy.call('GET', '/api/stored')).body)
      .toMatchObject({ stored: [{ route: 'ruled' }] });
    expect((await proxy.get('/ruled')).cacheStatus).toContain('hit');
    expect(origin.requests).toHaveLength(1);
  });

  it('do not wait for each other when the answer proves not storable', async () => {
    const upstream = held(200, { 'Cache-Control': 'no-store' }, (count) => `own ${count}`);
    origin.script(upstream.script);
    const asked = Array.from({ length: 10 }, () => proxy.get('/honoured'));
    await underWay(10);
    await origin.arrived(1);
    upstream.release();
    // The nine others go upstream side by side, not one after the other.
    await origin.arrived(10);
    upstream.release();
    const bodies = (await Promise.all(asked)).map((reply) => reply.text);
    expect(new Set(bodies).size).toBe(10);
    // And the next ones do not even wait for a first.
    const next = [proxy.get('/honoured'), proxy.get('/honoured')];
    await origin.arrived(12);
    upstream.release();
    await Promise.all(next);
  });

  it('each get their own stream of an answer that is too large to store', async () => {
    const upstream = held(200, {}, (count) => String(count).repeat(100_000).slice(0, 100_000));
    origin.script(upstream.script);
    const asked = Array.from({ length: 3 }, () => proxy.get('/ruled'));
    await underWay(3);
    await origin.arrived(1);
    upstream.release();
    await origin.arrived(3);
    upstream.release();
    const replies = await Promise.all(asked);
    for (const reply of replies) {
      expect(reply.body).toHaveLength(100_000);
      expect(reply.cacheStatus).toBe('forecache; fwd=uri-miss; detail=too-large');
    }
    expect((await proxy.call('GET', '/api/stored')).body).toMatchObject({ stored: [] });
  });

  it('share a failure instead of asking a failing upstream once each', async () => {
    const upstream = held(503, {}, () => 'down');
    origin.script(upstream.script);
    const asked = Array.from({ length: 20 }, () => proxy.get('/ruled'));
    await underWay(20);
    await origin.arrived(1);
    upstream.release();
    const replies = await Promise.all(asked);
    expect(replies.every((reply) => reply.status === 503 && reply.text === 'down')).toBe(true);
    expect(origin.requests).toHaveLength(1);
  });

  it('that began before and after a purge do not share: the later ones never get what was fetched before it', async () => {
    const upstream = held(200, {}, (count) => `version ${count}`);
    origin.script(upstream.script);
    const before = proxy.get('/ruled');
    await origin.arrived(1);
    const purged = await proxy.call('POST', '/api/purge', { route: 'ruled' });
    expect(purged).toMatchObject({ status: 200, body: { complete: true } });
    const after = proxy.get('/ruled');
    await origin.arrived(2);
    upstream.release();
    expect((await after).text).toBe('version 2');
    expect((await before).text).toBe('version 1');
    const stored = await proxy.get('/ruled');
    expect(stored.text).toBe('version 2');
    expect(stored.cacheStatus).toContain('hit');
  });

  it('that joined before a purge fetch again rather than take what it covered', async () => {
    const upstream = held(200, {}, (count) => `version ${count}`);
    origin.script(upstream.script);
    const leader = proxy.get('/ruled');
    await origin.arrived(1);
    const follower = proxy.get('/ruled');
    await underWay(2);
    await proxy.call('POST', '/api/purge', { all: true });
    upstream.release();
    await origin.arrived(2);
    upstream.release();
    expect((await leader).text).toBe('version 1');
    expect((await follower).text).toBe('version 2');
  });
});
