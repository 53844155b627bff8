import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { RedisLink, RedisLinks } from '../../../src/store/redis/link.ts';
import { createLocalPurgeLog } from '../../../src/store/local-purge-log.ts';
import type { StoredItem } from '../../../src/core/stored-response.ts';
import { FakeClock } from '../../support/clock.ts';
import { HOUR, MINUTE, routeOf } from '../../support/policy.ts';
import type { redisConfig } from '../../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import {
  askedBy,
  connected,
  member,
  overRedis,
  someEpoch,
  type Member,
  type MemberOptions,
} from '../../support/shared-tier.ts';
import { ownBytes, storedResponse, varyMarker, type ItemTraits } from '../../support/stored-items.ts';

let redis: RedisProcess;
let links: RedisLinks;
let keyPrefix = '';
let count = 0;

// What was started is ended also where the rest could not be.
const started = new AsyncDisposableStack();

beforeAll(async () => {
  redis = started.use(await startRedis());
  links = started.use(await connected(redis));
});

afterAll(() => started.disposeAsync());

beforeEach(() => {
  count += 1;
  keyPrefix = `store-${count}`;
});

function process(more: Partial<MemberOptions> = {}, config: Parameters<typeof redisConfig>[1] = {}): Member {
  return member({ ...overRedis({ redis, links, keyPrefix }, config), ...more });
}

function response(made: Member, traits: Partial<ItemTraits> = {}) {
  return storedResponse({ position: made.position(), nowMs: made.clock.nowMs(), ...traits });
}

function entryOf(made: Member, item: Pick<StoredItem, 'key' | 'route'>): string {
  return made.redis.entryOf(item.key, item.route) ?? '';
}

/** Overwrites a value byte for byte. */
async function writeRaw(key: string, value: Buffer): Promise<void> {
  const lua = "#!lua\nredis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)\nreturn 'ok'";
  await links.control.run({ name: 'writeRaw', keys: 1, reply: 'text', lua }, [key], [value]);
}

async function readRaw(key: string): Promise<Buffer> {
  const value = await links.control.get(key);
  if (value === null) throw new Error('nothing is there');
  return Buffer.from(value);
}

/** What of a key its slot is worked out from. */
function slotOf(key: string): string | undefined {
  return /\{(.+)\}/.exec(key)?.[1];
}

/** A link that keeps back what is written until it is let go: as a frozen Redis, or a slow way to it. */
function heldLink(): { readonly link: RedisLink; letGo(): Promise<void> } {
  const kept: (() => void)[] = [];
  const sent: Promise<unknown>[] = [];
  const link: RedisLink = {
    isReady: true,
    get: (key) => links.data.get(key),
    unlink: (key) => links.data.unlink(key),
    onReady: () => undefined,
    async run(script, keys, args) {
      await new Promise<void>((resolve) => void kept.push(resolve));
      const reply = links.data.run(script, keys, args);
      sent.push(reply);
      return reply;
    },
  };
  return {
    link,
    async letGo() {
      for (const go of kept.splice(0)) go();
      await Promise.resolve();
      await Promise.all(sent);
    },
  };
}

describe('a look at Redis', () => {
  test('invariant 18: has what is left of the budget of its request', async () => {
    const made = process();
    const asked = { ...askedBy(routeOf({}, { name: 'weather-forecast' }), '/v1/forecast'), waitedMs: 5000 };
    expect(await made.redis.get('weather-forecast|/v1/forecast', asked)).toBeUndefined();
    expect(made.results('get')).toEqual(['spent']);
  });
});

