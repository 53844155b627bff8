import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/cache/ports.ts';
import type { Position } from '../../../src/core/stored-response.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { connected } from '../../support/redis-links.ts';
import { granted, itemAt, joinFleet, settled } from '../../support/purge-fleet.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';

const keys = redisKeys('forecache');
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

function aheadBy(ms: number): Clock {
  return { ...systemClock, nowMs: () => systemClock.nowMs() + ms };
}

describe('invariant 2: positions', () => {
  test('one that was taken before a purge stays as it was, one taken after it is later', async () => {
    const ann = await joinFleet(redis);
    const before = ann.position();
    await ann.purge('t:berlin');
    expect(before.seq).toBe(0);
    expect(ann.position()).toEqual({ epoch: before.epoch, seq: 1 });
    expect(ann.log.isValid(itemAt(before))).toBe(false);
    expect(ann.log.isValid(itemAt(ann.position()))).toBe(true);
  });

  test('one that the log has not reached is served by nobody: no purge would ever be later', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const { epoch, seq } = ann.position();
    for (const ahead of [seq + 1, 2 ** 47]) {
      const planted = itemAt({ epoch, seq: ahead });
      expect([ann.log.invalidity(planted), bob.log.invalidity(planted)]).toEqual(['epoch', 'epoch']);
    }
    const planted = itemAt({ epoch, seq: 2 ** 47 });
    await ann.log.append({ scopes: ['all'], soft: false });
    expect([ann.log.isValid(planted), bob.log.isValid(planted)]).toEqual([false, false]);
    // What was stored behind the purge is there for all who know of that.
    expect([ann.log.isValid(itemAt(ann.position())), bob.log.isValid(itemAt(ann.position()))]).toEqual([true, true]);
  });

  test('there is none before the first contact, and whoever starts without Redis goes on trying', async () => {
    await using late = await startRedis();
    await late.kill();
    const ann = await joinFleet(late, { unstarted: true });
    await ann.log.start(50);
    expect(ann.log.position()).toBeUndefined();
    expect(ann.log.status()).toMatchObject({ leased: false, leaseAgeMs: undefined, epoch: '', applied: 0 });
    await late.restart();
    await expect.poll(() => ann.log.position(), { timeout: 2000 }).toBeDefined();
  });
});

function ofRule(position: Position) {
  return { ...itemAt(position), tags: ['search:/p'] };
}

describe('what rules for queries key', () => {
  test('is purged by a process that keys by none, in whichever epoch', async () => {
    const [off, on] = [await joinFleet(redis), await joinFleet(redis, { searching: true })];
    const before = on.position();
    await off.purge('u:/p?utm=1');
    await expect.poll(() => on.log.isValid(ofRule(before))).toBe(false);
    expect(on.log.isValid(ofRule(on.position()))).toBe(true);
    await redis.cli('flushall');
    await expect.poll(() => on.log.position()?.epoch !== before.epoch && on.log.position()).toBeTruthy();
    await expect.poll(() => off.log.position()?.epoch).toBe(on.position().epoch);
    const anew = on.position();
    await off.purge('u:/p?utm=1');
    await expect.poll(() => on.log.isValid(ofRule(anew))).toBe(false);
  });

  test('is purged before the entry of its own process has its place', async () => {
    const on = await joinFleet(redis, { searching: true });
    const before = on.position();
    await on.purge('u:/p?utm=1');
    expect(on.log.isValid(ofRule(before))).toBe(false);
    await on.purge('t:other');
    expect([on.log.isValid(ofRule(before)), on.log.isValid(ofRule(on.position()))]).toEqual([false, true]);
  });

  test('is purged by what was in the log before a process came', async () => {
    const off = await joinFleet(redis);
    const before = off.position();
    await off.purge('u:/p?utm=1');
    const on = await joinFleet(redis, { searching: true });
    expect(on.log.isValid(ofRule(before))).toBe(false);
  });
});

describe('invariant 17: two processes never share an id', () => {
  test('one that starts anew has an empty table and no lease, and its former life is waited for', async () => {
    const [ann, first] = [await joinFleet(redis), await joinFleet(redis)];
    await ann.purge('t:one');
    await settled(ann);
    const again = await joinFleet(redis, { unstarted: true });
    expect(again.id).not.toBe(first.id);
    expect(again.log.position()).toBeUndefined();
    expect(again.log.status().scopes).toBe(0);
    await again.log.start(2000);
    expect(again.position()).toEqual(ann.position());
    const { sidecars } = await ann.purge('t:two');
    expect(sidecars.map(({ id }) => id).toSorted()).toEqual([ann.id, first.id, again.id].toSorted());
  });
});

