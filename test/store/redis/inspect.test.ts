import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { RedisFailure, type RedisLink, type RedisLinks } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { MINUTE, routeOf } from '../../support/policy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import { askedBy, connected, member, type Member, type MemberOptions } from '../../support/shared-tier.ts';
import { storedResponse, varyMarker, type ItemTraits } from '../../support/stored-items.ts';

const key = 'weather-forecast|/v1/forecast?location=berlin';

let redis: RedisProcess;
let links: RedisLinks;
let keyPrefix = '';
let count = 0;
let writer: Member;
let reader: Member;
const members: Member[] = [];

// What was started is ended also where the rest could not be.
const started = new AsyncDisposableStack();

beforeAll(async () => {
  redis = started.use(await startRedis());
  links = started.use(await connected(redis));
});

afterAll(() => started.disposeAsync());

beforeEach(() => {
  count += 1;
  keyPrefix = `inspect-${count}`;
  writer = process();
  reader = process(of(writer));
});

afterEach(() => {
  for (const made of members.splice(0)) made[Symbol.dispose]();
});

function process(more: Partial<MemberOptions> = {}, config: Parameters<typeof redisConfig>[1] = {}): Member {
  const common = { link: links.data, keyPrefix, timers: systemClock };
  const made = member({ ...common, config: redisConfig(redis, { timeoutMs: 5000, ...config }), ...more });
  members.push(made);
  return made;
}

/** Of the same time, and the same purges. */
function of({ clock, purgeLog }: Member): Pick<MemberOptions, 'clock' | 'purgeLog'> {
  return { clock, purgeLog };
}

async function store(made: Member, traits: Partial<ItemTraits> = {}) {
  const item = storedResponse({ key, position: made.position(), nowMs: made.clock.nowMs(), ...traits });
  expect(made.tiered.put(item)).toBe('stored');
  await made.tiered.settle();
  return item;
}

const purge = async (): Promise<unknown> => writer.purgeLog.append({ scopes: [`k:${key}`], soft: false });

