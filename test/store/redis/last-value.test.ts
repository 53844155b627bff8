import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';

import type { ReadFor } from '../../../src/cache/fleet-ports.ts';
import type { StoreRead } from '../../../src/cache/ports.ts';
import type { RequestMemo } from '../../../src/core/request.ts';
import type { StoredItem } from '../../../src/core/stored-response.ts';
import { encodeItem } from '../../../src/store/redis/codec.ts';
import { maxLastBytes } from '../../../src/store/redis/last-value.ts';
import type { RedisLink } from '../../../src/store/redis/link.ts';
import { packBody } from '../../../src/store/redis/pack-body.ts';
import { FakeClock } from '../../support/clock.ts';
import { routeOf } from '../../support/policy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { member, type Member } from '../../support/shared-tier.ts';
import { Dice } from '../../support/spellings.ts';
import { ownBytes, storedResponse, varyMarker, type ItemTraits } from '../../support/stored-items.ts';

const url = '/v1/forecast?location=berlin';
const key = `weather-forecast|${url}`;
const config = redisConfig({ port: 0, password: undefined }, { timeoutMs: 5000, compressAboveBytes: 4096 });

/** What memos have taken, up to a bound. */
class Memo implements RequestMemo {
  made: object | undefined = undefined;
  bytes = 0;
  most = Number.POSITIVE_INFINITY;

  grow(bytes: number): boolean {
    if (this.bytes + bytes > this.most) return false;
    this.bytes += bytes;
    return true;
  }
}

let clock: FakeClock;
let made: Member;
let value: Buffer | null;
/** Of its head and meta. */
const metaBytes = (): number => 28 + (value?.readUInt32BE(24) ?? 0);
let skewMs: number;
let isLeased: boolean;

beforeEach(() => {
  clock = new FakeClock();
  value = null;
  skewMs = 0;
  isLeased = true;
  const link: RedisLink = {
    isReady: true,
    get: async () => value,
    unlink: async () => {},
    run: async () => 'ok',
    onReady: () => undefined,
  };
  made = member({
    link,
    keyPrefix: 'p',
    config,
    clock,
    skewMs: () => skewMs,
    leased: () => isLeased,
  });
  const { [Symbol.dispose]: dispose } = made;
  onTestFinished(() => dispose());
});

const route = routeOf({ ttlMs: 3_600_000, retainMs: 86_400_000 }, { name: 'weather-forecast', upstream: 'weather' });
const ruleTags = ['route:weather-forecast', 'upstream:weather'];

/** A request that is met again and again, and the same one that nobody knows. */
function asking(memo: RequestMemo = new Memo(), tags: readonly string[] = ruleTags, more = {}) {
  const known: ReadFor = { route, keyed: { key, url, tags, place: undefined, memo, ...more } };
  const unknown: ReadFor = { route, keyed: { key, url, tags, ...more } };
  return { known, unknown };
}

function response(traits: Partial<ItemTraits> = {}) {
  return storedResponse({ key, url, position: made.position(), nowMs: clock.nowMs(), ...traits });
}

async function encoded(item: StoredItem): Promise<Buffer> {
  return encodeItem(item, await packBody(item, config), skewMs);
}

/** With all that it says, but for where it says it from. */
async function read(asked: ReadFor, of = key) {
  const before = made.events.length;
  const found = await made.redis.get(of, asked);
  const events = made.events.slice(before).map((event) => ({ ...event, durationMs: 0 }));
  const said = found && { item: found.item, staleSinceMs: found.staleSinceMs, tier: found.tier, tally: found.tally };
  return { said, events, isAgain: found?.same !== undefined };
}

/** Reads it so often that whatever is kept is. */
async function warm(asked: ReadFor): Promise<StoreRead | undefined> {
  for (let times = 0; times < 3; times += 1) await made.redis.get(key, asked);
  return made.redis.get(key, asked);
}

/** Has a field of so many characters be there; gives the bytes of head and metadata. */
async function fill(length: number): Promise<number> {
  value = await encoded(response({ fields: [['x', 'y'.repeat(length)]] }));
  return 28 + value.readUInt32BE(24);
}

