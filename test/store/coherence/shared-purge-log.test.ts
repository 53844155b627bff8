import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { itemAt, joinFleet, refusal, settled } from '../../support/purge-fleet.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import { ShiftedClock } from '../../support/shifted-clock.ts';
import { StillClock } from '../../support/still-clock.ts';
import { marginMs } from '../../../src/store/coherence/barrier.ts';
import { systemClock } from '../../../src/system-clock.ts';

const keys = redisKeys('forecache');
const leaseMs = 400;
let redis: RedisProcess;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await redis.cli('flushall');
});

/** Milliseconds that it took from before its first step, and what came of it. */
async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const startedMs = performance.now();
  const value = await work();
  return { ms: performance.now() - startedMs, value };
}

/** One that can be cut off from Redis. */
async function joinBehindProxy(options: Parameters<typeof joinFleet>[1] = {}) {
  const proxy = await startFaultProxy(redis.port);
  const member = await joinFleet({ port: proxy.port, password: undefined }, options);
  return { ...member, proxy };
}

describe('a purge', () => {
  test('has been applied by every process when it returns, and names them', async () => {
    const [ann, bob, cat] = [await joinFleet(redis), await joinFleet(redis), await joinFleet(redis)];
    const held = itemAt(bob.position());
    const receipt = await ann.purge('t:berlin');
    expect(receipt.complete).toBe(true);
    expect(receipt.missing).toEqual([]);
    expect(receipt.sidecars.map(({ id }) => id).toSorted()).toEqual([ann.id, bob.id, cat.id].toSorted());
    expect(receipt.sidecars.every(({ appliedMs }) => appliedMs > 0 && appliedMs < 5000)).toBe(true);
    expect(receipt.id).toBe(`${ann.position().epoch}-${ann.position().seq}`);
    for (const { log } of [ann, bob, cat]) {
      expect(log.isValid(held)).toBe(false);
      expect(log.invalidity(held)).toBe('purged');
      expect(log.isValid(itemAt(held.position, { tags: ['paris'] }))).toBe(true);
      expect(log.position()).toEqual(ann.log.position());
    }
  });

  test('counts at once where it was asked for, before it is even acknowledged', async () => {
    const ann = await joinFleet(redis);
    await settled(ann);
    const { proxy, ...bob } = await joinBehindProxy();
    const held = itemAt(ann.position());
    proxy.pause('both');
    const purged = ann.purge('t:berlin');
    await expect.poll(() => ann.log.isValid(held), { interval: 1 }).toBe(false);
    proxy.resume();
    expect((await purged).sidecars.map(({ id }) => id)).toContain(bob.id);
  });

  test('is told to followers in order, own ones and those of others', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const heard: string[][] = [];
    const versions: number[] = [];
    bob.log.follow((event) => {
      versions.push(event.version);
      if (event.kind === 'purge' && event.purge.seq > 0) heard.push([...event.purge.scopes]);
    });
    await Promise.all([ann.purge('t:1'), ann.purge('t:2'), ann.purge('t:3', 't:4')]);
    expect(heard).toEqual([['t:1'], ['t:2'], ['t:3', 't:4']]);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    expect(bob.log.version).toBe(versions.at(-1));
  });

  test('takes milliseconds once its epoch is older than a lease', async () => {
    const [ann] = [await joinFleet(redis), await joinFleet(redis)];
    await settled(ann);
    const took: number[] = [];
    for (let index = 0; index < 20; index += 1) took.push((await timed(() => ann.purge('t:x'))).ms);
    expect(took.toSorted((a, b) => a - b)[10]).toBeLessThan(100);
  });

  test.each([1000, 5000])('of %i tags is one entry, and holds everywhere', async (count) => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const tags = Array.from({ length: count }, (_, index) => `tag-${index}`);
    const { position } = itemAt(bob.position());
    const receipt = await ann.purge(...tags.map((tag) => `t:${tag}`));
    expect(receipt.complete).toBe(true);
    expect(await redis.cli('xlen', keys.log)).toBe('1');
    const wrong = tags.filter((tag) => bob.log.isValid(itemAt(position, { tags: [tag] })));
    expect(wrong).toEqual([]);
    expect(bob.log.status().scopes).toBe(count);
  });

  test('of what is no scope is refused before anything is sent', async () => {
    const ann = await joinFleet(redis);
    await expect(ann.log.append({ scopes: ['t:a', 'berlin'], soft: false })).rejects.toThrow(RangeError);
    await expect(ann.log.announce('two words')).rejects.toThrow(RangeError);
    await expect(ann.log.announce('x'.repeat(201))).rejects.toThrow(RangeError);
    expect(await redis.cli('exists', keys.log)).toBe('0');
  });

  test('many at once share their questions: Redis sees far fewer than one for each and each step', async () => {
    const [ann] = [await joinFleet(redis), await joinFleet(redis)];
    await settled(ann);
    await redis.cli('config', 'resetstat');
    await Promise.all(Array.from({ length: 50 }, (_, index) => ann.purge(`t:${index}`)));
    const calls = Number(/calls=(\d+)/.exec(await redis.info('commandstats', 'cmdstat_evalsha'))?.[1]);
    // 50 are the purges themselves.
    expect(calls - 50).toBeLessThan(100);
  });
});

