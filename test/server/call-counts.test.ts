import { describe, expect, it } from 'vitest';

import { ShiftedClock } from '../support/shifted-clock.ts';
import { get, startStage, type Stage } from '../support/hostile.ts';
import { brokenBodies, limitHits, samples, upstreamCalls } from '../support/metrics.ts';
import { answer, inTurn, type OriginScript, truncated } from '../support/origin.ts';

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 1MiB }
  - { name: stale, match: /e/*, upstream: api, ttl: 10m, staleIfError: 1h, retain: 24h }
  - { name: streamed, match: /s/*, upstream: api, ttl: 10m, maxStoredBytes: 4 }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
  - { name: warmed, match: /w, upstream: api, ttl: 10m, query: { place: { type: text } } }`;

/** Streams begin and hold their connection; everything else is answered. */
const holding: OriginScript = (request, peer) =>
  request.target.startsWith('/s/')
    ? peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin')
    : peer.respond(200, {}, 'ok');

const reset: OriginScript = (_request, peer) => peer.reset();

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Takes the only connection of the upstream, until the test ends. */
async function occupy(stage: Stage): Promise<Disposable> {
  const connection = await stage.open();
  await connection.send(get('/s/held'));
  await expect.poll(() => connection.received.toString('latin1')).toContain('begin');
  return connection;
}

describe('A request that waits in vain for a connection', () => {
  it('is a 504 of its own kind, counted as no call and as a hit of the limit', async () => {
    await using stage = await startStage({
      routes,
      script: holding,
      upstream: 'maxConnections: 1, timeout: 300ms, bodyTimeout: 5s',
    });
    using held = await occupy(stage);
    expect(held).toBeDefined();
    const reply = await stage.get('/c/waits');
    expect([reply.status, JSON.parse(reply.text)]).toMatchObject([
      504,
      { type: 'urn:forecache:problem:upstream-busy' },
    ]);
    expect(reply.cacheStatus).toBe('forecache; fwd=uri-miss; detail=busy');
    expect(stage.asked()).toEqual(['/s/held']);
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
    expect(await limitHits(stage.admin)).toEqual({ 'upstreams.maxConnections': 1, 'routes.maxStoredBytes': 1 });
  });

  it('gets what is stored, where staleIfError allows', async () => {
    const clock = new ShiftedClock();
    await using stage = await startStage({
      clock,
      routes,
      script: holding,
      upstream: 'maxConnections: 1, timeout: 300ms, bodyTimeout: 5s',
    });
    await stage.get('/e/x');
    clock.advance(20 * 60_000);
    using held = await occupy(stage);
    expect(held).toBeDefined();
    const reply = await stage.get('/e/x');
    expect([reply.status, reply.text]).toEqual([200, 'ok']);
    expect(reply.cacheStatus).toContain('detail=stale-error');
    expect(sum(await upstreamCalls(stage.admin))).toBe(stage.asked().length);
  });
});

describe.each(['c', 'r'])('Calls of /%s', (route) => {
  it('are as many as upstream got, those sent again on a new connection too', async () => {
    const script = inTurn(answer(200, {}, 'first'), reset, answer(200, {}, 'again'));
    await using stage = await startStage({ routes, script });
    await stage.get(`/${route}/1`);
    expect((await stage.get(`/${route}/2`)).text).toBe('again');
    expect(stage.asked()).toHaveLength(3);
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 2, reset: 1 });
    const { body } = await stage.call('GET', '/api/metrics/cache');
    expect(body).toMatchObject({ upstream_calls: 3 });
  });

  it('are none where no connection could be made, but by their results', async () => {
    await using stage = await startStage({ routes });
    await stage.origin.close();
    expect((await stage.get(`/${route}/1`)).status).toBe(502);
    expect(await upstreamCalls(stage.admin)).toEqual({ connect: 1 });
    const { body } = await stage.call('GET', '/api/metrics/cache');
    expect(body).toMatchObject({ errors: 1, upstream_calls: 0, upstream_calls_background: 0 });
  });

  it('hold the request that a kept connection lost, but not the new connection that could not be made', async () => {
    const closing: OriginScript = (_request, peer) => {
      void stage.origin.close();
      peer.reset();
    };
    await using stage = await startStage({ routes, script: inTurn(answer(200, {}, 'first'), closing) });
    await stage.get(`/${route}/1`);
    expect((await stage.get(`/${route}/2`)).status).toBe(502);
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1, reset: 1, connect: 1 });
    const { body } = await stage.call('GET', '/api/metrics/cache');
    expect(body).toMatchObject({ upstream_calls: stage.asked().length });
    expect(stage.asked()).toHaveLength(2);
  });

  it('whose content breaks off show as such', async () => {
    await using stage = await startStage({ routes, script: truncated('content-length', 'fin') });
    await stage.get(`/${route}/1`).catch(() => undefined);
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
    await expect.poll(() => brokenBodies(stage.admin)).toEqual({ truncated: 1 });
    const all = await samples(stage.admin);
    expect(all.get('forecache_upstream_broken_bodies_total{upstream="api",failure="truncated"}')).toBe(1);
  });

  it('that end well, or with their client, are no broken ones', async () => {
    await using stage = await startStage({ routes, script: answer(200, {}, 'x'.repeat(100_000)) });
    await stage.get(`/${route}/1`);
    expect(await brokenBodies(stage.admin)).toEqual({});
  });
});

describe('Calls that no client waits for', () => {
  it.each([
    ['of warming that reached upstream are taken off what was avoided', true, 1, -1],
    ['of warming that found no connection are not', false, 0, 0],
  ])('%s', async (_what, isThere, background, avoided) => {
    await using stage = await startStage({ routes, script: answer(500, {}, 'oops') });
    await (isThere ? Promise.resolve() : stage.origin.close());
    const warmed = await stage.call('POST', '/api/warm', { route: 'warmed', with: [{ place: 'berlin' }] });
    expect(warmed).toMatchObject({ status: 200, body: { fetched: 0, failed: 1 } });
    const { body } = await stage.call('GET', '/api/metrics/cache');
    const counted = { upstream_calls_background: background, upstream_calls_avoided: avoided };
    expect(body).toMatchObject({ ...counted, routes: { warmed: counted } });
  });
});

describe('A client that goes', () => {
  it.each(['s', 'r'])('in the middle of /%s does not make its answer a broken one', async (route) => {
    await using stage = await startStage({
      routes,
      script: (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin'),
    });
    using connection = await stage.open();
    await connection.send(get(`/${route}/1`));
    await expect.poll(() => connection.received.toString('latin1')).toContain('begin');
    connection.socket.destroy();
    await expect.poll(() => stage.origin.openConnections).toBe(0);
    expect(await brokenBodies(stage.admin)).toEqual({});
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
  });
});
