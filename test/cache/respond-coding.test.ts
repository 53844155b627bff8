import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';

const text = JSON.stringify({ numbers: Array.from({ length: 200 }, (_, index) => index) });
const modified = new Date(Date.now() - 3_600_000).toUTCString();
const coded = answer(
  200,
  {
    'Content-Type': 'application/json',
    'Content-Encoding': 'gzip',
    'Cache-Control': 'max-age=600',
    'Accept-Ranges': 'none',
    Date: new Date().toUTCString(),
    'Last-Modified': modified,
    ETag: '"v1"',
  },
  gzipSync(text),
);
const routes = '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }';

const identity = { 'accept-encoding': 'identity' };

describe('a stored content coding that a client’s Accept-Encoding rules out', () => {
  it('is taken off, with a weak ETag and one Accept-Ranges of our own', async () => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const plain = await proxy.get('/h/a', { headers: identity });
    expect(plain.text).toBe(text);
    expect(plain.headers.etag).toBe('W/"v1"');
    expect(plain.headers['accept-ranges']).toBe('bytes');
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(origin.requests).toHaveLength(1);
  });

  it.each([
    ['its strong ETag', '"v1"'],
    ['its weak ETag', 'W/"v1"'],
    ['its Last-Modified', modified],
  ])('is no form whose parts an If-Range with %s may join (RFC 9110 §13.1.5)', async (_what, validator) => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const whole = await proxy.get('/h/a', { headers: { ...identity, range: 'bytes=0-9', 'if-range': validator } });
    expect(whole.status).toBe(200);
    expect(whole.text).toBe(text);
  });

  it('is cut where the client states no condition, and cut as coded for who accepts it', async () => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const part = await proxy.get('/h/a', { headers: { ...identity, range: 'bytes=0-9' } });
    expect(part.status).toBe(206);
    expect(part.text).toBe(text.slice(0, 10));
    expect(part.headers.etag).toBe('W/"v1"');
    expect(part.headers['accept-ranges']).toBe('bytes');
    const asCoded = await proxy.get('/h/a', {
      headers: { range: 'bytes=0-9', 'if-range': '"v1"', 'accept-encoding': 'gzip' },
    });
    expect(asCoded.status).toBe(206);
    expect(asCoded.body.equals(gzipSync(text).subarray(0, 10))).toBe(true);
  });
});

describe('a HEAD that rules the stored coding out', () => {
  it('has the fields of its GET but for the length, which only decoding would tell (RFC 9110 §9.3.2)', async () => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const whole = await proxy.get('/h/a', { headers: identity });
    const head = await proxy.get('/h/a', { method: 'HEAD', headers: { ...identity, range: 'bytes=0-9' } });
    const { 'content-length': length, ...others } = whole.headers;
    expect(length).toBe(String(text.length));
    expect([head.status, head.body.length, head.headers]).toEqual([200, 0, others]);
    const none = await proxy.get('/h/a', { method: 'HEAD', headers: { ...identity, 'if-none-match': '"v1"' } });
    expect(none.status).toBe(304);
    // As the client takes it, it has the length of that.
    const asCoded = await proxy.get('/h/a', { method: 'HEAD', headers: { 'accept-encoding': 'gzip' } });
    expect(asCoded.headers['content-length']).toBe(String(gzipSync(text).length));
  });

  it('does not decode what its GET would be refused for', async () => {
    const fields = { 'content-encoding': 'gzip', 'cache-control': 'max-age=600' };
    await using origin = await startOrigin(answer(200, fields, Buffer.from('no gzip at all')));
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    expect((await proxy.get('/h/a', { headers: identity })).status).toBe(502);
    expect((await proxy.get('/h/a', { method: 'HEAD', headers: identity })).status).toBe(200);
  });
});

describe('content stays as upstream coded it', () => {
  const noTransform = { 'cache-control': 'max-age=600, no-transform' };
  it.each<[string, Record<string, string>, Record<string, string>]>([
    ['for a client without Accept-Encoding, which takes any coding (RFC 9110 §12.5.3)', {}, {}],
    ['where the answer says no-transform (RFC 9111 §5.2.2.6)', noTransform, identity],
    [
      'where it says no-transform beside a CDN-Cache-Control, which is about other things',
      { ...noTransform, 'cdn-cache-control': 'max-age=600' },
      identity,
    ],
    ['where the request says no-transform (RFC 9111 §5.2.1.6)', {}, { ...identity, 'cache-control': 'No-Transform' }],
  ])('%s', async (_when, upstream, headers) => {
    const body = gzipSync(text);
    await using origin = await startOrigin(
      answer(200, { 'content-encoding': 'gzip', 'cache-control': 'max-age=600', etag: '"v1"', ...upstream }, body),
    );
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    for (const from of ['fwd=uri-miss', 'hit']) {
      const reply = await proxy.get('/h/a', { headers });
      expect(reply.cacheStatus).toContain(from);
      expect([reply.headers['content-encoding'], reply.headers.etag]).toEqual(['gzip', '"v1"']);
      expect(reply.body.equals(body)).toBe(true);
    }
    expect(origin.requests).toHaveLength(1);
  });

  it('and loses its coding where neither says so, also if CDN-Cache-Control has a no-transform', async () => {
    const fields = { 'content-encoding': 'gzip', 'cdn-cache-control': 'max-age=600, no-transform' };
    await using origin = await startOrigin(answer(200, fields, gzipSync(text)));
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    for (let turn = 0; turn < 2; turn += 1) {
      const reply = await proxy.get('/h/a', { headers: identity });
      expect([reply.headers['content-encoding'], reply.text]).toEqual([undefined, text]);
    }
  });
});
