import { setTimeout as sleep } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { get, startStage } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import { answer, gated, startOrigin } from '../support/origin.ts';
import { startTestProxy } from '../support/proxy.ts';
import { openRaw } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';

it.each(['/c', '/h'])(
  'A fetch of %s that waits for a connection is not made when all who asked for it have gone',
  async (route) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      upstream: 'maxConnections: 1',
      script: gated(gate.promise, answer(200, { 'Cache-Control': 'max-age=60' }, 'x')),
    });
    const first = stage.get(`${route}/first`);
    await stage.origin.arrived(1);
    const targets = ['left', 'left', 'kept', 'kept', 'last'];
    const clients = await Promise.all(targets.map(() => stage.open()));
    for (const [index, client] of clients.entries()) await client.send(get(`${route}/${targets[index]}`));
    const inFlight = async (): Promise<unknown> => (await samples(stage.admin)).get('forecache_requests_in_flight');
    await expect.poll(inFlight).toBe(6);
    for (const gone of [0, 1, 2]) clients[gone]?.socket.destroy();
    await expect.poll(inFlight).toBe(3);
    gate.resolve();
    await first;
    for (const left of [3, 4]) expect((await clients[left]?.reply())?.text).toBe('x');
    expect(stage.asked()).toEqual(['first', 'kept', 'last'].map((name) => `${route}/${name}`));
  },
);

it('A fetch that nobody of one proxy waits for any more is made once for those of others who waited for it', async () => {
  await using redis = await startRedis();
  const block = Promise.withResolvers<void>();
  const fetched = Promise.withResolvers<void>();
  await using origin = await startOrigin(async (request, peer) => {
    await (request.target === '/c/block' ? block.promise : fetched.promise);
    await peer.respond(200, {}, 'x');
  });
  const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { redis: { url: "${redis.url}", timeout: 1s, fillLock: 10s } }
upstreams:
  api: { origin: "${origin.url}", timeout: 30s, maxConnections: 1 }
routes:
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
`;
  await using stack = new AsyncDisposableStack();
  const proxies = await Promise.all(Array.from({ length: 3 }, async () => stack.use(await startTestProxy({ yaml }))));
  const gauge = async (proxy: (typeof proxies)[number], name: string): Promise<unknown> =>
    (await samples(proxy.admin)).get(name);
  for (const proxy of proxies) await expect.poll(() => gauge(proxy, 'forecache_lease_held')).toBe(1);
  const [first, ...others] = proxies;
  if (first === undefined) throw new Error('no proxy');
  const blocked = first.get('/c/block');
  await origin.arrived(1);
  using gone = await openRaw(first.origin);
  await gone.send(get('/c/key'));
  await expect.poll(() => gauge(first, 'forecache_requests_in_flight')).toBe(2);
  // By then the lock is held, and they wait for it.
  await sleep(300);
  const waiting = others.map((proxy) => proxy.get('/c/key'));
  for (const proxy of others) await expect.poll(() => gauge(proxy, 'forecache_requests_in_flight')).toBe(1);
  await sleep(300);
  gone.socket.destroy();
  await expect.poll(() => gauge(first, 'forecache_requests_in_flight')).toBe(1);
  block.resolve();
  await blocked;
  await origin.arrived(2);
  await sleep(300);
  fetched.resolve();
  for (const one of waiting) expect((await one).status).toBe(200);
  expect(origin.requests.map(({ target }) => target)).toEqual(['/c/block', '/c/key']);
});
