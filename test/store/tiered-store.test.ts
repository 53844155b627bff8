import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import type { ReadFor } from '../../src/cache/fleet-ports.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import type { RedisLinks } from '../../src/store/redis/link.ts';
import { TextHash } from '../../src/store/text-hash.ts';
import { MINUTE, routeOf } from '../support/policy.ts';
import { redisConfig } from '../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import {
  askedBy,
  connected,
  member,
  overRedis,
  patient,
  type Member,
  type MemberOptions,
} from '../support/shared-tier.ts';
import { ownBytes, storedResponse, varyMarker, type ItemTraits } from '../support/stored-items.ts';

const key = 'weather-forecast|/v1/forecast?location=berlin';

let redis: RedisProcess;
let links: RedisLinks;
let keyPrefix = '';
let count = 0;
let first: Member;
let second: Member;
const members: Member[] = [];
const lease = { held: true };

// What was started is ended also where the rest could not be.
const started = new AsyncDisposableStack();

beforeAll(async () => {
  redis = started.use(await startRedis());
  links = started.use(await connected(redis, patient));
});

afterAll(() => started.disposeAsync());

beforeEach(() => {
  count += 1;
  keyPrefix = `tiers-${count}`;
  lease.held = true;
  first = process();
  second = process({ clock: first.clock, purgeLog: first.purgeLog });
});

afterEach(() => {
  for (const made of members.splice(0)) made[Symbol.dispose]();
});

function process(more: Partial<MemberOptions> = {}): Member {
  const made = member({ ...overRedis({ redis, links, keyPrefix }), leased: () => lease.held, ...more });
  members.push(made);
  return made;
}

function response(made: Member, traits: Partial<ItemTraits> = {}) {
  return storedResponse({ key, position: made.position(), nowMs: made.clock.nowMs(), ...traits });
}

async function store(made: Member, traits: Partial<ItemTraits> = {}) {
  const item = response(made, traits);
  expect(made.tiered.put(item)).toBe('stored');
  await made.tiered.settle();
  return item;
}

/** A process whose memory has no room for another response, and what it holds. */
async function full(): Promise<{ readonly made: Member; readonly held: readonly string[] }> {
  const made = process({ clock: first.clock, purgeLog: first.purgeLog, memoryBytes: 64 * 1024 });
  for (let n = 0; made.memory.stats().evictedCapacity === 0; n += 1) {
    await store(made, { key: `r|/held-${n}`, body: ownBytes('x'.repeat(1000)) });
  }
  // And none for a small one: what is evicted for a large one may leave room for it.
  const small = { tags: [], body: ownBytes('') };
  for (let n = 0; made.memory.hasRoomFor(response(made, { ...small, key: `l|/${n}` })); n += 1) {
    await store(made, { ...small, key: `l|/${n}` });
  }
  return { made, held: made.memory.list({ limit: 1000 }).map(({ item }) => item.key) };
}

/** Commands that were sent for reads. */
function asked(made: Member): number {
  return made.results('get').length;
}