describe('a response in Redis', () => {
  test('lives as long as it may be kept, and up to a twentieth longer', async () => {
    const made = process();
    const item = response(made, { retainMs: 100_000 });
    await made.redis.put(item);
    const ttlMs = Number(await redis.cli('pttl', entryOf(made, item)));
    expect(ttlMs).toBeGreaterThan(99_000);
    expect(ttlMs).toBeLessThanOrEqual(105_000);
  });

  test('whose retention is all but over has a second to live, not forever', async () => {
    const made = process();
    const item = response(made, { retainMs: 1 });
    await made.redis.put(item);
    const ttlMs = Number(await redis.cli('pttl', entryOf(made, item)));
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(1000);
  });

  test('has a time to live whatever it is: no key of data is without', async () => {
    const made = process();
    await made.redis.put(response(made));
    await made.redis.put(response(made, { key: 'weather-forecast|/endless', retainMs: Number.POSITIVE_INFINITY }));
    await made.redis.put(
      varyMarker({ key: 'weather-forecast|/m', position: made.position(), nowMs: made.clock.nowMs() }),
    );
    const claim = await made.locks.claim({
      key: 'weather-forecast|/l',
      asked: askedBy(routeOf({}, { name: 'weather-forecast' }), '/l'),
      known: undefined,
    });
    const keys = (await redis.cli('keys', `${keyPrefix}:*`)).split('\n');
    expect(keys).toHaveLength(4);
    for (const key of keys) expect(Number(await redis.cli('pttl', key))).toBeGreaterThan(0);
    if (claim.kind === 'ours') claim.lock.release('stored');
  });

  test('is named by digests alone, with nothing of its URL', async () => {
    const made = process();
    await made.redis.put(response(made));
    expect(await redis.cli('keys', `${keyPrefix}:*`)).toMatch(/^store-\d+:e:\{[\w-]{22}\}$/);
  });

  test('is compressed where that saves a fifth, and not where upstream chose a coding', async () => {
    const made = process({}, { compressAboveBytes: 2048 });
    const body = ownBytes('{"temperature":21.5}'.repeat(200));
    const coded = [['content-encoding', 'gzip']] as const;
    for (const [key, traits, isSmall] of [
      ['r|/text', { body }, true],
      ['r|/gzip', { body, fields: coded }, false],
      ['r|/identity', { body, fields: [['content-encoding', 'identity']] }, true],
      ['r|/small', { body: body.subarray(0, 2047) }, false],
      ['r|/edge', { body: body.subarray(0, 2048) }, true],
      ['r|/noise', { body: randomBytes(4000) }, false],
    ] as const) {
      const item = response(made, { key, ...traits });
      await made.redis.put(item);
      const { byteLength } = await readRaw(entryOf(made, item));
      expect({ key, isSmall: byteLength < item.body.byteLength }).toEqual({ key, isSmall });
      expect((await made.redis.get(key))?.item).toEqual(item);
    }
  });

  test('of a route that is compressed nowhere stays as it is', async () => {
    const made = process({}, { compressAboveBytes: undefined });
    const item = response(made, { body: ownBytes('a'.repeat(5000)) });
    await made.redis.put(item);
    expect((await readRaw(entryOf(made, item))).byteLength).toBeGreaterThan(5000);
  });

  test('is not written past maxObjectBytes as it would be in Redis, and is one byte before', async () => {
    const made = process({}, { maxObjectBytes: 5000 });
    const sizeWith = async (length: number): Promise<number> => {
      const item = response(made, { key: 'r|/a', body: randomBytes(length) });
      await made.redis.put(item);
      return (await readRaw(entryOf(made, item))).byteLength;
    };
    const overhead = (await sizeWith(3000)) - 3000;
    expect(await made.redis.put(response(made, { key: 'r|/b', body: randomBytes(5000 - overhead) }))).toBe('stored');
    expect(made.limits).toEqual([]);
    expect(await made.redis.put(response(made, { key: 'r|/c', body: randomBytes(5001 - overhead) }))).toBe('too-large');
    expect(made.limits).toEqual(['store.redis.maxObjectBytes']);
    expect(made.results('put')).toEqual(['ok', 'ok', 'too-large']);
    expect(made.events.at(-1)).toMatchObject({ result: 'too-large', durationMs: undefined, bytes: 0 });
    expect(await made.redis.get('r|/c')).toBeUndefined();
  });

  test('that compresses well may be larger, up to sixteen times', async () => {
    const made = process({}, { maxObjectBytes: 5000 });
    expect(await made.redis.put(response(made, { key: 'r|/b', body: Buffer.alloc(80_000) }))).toBe('stored');
    expect((await made.redis.get('r|/b'))?.item).toMatchObject({ body: Buffer.alloc(80_000) });
    expect(await made.redis.put(response(made, { key: 'r|/c', body: Buffer.alloc(80_001) }))).toBe('too-large');
    expect(made.events.at(-1)).toMatchObject({ result: 'too-large', durationMs: undefined, bytes: 0 });
  });

  test('is dropped and counted where too much is under way already', async () => {
    const made = process({}, { maxPendingBytes: 65_536 });
    const items = [1, 2, 3].map((n) => response(made, { key: `r|/${n}`, body: randomBytes(30_000) }));
    expect(await Promise.all(items.map((item) => made.redis.put(item)))).toEqual(['stored', 'stored', 'stored']);
    expect(made.results('put').toSorted()).toEqual(['ok', 'ok', 'pending']);
    expect(made.limits).toEqual(['store.redis.maxPendingBytes']);
    expect(await made.redis.get('r|/3')).toBeUndefined();
    expect(made.gate.status().pendingBytes).toBe(0);
  });

  test('of a route that is not configured here is neither read nor written', async () => {
    const made = process({ fingerprintOf: () => undefined });
    await made.redis.put(response(made));
    expect(await made.redis.get('weather-forecast|/v1/forecast?location=berlin')).toBeUndefined();
    expect(await redis.cli('keys', `${keyPrefix}:*`)).toBe('');
  });

  test('is where its request has found it before, for its own key and store alone', async () => {
    const [made, other] = [process(), process({ keyPrefix: `${keyPrefix}-other` })];
    const item = response(made);
    const variant = response(made, { key: `${item.key} accept-language=de` });
    await Promise.all([made.redis.put(item), made.redis.put(variant)]);
    const keyed = { key: item.key, url: item.url, tags: [], place: undefined };
    const asked = { route: routeOf({}, { name: 'weather-forecast' }), keyed };
    for (let round = 0; round < 2; round += 1) {
      expect((await made.redis.get(item.key, asked))?.item.key).toBe(item.key);
      expect((await made.redis.get(variant.key, asked))?.item.key).toBe(variant.key);
      expect(await other.redis.get(item.key, asked)).toBeUndefined();
    }
    expect(keyed.place).toBeDefined();
  });

  test('of another recipe is not shared', async () => {
    const recipe = { name: 'a' };
    const made = process({ fingerprintOf: () => recipe.name });
    const item = response(made);
    await made.redis.put(item);
    recipe.name = 'b';
    expect(await made.redis.get(item.key)).toBeUndefined();
    recipe.name = 'a';
    expect(await made.redis.get(item.key)).toBeDefined();
  });
});

