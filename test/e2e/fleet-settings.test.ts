import { expect, it } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { leased, startSidecar } from '../support/fleet.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';

buildFirst();

it('serves with a Redis that evicts what it should not, and says in the log what to set', async () => {
  await using redis = await startRedis({ config: ['maxmemory 100mb', 'maxmemory-policy allkeys-lru'] });
  await using origin = await startOrigin(answer(200, {}, 'something'));
  const options = { count: 1, redis: `{ url: "${redis.url}" }`, origin: origin.url };
  const sidecar = await startSidecar(options);
  await leased(sidecar);
  expect((await sidecar.get('/x')).status).toBe(200);
  const told = (): readonly string[] =>
    sidecar.process
      .output()
      .split('\n')
      .filter((line) => line.includes('maxmemory-policy'));
  await expect.poll(told).toHaveLength(1);
  expect(told()[0]).toMatch(/"level":"warn".*allkeys-lru.*volatile-lfu/);
});
