import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createMemoryStore } from '../../../src/store/memory-store.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { itemAt, joinFleet, type LogMember, refusal, settled } from '../../support/purge-fleet.ts';
import { replicationOf, startRedis, type RedisProcess } from '../../support/redis.ts';
import { storedResponse } from '../../support/stored-items.ts';

const keys = redisKeys('forecache');

/** Resolves when it has a lease in another epoch than that. */
async function inAnotherEpoch(member: LogMember, epoch: string): Promise<void> {
  await expect.poll(() => member.log.position()?.epoch ?? epoch, { timeout: 5000, interval: 5 }).not.toBe(epoch);
}

interface Loss {
  readonly what: string;
  readonly reason: string;
  readonly lose: (redis: RedisProcess) => Promise<unknown>;
}

const losses: readonly Loss[] = [
  { what: 'FLUSHALL', reason: 'gone', lose: (redis) => redis.cli('flushall') },
  { what: 'the control key deleted', reason: 'gone', lose: (redis) => redis.cli('del', keys.control) },
  { what: 'the log deleted', reason: 'log-lost', lose: (redis) => redis.cli('del', keys.log) },
  { what: 'one entry deleted', reason: 'log-lost', lose: (redis) => redis.cli('xdel', keys.log, '1-1') },
  { what: 'the log cut by somebody', reason: 'log-lost', lose: (redis) => redis.cli('xtrim', keys.log, 'maxlen', '1') },
  { what: 'a restart without data', reason: 'gone', lose: (redis) => redis.restart({ empty: true }) },
  {
    what: 'a restart with all data',
    reason: 'failover',
    lose: async (redis) => {
      await redis.cli('save');
      await redis.restart();
    },
  },
];