test('what is thrown where a look has no answer is told to whoever asks', async () => {
  const unknown = process({ fingerprintOf: () => undefined });
  const bug = new Error('a bug');
  const told = new Promise((resolve, reject) => {
    unknown.redis.getFor(
      { key: 'r|/', asked: undefined, isLeased: undefined },
      { finish: () => Promise.reject(bug), resolve, reject },
    );
  });
  await expect(told).rejects.toBe(bug);
});

describe('by today’s rules', () => {
  const url = '/v1/forecast?location=berlin';
  const named = { name: 'weather-forecast' };

  test('invariant 20: a shortened ttl applies to what is stored, and a longer one only within its retention', async () => {
    const made = process();
    const item = response(made, { retainMs: 2 * HOUR });
    await made.redis.put(item);
    const freshUntil = async (ttlMs: number, retainMs = 24 * HOUR): Promise<number> => {
      const read = await made.redis.get(item.key, askedBy(routeOf({ ttlMs, retainMs }, named), url));
      return read?.item.kind === 'response' ? read.item.freshness.freshUntilMs - made.clock.nowMs() : Number.NaN;
    };
    expect(await freshUntil(MINUTE)).toBe(MINUTE);
    expect(await freshUntil(90 * MINUTE)).toBe(90 * MINUTE);
    expect(await freshUntil(10 * HOUR)).toBe(2 * HOUR);
    made.clock.advance(2 * MINUTE);
    expect(await freshUntil(MINUTE)).toBe(-MINUTE);
    // Past the retention of today there is nothing.
    expect(await freshUntil(MINUTE, MINUTE)).toBeNaN();
  });

  test('invariant 20: a status that the rules do not store any more is a miss', async () => {
    const made = process();
    const item = { ...response(made), status: 404 };
    await made.redis.put(item);
    const read = (statusTtlMs: ReadonlyMap<number, number>) =>
      made.redis.get(item.key, askedBy(routeOf({ statusTtlMs }, named), url));
    expect(await read(new Map([[404, MINUTE]]))).toBeDefined();
    expect(await read(new Map())).toBeUndefined();
    expect(await read(new Map([[404, 0]]))).toBeUndefined();
  });

  test('what the response was in age when it came is in age still', async () => {
    const made = process();
    const policy = { upstreamCacheControl: 'honour', ttlMs: undefined } as const;
    const fields = [
      ['cache-control', 'max-age=600'],
      ['date', new Date(made.clock.nowMs()).toUTCString()],
    ] as const;
    const item = { ...response(made, { fields }), initialAgeMs: 100_250 };
    await made.redis.put(item);
    const read = await made.redis.get(item.key, askedBy(routeOf(policy, named), url));
    expect(read?.item).toMatchObject({ freshness: { freshUntilMs: made.clock.nowMs() + 499_750, source: 'max-age' } });
  });

  test('invariant 13: a tag of today covers what was stored without it, and one of then still does', async () => {
    const made = process();
    const item = response(made, { tags: ['then'] });
    await made.redis.put(item);
    const asked = askedBy(routeOf({}, named), url, ['now']);
    expect((await made.redis.get(item.key, asked))?.item.tags).toEqual(['now', 'then']);
    await made.purgeLog.append({ scopes: ['t:now'], soft: false });
    expect(await made.redis.get(item.key)).toBeDefined();
    expect(await made.redis.get(item.key, asked)).toBeUndefined();
    const again = response(made, { tags: ['then'] });
    await made.redis.put(again);
    await made.purgeLog.append({ scopes: ['t:then'], soft: false });
    expect(await made.redis.get(item.key, asked)).toBeUndefined();
    expect(made.events).toContainEqual({ kind: 'refused', reason: 'purged' });
  });

  test('takes the place of a marker that a purge of a tag of today covers: nobody who asks by these rules is led on by it', async () => {
    const made = process();
    const traits = { key: 'weather-forecast|/new', url: '/new' };
    const marker = varyMarker({ ...traits, tags: ['then'], position: made.position(), nowMs: made.clock.nowMs() });
    await made.redis.put(marker);
    await made.purgeLog.append({ scopes: ['t:now'], soft: false });
    const asked = askedBy(routeOf({}, named), '/new', ['now']);
    expect(await made.redis.get(marker.key, asked)).toBeUndefined();
    const item = response(made, { ...traits, tags: ['now'] });
    expect(await made.redis.put(item)).toBe('stored');
    expect((await made.redis.get(item.key, asked))?.item.kind).toBe('response');
  });

  test('the URL that is asked for counts beside the one that was stored', async () => {
    const made = process();
    const item = response(made, { url: '/old' });
    await made.redis.put(item);
    const asked = askedBy(routeOf({}, named), '/new');
    expect(await made.redis.get(item.key, asked)).toBeDefined();
    await made.purgeLog.append({ scopes: ['u:/new'], soft: false });
    expect(await made.redis.get(item.key, asked)).toBeUndefined();
  });
});