describe('a look at what is stored, for an operator', () => {
  test('finds in Redis what is valid, and leaves no trace', async () => {
    const item = await store(writer);
    const found = { item, tier: 'redis', invalid: undefined, isLeftAlone: false };
    expect(await reader.tiered.inspect(key)).toMatchObject(found);
    expect(reader.memory.inspect(key)).toBeUndefined();
    expect([reader.events, reader.limits]).toEqual([[], []]);
  });

  test('shows what a purge covers, and that a read would not find it', async () => {
    const item = await store(writer);
    await purge();
    expect(await reader.tiered.inspect(key)).toMatchObject({ item, tier: 'redis', invalid: 'purged' });
    expect(reader.events).toEqual([]);
    expect(await reader.tiered.get(key)).toBeUndefined();
  });

  test('counts the URL of the request for a purge too', async () => {
    await store(writer);
    const asked = askedBy(routeOf({}, { name: 'weather-forecast' }), '/another');
    expect(await reader.tiered.inspect(key, asked)).toMatchObject({ invalid: undefined });
    await writer.purgeLog.append({ scopes: ['u:/another'], soft: false });
    expect(await reader.tiered.inspect(key, asked)).toMatchObject({ invalid: 'purged' });
    expect(reader.events).toEqual([]);
  });

  test('shows what a purge covers in memory while it is there, and does not drop it', async () => {
    await store(writer);
    await purge();
    const stored = writer.memory.stats();
    expect(writer.memory.inspect(key)).toMatchObject({ item: { key }, invalid: 'purged' });
    expect(await writer.tiered.inspect(key)).toMatchObject({ tier: 'memory', invalid: 'purged' });
    expect(writer.memory.stats()).toEqual(stored);
    expect(stored.responses).toBe(1);
  });

  test('prefers what a read would find in Redis to what is purged, or older, in memory', async () => {
    await store(writer);
    await purge();
    const newer = await store(reader, { nowMs: writer.clock.nowMs() + 1000 });
    expect(writer.memory.inspect(key)).toMatchObject({ invalid: 'purged' });
    expect(await writer.tiered.inspect(key)).toMatchObject({ item: newer, tier: 'redis', invalid: undefined });
    const newest = await store(reader, { nowMs: writer.clock.nowMs() + 2000 });
    const stale = { ...newer.freshness, freshUntilMs: writer.clock.nowMs() };
    writer.memory.put({ ...newer, freshness: stale });
    expect(await writer.tiered.inspect(key)).toMatchObject({ item: newest, tier: 'redis' });
  });

  test('prefers what is valid in memory, though stale, to what is purged in Redis', async () => {
    await store(reader);
    await purge();
    const item = storedResponse({ key, position: writer.position(), nowMs: writer.clock.nowMs() });
    writer.memory.put({ ...item, freshness: { ...item.freshness, freshUntilMs: writer.clock.nowMs() } });
    expect(await writer.tiered.inspect(key)).toMatchObject({ tier: 'memory', invalid: undefined });
  });

  test('says since when a soft purge has made it stale', async () => {
    await store(writer);
    await writer.purgeLog.append({ scopes: [`k:${key}`], soft: true });
    const staleSinceMs = writer.clock.nowMs();
    expect(writer.memory.inspect(key)).toMatchObject({ staleSinceMs, invalid: undefined });
    expect(await reader.tiered.inspect(key)).toMatchObject({ staleSinceMs, invalid: undefined });
  });

  test('shows markers, and nothing that is past its retention', async () => {
    const marker = varyMarker({ key, position: writer.position(), nowMs: writer.clock.nowMs(), retainMs: MINUTE });
    writer.tiered.put(marker);
    await writer.tiered.settle();
    expect(await reader.tiered.inspect(key)).toMatchObject({ item: { kind: 'vary' }, invalid: undefined });
    writer.clock.advance(MINUTE);
    const stored = writer.memory.stats();
    expect(await reader.tiered.inspect(key)).toBeUndefined();
    expect(await writer.tiered.inspect(key)).toBeUndefined();
    expect(writer.memory.stats()).toEqual(stored);
  });

  test('goes past a lost lease and an open breaker, from which it learns nothing', async () => {
    const item = await store(writer);
    let isDown = true;
    const link: RedisLink = {
      isReady: true,
      onReady: () => undefined,
      unlink: (name) => links.data.unlink(name),
      run: (script, keys, args) => links.data.run(script, keys, args),
      get: (name) => (isDown ? Promise.reject(new RedisFailure('closed', 'down')) : links.data.get(name)),
    };
    const lease = { held: true };
    const breaker = { failures: 2, pauseMs: 60_000, maxPauseMs: 60_000 };
    const made = process({ ...of(writer), link, leased: () => lease.held }, { breaker });
    for (let times = 0; times < 3; times += 1) expect(await made.tiered.inspect(key)).toBeUndefined();
    expect(made.gate.status().breaker).toBe('closed');
    for (let times = 0; times < 2; times += 1) await made.tiered.get(key);
    expect(made.gate.status().breaker).toBe('open');
    isDown = false;
    lease.held = false;
    const told = made.events.length;
    expect(await made.tiered.inspect(key)).toMatchObject({ item, tier: 'redis', isLeftAlone: true });
    expect(made.gate.status().breaker).toBe('open');
    expect(made.events).toHaveLength(told);
  });

  test('shows nothing of a value that cannot be read, and of a route that is not known', async () => {
    await store(writer);
    const entry = writer.redis.entryOf(key) ?? '';
    await redis.cli('set', entry, randomBytes(100).toString('hex'));
    expect(await reader.tiered.inspect(key)).toBeUndefined();
    const strange = process({ ...of(writer), fingerprintOf: () => undefined });
    expect(await strange.tiered.inspect(key)).toBeUndefined();
    expect(reader.events).toEqual([]);
  });
});