describe('invariant 9: what was stored before is not served after', () => {
  test.each(losses)('$what', async ({ reason, lose }) => {
    await using redis = await startRedis();
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    await ann.purge('t:one');
    await ann.purge('t:two');
    const { epoch } = ann.position();
    const held = itemAt(ann.position());
    expect(bob.log.isValid(held)).toBe(true);
    await lose(redis);
    for (const member of [ann, bob]) {
      await inAnotherEpoch(member, epoch);
      expect(member.log.invalidity(held)).toBe('epoch');
      expect(member.log.isPurged(held)).toBe(true);
      expect(member.told('epoch').at(-1)).toMatchObject({ reason, epoch: member.position().epoch });
    }
    expect(bob.position()).toEqual(ann.position());
    // And all goes on.
    expect((await bob.purge('t:three')).sidecars).toHaveLength(2);
  });

  test('a restart with an old copy, in which the purge is missing', async () => {
    await using redis = await startRedis();
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    await ann.purge('t:one');
    await redis.cli('save');
    const dump = join(redis.folder, 'dump.rdb');
    copyFileSync(dump, `${dump}.old`);
    const held = itemAt(bob.position());
    await ann.purge('t:berlin');
    await redis.kill();
    copyFileSync(`${dump}.old`, dump);
    await redis.restart();
    expect(await redis.cli('xlen', keys.log)).toMatch(/[01]/);
    await inAnotherEpoch(bob, held.position.epoch);
    expect(bob.log.isValid(held)).toBe(false);
  });

  // RESTORE, COPY or SWAPDB in a server that goes on: its history is the same, and so is the length of the log.
  test('the log put back from an older copy, and as many purges as that lacks before anybody looks', async () => {
    await using redis = await startRedis();
    const config = { leaseMs: 2500 };
    const [ann, bob] = [await joinFleet(redis, { config }), await joinFleet(redis, { config })];
    await ann.purge('t:one');
    for (const key of [keys.control, keys.log]) await redis.cli('copy', key, `${key}:old`);
    await ann.purge('t:two');
    await ann.purge('t:three');
    const held = itemAt(bob.position());
    for (const key of [keys.control, keys.log]) await redis.cli('copy', `${key}:old`, key, 'replace');
    await Promise.all([ann.purge('t:berlin'), ann.purge('t:four')]);
    expect(bob.log.position() === undefined || !bob.log.isValid(held)).toBe(true);
    expect(ann.log.position() === undefined || !ann.log.isValid(held)).toBe(true);
  });

  test('the same by who is not known to the copy', async () => {
    await using redis = await startRedis();
    const config = { leaseMs: 2500 };
    await (await joinFleet(redis, { config })).purge('t:one');
    for (const key of [keys.control, keys.log]) await redis.cli('copy', key, `${key}:old`);
    const [ann, bob] = [await joinFleet(redis, { config }), await joinFleet(redis, { config })];
    await ann.purge('t:two');
    const held = itemAt(bob.position());
    for (const key of [keys.control, keys.log]) await redis.cli('copy', `${key}:old`, key, 'replace');
    await ann.purge('t:berlin');
    expect(bob.log.position() === undefined || !bob.log.isValid(held)).toBe(true);
  });

  test('the same by those who had lost their leases', async () => {
    await using redis = await startRedis();
    let steppedMs = 0;
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + steppedMs };
    const options = { clock, config: { leaseMs: 2500 } };
    const [ann, bob] = [await joinFleet(redis, options), await joinFleet(redis, options)];
    await ann.purge('t:one');
    for (const key of [keys.control, keys.log]) await redis.cli('copy', key, `${key}:old`);
    await ann.purge('t:two');
    const held = itemAt(bob.position());
    for (const key of [keys.control, keys.log]) await redis.cli('copy', `${key}:old`, key, 'replace');
    steppedMs = 10_000;
    expect([ann.log.position(), bob.log.position()]).toEqual([undefined, undefined]);
    await ann.purge('t:berlin');
    await expect.poll(() => bob.log.position(), { timeout: 3000 }).toBeDefined();
    expect(bob.log.isValid(held)).toBe(false);
  });

  test('the same history with a log that is behind what was applied', async () => {
    await using redis = await startRedis();
    const ann = await joinFleet(redis);
    await ann.purge('t:one');
    const held = itemAt(ann.position());
    await redis.cli(
      'eval',
      "redis.call('HSET', KEYS[1], 'seq', 0) redis.call('DEL', KEYS[2])",
      '2',
      keys.control,
      keys.log,
    );
    await inAnotherEpoch(ann, held.position.epoch);
    expect(ann.told('epoch').at(-1)?.reason).toBe('behind');
  });

  test('without the rule of epochs a log that is behind goes unnoticed', async () => {
    await using redis = await startRedis();
    const ann = await joinFleet(redis, { rules: { epoch: false } });
    await ann.purge('t:one');
    const held = itemAt(ann.position());
    await redis.cli(
      'eval',
      "redis.call('HSET', KEYS[1], 'seq', 0) redis.call('DEL', KEYS[2])",
      '2',
      keys.control,
      keys.log,
    );
    const syncs = ann.told('sync').length;
    await expect.poll(() => ann.told('sync').length).toBeGreaterThan(syncs + 2);
    expect(ann.log.position()).toEqual(held.position);
    expect(ann.log.isValid(held)).toBe(true);
  });

  test('memory is let go of at once, not when it is next read', async () => {
    await using redis = await startRedis();
    const ann = await joinFleet(redis);
    const store = createMemoryStore({
      maxBytes: 2 ** 20,
      routeLimits: new Map(),
      purgeLog: ann.log,
      clock: systemClock,
    });
    const held = storedResponse({ position: ann.position(), nowMs: Date.now() });
    expect(store.put(held)).toBe('stored');
    await redis.cli('flushall');
    await inAnotherEpoch(ann, held.position.epoch);
    expect(store.stats().responses).toBe(0);
    await expect.poll(() => store.stats().bytes).toBe(0);
    expect(store.put(held)).toBe('purged');
    store[Symbol.dispose]();
  });
});

