import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { answer, type Origin, type OriginPeer, type OriginRequest, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

const MINUTE = 60_000;

const routes = `
  - { name: honoured, match: /honour/*, upstream: api, upstreamCacheControl: honour }
  - { name: open, match: /open/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: ["*"] }
  - { name: checked, match: /checked, upstream: api, upstreamCacheControl: honour, storeIf: { exists: ["$.data"] } }
  - { name: ruled, match: /ruled, upstream: api, ttl: 10m, staleIfError: 6h, retain: 24h }
  - { name: judged, match: /judged, upstream: api, ttl: 10m, storeIf: { absent: ["$.error"] } }
  - { name: behind, match: /behind, upstream: api, ttl: 10m, staleWhileRevalidate: 1h, retain: 24h, statusTtl: { 503: 30s } }
  - { name: brief, match: /brief, upstream: api, ttl: 10m }
  - { name: capped, match: /capped, upstream: api, ttl: 10m, upstreamCacheControl: cap }
`;

const maxAge = (seconds: number) => ({ 'Cache-Control': `max-age=${seconds}` });

describe('a validation', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let clock: ShiftedClock;

  beforeEach(async () => {
    clock = new ShiftedClock();
    origin = await startOrigin(answer(200, {}, ''));
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  /** Stores `v1` under this path, with an ETag and a minute of freshness. */
  async function storeFirst(path: string, fields: Record<string, string> = {}): Promise<void> {
    origin.script(answer(200, { ...maxAge(60), ETag: '"v1"', ...fields }, 'v1'));
    await proxy.get(path);
  }

  it('freshens what is stored with a 304 of the same entity tag', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    origin.script(answer(304, { ...maxAge(600), ETag: '"v1"', 'X-New': 'yes' }));
    const reply = await proxy.get('/honour/a');
    expect([reply.status, reply.text, reply.headers['x-new']]).toEqual([200, 'v1', 'yes']);
    expect(reply.cacheStatus).toBe('forecache; fwd=stale; fwd-status=304; stored');
    clock.advance(5 * MINUTE);
    expect((await proxy.get('/honour/a')).cacheStatus).toContain('hit');
  });

  it('is possible for one lifetime past the freshness of a ruled route that sets no retain', async () => {
    origin.script(answer(200, { ETag: '"v1"' }, 'v1'));
    await proxy.get('/brief');
    clock.advance(15 * MINUTE);
    origin.script(answer(304, { ETag: '"v1"' }));
    const reply = await proxy.get('/brief');
    expect([reply.text, reply.cacheStatus]).toEqual(['v1', 'forecache; fwd=stale; fwd-status=304; stored']);
    clock.advance(21 * MINUTE);
    origin.script(answer(200, {}, 'v2'));
    expect((await proxy.get('/brief')).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    clock.advance(11 * MINUTE);
    // Without a validator it is of no use past its freshness, and not kept.
    expect((await proxy.call('GET', '/api/stored')).body).toMatchObject({ stored: [] });
  });

  it('fetches the whole where the 304 names another entity tag', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    origin.script((request, peer) =>
      request.field('if-none-match') === undefined
        ? peer.respond(200, { ...maxAge(60), ETag: '"v2"' }, 'v2')
        : peer.respond(304, { ...maxAge(60), ETag: '"v2"' }),
    );
    const reply = await proxy.get('/honour/a');
    expect([reply.text, reply.headers.etag]).toEqual(['v2', '"v2"']);
    const stored = await proxy.get('/honour/a');
    expect([stored.text, stored.headers.etag]).toEqual(['v2', '"v2"']);
  });

  it.each<[string, 'GET' | 'HEAD', Record<string, string>]>([
    ['with no-store', 'GET', { 'Cache-Control': 'no-store, no-cache' }],
    ['with Authorization', 'GET', { Authorization: 'Bearer a' }],
    ['by HEAD with no-store', 'HEAD', { 'Cache-Control': 'no-store, no-cache' }],
    ['by HEAD with Authorization', 'HEAD', { Authorization: 'Bearer a' }],
  ])('that a request %s has made leaves what is stored for all as it is', async (_how, method, headers) => {
    await storeFirst('/open/a');
    clock.advance(2 * MINUTE);
    const length = method === 'HEAD' ? { 'Content-Length': '2' } : {};
    origin.script(answer(method === 'HEAD' ? 200 : 304, { ...maxAge(600), ETag: '"v1"', ...length }));
    const reply = await proxy.get('/open/a', { method, headers });
    expect([reply.status, reply.text]).toEqual([200, method === 'HEAD' ? '' : 'v1']);
    expect(reply.cacheStatus).not.toContain('stored');
    origin.script(answer(304, { ...maxAge(600), ETag: '"v1"' }));
    const next = await proxy.get('/open/a');
    expect([next.text, next.cacheStatus]).toEqual(['v1', 'forecache; fwd=stale; fwd-status=304; stored']);
    expect(origin.requests.at(-1)?.field('if-none-match')).toBe('"v1"');
  });

  it('that takes away the right to keep what is stored drops it, and is counted by why', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    origin.script(answer(304, { 'Cache-Control': 'private', ETag: '"v1"' }));
    expect((await proxy.get('/honour/a')).text).toBe('v1');
    expect((await proxy.call('GET', '/api/stored')).body).toMatchObject({ stored: [] });
    const metrics = String((await proxy.call('GET', '/metrics')).body);
    expect(metrics).toContain('forecache_storage_total{route="honoured",result="private"} 1\n');
  });

  it.each([
    ['Last-Modified alone', { ...maxAge(60), 'Last-Modified': 'Wed, 01 Jan 2020 00:00:00 GMT' }],
    ['a weak entity tag', { ...maxAge(60), ETag: 'W/"v2"' }],
  ])('fetches the whole where a 304 has a strong entity tag and what is stored has %s', async (_what, fields) => {
    origin.script(answer(200, fields, 'old bytes'));
    await proxy.get('/honour/a');
    clock.advance(2 * MINUTE);
    origin.script((request, peer) => {
      const isPlain = ['if-none-match', 'if-modified-since'].every((name) => request.field(name) === undefined);
      return isPlain
        ? peer.respond(200, { ...maxAge(60), ETag: '"v2"' }, 'v2')
        : peer.respond(304, { ...maxAge(60), ETag: '"v2"' });
    });
    expect((await proxy.get('/honour/a')).text).toBe('v2');
    expect(origin.requests).toHaveLength(3);
    const stored = await proxy.get('/honour/a', { headers: { 'If-None-Match': '"v2"' } });
    expect([stored.status, stored.cacheStatus]).toEqual([304, expect.stringContaining('hit')]);
  });

  it('goes on with the decoded form of what a ruled route stored, though upstream names the coded one', async () => {
    const coded = { ETag: '"v1"', 'Content-Encoding': 'gzip' };
    origin.script(answer(200, coded, gzipSync('v1')));
    await proxy.get('/ruled');
    clock.advance(20 * MINUTE);
    origin.script(answer(304, { ETag: '"v1"' }));
    const reply = await proxy.get('/ruled');
    expect([reply.text, reply.headers.etag]).toEqual(['v1', 'W/"v1"']);
    expect(origin.requests).toHaveLength(2);
  });

  it('makes a variant of what is stored where the 304 brings a Vary', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    origin.script(answer(304, { ...maxAge(600), ETag: '"v1"', Vary: 'Accept-Language' }));
    await proxy.get('/honour/a', { headers: { 'Accept-Language': 'en' } });
    origin.script(answer(200, { ...maxAge(600), Vary: 'Accept-Language' }, 'deutsch'));
    expect((await proxy.get('/honour/a', { headers: { 'Accept-Language': 'de' } })).text).toBe('deutsch');
    expect((await proxy.get('/honour/a', { headers: { 'Accept-Language': 'en' } })).text).toBe('v1');
  });

  it('renews the marker of a variant with it', async () => {
    await storeFirst('/honour/a', { Vary: 'Accept-Language' });
    for (let turn = 0; turn < 3; turn += 1) {
      clock.advance(5 * 24 * 60 * MINUTE);
      origin.script(answer(304, { ...maxAge(60), ETag: '"v1"' }));
      expect((await proxy.get('/honour/a')).cacheStatus).toBe('forecache; fwd=stale; fwd-status=304; stored');
    }
  });

  it('that ends late does not replace what was asked for after it', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    const gate = Promise.withResolvers<void>();
    origin.script(async (request, peer) => {
      if (request.field('cache-control') === undefined && origin.requests.length === 2) {
        await gate.promise;
        return peer.respond(304, { ...maxAge(600), ETag: '"v1"' });
      }
      return peer.respond(200, { ...maxAge(600), ETag: '"v2"' }, 'v2');
    });
    const late = proxy.get('/honour/a');
    await origin.arrived(2);
    // Within one millisecond neither of the two would be the later one.
    clock.advance(5);
    expect((await proxy.get('/honour/a', { headers: { 'Cache-Control': 'no-cache' } })).text).toBe('v2');
    gate.resolve();
    await late;
    expect((await proxy.get('/honour/a')).text).toBe('v2');
  });

  it('that a purge overtook brings nothing back for those who waited for it', async () => {
    await storeFirst('/honour/a');
    clock.advance(2 * MINUTE);
    const gate = Promise.withResolvers<void>();
    const validate = async (request: OriginRequest, peer: OriginPeer) => {
      if (request.field('if-none-match') === undefined) return peer.respond(200, maxAge(600), 'v2');
      await gate.promise;
      return peer.respond(304, { ...maxAge(600), ETag: '"v1"' });
    };
    origin.script(validate);
    const leader = proxy.get('/honour/a');
    await origin.arrived(2);
    const follower = proxy.get('/honour/a');
    await expect
      .poll(async () => String((await proxy.call('GET', '/metrics')).body))
      .toContain('\nforecache_requests_in_flight 2\n');
    expect((await proxy.call('POST', '/api/purge', { all: true })).body).toMatchObject({ complete: true });
    gate.resolve();
    expect((await leader).text).toBe('v2');
    expect((await follower).text).toBe('v2');
    expect((await proxy.get('/honour/a')).text).toBe('v2');
    expect(origin.requests.at(-1)?.field('if-none-match')).toBeUndefined();
  });

  it('that a purge overtook leaves nothing to stand in when upstream then fails', async () => {
    origin.script(answer(200, {}, 'v1'));
    await proxy.get('/ruled');
    clock.advance(20 * MINUTE);
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      peer.reset();
    });
    const asked = proxy.get('/ruled');
    await origin.arrived(2);
    await proxy.call('POST', '/api/purge', { route: 'ruled' });
    gate.resolve();
    expect((await asked).status).toBe(502);
  });

  it('behind the scenes keeps what is stored where upstream answers an error that has a lifetime', async () => {
    origin.script(answer(200, {}, 'good'));
    await proxy.get('/behind');
    clock.advance(11 * MINUTE);
    origin.script(answer(503, {}, 'bad'));
    await proxy.get('/behind');
    await origin.arrived(2);
    await expect
      .poll(async () => (await proxy.call('GET', '/api/metrics/cache')).body)
      .toMatchObject({ upstream_calls: 2 });
    expect((await proxy.get('/behind')).text).toBe('good');
  });

  it.each([206, 304, 416])('is not what an unasked %s is taken for: upstream is malformed', async (status) => {
    origin.script(answer(status, { ...maxAge(600), 'Content-Range': 'bytes 0-0/1' }, status === 304 ? '' : 'x'));
    for (const path of ['/honour/a', '/ruled']) {
      const reply = await proxy.get(path);
      const cacheStatus = `forecache; fwd=uri-miss; fwd-status=${status}; detail=malformed`;
      expect([reply.status, reply.cacheStatus]).toEqual([502, cacheStatus]);
    }
  });
});