describe('a value that is read again', () => {
  test('is not judged anew, and is what it was, with the bytes that came', async () => {
    const { known, unknown } = asking();
    value = await encoded(response());
    expect((await read(known)).isAgain).toBe(false);
    const again = await read(known);
    expect(again.isAgain).toBe(true);
    expect(again.said).toEqual((await read(unknown)).said);
    expect(again.said?.item).toMatchObject({ body: ownBytes('{"temperature":21.5}') });
    // Of the same length, in a value that is whole.
    value = await encoded(response({ body: ownBytes('{"temperature":18.0}') }));
    const other = await read(known);
    expect(other.isAgain).toBe(true);
    expect(other.said?.item).toMatchObject({ body: ownBytes('{"temperature":18.0}') });
    // Those that were read before keep theirs.
    expect(again.said?.item).toMatchObject({ body: ownBytes('{"temperature":21.5}') });
  });

  test('is read as one that nobody knows, each of its bits turned', async () => {
    const { known, unknown } = asking();
    const whole = await encoded(response());
    for (let bit = 0; bit < whole.byteLength * 8; bit += 1) {
      value = whole;
      expect((await warm(known))?.same).toBeDefined();
      value = Buffer.from(whole);
      value[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const one = await read(known);
      expect([bit, one.isAgain, one.said]).toEqual([bit, false, undefined]);
      expect(one.events).toEqual((await read(unknown)).events);
    }
  });

  test('is read as one that nobody knows, whatever happens between', async () => {
    const dice = new Dice(20_261_126);
    const memo = new Memo();
    const { known, unknown } = asking(memo);
    let again = 0;
    let refused = 0;
    const bodies = ['{"temperature":21.5}', '{"temperature":18.0}', '{}', 'a'.repeat(5000), 'b'.repeat(5000)];
    const large = ['c'.repeat(40_000), 'd'.repeat(40_000)];
    const fields = [
      [['date', 'Mon, 23 Nov 2026 12:00:00 GMT']],
      [
        ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
        ['x-odd', 'a\tb\u00fc'],
      ],
      [['etag', '"a"']],
    ] as const;
    let item: StoredItem = response();
    value = await encoded(item);
    const steps: readonly (() => Promise<void> | void)[] = [
      async () => {
        const body = ownBytes(dice.pick(dice.chance(4) ? large : bodies));
        item = response({ body, fields: dice.pick(fields), tags: dice.chance(3) ? [...ruleTags, 'more'] : ruleTags });
        value = await encoded(item);
      },
      async () => {
        if (item.kind === 'response') item = { ...item, body: ownBytes(dice.pick(bodies)) };
        value = await encoded(item);
      },
      async () => {
        item = varyMarker({ key, url, position: made.position(), nowMs: clock.nowMs() });
        value = await encoded(item);
      },
      () => {
        value = dice.chance(2) ? null : Buffer.from(value ?? '').subarray(0, dice.roll(600));
      },
      () => {
        if (value === null || value.byteLength === 0) return;
        value = Buffer.from(value);
        const at = dice.roll(value.byteLength);
        value[at] = (value[at] ?? 0) ^ (1 << dice.roll(8));
      },
      () => clock.advance(dice.pick([1, 1000, 3_600_000, 90_000_000])),
      async () => {
        const scope = dice.pick(['t:more', 't:upstream:weather', `u:${url}`, `k:${key}`, 'all', 't:none']);
        await made.purgeLog.append({ scopes: [scope], soft: dice.chance(2) });
      },
      () => {
        skewMs = dice.pick([0, 0.4, 1, -3, 250]);
      },
      () => {
        isLeased = !isLeased || !dice.chance(3);
      },
    ];
    for (let step = 0; step < 6000; step += 1) {
      const times = dice.roll(3);
      for (let count = 0; count < times; count += 1) {
        const one = await read(known);
        const other = await read(unknown);
        expect(one.said).toEqual(other.said);
        expect(one.events).toEqual(other.events);
        if (one.isAgain) again += 1;
        else refused += 1;
      }
      if (dice.chance(2)) await dice.pick(steps)();
    }
    expect(again).toBeGreaterThan(400);
    expect(refused).toBeGreaterThan(500);
    expect(memo.bytes).toBeLessThan(10_000);
  }, 60_000);

  test('says from when on a soft purge made it stale, and is gone once it is purged or past its retention', async () => {
    const { known } = asking();
    value = await encoded(response({ tags: [...ruleTags, 'more'], retainMs: 10_000 }));
    expect(await warm(known)).toMatchObject({ same: {}, staleSinceMs: undefined });
    clock.advance(10);
    await made.purgeLog.append({ scopes: ['t:more'], soft: true });
    expect(await made.redis.get(key, known)).toMatchObject({ same: {}, staleSinceMs: clock.nowMs() });
    clock.advance(9_989);
    expect(await made.redis.get(key, known)).toBeDefined();
    clock.advance(1);
    expect(await made.redis.get(key, known)).toBeUndefined();
    value = await encoded(response({ tags: [...ruleTags, 'more'] }));
    expect(await warm(known)).toMatchObject({ same: {} });
    await made.purgeLog.append({ scopes: ['t:more'], soft: false });
    expect(await read(known)).toMatchObject({ said: undefined, events: [{}, { kind: 'refused', reason: 'purged' }] });
  });

  test('is purged by the URL of the request too, where it was stored for another', async () => {
    const { known } = asking();
    value = await encoded(response({ url: '/another' }));
    expect(await warm(known)).toMatchObject({ same: {}, item: { url: '/another' } });
    await made.purgeLog.append({ scopes: [`u:${url}`], soft: false });
    expect((await read(known)).said).toBeUndefined();
  });

  test('is nobody else’s: neither another key’s, nor another store’s, nor without a memo', async () => {
    const { known, unknown } = asking();
    value = await encoded(response());
    await warm(known);
    expect((await read(unknown)).isAgain).toBe(false);
    expect((await read(known, `${key}|v`)).said).toBeUndefined();
    const other = member({
      link: { isReady: true, get: async () => value, unlink: async () => {}, run: async () => 0, onReady: () => {} },
      keyPrefix: 'q',
      config,
      clock,
      purgeLog: made.purgeLog,
    });
    onTestFinished(() => other[Symbol.dispose]());
    expect((await other.redis.get(key, known))?.same).toBeUndefined();
  });

  test('of which the head and metadata are more than 2 KiB is read each time', async () => {
    expect(maxLastBytes).toBe(2048);
    const { known } = asking();
    const length = 1000 + maxLastBytes - (await fill(1000));
    expect(await fill(length)).toBe(maxLastBytes);
    expect((await warm(known))?.same).toBeDefined();
    await fill(length + 4);
    expect((await warm(known))?.same).toBeUndefined();
  });

  test('gives back what it took when another takes its place, and is not kept where there is no room', async () => {
    const memo = new Memo();
    const { known } = asking(memo);
    value = await encoded(response());
    const read1 = await warm(known);
    const { bytes } = memo;
    expect(bytes).toBeGreaterThan(value.byteLength + 512);
    expect(read1?.same?.grow(1000)).toBe(true);
    expect(memo.bytes).toBe(bytes + 1000);
    value = await encoded(response({ fields: [['date', 'Mon, 23 Nov 2026 12:00:01 GMT']] }));
    await warm(known);
    expect(memo.bytes).toBeLessThan(bytes);
    // Whoever holds the one of before still has nothing counted that nobody would give back.
    expect(read1?.same?.grow(1)).toBe(false);
    memo.most = memo.bytes - 1;
    value = await encoded(response());
    expect((await warm(known))?.same).toBeUndefined();
    expect(memo.bytes).toBe(0);
    memo.most = bytes;
    expect((await warm(known))?.same).toBeDefined();
    expect(memo.bytes).toBe(bytes);
  });

  test('counts field lines, tags of its own and long lines', async () => {
    const taken = async (traits: Partial<ItemTraits>, tags = ruleTags): Promise<number> => {
      const memo = new Memo();
      value = await encoded(response(traits));
      await warm(asking(memo, tags).known);
      return memo.bytes - (28 + value.readUInt32BE(24));
    };
    const date = ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'] as const;
    expect(await taken({ fields: [date] })).toBe(512 + 152 + 33);
    expect(await taken({ fields: [date, ['x', 'y']] })).toBe(512 + 2 * 152 + 35);
    const tagged = await taken({ fields: [date], tags: [...ruleTags, 'more'] });
    expect(tagged - metaBytes()).toBe(512 + 152 + 33 + 3 * 64 + 22 + 16 + 4);
    const elsewhere = await taken({ fields: [date], url: '/another' });
    expect(elsewhere - metaBytes()).toBe(512 + 152 + 33);
    const short = await taken({ fields: [['x', 'y'.repeat(127)]] });
    expect(short).toBe(512 + 152 + 128);
    const long = await taken({ fields: [['x', 'y'.repeat(128)]] });
    expect(long - metaBytes()).toBe(512 + 152 + 129);
  });
});
