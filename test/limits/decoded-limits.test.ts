import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';

import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { openRaw, type RawConnection } from '../support/raw.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const identity = { 'accept-encoding': 'identity' };

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 1h }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, maxStoredBytes: 2MiB }
`;

/** Upstream has of `/h/N` N spaces in gzip, and answers `/c/*` when the test has ended. At most 4 MiB are decoded at once. */
async function start(more = 'store: { memory: { maxBytes: 16MiB } }') {
  const hung = Promise.withResolvers<void>();
  const origin = await startOrigin(async ({ target }, peer) => {
    if (target.startsWith('/c/')) {
      await hung.promise;
      return peer.respond(200, {}, 'late');
    }
    const bytes = Number(target.slice('/h/'.length));
    const fields = { 'Content-Encoding': 'gzip', 'Cache-Control': 'max-age=600', ETag: '"v1"' };
    return peer.respond(200, fields, gzipSync(Buffer.alloc(bytes, ' ')));
  });
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({
    yaml: yamlFor(origin.url, routes, more).replace('timeout: 5s', 'timeout: 60s'),
  });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  // Before the proxy is stopped, which waits for its calls.
  onTestFinished(() => hung.resolve());
  const warm = (bytes: number) => proxy.get(`/h/${bytes}`, { headers: { 'accept-encoding': 'gzip' } });
  const inFlight = async () => (await samples(proxy.admin)).get('forecache_requests_in_flight');
  /** What is decoded for it is not sent before the answer that stands in front of it, which never comes. */
  const hold = async (bytes: number): Promise<RawConnection> => {
    await warm(bytes);
    const before = (await inFlight()) ?? 0;
    const connection = await openRaw(proxy.origin);
    onTestFinished(() => connection[Symbol.dispose]());
    const asked = ['/c/hangs', `/h/${bytes}`].map(
      (target) => `GET ${target} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n`,
    );
    await connection.send(asked.join(''));
    await expect.poll(inFlight).toBe(before + 2);
    // Whoever asks for the same thing gets it when it is decoded.
    expect((await proxy.get(`/h/${bytes}`, { headers: identity })).status).toBe(200);
    return connection;
  };
  return { origin, proxy, warm, hold, inFlight };
}

describe('Content that is decoded for clients', () => {
  it('exactly server.decodedBytes are held of what is decoded and not sent, one byte more is a 429', async () => {
    const { proxy, warm, hold, inFlight } = await start();
    const first = await hold(2 * MiB);
    await warm(MiB);
    await warm(MiB + 1);
    const whole = await proxy.get(`/h/${MiB}`, { headers: identity });
    expect([whole.status, whole.body.length]).toEqual([200, MiB]);
    expect(await limitHits(proxy.admin)).toEqual({});
    const past = await proxy.get(`/h/${MiB + 1}`, { headers: identity });
    expect([past.status, past.headers['retry-after'], JSON.parse(past.text)]).toMatchObject([
      429,
      '1',
      { type: 'urn:forecache:problem:too-much-decoded', limit: 4 * MiB },
    ]);
    expect(past.cacheStatus).toBe('forecache; detail=too-much-decoded');
    expect(await limitHits(proxy.admin)).toEqual({ 'server.decodedBytes': 1 });
    expect(await outcomes(proxy.admin)).toMatchObject({ rejected: 1 });
    // What needs no decoding is there as ever, and all of it again when the client has gone.
    expect((await proxy.get(`/h/${MiB + 1}`, { headers: { 'accept-encoding': 'gzip' } })).status).toBe(200);
    expect((await proxy.get(`/h/${MiB + 1}`, { method: 'HEAD', headers: identity })).status).toBe(200);
    const held = await inFlight();
    first.socket.destroy();
    await expect.poll(inFlight).toBe((held ?? 0) - 2);
    expect((await proxy.get(`/h/${MiB + 1}`, { headers: identity })).body.length).toBe(MiB + 1);
  });

  it('is given back however its answer ends, so that what is held at once stays right', async () => {
    const { proxy, hold, inFlight } = await start();
    for (let turn = 0; turn < 4; turn += 1) {
      const connection = await hold(2 * MiB - turn);
      const part = await proxy.get(`/h/${2 * MiB - turn}`, { headers: { ...identity, range: 'bytes=1-2' } });
      expect([part.status, part.text]).toEqual([206, '  ']);
      connection.socket.destroy();
      await expect.poll(inFlight).toBe(0);
    }
    // By the fast lane, where a head comes again and again on one connection.
    using kept = await openRaw(proxy.origin);
    for (let turn = 0; turn < 8; turn += 1) {
      await kept.send(`GET /h/${2 * MiB - (turn % 4)} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n`);
      expect((await kept.reply()).body.length).toBe(2 * MiB - (turn % 4));
    }
    expect(await limitHits(proxy.admin)).toEqual({});
  });

  it('is counted by who is still there: a client that goes before its turn on the fast lane holds nothing', async () => {
    const { proxy, warm, inFlight } = await start();
    const bytes = 2 * MiB;
    await warm(bytes);
    for (let turn = 0; turn < 6; turn += 1) {
      const connection = await openRaw(proxy.origin);
      const asked = `GET /h/${bytes} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n`;
      await connection.send(asked);
      await connection.reply();
      await connection.send(asked);
      await connection.reply();
      connection.socket.pause();
      await connection.send(asked);
      connection.socket.destroy();
      await once(connection.socket, 'close');
    }
    await expect.poll(inFlight).toBe(0);
    expect((await proxy.get(`/h/${bytes}`, { headers: identity })).body.length).toBe(bytes);
    expect(await limitHits(proxy.admin)).toEqual({});
  });
});
