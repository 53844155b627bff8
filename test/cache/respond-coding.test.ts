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

describe('a stored content coding that a client does not accept', () => {
  it('is taken off, with a weak ETag and one Accept-Ranges of our own', async () => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const identity = await proxy.get('/h/a');
    expect(identity.text).toBe(text);
    expect(identity.headers.etag).toBe('W/"v1"');
    expect(identity.headers['accept-ranges']).toBe('bytes');
    expect(identity.headers['content-encoding']).toBeUndefined();
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
    const whole = await proxy.get('/h/a', { headers: { range: 'bytes=0-9', 'if-range': validator } });
    expect(whole.status).toBe(200);
    expect(whole.text).toBe(text);
  });

  it('is cut where the client states no condition, and cut as coded for who accepts it', async () => {
    await using origin = await startOrigin(coded);
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    await proxy.get('/h/a', { headers: { 'accept-encoding': 'gzip' } });
    const part = await proxy.get('/h/a', { headers: { range: 'bytes=0-9' } });
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