describe('invariant 5: a purge waits for who may still serve from store', () => {
  test('one that is cut off is missing after a lease, and has none any more', async () => {
    const ann = await joinFleet(redis);
    const { proxy, ...bob } = await joinBehindProxy();
    await settled(ann);
    const held = itemAt(bob.position());
    proxy.pause('both');
    const { ms, value } = await timed(() => ann.purge('t:berlin'));
    expect(bob.log.position()).toBeUndefined();
    expect(bob.log.invalidity(held)).toBe('lease');
    expect(value).toMatchObject({ complete: true, missing: [bob.id] });
    expect(ms).toBeGreaterThan(leaseMs - 20);
    expect(ms).toBeLessThan(leaseMs + 300);
    expect(ann.told('acknowledged').at(-1)).toMatchObject({ missing: 1 });
    proxy.resume();
    await expect.poll(() => bob.log.position(), { timeout: 3000 }).toBeDefined();
    expect(bob.log.isValid(held)).toBe(false);
    expect(bob.told('lease').map(({ state }) => state)).toEqual(['gained', 'lost', 'gained']);
  });

  test('one that has yet to hear of it is waited for, also where the log has let go of it meanwhile', async () => {
    const config = { leaseMs: 2000, maxPurges: 10 };
    const ann = await joinFleet(redis, { config });
    const { proxy, ...bob } = await joinBehindProxy({ config });
    await settled(ann);
    const held = itemAt(bob.position());
    // It goes on asking, and hears no answer.
    proxy.pause('down');
    const first = ann.purge('t:berlin');
    const others = Array.from({ length: 14 }, (_, index) => ann.purge(`t:${index}`));
    const { complete, missing } = await first;
    expect(Number(await redis.cli('hget', keys.control, 'floor'))).toBeGreaterThan(held.position.seq);
    expect({ complete, missing, serves: bob.log.invalidity(held) }).toEqual({
      complete: true,
      missing: [bob.id],
      serves: 'lease',
    });
    await Promise.all(others);
  });

  test('one that was killed is waited for a lease, also where the clock of Redis was set back meanwhile', async () => {
    const ann = await joinFleet(redis);
    await settled(ann);
    await redis.cli('hset', keys.control, 'm:killed', `0:${Date.now() + 3_600_000}`);
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(value).toMatchObject({ complete: true, missing: ['killed'] });
    expect(ms).toBeGreaterThan(leaseMs - 20);
    expect(ms).toBeLessThan(leaseMs + 300);
    await expect
      .poll(async () => (await ann.purge('t:x')).missing, { timeout: 2 * leaseMs + 4000, interval: 1 })
      .toEqual([]);
  });

  test('without the barrier it returns while another still serves what was purged', async () => {
    const ann = await joinFleet(redis, { rules: { barrier: false } });
    const { proxy, ...bob } = await joinBehindProxy();
    const held = itemAt(bob.position());
    proxy.pause('both');
    await ann.purge('t:berlin');
    expect(bob.log.position()).toBeDefined();
    expect(bob.log.isValid(held)).toBe(true);
    expect(ann.warnings).toHaveLength(1);
  });

  test('one that has left is not waited for', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    await settled(ann);
    await bob.log.leave();
    expect(bob.told('lease').at(-1)).toEqual({ kind: 'lease', state: 'lost', left: true });
    expect(bob.log.position()).toBeUndefined();
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(value).toMatchObject({ complete: true, missing: [] });
    expect(ms).toBeLessThan(leaseMs - 50);
    expect(bob.log.position()).toBeUndefined();
  });

  test('in an epoch that is younger than a lease it waits until no lease of an earlier one can be left', async () => {
    const { ms: first, value } = await joinFleet(redis).then((ann) => timed(() => ann.purge('t:x')));
    expect(value).toMatchObject({ complete: true, missing: [] });
    expect(first).toBeGreaterThan(leaseMs - 50);
    expect(first).toBeLessThan(leaseMs + 300);
  });

  test('one with a longer lease than its own is waited for as long', async () => {
    const ann = await joinFleet(redis);
    const { proxy, ...bob } = await joinBehindProxy({ config: { leaseMs: 1000 } });
    await settled(ann);
    proxy.pause('both');
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(value.missing).toEqual([bob.id]);
    expect(bob.log.position()).toBeUndefined();
    expect(ms).toBeGreaterThan(700);
  });
});