/** Rings for each of the messages; how many looks there were when the next one was. */
async function looksAfter(messages: readonly string[]): Promise<number> {
  const rung: ((message: string) => void)[] = [];
  // With so long a lease it looks once a second by itself.
  const config = { coherence: 'available', leaseMs: 60_000 } as const;
  const ann = await joinFleet(redis, { config, bell: { onRing: (callback) => rung.push(callback) } });
  const { epoch } = ann.position();
  const syncs = ann.told('sync').length;
  for (const message of messages) for (const ring of rung) ring(message.replace('EPOCH', epoch));
  await expect.poll(() => ann.told('sync').length, { timeout: 3000 }).toBeGreaterThan(syncs);
  return ann.told('sync').length - syncs;
}

describe('the bell', () => {
  test('lost, it costs time only: a purge waits for the next look', async () => {
    const ann = await joinFleet(redis, { deaf: true });
    const bob = await joinFleet(redis, { deaf: true });
    await settled(ann);
    const held = itemAt(bob.position());
    const startedMs = performance.now();
    const { missing, sidecars } = await ann.purge('t:berlin');
    expect(missing).toEqual([]);
    expect(sidecars.map(({ id }) => id)).toContain(bob.id);
    expect(performance.now() - startedMs).toBeLessThan(400);
    expect(bob.log.isValid(held)).toBe(false);
  });

  test('rung by anybody it costs a look at most, and none where it names no purge', async () => {
    const startedMs = performance.now();
    expect(await looksAfter(['EPOCH-999'])).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(900);
    const quietMs = performance.now();
    const noise = ['', 'nonsense', 'x-y-z', 'EPOCH-', 'EPOCH-1e9', 'EPOCH-1-1', 'other-7', 'EPOCH-0'];
    expect(await looksAfter(noise)).toBe(1);
    // That was its own look.
    expect(performance.now() - quietMs).toBeGreaterThan(900);
  });
});

describe('notices', () => {
  test('are heard exactly once by each process, in their place among purges', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const heard: string[] = [];
    bob.log.onNotice((notice) => heard.push(`bob ${notice} at ${bob.log.status().scopes}`));
    ann.log.onNotice((notice) => heard.push(`ann ${notice}`));
    await ann.purge('t:one');
    const receipt = granted(await ann.log.announce('reset:1'));
    // Already: it was heard before it was acknowledged.
    expect(heard.toSorted()).toEqual(['ann reset:1', 'bob reset:1 at 1']);
    expect(receipt).toMatchObject({ complete: true, missing: [] });
    await ann.purge('t:two');
    granted(await bob.log.announce('reset:2'));
    expect(heard.filter((line) => line.startsWith('ann'))).toEqual(['ann reset:1', 'ann reset:2']);
    expect(heard.filter((line) => line.startsWith('bob'))).toHaveLength(2);
    expect(bob.position()).toEqual({ epoch: ann.position().epoch, seq: 4 });
  });

  test('from before a process was there are none of its business', async () => {
    const ann = await joinFleet(redis);
    granted(await ann.log.announce('old'));
    const bob = await joinFleet(redis, { unstarted: true });
    const heard: string[] = [];
    bob.log.onNotice((notice) => heard.push(notice));
    await bob.log.start(2000);
    granted(await ann.log.announce('new'));
    expect(heard).toEqual(['new']);
  });

  test('purge nothing', async () => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    granted(await ann.log.announce('reset'));
    expect(ann.log.isValid(held)).toBe(true);
  });
});

describe('invariant 11: clocks that are wrong by an hour', () => {
  const hourMs = 3_600_000;

  test.each([hourMs, -hourMs])(
    'purge and are purged, soft purges at the instant by the own clock (%i ms)',
    async (ms) => {
      const [ann, bob] = [await joinFleet(redis), await joinFleet(redis, { clock: aheadBy(ms) })];
      expect(Math.abs(bob.log.skewMs() + ms)).toBeLessThan(50);
      const [held, other] = [itemAt(bob.position()), itemAt(bob.position(), { tags: ['paris'] })];
      granted(await ann.log.append({ scopes: ['t:berlin'], soft: true }));
      const atMs = bob.log.softPurgedAtMs(held);
      expect(Math.abs((atMs ?? 0) - (Date.now() + ms))).toBeLessThan(2000);
      expect(bob.log.isValid(held)).toBe(true);
      expect(bob.log.softPurgedAtMs(other)).toBeUndefined();
      expect(Math.abs((ann.log.softPurgedAtMs(held) ?? 0) - Date.now())).toBeLessThan(2000);
      await bob.purge('t:berlin');
      expect(ann.log.isValid(held)).toBe(false);
    },
  );

  test('a clock that is set is noticed with the next answer', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
    const ann = await joinFleet(redis, { clock });
    expect(Math.abs(ann.log.skewMs())).toBeLessThan(50);
    aheadMs = hourMs;
    await expect.poll(() => Math.abs(ann.log.skewMs() + hourMs), { timeout: 3000 }).toBeLessThan(50);
  });
});

