import { afterEach, beforeEach, expect, test } from 'vitest';

import { FleetPurges } from '../../../src/store/coherence/fleet-purges.ts';
import { LogFollower } from '../../../src/store/coherence/log-follower.ts';
import { allRules } from '../../../src/store/coherence/rules.ts';
import { connectRedis } from '../../../src/store/redis/client.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected } from '../../support/redis-links.ts';
import { startRedis } from '../../support/redis.ts';

const unheard: unknown[] = [];
const others = process.listeners('unhandledRejection');

beforeEach(() => {
  unheard.length = 0;
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (reason) => unheard.push(reason));
});

afterEach(() => {
  process.removeAllListeners('unhandledRejection');
  for (const listener of others) process.on('unhandledRejection', listener);
});

test('a purge that could not be noted gives no lease, however often it fails, and goes on once it can be', async () => {
  await using redis = await startRedis();
  const config = redisConfig(redis, { leaseMs: 400 });
  await using links = connectRedis(config, { onError: () => undefined });
  await connected(links);
  const { control, log } = redisKeys(config.keyPrefix);
  const purges = new FleetPurges();
  let isBroken = true;
  let failures = 0;
  purges.follow((event) => {
    if (!isBroken || (event.kind === 'purge' && event.purge.scopes[0] === 'all')) return;
    failures += 1;
    throw new Error('a bug');
  });
  await redis.cli('eval', seeded, '2', control, log, await redis.info('replication', 'master_replid'));
  const follower = new LogFollower({
    link: links.control,
    base: { keys: [control, log], args: ['ann', 0, 1] },
    config,
    clock: systemClock,
    observer: { fleet: () => undefined, limit: () => undefined },
    rules: allRules,
    purges,
  });
  follower.start(() => undefined);
  await expect.poll(() => failures, { timeout: 3000 }).toBeGreaterThan(2);
  expect(follower.leased()).toBe(false);
  expect(unheard.length).toBeGreaterThan(1);
  isBroken = false;
  await expect.poll(() => follower.leased(), { timeout: 3000 }).toBe(true);
  expect(purges.position).toMatchObject({ seq: 1 });
  expect(purges.scopes).toBe(1);
  follower.leave();
});

test('tells what it was told for as long as Redis remembers it, by its own clock too, and not once it has left', async () => {
  await using redis = await startRedis();
  const config = redisConfig(redis, { leaseMs: 5000 });
  await using links = connectRedis(config, { onError: () => undefined });
  await connected(links);
  const { control, log } = redisKeys(config.keyPrefix);
  let aheadMs = 0;
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
  const leased = Promise.withResolvers<void>();
  const follower = new LogFollower({
    link: links.control,
    base: { keys: [control, log], args: ['ann', 0, 1] },
    config,
    clock,
    observer: { fleet: () => undefined, limit: () => undefined },
    rules: allRules,
    purges: new FleetPurges(),
  });
  expect(follower.told).toBe('');
  follower.start(() => leased.resolve());
  await leased.promise;
  const [, untilMs] = (await redis.cli('hget', control, 'm:ann')).split(':');
  expect(follower.told).toBe(`${follower.state.epoch}-0-${untilMs}`);
  // Without a lease too.
  aheadMs = 50_000;
  expect(follower.leased()).toBe(false);
  expect(follower.told).toMatch(/^[0-9a-f]{16}-0-\d{13}$/);
  aheadMs = 60_000;
  expect(follower.told).toBe('');
  aheadMs = 0;
  expect(follower.told).not.toBe('');
  follower.leave();
  expect(follower.told).toBe('');
});

/** A log with one purge. */
const seeded = `
redis.call('HSET', KEYS[1], 'epoch', '0123456789abcdef', 'seq', 1, 'floor', 0, 'hist', ARGV[1])
redis.call('XADD', KEYS[2], '1-1', 't', '1', 'k', 'hard', 's', '["t:x"]')`;
