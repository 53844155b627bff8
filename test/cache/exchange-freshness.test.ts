import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { answer, inTurn, type Origin, type OriginScript, silent, startOrigin, truncated } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const routes = `
  - { name: plain, match: /plain, upstream: api, ttl: 1h, retain: 24h, query: { q: { type: text, fold: true } }, unknownQuery: drop }
  - { name: swr, match: /swr, upstream: api, ttl: 1h, staleWhileRevalidate: 10m, retain: 24h }
  - { name: sie, match: /sie, upstream: api, ttl: 1h, staleIfError: 6h, retain: 24h }
  - { name: capped, match: /capped, upstream: api, ttl: 1h, staleIfError: 6h, staleWhileRevalidate: 6h, retain: 2h }
  - { name: statuses, match: /statuses, upstream: api, ttl: 1h, statusTtl: { 404: 1m, 503: 10s } }
  - { name: checked, match: /checked, upstream: api, ttl: 1h, staleIfError: 6h, retain: 24h,
      storeIf: { exists: ["$.data"], absent: ["$.error"] } }
`;

const fields = { 'Content-Type': 'application/json' };

describe('a response on a ruled route', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let clock: ShiftedClock;

  beforeEach(async () => {
    clock = new ShiftedClock();
    origin = await startOrigin(answer(200, fields, '{"v":1}'));
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  async function metrics(): Promise<string> {
    return (await fetch(`${proxy.admin}/metrics`)).text();
  }

  async function servesFrom(script: OriginScript, target: string): Promise<void> {
    origin.script(script);
    await proxy.get(target);
  }

  it('is fetched once and then answered from store until its ttl has passed', async () => {
    const first = await proxy.get('/plain?q=a');
    expect(first.cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    clock.advance(59 * MINUTE);
    const second = await proxy.get('/plain?q=a');
    expect(second.cacheStatus).toMatch(/^forecache; hit; ttl=\d+; detail=memory$/);
    expect(Number(second.headers.age)).toBeGreaterThanOrEqual(59 * 60);
    expect(second.text).toBe('{"v":1}');
    expect(origin.requests.length).toBe(1);
    clock.advance(2 * MINUTE);
    const third = await proxy.get('/plain?q=a');
    expect(third.cacheStatus).toBe('forecache; fwd=stale; stored');
    expect(origin.requests.length).toBe(2);
  });

  it('is shared by all spellings that mean the same', async () => {
    for (const query of ['q=New%20York', 'q=new+york', 'utm=1&q=%20NEW%20%20YORK', 'q=n%65w%20york']) {
      await proxy.get(`/plain?${query}`);
    }
    expect(origin.requests.length).toBe(1);
  });

  it('is served stale at once while one request refreshes it behind', async () => {
    await proxy.get('/swr');
    clock.advance(HOUR + MINUTE);
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, fields, '{"v":2}');
    });
    const stale = await Promise.all([proxy.get('/swr'), proxy.get('/swr'), proxy.get('/swr')]);
    for (const reply of stale) {
      expect(reply.text).toBe('{"v":1}');
      expect(reply.cacheStatus).toMatch(/^forecache; hit; ttl=-\d+; detail=memory$/);
    }
    await origin.arrived(2);
    gate.resolve();
    await expect.poll(async () => (await proxy.get('/swr')).text).toBe('{"v":2}');
    expect(origin.requests.length).toBe(2);
  });

  it('is refreshed behind even when the client that triggered it goes at once', async () => {
    await proxy.get('/swr');
    clock.advance(HOUR + MINUTE);
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, fields, '{"v":2}');
    });
    await proxy.get('/swr');
    await origin.arrived(2);
    // The only client has its answer and has closed its connection.
    gate.resolve();
    await expect.poll(async () => (await proxy.get('/swr')).text).toBe('{"v":2}');
  });

  it('is refreshed again a second after that failed, though the clock be set back meanwhile', async () => {
    await proxy.get('/swr');
    clock.advance(HOUR + 9 * MINUTE);
    await servesFrom(answer(500, {}, 'no'), '/swr');
    await origin.arrived(2);
    await expect.poll(metrics).toMatch(/^forecache_upstream_calls_total\{.*result="5xx".*\} 1$/m);
    origin.script(answer(200, fields, '{"v":2}'));
    clock.setWall(-8 * MINUTE);
    // It is not tried with each request.
    for (let time = 0; time < 5; time += 1) expect((await proxy.get('/swr')).text).toBe('{"v":1}');
    expect(origin.requests.length).toBe(2);
    clock.advance(1000);
    await expect.poll(async () => (await proxy.get('/swr')).text).toBe('{"v":2}');
    expect(origin.requests.length).toBe(3);
  });

  it('is not served stale beyond the window', async () => {
    await proxy.get('/swr');
    clock.advance(HOUR + 11 * MINUTE);
    const reply = await proxy.get('/swr');
    expect(reply.cacheStatus).toBe('forecache; fwd=stale; stored');
  });

  const faults: readonly (readonly [string, OriginScript, string])[] = [
    ['500', answer(500, {}, 'no'), 'fwd-status=500; '],
    ['502', answer(502, {}, 'no'), 'fwd-status=502; '],
    ['503', answer(503, {}, 'no'), 'fwd-status=503; '],
    ['429', answer(429, { 'Retry-After': '30' }, 'no'), 'fwd-status=429; '],
    ['a connection that is reset', (_request, peer) => peer.reset(), ''],
    ['a malformed answer', (_request, peer) => peer.write('HTTP/1.1 banana\r\n\r\n'), ''],
    ['a truncated answer (Content-Length)', truncated('content-length', 'fin'), ''],
    ['a truncated answer (chunked)', truncated('chunked', 'rst'), ''],
  ];

  it.each(faults)('is served stale when upstream gives %s', async (_name, script, fwdStatus) => {
    await proxy.get('/sie');
    clock.advance(2 * HOUR);
    origin.script(script);
    const reply = await proxy.get('/sie');
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('{"v":1}');
    expect(reply.cacheStatus).toMatch(new RegExp(`^forecache; fwd=stale; ${fwdStatus}ttl=-\\d+; detail=stale-error$`));
  });

  it('is served stale when upstream cannot be connected to', async () => {
    await proxy.get('/sie');
    clock.advance(2 * HOUR);
    await origin.close();
    const reply = await proxy.get('/sie');
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('{"v":1}');
  });

  it('is an error once stale-if-error has passed', async () => {
    await proxy.get('/sie');
    clock.advance(8 * HOUR);
    await origin.close();
    const reply = await proxy.get('/sie');
    expect(reply.status).toBe(502);
    expect(JSON.parse(reply.text)).toMatchObject({ type: 'urn:forecache:problem:upstream-unreachable', status: 502 });
  });

  it('is never used past retain, whatever the stale windows say', async () => {
    await proxy.get('/capped');
    clock.advance(2 * HOUR + 1_000);
    await origin.close();
    expect((await proxy.get('/capped')).status).toBe(502);
  });

  it('keeps an error only where the route names its status, and only that long', async () => {
    await servesFrom(answer(404, {}, 'none'), '/statuses');
    expect((await proxy.get('/statuses')).cacheStatus).toMatch(/^forecache; hit; ttl=\d+/);
    clock.advance(61_000);
    expect((await proxy.get('/statuses')).cacheStatus).toBe('forecache; fwd=stale; stored');
    await servesFrom(answer(404, {}, 'none'), '/plain?q=404');
    expect((await proxy.get('/plain?q=404')).cacheStatus).toContain('fwd=uri-miss');
  });

  it('does not let an error status replace what could be served stale', async () => {
    await proxy.get('/sie');
    clock.advance(2 * HOUR);
    await servesFrom(answer(503, {}, 'down'), '/sie');
    expect((await proxy.get('/sie')).text).toBe('{"v":1}');
  });

  it('passes a 200 that is an error on without storing it', async () => {
    origin.script(
      inTurn(
        answer(200, fields, '{"error":"quota"}'),
        answer(200, fields, '{warn=Not found}\n'),
        answer(200, fields, '{"data":1}'),
      ),
    );
    expect((await proxy.get('/checked')).cacheStatus).toBe('forecache; fwd=uri-miss; detail=path-missing');
    expect((await proxy.get('/checked')).cacheStatus).toBe('forecache; fwd=uri-miss; detail=not-json');
    expect((await proxy.get('/checked')).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect((await proxy.get('/checked')).cacheStatus).toContain('hit');
  });

  it('takes a 200 that is an error for a failure where a stale response may stand in', async () => {
    await servesFrom(answer(200, fields, '{"data":1}'), '/checked');
    clock.advance(2 * HOUR);
    origin.script(answer(200, fields, '{"error":"quota"}'));
    expect((await proxy.get('/checked')).text).toBe('{"data":1}');
  });

  it('is replayed without cookies, quota and hop-by-hop fields', async () => {
    origin.script(
      answer(
        200,
        {
          ...fields,
          'Set-Cookie': 'CMPS=1',
          'Rate-Limit-Available': '7',
          'X-RateLimit-Remaining': '3',
          Connection: 'X-Hop',
          'X-Hop': '1',
        },
        '{}',
      ),
    );
    for (const reply of [await proxy.get('/plain'), await proxy.get('/plain')]) {
      expect(Object.keys(reply.headers)).not.toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^(set-cookie|rate-limit-available|x-ratelimit-remaining|x-hop)$/),
        ]),
      );
    }
  });

  it('answers 504 when upstream does not answer in time and nothing is stored', async () => {
    const quick = yamlFor(origin.url, routes).replace('timeout: 5s', 'timeout: 200ms');
    await using impatient = await startTestProxy({ yaml: quick });
    origin.script(silent);
    const reply = await impatient.get('/plain');
    expect(reply.status).toBe(504);
    expect(reply.headers['content-type']).toBe('application/problem+json');
    expect(reply.cacheStatus).toBe('forecache; fwd=uri-miss; detail=timeout');
  });
});