describe('invariant 13: tags that the rules of now give', () => {
  test('are judged with the position of what was stored without them', async () => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position(), { tags: ['old'] });
    await ann.purge('t:new');
    expect(ann.log.isValid(held)).toBe(true);
    expect(ann.log.isValid({ ...held, tags: [...held.tags, 'new'] })).toBe(false);
  });
});

describe('what others may have written into the log', () => {
  test.each([
    ['an unknown kind', ['k', 'later-kind', 's', 'whatever']],
    ['scopes that are none', ['k', 'hard', 's', '["nonsense"]']],
    ['no JSON', ['k', 'hard', 's', '["t:x"']],
  ])('counts as a purge of everything: %s', async (_what, fields) => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    const script = `redis.call('HINCRBY', KEYS[1], 'seq', 1) redis.call('XADD', KEYS[2], '1-1', 't', '1', unpack(ARGV))`;
    await redis.cli('eval', script, '2', keys.control, keys.log, ...fields);
    await expect.poll(() => ann.log.status().applied, { timeout: 2000 }).toBe(1);
    expect(ann.log.invalidity(held)).toBe('purged');
  });

  test('counts as a purge of everything where fields are missing', async () => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    const script = `redis.call('HINCRBY', KEYS[1], 'seq', 1) redis.call('XADD', KEYS[2], '1-1', 'x', 'y')`;
    await redis.cli('eval', script, '2', keys.control, keys.log);
    await expect.poll(() => ann.log.status().applied, { timeout: 2000 }).toBe(1);
    expect(ann.log.invalidity(held)).toBe('purged');
    expect((await ann.purge('t:x')).complete).toBe(true);
  });

  test.each([
    ['the control key is a string', ['set', keys.control, 'text']],
    ['the log is a string', ['set', keys.log, 'text']],
    ['the epoch is none', ['hset', keys.control, 'epoch', 'not-an-epoch']],
    ['the epoch is too long', ['hset', keys.control, 'epoch', '0123456789abcdef0']],
  ])('is a lost log where it is of another form, and no more than that: %s', async (_what, command) => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    await redis.cli(...command);
    await expect
      .poll(() => ann.log.position()?.epoch ?? held.position.epoch, { timeout: 3000 })
      .not.toBe(held.position.epoch);
    expect(ann.position().epoch).toMatch(/^[0-9a-f]{16}$/);
    expect(ann.told('epoch').at(-1)?.reason).toBe('log-lost');
    expect(ann.log.invalidity(held)).toBe('epoch');
    expect((await ann.purge('t:x')).complete).toBe(true);
  });

  test.each(['seq', 'floor'])('makes a new epoch where %s is no number', async (field) => {
    const ann = await joinFleet(redis);
    const { epoch } = ann.position();
    await redis.cli('hset', keys.control, field, '1e999');
    await expect.poll(() => ann.log.position()?.epoch ?? epoch, { timeout: 3000 }).not.toBe(epoch);
    expect(ann.told('epoch').at(-1)?.reason).toBe('gone');
  });
});

