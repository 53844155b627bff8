import { expect, it } from 'vitest';

import { createSharedPurgeLog } from '../../src/store/coherence/shared-purge-log.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import { systemClock } from '../../src/system-clock.ts';
import { itemAt, joinFleet } from '../support/purge-fleet.ts';
import { redisConfig } from '../support/redis-config.ts';
import { connected, openLinks } from '../support/redis-links.ts';
import { startRedis } from '../support/redis.ts';

it('exactly maxPurges are kept in the log, one more takes the oldest away and what it covered', async () => {
  await using redis = await startRedis();
  const config = redisConfig(redis, { maxPurges: 10, leaseMs: 300 });
  const links = openLinks(config);
  await connected(links);
  const keys = redisKeys(config.keyPrefix);
  await using log = createSharedPurgeLog({
    link: links.control,
    bell: links.bell,
    keys,
    config,
    clock: systemClock,
    observer: { fleet: () => undefined, limit: () => undefined },
    instanceId: 'only',
  });
  await log.start(5000);
  const atStart = log.position();
  const purge = async (number: number): Promise<void> => {
    expect(await log.append({ scopes: [`k:${number}`], soft: false })).toMatchObject({ ok: true });
  };
  for (let number = 1; number <= 10; number += 1) await purge(number);
  expect(await redis.cli('xlen', keys.log)).toBe('10');
  await expect.poll(() => log.status()).toMatchObject({ applied: 10, floor: 0 });
  const item = { key: 'other', route: 'r', url: '/other', tags: [], position: atStart ?? { epoch: '', seq: 0 } };
  expect(log.invalidity(item)).toBeUndefined();
  await purge(11);
  expect(await redis.cli('xlen', keys.log)).toBe('10');
  await expect.poll(() => log.status()).toMatchObject({ applied: 11, floor: 1 });
  // It may have been what the lost purge was for.
  expect(log.invalidity(item)).toBe('floor');
});

it('exactly maxScopes are remembered, one more takes the older half away and what it covered', async () => {
  await using redis = await startRedis();
  const ann = await joinFleet(redis, { config: { maxScopes: 1000 } });
  const early = itemAt(ann.position(), { tags: ['never-purged'] });
  const scopes = Array.from({ length: 1000 }, (_, index) => `t:${index}`);
  await ann.purge(...scopes.slice(0, 500));
  await ann.purge(...scopes.slice(500));
  await expect.poll(() => ann.log.status()).toMatchObject({ applied: 2, floor: 0, scopes: 1000 });
  expect(ann.log.invalidity(early)).toBeUndefined();
  expect(ann.limits).toEqual([]);
  await ann.purge('t:1000');
  await expect.poll(() => ann.log.status()).toMatchObject({ applied: 3, floor: 2, scopes: 1 });
  expect(ann.log.invalidity(early)).toBe('floor');
  expect(ann.limits).toEqual(['store.redis.maxScopes']);
});