describe('leases of different length', () => {
  test('one that was longer in an epoch that Redis has lost is waited for by who knew of it', async () => {
    const { proxy, ...ann } = await joinBehindProxy({ config: { leaseMs: 2000 } });
    const bob = await joinFleet(redis);
    await settled(bob);
    const held = itemAt(ann.position());
    proxy.refuse(true);
    proxy.cut();
    const before = bob.position().epoch;
    await redis.cli('flushall');
    await expect.poll(() => bob.log.position()?.epoch ?? before, { timeout: 3000 }).not.toBe(before);
    expect((await bob.purge('t:berlin')).complete).toBe(true);
    // It would serve what was purged for as long as it had a lease.
    expect(ann.log.isValid(held)).toBe(true);
    expect(ann.log.position()).toBeUndefined();
  });

  test('one that was longer in an earlier epoch is waited for by who has just started, where Redis still knows', async () => {
    const { proxy, ...ann } = await joinBehindProxy({ config: { leaseMs: 2000 } });
    proxy.refuse(true);
    proxy.cut();
    await redis.cli('hset', keys.control, 'hist', 'another');
    const bob = await joinFleet(redis);
    expect(bob.told('epoch').at(-1)?.reason).toBe('failover');
    expect((await bob.purge('t:berlin')).complete).toBe(true);
    expect(ann.log.position()).toBeUndefined();
  });
});