describe('what is stored', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let clock: ShiftedClock;

  beforeEach(async () => {
    clock = new ShiftedClock();
    origin = await startOrigin(answer(200, {}, ''));
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes).replace('timeout: 5s', 'timeout: 300ms'), clock });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  it('is checked as what it holds where upstream coded it', async () => {
    origin.script(answer(200, { ...maxAge(60), 'Content-Encoding': 'gzip' }, gzipSync('{"data":1}')));
    const headers = { 'Accept-Encoding': 'gzip' };
    expect((await proxy.get('/checked', { headers })).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    origin.script(answer(200, { ...maxAge(60), 'Content-Encoding': 'gzip' }, gzipSync('{"oops":1}')));
    await proxy.call('POST', '/api/purge', { all: true });
    expect((await proxy.get('/checked', { headers })).cacheStatus).toBe('forecache; fwd=uri-miss; detail=path-missing');
    origin.script(answer(200, { ...maxAge(60), 'Content-Encoding': 'gzip' }, 'no gzip'));
    expect((await proxy.get('/checked', { headers })).cacheStatus).toBe('forecache; fwd=uri-miss; detail=undecodable');
  });

  it('is checked for every success that the rule gives a lifetime, 203 too', async () => {
    origin.script(answer(203, {}, '{"error":1}'));
    expect((await proxy.get('/judged')).cacheStatus).toBe('forecache; fwd=uri-miss; detail=path-present');
  });

  it('keeps variants of two Vary sets side by side', async () => {
    origin.script((request, peer) => {
      const language = request.field('accept-language');
      const vary = language === undefined ? 'Accept' : 'Accept-Language';
      return peer.respond(200, { ...maxAge(600), Vary: vary }, `${request.field('accept')} ${language}`);
    });
    const asks = [{ headers: { Accept: 'a/a' } }, { headers: { Accept: 'a/a', 'Accept-Language': 'de' } }];
    for (const one of [...asks, ...asks]) await proxy.get('/honour/v', one);
    const before = origin.requests.length;
    for (const one of asks) expect((await proxy.get('/honour/v', one)).cacheStatus).toContain('hit');
    expect(origin.requests).toHaveLength(before);
  });

  it('is served at once while upstream is known not to answer, and renewed behind it', async () => {
    origin.script(answer(200, {}, 'v1'));
    await proxy.get('/ruled');
    clock.advance(20 * MINUTE);
    origin.script(() => {});
    const waited = await proxy.get('/ruled');
    expect(waited.cacheStatus).toMatch(/^forecache; fwd=stale; ttl=-\d+; detail=stale-error$/);
    const atOnce = await proxy.get('/ruled');
    expect(atOnce.cacheStatus).toMatch(/^forecache; hit; ttl=-\d+; detail=stale-error$/);
    await origin.arrived(3);
    origin.script(answer(200, {}, 'v2'));
    await expect.poll(async () => (await proxy.get('/ruled')).text, { timeout: 5_000 }).toBe('v2');
  });

  it('says who gave which status where a part or a 304 is cut from what was fetched', async () => {
    origin.script(answer(200, { ETag: '"v1"' }, 'abcdef'));
    const part = await proxy.get('/ruled', { headers: { Range: 'bytes=0-1' } });
    expect([part.status, part.cacheStatus]).toEqual([206, 'forecache; fwd=uri-miss; fwd-status=200; stored']);
    await proxy.call('POST', '/api/purge', { all: true });
    const unmodified = await proxy.get('/ruled', { headers: { 'If-None-Match': '"v1"' } });
    expect([unmodified.status, unmodified.cacheStatus]).toEqual([
      304,
      'forecache; fwd=uri-miss; fwd-status=200; stored',
    ]);
  });

  it('is never more than its lifetime, though the clock be set back', async () => {
    origin.script(answer(200, {}, 'v1'));
    await proxy.get('/ruled');
    clock.advance(-120 * MINUTE);
    const reply = await proxy.get('/ruled');
    expect(reply.cacheStatus).toMatch(/^forecache; hit; ttl=(599|600); detail=memory$/);
    expect(reply.headers['cache-control']).toMatch(/^max-age=(599|600)$/);
  });

  it('tells a client of a capped route no more than the cap', async () => {
    origin.script(answer(200, maxAge(86_400), 'v1'));
    expect((await proxy.get('/capped')).headers['cache-control']).toBe('max-age=600');
  });

  it('counts as hits the times that it was served, not that it was looked at', async () => {
    origin.script(answer(200, {}, 'v1'));
    for (let turn = 0; turn < 3; turn += 1) await proxy.get('/ruled');
    clock.advance(20 * MINUTE);
    origin.script((_request, peer) => peer.reset());
    await proxy.get('/ruled');
    expect((await proxy.call('GET', '/api/stored?route=ruled')).body).toMatchObject({ stored: [{ hits: 3 }] });
  });
});