/** A master, and a replica that has all that it has. */
async function startPair() {
  await using stack = new AsyncDisposableStack();
  const master = stack.use(await startRedis());
  const replica = stack.use(await startRedis({ config: [`replicaof 127.0.0.1 ${master.port}`] }));
  await expect.poll(() => replicationOf(master, replica), { timeout: 5000 }).toBe('up, online');
  const owned = stack.move();
  return { master, replica, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The replica has all that the master has now, which goes on meanwhile. */
async function inStep({ master, replica }: { readonly master: RedisProcess; readonly replica: RedisProcess }) {
  const offset = Number(await master.info('replication', 'master_repl_offset'));
  await expect
    .poll(async () => Number(await replica.info('replication', 'slave_repl_offset')), { timeout: 5000 })
    .toBeGreaterThanOrEqual(offset);
}

describe('a fail-over', () => {
  test.each([true, false])(
    'a purge that the new master never got is made up for by a new epoch (with the rule: %s)',
    async (epoch) => {
      await using pair = await startPair();
      const { master, replica } = pair;
      const ann = await joinFleet(master, { rules: { epoch } });
      const held = itemAt(ann.position());
      await inStep(pair);
      // It stops hearing its master before the purge.
      await replica.cli('replicaof', 'no', 'one');
      await ann.purge('t:berlin');
      await master.kill();
      const bob = await joinFleet(replica, { rules: { epoch } });
      expect(bob.log.isValid(held)).toBe(!epoch);
      expect(bob.position().epoch === held.position.epoch).toBe(!epoch);
    },
  );

  test.each([true, false])(
    'invariant 10: an old master that was cut off grants no lease any more (with the rule: %s)',
    async (replicaCheck) => {
      await using pair = await startPair();
      const { master, replica } = pair;
      const rules = { replicaCheck };
      const config = { minReplicas: 1, leaseMs: 1000 };
      const left = await joinFleet(master, { rules, config });
      const held = itemAt(left.position());
      // Two masters: this one has a replica of its own, so that it takes purges.
      await replica.cli('replicaof', 'no', 'one');
      await using third = await startRedis({ config: [`replicaof 127.0.0.1 ${replica.port}`] });
      await expect.poll(() => replicationOf(replica, third), { timeout: 5000 }).toBe('up, online');
      const right = await joinFleet(replica, { rules, config });
      expect(right.position().epoch).not.toBe(held.position.epoch);
      // It is new, and may be slower to read what it is sent than a purge waits for it.
      await inStep({ master: replica, replica: third });
      expect((await right.purge('t:berlin')).complete).toBe(true);
      // Without the rule it would go on serving what was purged.
      expect(left.log.position() === undefined).toBe(replicaCheck);
      expect(left.log.isValid(held)).toBe(true);
      expect(left.told('sync').at(-1)?.result).toBe(replicaCheck ? 'noreplicas' : 'ok');
    },
    20_000,
  );
});

/** A master with a replica that can be cut off from it; and a replica of that one, so that it may take over. */
async function startDivisible() {
  await using stack = new AsyncDisposableStack();
  const master = stack.use(await startRedis());
  const wire = stack.use(await startFaultProxy(master.port));
  const replica = stack.use(await startRedis({ config: [`replicaof 127.0.0.1 ${wire.port}`] }));
  const third = stack.use(await startRedis({ config: [`replicaof 127.0.0.1 ${replica.port}`] }));
  await expect.poll(() => replicationOf(master, replica), { timeout: 5000 }).toBe('up, online');
  await expect.poll(() => replicationOf(replica, third), { timeout: 5000 }).toBe('up, online');
  const owned = stack.move();
  return { master, wire, replica, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe('invariant 10: a master that was replaced and does not know it yet', () => {
  test('takes no purge, since no replica confirms it', { timeout: 20_000 }, async () => {
    await using pair = await startDivisible();
    const { master, wire, replica } = pair;
    const ann = await joinFleet(master, { config: { minReplicas: 1, leaseMs: 2000 } });
    await inStep(pair);
    wire.pause('both');
    await replica.cli('replicaof', 'no', 'one');
    // It still takes its replica for one that keeps up.
    const problem = refusal(await ann.log.append({ scopes: ['t:berlin'], soft: false }));
    expect(problem).toMatchObject({ status: 503, code: 'purge-not-guaranteed' });
    expect(problem.detail).toContain('0 of 1 replicas have confirmed');
  });

  test('without the rule takes purges of which the other side never hears', { timeout: 20_000 }, async () => {
    await using pair = await startDivisible();
    const { master, wire, replica } = pair;
    const ann = await joinFleet(master, { config: { minReplicas: 1 }, rules: { replicaCheck: false } });
    await inStep(pair);
    wire.pause('both');
    await replica.cli('replicaof', 'no', 'one');
    const bob = await joinFleet(replica, { config: { minReplicas: 1 } });
    const held = itemAt(bob.position());
    expect((await ann.purge('t:berlin')).complete).toBe(true);
    expect(bob.log.position()).toBeDefined();
    expect(bob.log.isValid(held)).toBe(true);
  });

  test('is no trouble for purges while the replica keeps up, and many share their questions', async () => {
    await using pair = await startPair();
    const config = { minReplicas: 1, coherence: 'available', leaseMs: 60_000, purgeWaitMs: 10 } as const;
    const ann = await joinFleet(pair.master, { config });
    await inStep(pair);
    await pair.master.cli('config', 'resetstat');
    const purges = Array.from({ length: 50 }, (_, index) => ann.log.append({ scopes: [`t:${index}`], soft: false }));
    const results = await Promise.all(purges);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    const waits = Number(/calls=(\d+)/.exec(await pair.master.info('commandstats', 'cmdstat_wait'))?.[1]);
    expect(waits).toBeGreaterThan(0);
    expect(waits).toBeLessThan(25);
    expect(await pair.replica.cli('xlen', keys.log)).toBe('50');
  });
});

describe('invariant 16: a log that was trimmed only turns hits into misses', () => {
  test('what is kept by number: a position before the first kept purge is refused', async () => {
    await using redis = await startRedis();
    const [ann, bob] = [
      await joinFleet(redis, { config: { maxPurges: 3 } }),
      await joinFleet(redis, { config: { maxPurges: 3 } }),
    ];
    const old = itemAt(ann.position(), { tags: ['never-purged'] });
    for (let index = 0; index < 6; index += 1) await ann.purge(`t:${index}`);
    expect(await redis.cli('xlen', keys.log)).toBe('3');
    await expect.poll(() => bob.log.status().floor, { timeout: 3000 }).toBe(3);
    expect(bob.log.invalidity(old)).toBe('floor');
    expect(bob.log.isPurged(old)).toBe(true);
    const { epoch } = old.position;
    expect(bob.log.invalidity(itemAt({ epoch, seq: 3 }, { tags: ['2'] }))).toBeUndefined();
    expect(bob.log.invalidity(itemAt({ epoch, seq: 3 }, { tags: ['4'] }))).toBe('purged');
    expect(bob.log.status().scopes).toBe(3);
  });

  test('what is kept by time', async () => {
    await using redis = await startRedis();
    const ann = await joinFleet(redis, { config: { purgeRetentionMs: 1 } });
    for (let index = 0; index < 3; index += 1) await ann.purge(`t:${index}`);
    await expect
      .poll(async () => {
        await ann.purge('t:last');
        return redis.cli('xlen', keys.log);
      })
      .toBe('1');
    await expect.poll(() => ann.log.status().floor).toBeGreaterThanOrEqual(3);
  });

  test('one who slept through what was trimmed goes on from there, and serves nothing older', async () => {
    await using redis = await startRedis();
    const config = { maxPurges: 2, leaseMs: 400 };
    const [ann, bob] = [await joinFleet(redis, { config }), await joinFleet(redis, { config, unstarted: true })];
    for (let index = 0; index < 5; index += 1) await ann.purge(`t:${index}`);
    await bob.log.start(5000);
    expect(bob.position()).toEqual(ann.position());
    expect(bob.log.status()).toMatchObject({ applied: 5, floor: 3, lag: 0 });
    expect(bob.log.isValid(itemAt({ ...bob.position(), seq: 2 }, { tags: ['x'] }))).toBe(false);
  });

  test('the table of a process is bounded: its older half goes, and positions before it with it', async () => {
    await using redis = await startRedis();
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis, { config: { maxScopes: 4 } })];
    const old = itemAt(bob.position(), { tags: ['never-purged'] });
    await settled(ann);
    for (let index = 0; index < 8; index += 1) await ann.purge(`t:${index}`);
    const { scopes, floor, applied } = bob.log.status();
    expect(scopes).toBeLessThanOrEqual(4);
    expect(floor).toBeGreaterThan(0);
    expect(floor).toBeLessThan(applied);
    expect(bob.log.invalidity(old)).toBe('floor');
    const late = itemAt({ epoch: old.position.epoch, seq: applied - 1 }, { tags: ['7'] });
    expect(bob.log.invalidity(late)).toBe('purged');
    expect(ann.log.status().floor).toBe(0);
  });
});