describe('with coherence: strict after a trial of available', () => {
  const longMs = 300_000;

  /** The epoch began before, with leases such as strict allows. */
  async function tried(): Promise<void> {
    const [before, trial] = [await joinFleet(redis), await joinFleet(redis, { config: { leaseMs: longMs } })];
    await before.log.leave();
    await trial.log.leave();
  }

  test('a purge in the same young epoch is refused after a lease of its own, and says when it will hold', async () => {
    await tried();
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    const { ms, value } = await timed(() => ann.log.append({ scopes: ['t:berlin'], soft: false }));
    expect(ms).toBeGreaterThan(leaseMs - 20);
    expect(ms).toBeLessThan(leaseMs + 1000);
    const problem = refusal(value);
    expect(problem).toMatchObject({ status: 503, code: 'purge-not-guaranteed' });
    expect(problem.retryAfter).toBeGreaterThan(longMs / 1000 - 60);
    expect(problem.retryAfter).toBeLessThanOrEqual(longMs / 1000 + 3);
    expect(problem.detail).toContain('a lease of 300 s');
    // It is in the log all the same.
    expect(ann.log.isValid(held)).toBe(false);
    expect(await redis.cli('xlen', keys.log)).toBe('1');
    expect(ann.told('acknowledged')).toHaveLength(1);
  });

  test('why purges are refused is said once in an epoch', async () => {
    await tried();
    const ann = await joinFleet(redis);
    for (const scope of ['t:1', 't:2', 't:3']) refusal(await ann.log.append({ scopes: [scope], soft: false }));
    expect(ann.warnings).toHaveLength(1);
    expect(ann.warnings[0]).toMatch(/answered 503, .* a lease of 300 s/);
  });

  test('a call that was told to come back after the wait is answered at once', async () => {
    await tried();
    const clock = new ShiftedClock();
    const ann = await joinFleet(redis, { clock });
    const { retryAfter = 0 } = refusal(await ann.log.append({ scopes: ['t:x'], soft: false }));
    clock.advance(retryAfter * 1000);
    await expect.poll(() => ann.log.position(), { timeout: 3000 }).toBeDefined();
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(value).toMatchObject({ complete: true, missing: [] });
    expect(ms).toBeLessThan(leaseMs);
  });

  test('a purge is no longer refused once Redis says that the epoch is older than such a lease', async () => {
    await tried();
    await redis.cli('hset', keys.control, 'born', String(Date.now() - longMs - 2000));
    const ann = await joinFleet(redis);
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(value).toMatchObject({ complete: true, missing: [] });
    expect(ms).toBeLessThan(leaseMs);
    expect(ann.warnings).toEqual([]);
  });

  test('a proxy that is cut off with such a lease makes a purge refused, even where the epoch is old', async () => {
    // A purge is refused after a lease of its own: that of the first one does not pass, however late bob acknowledges it.
    const clock = new StillClock();
    const ann = await joinFleet(redis, { clock });
    const { proxy, ...bob } = await joinBehindProxy({ config: { leaseMs: longMs } });
    await redis.cli('hset', keys.control, 'born', String(Date.now() - longMs - 2000));
    expect(await ann.purge('t:x')).toMatchObject({ complete: true, missing: [] });
    const held = itemAt(bob.position());
    proxy.pause('both');
    const appended = ann.log.append({ scopes: ['t:berlin'], soft: false });
    await expect.poll(() => ann.log.isValid(held)).toBe(false);
    clock.advance(leaseMs + marginMs);
    const problem = refusal(await appended);
    expect(problem.retryAfter).toBeGreaterThan(longMs / 1000 - 60);
    // It would serve what was purged.
    expect(bob.log.position()).toBeDefined();
    expect(bob.log.isValid(held)).toBe(true);
  });

  test('a longer lease that strict allows is waited for, and that is said', async () => {
    const { proxy, ...bob } = await joinBehindProxy({ config: { leaseMs: 1500 } });
    const ann = await joinFleet(redis);
    proxy.pause('both');
    expect(await ann.purge('t:x')).toMatchObject({ complete: true, missing: [bob.id] });
    expect(ann.warnings).toHaveLength(1);
    expect(ann.warnings[0]).toMatch(/waits for a lease of 1\.5 s/);
  });

  test('nothing is said where a purge waits for a lease of its own length', async () => {
    const ann = await joinFleet(redis);
    const { proxy, ...bob } = await joinBehindProxy();
    proxy.pause('both');
    expect(await ann.purge('t:x')).toMatchObject({ complete: true, missing: [bob.id] });
    expect(ann.warnings).toEqual([]);
  });
});

describe('with coherence: available', () => {
  const config = { coherence: 'available', leaseMs: 60_000, purgeWaitMs: 100 } as const;

  test('a purge that waits for somebody answers in time that it is not complete, and when it will be', async () => {
    const ann = await joinFleet(redis, { config });
    const { proxy, ...bob } = await joinBehindProxy({ config });
    proxy.pause('both');
    const before = Date.now();
    const { ms, value } = await timed(() => ann.purge('t:x'));
    expect(ms).toBeGreaterThan(95);
    expect(ms).toBeLessThan(1500);
    expect(value).toMatchObject({ complete: false, missing: [bob.id] });
    const completeBy = Date.parse(value.completeBy ?? '');
    expect(completeBy - before).toBeGreaterThan(60_000);
    expect(completeBy - before).toBeLessThan(62_000);
  });

  test('the log is looked at each second all the same', async () => {
    const [ann, bob] = [await joinFleet(redis, { config }), await joinFleet(redis, { config, deaf: true })];
    await ann.purge('t:x');
    await expect.poll(() => bob.log.status().applied, { timeout: 3000 }).toBe(1);
  });
});

