import { describe, expect, it } from 'vitest';

import { startStage, type Stage } from '../support/hostile.ts';
import { ask } from '../support/http.ts';
import { limitHits, samples } from '../support/metrics.ts';
import type { OriginScript } from '../support/origin.ts';

/** Script: as many bytes as the last segment of the target says. */
const sized: OriginScript = (request, peer) => {
  const bytes = Number(/(\d+)(?:\?|$)/.exec(request.target)?.[1] ?? '2');
  return peer.respond(200, { 'Content-Type': 'text/plain' }, 'b'.repeat(bytes));
};

function route(options: string): string {
  return `  - { name: c, match: /c/*, upstream: api, ttl: 10m, ${options} }`;
}

/** A purge of all in that many bytes. */
function purgeOf(bytes: number): string {
  return `{"all":true${' '.repeat(bytes - '{"all":true}'.length)}}`;
}

interface Stored {
  readonly key: string;
  readonly sizeBytes: number;
}

async function storedItems(stage: Stage): Promise<readonly Stored[]> {
  const { body } = await stage.call('GET', '/api/stored?limit=1000');
  if (typeof body !== 'object' || body === null || !('stored' in body) || !Array.isArray(body.stored)) return [];
  return body.stored.map((item: { readonly key: string; readonly size: number }) => ({
    key: item.key,
    sizeBytes: item.size,
  }));
}

describe('What is stored', () => {
  it('a body of exactly maxStoredBytes is stored, one byte more is passed on and not stored', async () => {
    await using stage = await startStage({ routes: route('maxStoredBytes: 1000'), script: sized });
    expect((await stage.get('/c/1000')).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect(await limitHits(stage.admin)).toEqual({});
    const larger = await stage.get('/c/1001');
    expect([larger.status, larger.body.length, larger.cacheStatus]).toEqual([
      200,
      1001,
      'forecache; fwd=uri-miss; detail=too-large',
    ]);
    expect(await stage.stored()).toEqual(['c|/c/1000']);
    expect(await limitHits(stage.admin)).toEqual({ 'routes.maxStoredBytes': 1 });
  });

  it('a key of exactly maxKeyBytes is kept as it is, a longer one is cut and carries a digest', async () => {
    await using stage = await startStage({ routes: route('maxKeyBytes: 128'), script: sized });
    const exact = `/c/${'k'.repeat(128 - 'c|/c/'.length)}`;
    await stage.get(exact);
    expect(await stage.stored()).toEqual([`c|${exact}`]);
    expect(await limitHits(stage.admin)).toEqual({});

    await stage.get(`${exact}x`);
    await stage.get(`${exact}y`);
    const cut = (await stage.stored()).filter((key) => key !== `c|${exact}`);
    expect(cut.map((key) => [key.length, /^c\|\/c\/k+#[0-9a-f]{64}$/.test(key)])).toEqual([
      [128, true],
      [128, true],
    ]);
    expect(new Set(cut).size).toBe(2);
    expect((await stage.get(`${exact}x`)).cacheStatus).toContain('hit');
    expect(await limitHits(stage.admin)).toEqual({ 'routes.maxKeyBytes': 3 });
  });

  it('exactly maxKeys responses of a route are stored, one more evicts one', async () => {
    await using stage = await startStage({ routes: route('maxKeys: 3'), script: sized });
    for (const target of ['/c/1', '/c/2', '/c/3']) await stage.get(target);
    expect(await stage.stored()).toHaveLength(3);
    expect(await limitHits(stage.admin)).toEqual({});
    expect((await stage.get('/c/4')).cacheStatus).toContain('stored');
    const keys = await stage.stored();
    expect([keys.length, keys.includes('c|/c/4')]).toEqual([3, true]);
    expect(await limitHits(stage.admin)).toEqual({ 'routes.maxKeys': 1 });
  });

  it('a response that takes exactly maxBytes with its bookkeeping is stored, one byte more is not', async () => {
    const maxBytes = 65_536;
    const more = 'store: { memory: { maxBytes: 64KiB } }';
    await using stage = await startStage({ routes: route('maxStoredBytes: 64KiB'), script: sized, more });
    await stage.get('/c/10000');
    const [probe] = await storedItems(stage);
    const overhead = (probe?.sizeBytes ?? 0) - 10_000;
    expect(overhead).toBeGreaterThan(0);
    await stage.call('POST', '/api/purge', { all: true });

    expect((await stage.get(`/c/${maxBytes - overhead + 1}`)).cacheStatus).toBe('forecache; fwd=uri-miss');
    expect(await storedItems(stage)).toEqual([]);
    expect(await limitHits(stage.admin)).toEqual({ 'store.memory.maxBytes': 1 });

    expect((await stage.get(`/c/${maxBytes - overhead}`)).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect((await storedItems(stage)).map((item) => item.sizeBytes)).toEqual([maxBytes]);
    const now = await samples(stage.admin);
    expect(now.get('forecache_store_bytes{tier="memory"}')).toBe(maxBytes);
    expect(await limitHits(stage.admin)).toEqual({ 'store.memory.maxBytes': 1 });
  });

  it('what comes when maxBytes are taken evicts what was there, and stays within', async () => {
    const more = 'store: { memory: { maxBytes: 64KiB } }';
    await using stage = await startStage({ routes: route('maxStoredBytes: 64KiB'), script: sized, more });
    for (let index = 0; index < 20; index++) await stage.get(`/c/${index}/10000`);
    const now = await samples(stage.admin);
    expect(now.get('forecache_store_bytes{tier="memory"}')).toBeLessThanOrEqual(65_536);
    const evicted = now.get('forecache_store_evictions_total{tier="memory",reason="capacity"}') ?? 0;
    expect(evicted + (await storedItems(stage)).length).toBe(20);
  });
});

describe('What operators may send', () => {
  it('an admin call with content of exactly maxBodyBytes is taken, one byte more is a 413', async () => {
    await using stage = await startStage({ admin: 'maxBodyBytes: 1KiB' });
    const headers = { 'content-type': 'application/json' };
    const call = (bytes: number) => ask(stage.admin, '/api/purge', { method: 'POST', headers, body: purgeOf(bytes) });
    expect((await call(1024)).status).toBe(200);
    expect(await limitHits(stage.admin)).toEqual({});
    const refused = await call(1025);
    expect([refused.status, refused.headers['content-type']]).toEqual([413, 'application/problem+json']);
    expect(JSON.parse(refused.text)).toMatchObject({ type: 'urn:forecache:problem:content-too-large', limit: 1024 });
    expect(await limitHits(stage.admin)).toEqual({ 'admin.maxBodyBytes': 1 });
  });
});