describe('invariants of the shared tier', () => {
  test('invariant 8: a write that arrives after a purge, however late, makes nothing servable', async () => {
    const held = heldLink();
    const made = process({ link: held.link });
    const item = response(made, { tags: ['t'] });
    const put = made.redis.put(item);
    await made.purgeLog.append({ scopes: ['t:t'], soft: false });
    await held.letGo();
    expect(await put).toBe('stored');
    expect(await readRaw(entryOf(made, item))).toBeDefined();
    expect(await made.redis.get(item.key)).toBeUndefined();
    const fresh = response(made, { tags: ['t'] });
    const again = made.redis.put(fresh);
    await held.letGo();
    expect(await again).toBe('stored');
    expect((await made.redis.get(item.key))?.item).toEqual(fresh);
  });

  test.each([1, 2])(
    'invariant 8: what is stored in version %i of the format is not replaced by what is older',
    async (version) => {
      const made = process();
      const before = response(made, { body: ownBytes('before') });
      const after = response(made, { body: ownBytes('after'), nowMs: made.clock.nowMs() + 60 });
      made.clock.advance(60);
      await made.redis.put(after);
      const value = await readRaw(entryOf(made, after));
      expect(value[2]).toBe(2);
      // Scripts read of a value what both versions have in the same place.
      value[2] = version;
      await writeRaw(entryOf(made, after), value);
      expect(await made.redis.put(before)).toBe('outdated');
    },
  );

  test('invariant 8: a write from before a purge does not replace one from after it', async () => {
    const held = heldLink();
    const slow = process({ link: held.link });
    const quick = process({ purgeLog: slow.purgeLog, clock: slow.clock });
    const before = response(slow, { body: ownBytes('before') });
    const put = slow.redis.put(before);
    await slow.purgeLog.append({ scopes: ['t:unrelated'], soft: false });
    const after = response(quick, { body: ownBytes('after'), nowMs: slow.clock.nowMs() + 60 });
    await quick.redis.put(after);
    await held.letGo();
    expect(await put).toBe('outdated');
    // It was sent, and is not in Redis.
    expect(slow.events).toEqual([
      { kind: 'redis', operation: 'put', result: 'outdated', durationMs: expect.any(Number), bytes: 0 },
    ]);
    expect((await quick.redis.get(after.key))?.item).toEqual(after);
  });

  test('invariant 8: a write from after a purge replaces one from before it, whatever their clocks say', async () => {
    const made = process();
    const before = response(made, { body: ownBytes('before') });
    await made.purgeLog.append({ scopes: ['t:unrelated'], soft: false });
    const after = response(made, { body: ownBytes('after'), nowMs: made.clock.nowMs() - 50 });
    await made.redis.put(before);
    expect(await made.redis.put(after)).toBe('stored');
    expect((await made.redis.get(after.key))?.item).toEqual(after);
  });

  test.each([HOUR, -HOUR])(
    'invariant 11: a clock that is off by %i ms changes no response’s age or lifetime',
    async (offMs) => {
      const clock = new FakeClock();
      const right = process({ clock });
      const wrong = process({
        clock: new FakeClock(clock.nowMs() + offMs),
        purgeLog: right.purgeLog,
        skewMs: () => -offMs,
      });
      const item = response(right, { key: 'r|/right' });
      await right.redis.put(item);
      const read = (await wrong.redis.get(item.key))?.item;
      if (read?.kind !== 'response') throw new Error('not read');
      expect(read.responseTimeMs - wrong.clock.nowMs()).toBe(item.responseTimeMs - clock.nowMs());
      expect(read.freshness.freshUntilMs - wrong.clock.nowMs()).toBe(item.freshness.freshUntilMs - clock.nowMs());
      const other = response(wrong, { key: 'r|/wrong', retainMs: 60_000 });
      await wrong.redis.put(other);
      expect(Number(await redis.cli('pttl', entryOf(wrong, other)))).toBeLessThanOrEqual(63_000);
      expect((await right.redis.get(other.key))?.item).toMatchObject({ responseTimeMs: clock.nowMs() });
      clock.advance(60_000);
      expect(await right.redis.get(other.key)).toBeUndefined();
    },
  );

  test.each([HOUR, -HOUR])(
    'invariant 11: of two writes the one that was asked for later stays, with a clock off by %i ms',
    async (offMs) => {
      const clock = new FakeClock();
      const right = process({ clock });
      const wrong = process({
        clock: new FakeClock(clock.nowMs() + offMs),
        purgeLog: right.purgeLog,
        skewMs: () => -offMs,
      });
      const early = response(right, { body: ownBytes('early') });
      const earlyWrong = response(wrong, { body: ownBytes('early') });
      clock.advance(1000);
      wrong.clock.advance(1000);
      expect(await wrong.redis.put(response(wrong, { body: ownBytes('late') }))).toBe('stored');
      expect(await right.redis.put(early)).toBe('outdated');
      expect(await right.redis.put(response(right, { body: ownBytes('later') }))).toBe('stored');
      expect(await wrong.redis.put(earlyWrong)).toBe('outdated');
    },
  );

  test('invariant 12: no command looks through keys, and all keys of one are in one slot', async () => {
    const made = process({}, {});
    await links.control.run({ name: 'probe', keys: 0, reply: 'text', lua: "#!lua\nreturn 'ok'" }, [], []);
    await redis.cli('config', 'resetstat');
    const asked = askedBy(routeOf({}, { name: 'weather-forecast' }), '/v1/forecast?location=berlin');
    const item = response(made);
    await made.redis.put(item);
    await made.redis.get(item.key, asked);
    const claim = await made.locks.claim({ key: item.key, asked, known: item });
    if (claim.kind !== 'ours') throw new Error(`it is ${claim.kind}`);
    claim.lock.release('stored');
    await made.redis.put(varyMarker({ key: 'r|/m', url: '/m', position: made.position(), nowMs: made.clock.nowMs() }));
    await made.redis.invalidate('r|/m');
    await made.purgeLog.append({ scopes: ['all'], soft: false });
    expect(await made.redis.get(item.key, asked)).toBeUndefined();
    const called = async (): Promise<readonly string[]> =>
      (await redis.cli('info', 'commandstats')).match(/(?<=cmdstat_)[a-z|]+/g) ?? [];
    await expect.poll(called).toContain('del');
    const allowed = [
      'config|resetstat',
      'info',
      // The bell's heartbeat, once a second, which a busy machine lets through.
      'ping',
      'get',
      'set',
      'getrange',
      'pexpire',
      'del',
      'unlink',
      'eval',
      'evalsha',
    ];
    expect((await called()).filter((name) => !allowed.includes(name))).toEqual([]);
    const entry = entryOf(made, item);
    expect(slotOf(entry)).toBeDefined();
    expect(slotOf(made.keys.lock(entry))).toBe(slotOf(entry));
  });

  test.each([
    ['foreign', Buffer.from('{"temperature":21}')],
    ['truncated', Buffer.from('FC')],
  ])('invariant 14: a value that is %s is a miss, is counted, and is written over', async (reason, value) => {
    const made = process();
    const item = response(made);
    await writeRaw(entryOf(made, item), value);
    expect(await made.redis.get(item.key)).toBeUndefined();
    expect(made.events.filter(({ kind }) => kind === 'unusable')).toEqual([{ kind: 'unusable', reason }]);
    expect(await made.redis.put(item)).toBe('stored');
    expect((await made.redis.get(item.key))?.item).toEqual(item);
  });

  test('invariant 14: a value of another type is a miss, and no reason to leave Redis alone', async () => {
    const made = process();
    const item = response(made);
    await redis.cli('lpush', entryOf(made, item), 'x');
    for (let round = 0; round < 10; round += 1) expect(await made.redis.get(item.key)).toBeUndefined();
    expect(made.gate.status().breaker).toBe('closed');
    expect(made.results('get')).toEqual(Array.from({ length: 10 }, () => 'other'));
  });

  test('invariant 14: a value that was cut, or of another key, is a miss and never a wrong body', async () => {
    const made = process();
    const item = response(made);
    const other = response(made, { key: 'weather-forecast|/v1/forecast?location=paris', body: ownBytes('paris') });
    await made.redis.put(item);
    await made.redis.put(other);
    const value = await readRaw(entryOf(made, item));
    await writeRaw(entryOf(made, item), value.subarray(0, -5));
    expect(await made.redis.get(item.key)).toBeUndefined();
    await writeRaw(entryOf(made, item), await readRaw(entryOf(made, other)));
    expect(await made.redis.get(item.key)).toBeUndefined();
    const reasons = made.events.flatMap((event) => (event.kind === 'unusable' ? [event.reason] : []));
    expect(reasons).toEqual(['truncated', 'collision']);
  });

  test('invariant 16: a log that has forgotten old purges turns hits into misses, and no miss into a hit', async () => {
    const clock = new FakeClock();
    const purgeLog = createLocalPurgeLog({ clock, instanceId: someEpoch, maxScopes: 4, positionMaxAgeMs: 1 });
    const made = process({ clock, purgeLog });
    const untouched = response(made, { key: 'r|/untouched', tags: [] });
    const purged = response(made, { key: 'r|/purged', tags: ['gone'] });
    await made.redis.put(untouched);
    await made.redis.put(purged);
    await purgeLog.append({ scopes: ['t:gone'], soft: false });
    expect(await made.redis.get(untouched.key)).toBeDefined();
    for (let n = 0; n < 10; n += 1) {
      clock.advance(100);
      await purgeLog.append({ scopes: [`t:other-${n}`], soft: false });
      expect(await made.redis.get(purged.key)).toBeUndefined();
    }
    expect(purgeLog.scopes).toBeLessThan(5);
    expect(await made.redis.get(untouched.key)).toBeUndefined();
    const again = response(made, { key: 'r|/untouched', tags: [] });
    await made.redis.put(again);
    expect((await made.redis.get(again.key))?.item).toEqual(again);
  });

  test('invariant 9: a response of another epoch is a miss, and is replaced by one of this whatever its place', async () => {
    const before = process({
      purgeLog: createLocalPurgeLog({ clock: new FakeClock(), instanceId: 'fedcba9876543210' }),
    });
    const item = response(before, { body: ownBytes('before') });
    await before.redis.put({ ...item, requestTimeMs: item.requestTimeMs + 100 });
    const after = process();
    expect(await after.redis.get(item.key)).toBeUndefined();
    const fresh = response(after, { body: ownBytes('after') });
    expect(await after.redis.put(fresh)).toBe('stored');
    expect((await after.redis.get(fresh.key))?.item).toEqual(fresh);
  });
});