describe('invariant 5: what cannot be guaranteed is refused with 503', () => {
  test('while there is no connection', async () => {
    const { proxy, ...ann } = await joinBehindProxy();
    proxy.refuse(true);
    proxy.cut();
    await expect.poll(() => ann.links.control.isReady).toBe(false);
    const problem = refusal(await ann.log.append({ scopes: ['all'], soft: false }));
    expect(problem).toMatchObject({ status: 503, code: 'purge-not-guaranteed', retryAfter: 1 });
  });

  test('while Redis is frozen, within the time of a call', async () => {
    const ann = await joinFleet(redis);
    redis.freeze();
    try {
      const { ms, value } = await timed(() => ann.log.append({ scopes: ['all'], soft: false }));
      expect(refusal(value).status).toBe(503);
      expect(ms).toBeLessThan(leaseMs);
    } finally {
      redis.thaw();
    }
    await expect.poll(() => ann.log.position(), { timeout: 3000 }).toBeDefined();
  });

  test('where Redis stops answering after the purge was appended', async () => {
    const ann = await joinFleet(redis);
    const { proxy, ...bob } = await joinBehindProxy();
    await settled(ann);
    proxy.pause('both');
    const purged = ann.log.append({ scopes: ['t:x'], soft: false });
    await expect.poll(() => redis.cli('xlen', keys.log), { interval: 1 }).not.toBe('0');
    redis.freeze();
    try {
      expect(refusal(await purged).status).toBe(503);
    } finally {
      redis.thaw();
    }
    expect(bob.id).not.toBe(ann.id);
  });

  test('invariant 10: without the replicas that are asked for; nothing is served from store either', async () => {
    const ann = await joinFleet(redis, { config: { minReplicas: 1 }, unstarted: true });
    await ann.log.start(300);
    expect(ann.log.position()).toBeUndefined();
    expect(refusal(await ann.log.append({ scopes: ['all'], soft: false })).detail).toContain('replicas');
    expect(ann.told('sync').at(-1)).toMatchObject({ result: 'noreplicas' });
  });
});

describe('invariants 3 and 4: a lease counts from when it was asked for', () => {
  test.each([true, false])(
    'an answer that was held for longer than a lease gives none (counted from when it was sent: %s)',
    async (leaseFromSend) => {
      // A call waits 0.8 s at most, so it is the clock that moves on by a lease meanwhile.
      const clock = new ShiftedClock();
      const rules = { leaseFromSend };
      const { proxy, ...bob } = await joinBehindProxy({ clock, rules, config: { leaseMs: 2000 }, deaf: true });
      const syncs = bob.told('sync').length;
      proxy.pause('down');
      // The next one is due, and on its way.
      clock.advance(400);
      clock.advance(2000);
      expect(bob.log.position()).toBeUndefined();
      proxy.resume();
      await expect.poll(() => bob.told('sync').length, { interval: 1 }).toBe(syncs + 1);
      expect(bob.log.position() === undefined).toBe(leaseFromSend);
    },
  );

  test('it is lost when the process has stood still, before anything else is seen', async () => {
    const clock = new ShiftedClock();
    let leases = 0;
    const ann = await joinFleet(redis, { clock, onLease: () => (leases += 1) });
    const held = itemAt(ann.position());
    expect(leases).toBe(1);
    clock.advance(leaseMs);
    expect(ann.log.position()).toBeUndefined();
    expect(ann.log.invalidity(held)).toBe('lease');
    expect(ann.told('lease').map(({ state }) => state)).toEqual(['gained', 'lost']);
    await expect.poll(() => ann.log.position(), { timeout: 3000 }).toBeDefined();
    expect(leases).toBe(2);
    expect(ann.log.isValid(held)).toBe(true);
  });

  test.each([0.95 * leaseMs, -0.15 * leaseMs])(
    'it is lost when the wall clock alone moves by %i ms',
    async (movedMs) => {
      let aheadMs = 0;
      const ann = await joinFleet(redis, { clock: { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs } });
      aheadMs = movedMs;
      expect(ann.log.position()).toBeUndefined();
      await expect.poll(() => ann.log.position(), { timeout: 3000 }).toBeDefined();
    },
  );

  test('without the rule of leases one that is cut off goes on serving', async () => {
    const { proxy, ...ann } = await joinBehindProxy({ rules: { lease: false } });
    proxy.pause('both');
    const clockStart = performance.now();
    await expect.poll(() => performance.now() - clockStart > leaseMs, { timeout: 2000 }).toBe(true);
    expect(ann.log.position()).toBeDefined();
  });

  test('a position is the same object until something is purged', async () => {
    const ann = await joinFleet(redis);
    expect(ann.log.position()).toBe(ann.log.position());
    expect(Object.isFrozen(ann.log.position())).toBe(true);
  });
});