describe('memory before Redis', () => {
  test('answers what is fresh in memory at once, without asking Redis', async () => {
    await store(first);
    const read = first.tiered.get(key);
    expect(read).toMatchObject({ item: { key }, tier: 'memory' });
    expect(first.tiered.peek(key)).toMatchObject({ tier: 'memory' });
    expect(asked(first)).toBe(0);
  });

  test('ends nothing when a write behind an answer meets a bug, and reports it', async () => {
    const { clock } = first;
    const made = process({ clock, purgeLog: createLocalPurgeLog({ clock, instanceId: 'not-an-epoch' }) });
    expect(made.tiered.put(response(made))).toBe('stored');
    await expect.poll(() => made.bugs).toEqual([new RangeError('an epoch has 16 hex digits')]);
    await made.tiered.settle();
    expect(made.tiered.get(key)).toMatchObject({ item: { key }, tier: 'memory' });
  });

  test('answers a put at once, and writes to Redis behind it', async () => {
    const outcome = first.tiered.put(response(first));
    expect(outcome).toBe('stored');
    await first.tiered.settle();
    expect(first.results('put')).toEqual(['ok']);
  });

  test('finds in Redis what another process stored, and has it in memory from then on', async () => {
    const item = await store(first);
    expect(await second.tiered.get(key)).toMatchObject({ item, tier: 'redis' });
    expect(second.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    expect(asked(second)).toBe(1);
  });

  describe('where memory is full', () => {
    test('takes nothing in for which something would have to go, until it is read a second time', async () => {
      const { made, held } = await full();
      const item = await store(first);
      expect(await made.tiered.get(key)).toMatchObject({ item, tier: 'redis' });
      expect(made.memory.list({ limit: 1000 }).map((one) => one.item.key)).toEqual(held);
      expect(await made.tiered.get(key)).toMatchObject({ item, tier: 'redis' });
      expect(made.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    });

    test('keeps what it has of many that are each read once, and again long after', async () => {
      const { made, held } = await full();
      const keys = Array.from({ length: 200 }, (_, n) => `r|/once-${n}`);
      for (const one of keys) first.tiered.put(response(first, { key: one }));
      await first.tiered.settle();
      for (const one of [...keys, ...keys]) expect((await made.tiered.get(one))?.tier).toBe('redis');
      expect(made.memory.list({ limit: 1000 }).map((one) => one.item.key)).toEqual(held);
    });

    test('replaces what it has of a response by a newer one at the first read', async () => {
      const { made } = await full();
      const old = response(made);
      made.memory.put(old);
      first.clock.advance(61 * MINUTE);
      const item = await store(first);
      expect(await made.tiered.get(key)).toMatchObject({ item, tier: 'redis' });
      expect(made.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    });

    test('serves nothing that was read once and that a purge covers by the time it came', async () => {
      const { made } = await full();
      await store(first);
      const read = await made.redis.get(key);
      if (read === undefined) throw new Error('it is not in Redis');
      await first.purgeLog.append({ scopes: [`k:${key}`], soft: false });
      expect(made.tiered.adopt(read)).toBeUndefined();
    });

    test('lets a marker of Vary in at once', async () => {
      const { made } = await full();
      const marker = varyMarker({ key, position: first.position(), nowMs: first.clock.nowMs() });
      first.tiered.put(marker);
      await first.tiered.settle();
      expect(await made.tiered.get(key)).toMatchObject({ item: { kind: 'vary' } });
      expect(made.tiered.get(key)).toMatchObject({ item: { kind: 'vary' }, tier: 'memory' });
    });
  });

  test.each([
    ['the chunk that a response was read from', 1000, 16 * 2 ** 20],
    ['what a body was decompressed into with others', 10_000, 16 * 2 ** 20],
    ['that, where the body has a page of its own', 10_000, 2 ** 18],
  ])('keeps no part of %s', async (_, bytes, memoryBytes) => {
    await store(first, { body: ownBytes('x'.repeat(bytes)) });
    const made = process({ clock: first.clock, purgeLog: first.purgeLog, memoryBytes });
    const read = await made.tiered.get(key);
    expect(read?.item.kind === 'response' && read.item.body.buffer.byteLength).toBe(bytes);
    expect(made.tiered.get(key)).toMatchObject({ tier: 'memory' });
  });

  test('keeps the hash of a key with its request, and takes it for no other key that is looked for on its behalf', async () => {
    const variant = `${key} accept-language=de`;
    const keys = [key, variant];
    for (const one of keys) await store(first, { key: one });
    const { route, keyed } = askedBy(routeOf({}, { name: 'weather-forecast' }), '/v1/forecast?location=berlin');
    const known: ReadFor = { route, keyed: { ...keyed, key, place: undefined } };
    for (let round = 0; round < 3; round += 1) {
      for (const one of keys) expect((await second.tiered.get(one, known))?.item.key).toBe(one);
      // Each where it is looked for by its own hash.
      second.memory.peek('another');
      for (const one of keys) expect(second.memory.peek(one)?.item.key).toBe(one);
      for (const one of keys) second.memory.invalidate(one);
    }
    const { low, high } = new TextHash().take(key);
    expect(known.keyed.place).toMatchObject({ isHashed: true, low: low | 0, high: high | 0 });
  });

  test('holds the wall clock while it tells what has come', async () => {
    await store(first);
    const held: string[] = [];
    const { purgeLog } = first;
    const hold = (): void => void held.push('held');
    const release = (): void => void held.push('released');
    const made = process({ clock: Object.assign(first.clock, { hold, release }), purgeLog });
    expect(await made.tiered.get(key)).toMatchObject({ tier: 'redis' });
    expect(held).toEqual(['held', 'released']);
  });

  test('counts hits on what came from Redis with those from memory', async () => {
    await store(first);
    const read = await second.tiered.get(key);
    if (read !== undefined) read.tally.hits += 1;
    expect(second.memory.peek(key)?.tally.hits).toBe(1);
  });

  test('keeps what came from Redis with its own position, and no longer than it has left', async () => {
    const item = await store(first, { retainMs: MINUTE });
    await first.purgeLog.append({ scopes: ['t:unrelated'], soft: false });
    first.clock.advance(MINUTE - 1);
    expect((await second.tiered.get(key))?.item.position).toEqual(item.position);
    expect(second.memory.get(key)?.item.position).toEqual(item.position);
    first.clock.advance(1);
    expect(second.memory.get(key)).toBeUndefined();
    expect(await second.tiered.get(key)).toBeUndefined();
  });

  test('a purge takes what came from Redis like all else', async () => {
    await store(first);
    await second.tiered.get(key);
    await first.purgeLog.append({ scopes: [`k:${key}`], soft: false });
    expect(await second.tiered.get(key)).toBeUndefined();
    expect(await first.tiered.get(key)).toBeUndefined();
  });

  test('a purge that comes while Redis is asked takes what it answers', async () => {
    await store(first);
    const read = second.tiered.get(key);
    await first.purgeLog.append({ scopes: [`k:${key}`], soft: false });
    expect(await read).toBeUndefined();
    expect(second.memory.get(key)).toBeUndefined();
  });

  test('a look that is no use leaves memory as it is', async () => {
    await store(first);
    expect(await second.tiered.peek(key)).toMatchObject({ tier: 'redis' });
    expect(second.memory.peek(key)).toBeUndefined();
  });

  test('asks Redis once for all who ask for the same meanwhile', async () => {
    await store(first);
    const reads = await Promise.all(Array.from({ length: 50 }, async () => second.tiered.get(key)));
    expect(reads.every((read) => read?.item.key === key)).toBe(true);
    expect(asked(second)).toBe(1);
  });

  test('asks Redis once for all who wait for a large body, and anew once they have been told', async () => {
    const item = await store(first, { body: ownBytes(randomBytes(150_000).toString('hex')) });
    const small = process({ clock: first.clock, purgeLog: first.purgeLog, memoryBytes: 64 * 1024 });
    const reads = [Promise.resolve(small.tiered.get(key))];
    // What was read is being decompressed in a thread.
    await vi.waitUntil(() => asked(small) === 1, { interval: 0 });
    reads.push(Promise.resolve(small.tiered.get(key)));
    for (const read of await Promise.all(reads)) expect(read?.item).toEqual(item);
    expect(asked(small)).toBe(1);
    expect((await small.tiered.get(key))?.item).toEqual(item);
    expect(asked(small)).toBe(2);
  });

  test('asks Redis for each URL by itself, and anew where a look at it failed', async () => {
    const { tiered } = second;
    await store(first, { url: '/a' });
    const open = vi.spyOn(second.redis, 'open').mockImplementation(() => {
      throw new Error('a bug');
    });
    const [one, other] = [askedBy(routeOf(), '/a'), askedBy(routeOf(), '/b')];
    const looks = [tiered.get(key, one), tiered.get(key, one), tiered.get(key, other)];
    for (const look of looks) await expect(look).rejects.toThrow('a bug');
    expect(open).toHaveBeenCalledTimes(2);
    open.mockRejectedValue(new Error('a later bug'));
    const later = [tiered.get(key, one), tiered.get(key, one)];
    for (const look of later) await expect(look).rejects.toThrow('a later bug');
    expect(open).toHaveBeenCalledTimes(3);
    open.mockRestore();
    expect(await tiered.get(key)).toMatchObject({ tier: 'redis' });
  });

  test('lifetimes of what comes from Redis are those of today', async () => {
    await store(first);
    const today = askedBy(routeOf({ ttlMs: MINUTE }, { name: 'weather-forecast' }), '/v1/forecast?location=berlin');
    const read = await second.tiered.get(key, today);
    expect(read?.item).toMatchObject({ freshness: { freshUntilMs: first.clock.nowMs() + MINUTE } });
  });
});

describe('what is stale in memory', () => {
  const staleMs = 3_600_000;

  test('gives way to what is newer in Redis', async () => {
    await store(second, { body: ownBytes('old') });
    first.clock.advance(staleMs);
    const newer = await store(first, { body: ownBytes('new') });
    expect(await second.tiered.peek(key)).toMatchObject({ item: newer, tier: 'redis' });
    expect(await second.tiered.get(key)).toMatchObject({ item: newer, tier: 'redis' });
    expect(second.tiered.get(key)).toMatchObject({ item: newer, tier: 'memory' });
  });

  test('is kept where Redis has the same', async () => {
    const item = await store(second);
    first.clock.advance(staleMs);
    expect(await second.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    expect(second.memory.stats().responses).toBe(1);
  });

  test('and evicted while Redis is asked is taken from there, unless it is purged meanwhile', async () => {
    const item = await store(second);
    first.clock.advance(staleMs);
    const evicted = second.tiered.get(key);
    second.memory.invalidate(key);
    expect(await evicted).toMatchObject({ item, tier: 'redis' });
    second.memory.put(item);
    const purged = second.tiered.get(key);
    await first.purgeLog.append({ scopes: ['all'], soft: false });
    expect(await purged).toBeUndefined();
  });

  test('is kept where Redis has nothing, or does not answer', async () => {
    const item = await store(second);
    await redis.cli('del', second.redis.entryOf(key) ?? '');
    first.clock.advance(staleMs);
    expect(await second.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    const cut = process({
      clock: first.clock,
      purgeLog: first.purgeLog,
      link: { ...links.data, tellOf: () => undefined },
      config: redisConfig(redis, { timeoutMs: 20 }),
    });
    cut.memory.put(item);
    expect(await cut.tiered.get(key)).toMatchObject({ item, tier: 'memory' });
    expect(cut.results('get')).toEqual(['over-budget']);
  });

  test('is kept where what Redis has is older', async () => {
    await store(first, { body: ownBytes('old') });
    const lone = process({ clock: first.clock, purgeLog: first.purgeLog });
    first.clock.advance(1000);
    const newer = response(lone, { body: ownBytes('new') });
    lone.memory.put(newer);
    first.clock.advance(staleMs);
    expect(await lone.tiered.get(key)).toMatchObject({ item: newer, tier: 'memory' });
  });

  test('by a soft purge is looked for in Redis too', async () => {
    await store(first);
    await second.tiered.get(key);
    await first.purgeLog.append({ scopes: ['all'], soft: true });
    first.clock.advance(1000);
    const newer = await store(first, { body: ownBytes('new') });
    expect(await second.tiered.get(key)).toMatchObject({ item: newer, staleSinceMs: undefined });
  });
});

describe('a put', () => {
  test('of what a purge covers, or of what was asked for before what is stored, does not get to Redis', async () => {
    const early = response(first);
    await store(first, { nowMs: first.clock.nowMs() + 10 });
    expect(first.tiered.put(early)).toBe('outdated');
    await first.purgeLog.append({ scopes: ['all'], soft: false });
    expect(first.tiered.put(early)).toBe('purged');
    await first.tiered.settle();
    expect(first.results('put')).toEqual(['ok']);
  });

  test('that proves outdated in Redis leaves memory, so that the next request gets the later one', async () => {
    const early = response(second, { body: ownBytes('early') });
    const later = await store(first, { body: ownBytes('later'), nowMs: first.clock.nowMs() + 10 });
    expect(second.tiered.put(early)).toBe('stored');
    await expect.poll(() => second.memory.peek(key)).toBeUndefined();
    expect(await second.tiered.get(key)).toMatchObject({ item: later });
  });

  test('of what is too large for memory is stored in Redis, and too large for both is said so', async () => {
    const tiny = process({ clock: first.clock, purgeLog: first.purgeLog, memoryBytes: 10 });
    const item = await store(tiny);
    expect(await tiny.tiered.get(key)).toMatchObject({ item, tier: 'redis' });
    expect(tiny.tiered.put(response(tiny, { body: randomBytes(17 * 2 ** 20) }))).toBe('too-large');
  });

  test('is written before a stop is over', async () => {
    const body = Buffer.concat([Buffer.alloc(500_000), randomBytes(200_000)]);
    for (let n = 0; n < 5; n += 1) first.tiered.put(response(first, { key: `r|/${n}`, body }));
    await first.tiered.settle();
    expect(first.results('put')).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
    expect(first.gate.status().pendingBytes).toBe(0);
  });

  test('that hangs holds up a stop for no longer than a second', async () => {
    const stuck = process({
      timers: first.clock,
      clock: first.clock,
      purgeLog: first.purgeLog,
      link: { ...links.data, run: hang },
    });
    stuck.tiered.put(response(stuck));
    let isOver = false;
    const over = stuck.tiered.settle().then(() => (isOver = true));
    first.clock.advance(999);
    await Promise.resolve();
    expect(isOver).toBe(false);
    first.clock.advance(1);
    await over;
  });
});

describe('without a lease', () => {
  test('nothing is answered, nothing is sent, and what is fetched is not lost to memory', async () => {
    await store(first);
    lease.held = false;
    expect(first.tiered.get(key)).toBeUndefined();
    expect(first.tiered.peek(key)).toBeUndefined();
    first.tiered.put(response(first, { body: ownBytes('new') }));
    await first.tiered.settle();
    expect(first.results('put')).toEqual(['ok', 'lease']);
    expect(first.results('get')).toEqual([]);
  });

  test('that ends while Redis is asked, what it answers is dropped', async () => {
    await store(first);
    const read = second.tiered.get(key);
    lease.held = false;
    expect(await read).toBeUndefined();
    expect(second.memory.peek(key)).toBeUndefined();
  });
});

describe('an invalidation', () => {
  test('takes the response from memory and from Redis', async () => {
    await store(first);
    expect(await first.tiered.invalidate(key)).toBe(true);
    expect(await first.tiered.get(key)).toBeUndefined();
    expect(await second.tiered.get(key)).toBeUndefined();
    expect(await first.tiered.invalidate(key)).toBe(false);
  });

  test('of a marker that only memory has takes its variants from everywhere', async () => {
    const url = '/a';
    const common = { url, position: first.position(), nowMs: first.clock.nowMs() };
    await store(first, { ...common, key: 'r|/a v=de' });
    await second.tiered.get('r|/a v=de');
    first.memory.put(varyMarker({ ...common, key: 'r|/a' }));
    expect(await first.tiered.invalidate('r|/a')).toBe(true);
    expect(await second.tiered.get('r|/a v=de')).toBeUndefined();
    expect(await first.tiered.get('r|/a v=de')).toBeUndefined();
  });

  test('is not undone by a write that was still being prepared', async () => {
    const body = Buffer.concat([Buffer.alloc(500_000), randomBytes(200_000)]);
    first.tiered.put(response(first, { body }));
    expect(await first.tiered.invalidate(key)).toBe(true);
    await first.tiered.settle();
    expect(await second.tiered.get(key)).toBeUndefined();
  });
});

function hang(): Promise<never> {
  return new Promise(() => undefined);
}
