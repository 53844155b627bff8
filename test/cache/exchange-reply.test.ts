import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { answer, huge, type Origin, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';

const routes = `
  - { name: ruled, match: /ruled, upstream: api, ttl: 1h, maxStoredBytes: 256KiB }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour }
`;
const binary = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7 + (index >> 8)) % 256));
const etag = '"v1"';
const lastModified = 'Mon, 23 Nov 2026 06:00:00 GMT';

describe('an answer', () => {
  let origin: Origin;
  let proxy: TestProxy;

  beforeEach(async () => {
    origin = await startOrigin(
      answer(200, { 'Content-Type': 'application/octet-stream', ETag: etag, 'Last-Modified': lastModified }, binary),
    );
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  it('carries binary bytes through the store unchanged', async () => {
    expect((await proxy.get('/ruled')).body.equals(binary)).toBe(true);
    expect((await proxy.get('/ruled')).body.equals(binary)).toBe(true);
  });

  it('to HEAD is made from the stored GET, without content', async () => {
    const first = await proxy.get('/ruled', { method: 'HEAD' });
    expect(first.headers['content-length']).toBe('4096');
    expect(first.body).toHaveLength(0);
    const second = await proxy.get('/ruled', { method: 'HEAD' });
    expect(second.cacheStatus).toContain('hit');
    expect((await proxy.get('/ruled')).cacheStatus).toContain('hit');
    expect(origin.requests.map((request) => request.method)).toEqual(['GET']);
  });

  it.each([
    ['If-None-Match', { 'If-None-Match': etag }, 304],
    ['If-None-Match in a list, weakly', { 'If-None-Match': '"x", W/"v1"' }, 304],
    ['If-None-Match: *', { 'If-None-Match': '*' }, 304],
    ['another If-None-Match', { 'If-None-Match': '"v2"' }, 200],
    ['If-Modified-Since', { 'If-Modified-Since': lastModified }, 304],
    ['an older If-Modified-Since', { 'If-Modified-Since': 'Sun, 22 Nov 2026 06:00:00 GMT' }, 200],
    ['If-None-Match over If-Modified-Since', { 'If-None-Match': '"v2"', 'If-Modified-Since': lastModified }, 200],
  ])('to %s is the right one, fetched or stored', async (_name, headers, status) => {
    for (const reply of [await proxy.get('/ruled', { headers }), await proxy.get('/ruled', { headers })]) {
      expect(reply.status).toBe(status);
      expect(reply.headers.etag).toBe(etag);
      expect(reply.body).toHaveLength(status === 304 ? 0 : 4096);
    }
    expect(origin.requests).toHaveLength(1);
  });

  it.each([
    ['bytes=0-9', 206, 'bytes 0-9/4096', 10],
    ['bytes=4090-', 206, 'bytes 4090-4095/4096', 6],
    ['bytes=-5', 206, 'bytes 4091-4095/4096', 5],
    ['bytes=4096-', 416, 'bytes */4096', 0],
    ['bytes=0-1,5-6', 200, undefined, 4096],
  ])('to Range: %s is cut from what is stored', async (range, status, contentRange, length) => {
    await proxy.get('/ruled');
    const reply = await proxy.get('/ruled', { headers: { Range: range } });
    expect(reply.status).toBe(status);
    expect(reply.headers['content-range']).toBe(contentRange);
    expect(reply.body).toHaveLength(length);
    expect(reply.cacheStatus).toContain('hit');
    expect(origin.requests).toHaveLength(1);
  });

  it('has Age, Via and the Date of upstream', async () => {
    origin.script(
      answer(
        200,
        { Date: 'Mon, 23 Nov 2026 06:00:00 GMT', Age: '30', 'Cache-Control': 'max-age=600', Via: '1.1 varnish' },
        'x',
      ),
    );
    // Behind the proxies that are nearer to the origin (RFC 9110 §7.6.3).
    expect((await proxy.get('/ruled')).headers.via).toBe('1.1 varnish, 1.1 forecache');
    const reply = await proxy.get('/ruled');
    expect(reply.headers.date).toBe('Mon, 23 Nov 2026 06:00:00 GMT');
    expect(Number(reply.headers.age)).toBeGreaterThanOrEqual(30);
    expect(reply.headers.via).toBe('1.1 varnish, 1.1 forecache');
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('that upstream coded with %s reaches a client that accepts none as identity', async (coding, compress) => {
    origin.script(answer(200, { 'Content-Encoding': coding, ETag: etag }, compress(binary)));
    for (const target of ['/ruled', '/honoured']) {
      origin.script(
        answer(200, { 'Content-Encoding': coding, ETag: etag, 'Cache-Control': 'max-age=60' }, compress(binary)),
      );
      await proxy.get(target, { headers: { 'Accept-Encoding': coding } });
      const reply = await proxy.get(target, { headers: { 'Accept-Encoding': 'identity' } });
      expect(reply.headers['content-encoding']).toBeUndefined();
      expect(reply.headers.etag).toBe('W/"v1"');
      expect(reply.body.equals(binary)).toBe(true);
      expect(reply.cacheStatus).toContain('hit');
    }
  });

  it('keeps the coding on honour routes for a client that accepts it', async () => {
    const coded = gzipSync(binary);
    origin.script(answer(200, { 'Content-Encoding': 'gzip', 'Cache-Control': 'max-age=60' }, coded));
    for (let turn = 0; turn < 2; turn += 1) {
      const reply = await proxy.get('/honoured', { headers: { 'Accept-Encoding': 'gzip' } });
      expect(reply.headers['content-encoding']).toBe('gzip');
      expect(reply.body.equals(coded)).toBe(true);
    }
  });

  it('past maxStoredBytes streams through whole, in every framing, and is not stored', async () => {
    const total = 8 * 1024 * 1024;
    for (const framing of ['content-length', 'chunked', 'close'] as const) {
      origin.script(huge(total, framing));
      const reply = await proxy.get('/ruled');
      expect(reply.body).toHaveLength(total);
      expect(reply.cacheStatus).toContain('detail=too-large');
    }
    expect((await proxy.call('GET', '/api/stored')).body).toMatchObject({ stored: [] });
  });

  it('of the proxy itself is problem+json with its length, and says so in Cache-Status also where no route governs', async () => {
    const reply = await proxy.get('/nowhere');
    expect(reply.status).toBe(404);
    expect(reply.headers['content-type']).toBe('application/problem+json');
    expect(reply.headers['content-length']).toBe(String(reply.body.length));
    expect(JSON.parse(reply.text)).toMatchObject({ status: 404, type: 'urn:forecache:problem:route-not-found' });
    expect(reply.headers['cache-status']).toBe('forecache; detail=route-not-found');
  });
});