describe('a process whose user in Redis may not do what it needs', () => {
  test.each(['hmget', 'xlen', 'xrange', 'hset', 'info'])(
    'has no lease, and ends no epoch of the others: %s',
    async (word) => {
      const ann = await joinFleet(redis);
      const held = itemAt(ann.position());
      await ann.purge('t:another');
      const name = `without-${word}`;
      await redis.cli('acl', 'setuser', name, 'reset', 'on', '>pw', '~*', '&*', '+@all', `-${word}`);
      const bob = await joinFleet(redis, { config: { username: name, password: 'pw' }, unstarted: true });
      void bob.log.start(5000);
      await expect.poll(() => bob.told('sync').at(-1)?.result, { timeout: 3000 }).toBe('auth');
      expect(bob.log.position()).toBeUndefined();
      expect(ann.told('epoch')).toHaveLength(1);
      expect(ann.log.invalidity(held)).toBeUndefined();
      await bob.log.leave();
      await redis.cli('acl', 'deluser', name);
    },
  );

  test.each(['hset', 'xdel', 'hgetall'])(
    'appends no purge, ends no epoch and leaves the log within its bound: %s',
    async (word) => {
      const config = { maxPurges: 10 };
      const ann = await joinFleet(redis, { config });
      for (let number = 0; number < 10; number += 1) await ann.purge(`t:${number}`);
      await redis.cli('acl', 'setuser', 'poor', 'reset', 'on', '>pw', '~*', '&*', '+@all', `-${word}`);
      const user = { username: 'poor', password: 'pw' };
      const bob = await joinFleet(redis, { config: { ...config, ...user }, unstarted: true });
      await connected(bob.links);
      const held = itemAt(ann.position());
      expect(await bob.log.append({ scopes: ['t:berlin'], soft: false })).toMatchObject({ ok: false });
      const late = await joinFleet(redis, { config });
      expect(late.position()).toEqual(held.position);
      expect(late.log.isValid(held)).toBe(true);
      expect(await redis.cli('xlen', keys.log)).toBe('10');
      expect([ann, late].flatMap((one) => one.told('epoch').map(({ reason }) => reason))).not.toContain('log-lost');
    },
  );

  test('appends no purge to a log that is empty either: xrange', async () => {
    const ann = await joinFleet(redis);
    await redis.cli('acl', 'setuser', 'poor', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-xrange');
    const bob = await joinFleet(redis, { config: { username: 'poor', password: 'pw' }, unstarted: true });
    await connected(bob.links);
    const held = itemAt(ann.position());
    expect(await bob.log.append({ scopes: ['t:berlin'], soft: false })).toMatchObject({ ok: false });
    expect(await redis.cli('xlen', keys.log)).toBe('0');
    const late = await joinFleet(redis);
    expect(late.position()).toEqual(held.position);
    expect(late.log.isValid(held)).toBe(true);
  });

  test('purges without a bell where it may not ring it', async () => {
    await redis.cli('acl', 'setuser', 'mute', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-publish');
    const [ann, bob] = [
      await joinFleet(redis),
      await joinFleet(redis, { config: { username: 'mute', password: 'pw' } }),
    ];
    const held = itemAt(ann.position());
    expect((await bob.purge('t:berlin')).complete).toBe(true);
    expect(ann.log.isValid(held)).toBe(false);
  });

  test('who comes first after a fail-over takes nothing away of what others know: hset', async () => {
    const ann = await joinFleet(redis, { config: { leaseMs: 5000 } });
    await ann.log.leave();
    await redis.cli('hset', keys.control, 'hist', 'another');
    const before = await redis.cli('hgetall', keys.control);
    await redis.cli('acl', 'setuser', 'poor', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-hset');
    const bob = await joinFleet(redis, { config: { username: 'poor', password: 'pw' }, unstarted: true });
    void bob.log.start(5000);
    await expect.poll(() => bob.told('sync').at(-1)?.result, { timeout: 3000 }).toBe('auth');
    expect(await redis.cli('hgetall', keys.control)).toBe(before);
  });

  test('ends no epoch by a purge that it may not append', async () => {
    const ann = await joinFleet(redis);
    const held = itemAt(ann.position());
    await ann.purge('t:another');
    await redis.cli('acl', 'setuser', 'reader', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-xadd');
    const bob = await joinFleet(redis, { config: { username: 'reader', password: 'pw' } });
    expect(await bob.log.append({ scopes: ['t:x'], soft: false })).toMatchObject({ ok: false });
    // Whoever comes next looks whether the log is whole.
    const late = await joinFleet(redis);
    expect([ann, bob, late].flatMap((one) => one.told('epoch').map(({ reason }) => reason))).not.toContain('log-lost');
    expect(ann.log.invalidity(held)).toBeUndefined();
    expect((await ann.purge('t:x')).complete).toBe(true);
    await bob.log.leave();
    await redis.cli('acl', 'deluser', 'reader');
  });
});

describe('status', () => {
  test('says what metrics show', async () => {
    const ann = await joinFleet(redis);
    await ann.purge('t:one', 't:two');
    const { leaseAgeMs, ...rest } = ann.log.status();
    expect(leaseAgeMs).toBeGreaterThan(0);
    expect(leaseAgeMs).toBeLessThan(400);
    const { epoch } = ann.position();
    const skewMs = ann.log.skewMs();
    expect(rest).toEqual({ leased: true, leaseMs: 400, epoch, applied: 1, lag: 0, floor: 0, scopes: 2, skewMs });
    expect(epoch).toMatch(/^[0-9a-f]{16}$/);
  });

  test('a farewell ends in time where Redis does not answer, and is said once', async () => {
    const ann = await joinFleet(redis);
    redis.freeze();
    try {
      const startedMs = performance.now();
      await Promise.all([ann.log.leave(), ann.log.leave()]);
      expect(performance.now() - startedMs).toBeLessThan(900);
      expect(ann.log.position()).toBeUndefined();
    } finally {
      redis.thaw();
    }
    expect(ann.told('lease').map(({ state }) => state)).toEqual(['gained', 'lost']);
  });
});