describe('a request', () => {
  it("with no-store is nobody else's business: the others go on sharing", async () => {
    await using origin = await startOrigin(answer(200, {}, ''));
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    origin.script(answer(200, maxAge(600), 'x'));
    await proxy.get('/honour/n', { headers: { 'Cache-Control': 'no-store' } });
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, maxAge(600), 'y');
    });
    const asked = Array.from({ length: 10 }, () => proxy.get('/honour/n'));
    await expect
      .poll(async () => String((await proxy.call('GET', '/metrics')).body))
      .toContain('\nforecache_requests_in_flight 10\n');
    gate.resolve();
    await Promise.all(asked);
    expect(origin.requests).toHaveLength(2);
  });

  it("that waited in vain for another's fetch is labelled as collapsed", async () => {
    await using origin = await startOrigin(answer(200, {}, ''));
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      peer.reset();
    });
    const asked = [proxy.get('/ruled'), proxy.get('/ruled')];
    await expect
      .poll(async () => String((await proxy.call('GET', '/metrics')).body))
      .toContain('\nforecache_requests_in_flight 2\n');
    gate.resolve();
    const labels = (await Promise.all(asked)).map((reply) => reply.cacheStatus).toSorted();
    expect(labels).toEqual([
      'forecache; fwd=uri-miss; collapsed; detail=reset',
      'forecache; fwd=uri-miss; detail=reset',
    ]);
  });

  it('is redirected within the proxy, from store too', async () => {
    await using origin = await startOrigin(answer(200, {}, ''));
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    origin.script(answer(301, { ...maxAge(600), Location: `${origin.url}/honour/other` }, ''));
    for (let turn = 0; turn < 2; turn += 1) {
      expect((await proxy.get('/honour/moved')).headers.location).toBe('/honour/other');
    }
    expect(origin.requests).toHaveLength(1);
  });
});
