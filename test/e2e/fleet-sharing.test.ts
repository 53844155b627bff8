import { describe, expect, it } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { leased, startFleet, type FleetOptions, type Sidecar } from '../support/fleet.ts';
import { answer, gated, startOrigin, type Origin } from '../support/origin.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

buildFirst();

/** Three processes of the built program on one Redis. */
async function fleetOf(
  origin: Origin,
  redis: Pick<RedisProcess, 'url'>,
  more = '',
  options: Pick<FleetOptions, 'routes' | 'timeout'> = {},
): Promise<readonly [Sidecar, Sidecar, Sidecar]> {
  const text = `{ url: "${redis.url}"${more} }`;
  const fleet = await startFleet({ count: 3, redis: text, origin: origin.url, ...options });
  const [first, second, third] = fleet;
  if (first === undefined || second === undefined || third === undefined) throw new Error('no fleet of three');
  return [first, second, third];
}

/** All of it shares the cores of one machine: what takes long there is no fault of Redis. */
const patient = ', timeout: 500ms';

/** Nor is it one of upstream, which answers when all have asked. */
const waitsForAll = { timeout: '60s' };

/** What upstream says, and by what its answers differ. */
const variedRoute = `
  - name: forecast
    match: /*
    upstream: api
    upstreamCacheControl: honour
    forwardHeaders: [accept-language]
`;

const body = JSON.stringify({ temperatures: Array.from({ length: 400 }, (_, hour) => hour / 10) });

describe('a fleet on one Redis', () => {
  it('serves everywhere what one of it has fetched, from Redis first and from memory then', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, { 'content-type': 'application/json' }, body));
    const [first, second, third] = await fleetOf(origin, redis, patient);
    expect((await first.get('/forecast?location=Berlin')).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    // The write to Redis is behind the answer.
    await expect
      .poll(async () => (await second.get('/forecast?location=berlin')).cacheStatus)
      .toMatch(/^forecache; hit; ttl=(35\d\d|3600); detail=(redis|memory)$/);
    const shared = await third.get('/forecast?location=%20BERLIN');
    expect(shared.cacheStatus).toMatch(/^forecache; hit; ttl=(35\d\d|3600); detail=redis$/);
    expect(shared.text).toBe(body);
    expect(shared.headers['content-type']).toBe('application/json');
    expect(Number(shared.headers['age'])).toBeLessThan(60);
    const again = await third.get('/forecast?location=berlin');
    expect(again.cacheStatus).toMatch(/^forecache; hit; ttl=(35\d\d|3600); detail=memory$/);
    expect(origin.requests).toHaveLength(1);
  });

  it('gives a process that starts later, and one that starts again, what is in Redis', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, {}, 'kept'));
    const [first, second] = await fleetOf(origin, redis, patient);
    await first.get('/forecast?location=berlin');
    await first.process.stop();
    await expect.poll(async () => (await second.get('/forecast?location=berlin')).cacheStatus).toContain('hit');
    const [late] = await startFleet({ count: 1, redis: `{ url: "${redis.url}"${patient} }`, origin: origin.url });
    expect((await late?.get('/forecast?location=berlin'))?.cacheStatus).toMatch(/hit; ttl=\d+; detail=redis/);
    expect(origin.requests).toHaveLength(1);
  });

  it('makes one upstream call of 3 times 200 requests at once for what nobody has', async () => {
    await using redis = await startRedis();
    const gate = Promise.withResolvers<void>();
    await using origin = await startOrigin(gated(gate.promise, answer(200, {}, 'once')));
    const fleet = await fleetOf(origin, redis, patient, waitsForAll);
    const asked = fleet.flatMap((sidecar) => Array.from({ length: 200 }, () => sidecar.get('/cold?location=lima')));
    await origin.arrived(1);
    await expect.poll(async () => inFlight(await Promise.all(fleet.map((one) => one.metrics())))).toBe(600);
    gate.resolve();
    const replies = await Promise.all(asked);
    expect(new Set(replies.map((reply) => `${reply.status} ${reply.text}`))).toEqual(new Set(['200 once']));
    expect(origin.requests).toHaveLength(1);
    expect(replies.filter((reply) => reply.cacheStatus === 'forecache; fwd=uri-miss; stored')).toHaveLength(1);
  });

  it('makes one upstream call where upstream varies, however large what it answers is', async () => {
    await using redis = await startRedis();
    const gate = Promise.withResolvers<void>();
    const large = JSON.stringify(Array.from({ length: 60_000 }, (_, index) => (index * 7919) % 100_003));
    const fields = { 'cache-control': 'max-age=600', vary: 'accept-language', 'content-type': 'application/json' };
    await using origin = await startOrigin(gated(gate.promise, answer(200, fields, large)));
    const fleet = await fleetOf(origin, redis, patient, { ...waitsForAll, routes: variedRoute });
    const headers = { 'accept-language': 'de' };
    const asked = fleet.flatMap((sidecar) => Array.from({ length: 30 }, () => sidecar.get('/cold', { headers })));
    await origin.arrived(1);
    await expect.poll(async () => inFlight(await Promise.all(fleet.map((one) => one.metrics())))).toBe(90);
    gate.resolve();
    const replies = await Promise.all(asked);
    expect(new Set(replies.map(({ status, text }) => `${status} ${text === large}`))).toEqual(new Set(['200 true']));
    expect(origin.requests).toHaveLength(1);
    expect(replies.filter(({ cacheStatus }) => cacheStatus.endsWith('detail=redis'))).toHaveLength(60);
  });

  it('makes one upstream call where Redis is so far away that the budget has room for one question only', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    await using origin = await startOrigin(answer(200, {}, 'once'));
    // As 30 ms are to the budget of 50 ms that there is by default.
    const fleet = await fleetOf(origin, { url: `redis://127.0.0.1:${proxy.port}` }, ', timeout: 200ms');
    proxy.latency(60);
    await Promise.all(fleet.map((sidecar) => leased(sidecar)));
    let round = 0;
    const callsOfRound = async (): Promise<number> => {
      round += 1;
      const target = `/cold?location=lima${round}`;
      const asked = fleet.flatMap((sidecar) => Array.from({ length: 10 }, () => sidecar.get(target)));
      const replies = await Promise.all(asked);
      expect(new Set(replies.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['200 once']));
      return origin.requests.filter((request) => request.target === target).length;
    };
    // A machine that is busy may be late for a round; two questions after each other are late for each of them.
    await expect.poll(callsOfRound, { timeout: 10_000 }).toBe(1);
  });

  it('keeps nobody waiting for much longer than upstream’s timeout where upstream hangs', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(() => new Promise(() => undefined));
    const fleet = await fleetOf(origin, redis, patient);
    const [first, ...others] = fleet;
    const started = performance.now();
    const asked = [first.get('/cold?location=lima')];
    await origin.arrived(1);
    asked.push(...others.map((sidecar) => sidecar.get('/cold?location=lima')));
    const replies = await Promise.all(asked);
    expect(replies.map(({ status }) => status)).toEqual([504, 504, 504]);
    expect(performance.now() - started).toBeLessThan(8000);
    expect(origin.requests).toHaveLength(1);
  });

  it('has who asks after a purge fetch at once, and not wait for a fetch that the purge has made useless', async () => {
    await using redis = await startRedis();
    const gate = Promise.withResolvers<void>();
    await using origin = await startOrigin(gated(gate.promise, answer(200, {}, 'old')));
    const [first, second] = await fleetOf(origin, redis, patient);
    const early = first.get('/cold?location=lima');
    await origin.arrived(1);
    origin.script(answer(200, {}, 'new'));
    expect((await second.call('/api/purge', { tags: ['location:lima'] })).status).toBe(200);
    expect((await second.get('/cold?location=lima')).text).toBe('new');
    gate.resolve();
    expect((await early).text).toBe('old');
    expect((await first.get('/cold?location=lima')).text).toBe('new');
  });

  it('answers everybody when the process that fetches for all is killed, with at most two calls', async () => {
    await using redis = await startRedis();
    const gate = Promise.withResolvers<void>();
    await using origin = await startOrigin(gated(gate.promise, answer(200, {}, 'after all')));
    const [filler, ...others] = await fleetOf(origin, redis, patient, waitsForAll);
    const lost = Promise.allSettled([filler.get('/cold?location=lima')]);
    await origin.arrived(1);
    const asked = others.flatMap((sidecar) => Array.from({ length: 50 }, () => sidecar.get('/cold?location=lima')));
    await expect.poll(async () => inFlight(await Promise.all(others.map((one) => one.metrics())))).toBe(100);
    process.kill(filler.pid, 'SIGKILL');
    await lost;
    await origin.arrived(2);
    gate.resolve();
    const replies = await Promise.all(asked);
    expect(new Set(replies.map((reply) => `${reply.status} ${reply.text}`))).toEqual(new Set(['200 after all']));
    expect(origin.requests).toHaveLength(2);
  });

  it('makes at most one call for each process when Redis has just gone', async () => {
    await using redis = await startRedis();
    const gate = Promise.withResolvers<void>();
    await using origin = await startOrigin(gated(gate.promise, answer(200, {}, 'alone')));
    // A lease that outlives what 600 requests take to come: behind its end each burst of them has a call of its own.
    const fleet = await fleetOf(origin, redis, ', lease: 20s', waitsForAll);
    await redis.kill();
    const asked = fleet.flatMap((sidecar) => Array.from({ length: 200 }, () => sidecar.get('/cold?location=lima')));
    await origin.arrived(3);
    await expect.poll(async () => inFlight(await Promise.all(fleet.map((one) => one.metrics())))).toBe(600);
    gate.resolve();
    const replies = await Promise.all(asked);
    expect(new Set(replies.map((reply) => `${reply.status} ${reply.text}`))).toEqual(new Set(['200 alone']));
    expect(origin.requests.length).toBeLessThanOrEqual(3);
  });
});

function inFlight(expositions: readonly string[]): number {
  const numbers = expositions.map((text) => Number(/^forecache_requests_in_flight (\d+)$/m.exec(text)?.[1]));
  return numbers.reduce((sum, one) => sum + one, 0);
}
