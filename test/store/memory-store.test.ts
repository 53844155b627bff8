import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/cache/ports.ts';
import { MAX_TAGS } from '../../src/core/tags.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { sizeOfItem } from '../../src/store/item-size.ts';
import type { TrackedPurgeLog } from '../../src/store/purge-follower.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { responseStoreContract } from '../contract/response-store.suite.ts';
import { FakeClock } from '../support/clock.ts';
import type { ItemTraits } from '../support/stored-items.ts';
import { ownBytes, storedResponse, varyMarker } from '../support/stored-items.ts';

interface Sizes {
  readonly maxBytes?: number;
  readonly routeLimits?: ReadonlyMap<string, number>;
}

function setUp(sizes: Sizes = {}) {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'test-instance' });
  const limits: string[] = [];
  const store = createMemoryStore({
    maxBytes: sizes.maxBytes ?? 16 * 1024 * 1024,
    routeLimits: sizes.routeLimits ?? new Map(),
    purgeLog,
    clock,
    observer: { limit: (option) => limits.push(option) },
  });
  const response = (traits: Partial<ItemTraits> = {}) =>
    storedResponse({ position: purgeLog.position(), nowMs: clock.nowMs(), ...traits });
  const purge = async (scope: string, soft = false) => purgeLog.append({ scopes: [scope], soft });
  return { clock, purgeLog, store, limits, response, purge };
}

responseStoreContract('the memory tier', async () => {
  const { clock, purgeLog, store } = setUp();
  return {
    clock,
    purgeLog,
    store,
    close: async () => {
      store[Symbol.dispose]();
    },
  };
});

const nothing = { keys: 0, urls: 0, routes: 0, tags: 0, lanes: 0, ending: 0, bytes: 0 };

describe('the memory tier looks things up without waiting', () => {
  test('get, peek, put and invalidate answer values, not promises', () => {
    const { store, response } = setUp();
    const item = response();
    expect(store.put(item)).toBe('stored');
    expect(store.get(item.key)?.item).toEqual(item);
    expect(store.peek(item.key)?.item).toEqual(item);
    expect(store.invalidate(item.key)).toBe(true);
  });

  test('reads of one stored response are one object, made once', () => {
    const { store, response } = setUp();
    const item = response();
    store.put(item);
    expect(store.get(item.key)).toBe(store.get(item.key));
  });

  test('a read says that it is what a look-up gives, until it is not', async () => {
    const { store, response, purge, clock } = setUp();
    const again = () => {
      store.put(response({ retainMs: 5000 }));
      return store.get(response().key);
    };
    const ways: readonly (() => unknown)[] = [
      () => store.put(response({ body: ownBytes('other') })),
      () => store.invalidate(response().key),
      async () => purge('all'),
      async () => purge('t:upstream:weather'),
      async () => purge('all', true),
      () => clock.advance(5000),
    ];
    for (const change of ways) {
      const read = again();
      const place = read?.place;
      const told = (): (boolean | undefined)[] => [
        place?.again(clock.nowMs(), false),
        place?.holds(clock.nowMs()),
        store.get(response().key)?.place?.holds(clock.nowMs()),
      ];
      expect(told()).toEqual([true, true, true]);
      await purge('t:unrelated');
      expect(told()).toEqual([true, true, true]);
      await change();
      expect(told().slice(0, 2)).toEqual([false, false]);
      expect(store.get(response().key)).not.toBe(read);
    }
  });

  test('a place is of one record, whatever comes in its row, and of none once the tier is closed', async () => {
    const { store, response, purge, clock } = setUp();
    const placed = () => {
      store.put(response());
      return store.get(response().key)?.place;
    };
    const dropped: readonly (() => unknown)[] = [
      () => store.invalidate(response().key),
      async () => purge('all'),
      () => store.drop([`k:${response().key}`]),
    ];
    for (const drop of dropped) {
      const place = placed();
      await drop();
      store.put(response({ key: 'r|/other' }));
      expect(place?.again(clock.nowMs(), true)).toBe(false);
      expect(store.list({ limit: 9 }).map(({ hits }) => hits)).toEqual([0]);
      store.invalidate('r|/other');
    }
    const last = placed();
    expect(last?.holds(clock.nowMs())).toBe(true);
    store[Symbol.dispose]();
    expect(last?.holds(clock.nowMs())).toBe(false);
  });

  test('what is used by its place alone stays unpacked while others come and go, and what is not goes', () => {
    const { store, response, clock } = setUp({ maxBytes: 2_000_000 });
    store.put(response({ key: 'r|/hot' }));
    store.put(response({ key: 'r|/cold' }));
    const [read, cold] = [store.get('r|/hot'), store.get('r|/cold')];
    for (let other = 0; other < 2000; other += 1) {
      store.put(response({ key: `r|/${other}` }));
      for (let time = 0; time < 2; time += 1) store.get(`r|/${other}`);
      expect(read?.place?.again(clock.nowMs(), true)).toBe(true);
    }
    expect(store.peek('r|/hot')).toBe(read);
    expect(store.peek('r|/cold')).not.toBe(cold);
  });

  test('a place outlives its read where that is not kept unpacked, and counts as it does', () => {
    const { store, response, clock } = setUp({ maxBytes: 2_000_000 });
    store.put(response({ key: 'r|/placed' }));
    const read = store.get('r|/placed');
    for (let other = 0; other < 400; other += 1) {
      store.put(response({ key: `r|/${other}` }));
      for (let time = 0; time < 2; time += 1) store.get(`r|/${other}`);
    }
    expect(store.peek('r|/placed')).not.toBe(read);
    expect(read?.place?.again(clock.nowMs(), true)).toBe(true);
    expect(read?.tally.hits).toBe(1);
  });

  test('what is read once while more are read than are kept drives nothing out, and what is read again does', () => {
    const { store, response } = setUp({ maxBytes: 2_000_000 });
    const read = (number: number) => store.get(`r|/${number}`);
    for (let number = 0; number < 400; number += 1) store.put(response({ key: `r|/${number}` }));
    const first = Array.from({ length: 200 }, (_none, number) => read(number));
    const kept = first.flatMap((made, number) => (store.peek(`r|/${number}`) === made ? [number] : []));
    expect(kept.length).toBeGreaterThan(20);
    expect(kept.length).toBeLessThan(150);
    // Each of them says so, once.
    expect(first.flatMap((made, number) => (made?.once === true ? [] : [number]))).toEqual(kept);
    for (let number = 200; number < 400; number += 1) expect(read(number)?.once).toBe(true);
    expect(kept.filter((number) => store.peek(`r|/${number}`) !== first[number])).toEqual([]);
    const again = read(399);
    expect([again?.once, store.peek('r|/399') === again, read(399) === again]).toEqual([false, true, true]);
    for (let number = 200; number < 399; number += 1) for (let time = 0; time < 2; time += 1) read(number);
    expect(kept.filter((number) => store.peek(`r|/${number}`) === first[number])).toEqual([]);
  });

  test('to be read once is a use for eviction, whether it is kept unpacked or not', () => {
    const { store, response } = setUp({ maxBytes: 2_000_000 });
    for (let number = 0; number < 900; number += 1) store.put(response({ key: `r|/${number}` }));
    for (let round = 0; round < 3; round += 1) {
      // So many that no read of the key is remembered from one round to the next.
      for (let other = 400; other < 900; other += 1) store.get(`r|/${other}`);
      expect(store.get('r|/200')?.once).toBe(true);
    }
    for (let flood = 0; flood < 20_000; flood += 1) store.put(response({ key: `r|/flood/${flood}` }));
    expect([100, 200, 300].map((number) => store.peek(`r|/${number}`) !== undefined)).toEqual([false, true, false]);
  });

  test('to say so again is a use for eviction', () => {
    const { store, response, clock } = setUp({ maxBytes: 400_000 });
    store.put(response({ key: 'r|/hot' }));
    const place = store.get('r|/hot')?.place;
    for (let round = 0; round < 3; round += 1) expect(place?.again(clock.nowMs(), false)).toBe(true);
    for (let flood = 0; flood < 4000; flood += 1) store.put(response({ key: `r|/flood/${flood}` }));
    expect(store.stats().evictedCapacity).toBeGreaterThan(1000);
    expect(store.peek('r|/hot')).toBeDefined();
  });

  test('hits of a read in hand count while its response is stored, kept unpacked or not, and for no other', () => {
    const { store, response } = setUp({ maxBytes: 2_000_000 });
    const item = response({ key: 'r|/counted' });
    store.put(item);
    const read = store.get(item.key);
    // So many are read that the first is not kept unpacked.
    for (let other = 0; other < 400; other += 1) {
      store.put(response({ key: `r|/${other}` }));
      for (let time = 0; time < 2; time += 1) store.get(`r|/${other}`);
    }
    expect(store.peek(item.key)).not.toBe(read);
    if (read !== undefined) read.tally.hits += 3;
    expect(store.get(item.key)?.tally.hits).toBe(3);
    store.invalidate(item.key);
    store.put(response({ key: 'r|/next' }));
    if (read !== undefined) read.tally.hits += 1;
    expect(read?.tally.hits).toBe(4);
    expect(
      store
        .list({ limit: 1000 })
        .map(({ hits }) => hits)
        .filter((hits) => hits > 0),
    ).toEqual([]);
  });

  test('a read in hand does not change when a soft purge comes', async () => {
    const { store, response, purge } = setUp();
    const item = response();
    store.put(item);
    const before = store.get(item.key);
    await purge('all', true);
    expect(store.get(item.key)?.staleSinceMs).toBeDefined();
    expect(before?.staleSinceMs).toBeUndefined();
  });

  test('a large body that owns its memory is not copied, a view is, and none is copied when it is read', () => {
    const { store, response } = setUp();
    const own = response({ key: 'r|/own', body: ownBytes('x'.repeat(50_000)) });
    const view = response({ key: 'r|/view', body: Buffer.alloc(650_000).subarray(0, 50_000) });
    store.put(own);
    store.put(view);
    const bodyOf = (key: string) => {
      const item = store.peek(key)?.item;
      return item?.kind === 'response' ? item.body : undefined;
    };
    expect(bodyOf('r|/own')).toBe(own.body);
    expect(bodyOf('r|/view')?.buffer.byteLength).toBe(50_000);
    expect(bodyOf('r|/view')).toBe(bodyOf('r|/view'));
  });
});

describe('bytes', () => {
  test('count bodies, text and bookkeeping', () => {
    const { response } = setUp();
    const sizeOf = (traits: Partial<ItemTraits>) => sizeOfItem(response(traits), 16 * 1024 * 1024);
    const small = sizeOf({ body: ownBytes('x') });
    expect(small).toBeGreaterThan(300);
    expect(small).toBeLessThan(700);
    expect(sizeOf({ body: ownBytes('x'.repeat(1001)) }) - small).toBe(1000);
    expect(sizeOf({ body: ownBytes('x'), tags: [] })).toBeLessThan(small);
  });

  test('of many tags are counted, and kept, in time by their number', () => {
    const { store, response } = setUp({ maxBytes: 256 * 1024 * 1024 });
    const cost = (count: number): number => {
      const item = response({ key: `r|/${count}`, tags: Array.from({ length: count }, (_, index) => `tag:${index}`) });
      const before = process.cpuUsage();
      sizeOfItem(item);
      store.put(item);
      const { user, system } = process.cpuUsage(before);
      expect(store.get(item.key)).toBeDefined();
      return (user + system) / 1000;
    };
    cost(5000);
    // By their square it would be 64 times as much. A collection of garbage does not come each time.
    const least = (count: number): number => Math.min(cost(count), cost(count), cost(count));
    expect(least(MAX_TAGS) / least(Math.floor(MAX_TAGS / 8))).toBeLessThan(32);
  });

  test('a tier never holds more than its bytes, whatever sizes come', () => {
    const { store, response } = setUp({ maxBytes: 200_000 });
    for (let index = 0; index < 2000; index += 1) {
      store.put(response({ key: `r|/${index}`, body: Buffer.allocUnsafeSlow((index * 7919) % 30_000) }));
      expect(store.stats().bytes).toBeLessThanOrEqual(200_000);
    }
    expect(store.stats().evictedCapacity).toBeGreaterThan(1900);
  });

  test('an item of exactly the tier fits, one byte more is refused, counted, and evicts nothing', () => {
    const probe = setUp();
    const item = probe.response({ body: Buffer.allocUnsafeSlow(1000) });
    const maxBytes = sizeOfItem(item, 1000);
    const exact = setUp({ maxBytes });
    expect(exact.store.put(item)).toBe('stored');
    expect(exact.store.stats().bytes).toBe(maxBytes);
    const over = probe.response({ key: item.key, body: Buffer.allocUnsafeSlow(1001) });
    expect(exact.store.put(over)).toBe('too-large');
    expect(exact.store.stats()).toMatchObject({ refusedTooLarge: 1, evictedCapacity: 0, responses: 1 });
    expect(exact.limits).toEqual(['store.memory.maxBytes']);
  });

  test('the sizes in summaries add up to what the tier counts, but for the end of a page and tags that are shared', () => {
    const { store, response } = setUp({ maxBytes: 1_000_000 });
    for (let index = 0; index < 500; index += 1) {
      store.put(response({ key: `r|/${index}`, tags: [`own:${index}`], body: Buffer.alloc(index) }));
    }
    const sizes = store.list({ limit: 1000 }).map((summary) => summary.sizeBytes);
    const sum = sizes.reduce((all, size) => all + size, 0);
    expect(sizes).toHaveLength(500);
    expect(store.stats().bytes).toBeGreaterThanOrEqual(sum);
    expect(store.stats().bytes).toBeLessThan(sum * 1.06);
  });
});

describe('eviction', () => {
  test('a flood of keys that are asked once leaves a hot set its hits', () => {
    const { store, response } = setUp({ maxBytes: 4_000_000 });
    const hot = Array.from({ length: 200 }, (_, index) => `r|/hot/${index}`);
    const ask = (key: string) => {
      if (store.get(key) !== undefined) return true;
      store.put(response({ key }));
      return false;
    };
    for (let round = 0; round < 5; round += 1) hot.forEach(ask);
    let hits = 0;
    let asked = 0;
    for (let flood = 0; flood < 40_000; flood += 1) {
      ask(`r|/flood/${flood}`);
      if (flood % 4 !== 0) continue;
      asked += 1;
      if (ask(hot[(flood / 4) % hot.length] ?? '')) hits += 1;
    }
    expect(store.stats().evictedCapacity).toBeGreaterThan(30_000);
    expect(hits / asked).toBeGreaterThan(0.95);
  });

  test('a refreshed response keeps the standing of its key', () => {
    const { store, response } = setUp({ maxBytes: 400_000 });
    const ask = (key: string) => store.get(key) ?? store.put(response({ key }));
    for (let round = 0; round < 5; round += 1) ask('r|/hot');
    for (let flood = 0; flood < 1000; flood += 1) ask(`r|/flood/a/${flood}`);
    store.put(response({ key: 'r|/hot', body: ownBytes('fresh') }));
    for (let flood = 0; flood < 1000; flood += 1) ask(`r|/flood/b/${flood}`);
    expect(store.get('r|/hot')).toBeDefined();
  });

  test('what was in use and went by a purge comes back to where it was', async () => {
    const { store, response, purge, clock } = setUp({ maxBytes: 400_000 });
    const ask = (key: string) => store.get(key) ?? store.put(response({ key }));
    for (let round = 0; round < 5; round += 1) ask('r|/hot');
    for (let flood = 0; flood < 1000; flood += 1) ask(`r|/flood/a/${flood}`);
    await purge('k:r|/hot');
    clock.advance(10);
    ask('r|/hot');
    for (let flood = 0; flood < 1000; flood += 1) ask(`r|/flood/b/${flood}`);
    expect(store.get('r|/hot')).toBeDefined();
  });

  test('a route past its limit evicts from itself alone, and is counted', () => {
    const { store, response, limits } = setUp({ routeLimits: new Map([['flooded', 50]]) });
    for (let index = 0; index < 20; index += 1) store.put(response({ key: `calm|/${index}`, route: 'calm' }));
    for (let index = 0; index < 500; index += 1) store.put(response({ key: `flooded|/${index}`, route: 'flooded' }));
    expect(store.list({ route: 'calm', limit: 1000 })).toHaveLength(20);
    expect(store.list({ route: 'flooded', limit: 1000 })).toHaveLength(50);
    expect(store.stats()).toMatchObject({ evictedRouteLimit: 450, evictedCapacity: 0 });
    expect(limits).toHaveLength(450);
    expect(new Set(limits)).toEqual(new Set(['routes.maxKeys']));
  });

  test('a route at its limit keeps what is in use when a scan comes', () => {
    const { store, response } = setUp({ routeLimits: new Map([['r', 100]]) });
    const ask = (key: string) => store.get(key) ?? store.put(response({ key, route: 'r' }));
    for (let round = 0; round < 4; round += 1) for (let index = 0; index < 30; index += 1) ask(`r|/hot/${index}`);
    for (let scan = 0; scan < 2000; scan += 1) ask(`r|/scan/${scan}`);
    const kept = Array.from({ length: 30 }, (_, index) => store.peek(`r|/hot/${index}`)).filter(Boolean);
    expect(kept).toHaveLength(30);
  });

  test('replacing a response at the limit of its route evicts nothing', () => {
    const { store, response } = setUp({ routeLimits: new Map([['weather-forecast', 1]]) });
    store.put(response());
    store.put(response());
    expect(store.stats()).toMatchObject({ evictedRouteLimit: 0, responses: 1 });
  });
});

describe('reading', () => {
  test('a full tier again and again, in any order, evicts nothing of it', () => {
    const { store, response } = setUp({ maxBytes: 4 * 1024 * 1024 });
    for (let index = 0; index < 6000; index += 1) {
      store.put(response({ key: `key-${index}`, url: `/${index}`, body: ownBytes('x'.repeat(1000)) }));
    }
    const { responses, evictedCapacity } = store.stats();
    expect(evictedCapacity).toBeGreaterThan(0);
    const stored = store.list({ limit: 10_000 }).map(({ item }) => item.key);
    expect(stored).toHaveLength(responses);
    for (let turn = 0; turn < 20; turn += 1) {
      for (const [index, key] of stored.entries())
        expect(store.get(stored[(index * 7919) % stored.length] ?? key)).toBeDefined();
    }
    expect(store.stats()).toMatchObject({ responses, evictedCapacity });
  });
});

describe('the indexes leak nothing', () => {
  test.each(['invalidate', 'hard purge', 'purge of everything', 'retention', 'route limit', 'capacity'])(
    'after removal by %s every map is empty',
    async (way) => {
      const limit = way === 'route limit' ? new Map([['r', 1]]) : new Map<string, number>();
      const { store, response, purge, clock, purgeLog } = setUp({
        maxBytes: way === 'capacity' ? 10_000 : 16_000_000,
        routeLimits: limit,
      });
      for (let index = 0; index < 300; index += 1) {
        const tags = [`n:${index % 7}`, `n:${index % 7}`, `one:${index}`, 'x', 'y', 'z', `w:${index % 3}`];
        const traits = { key: `r|/${index}`, url: `/${index % 50}`, route: 'r', tags, retainMs: 60_000 };
        store.put(index % 10 === 0 ? varyMarker({ ...traits, ...now(clock, purgeLog) }) : response(traits));
      }
      if (way === 'hard purge') await purge('t:x');
      else if (way === 'purge of everything') await purge('all');
      else if (way === 'retention') clock.advance(60_000 + 60_000);
      else for (let index = 0; index < 300; index += 1) store.invalidate(`r|/${index}`);
      clock.advance(100);
      expect(store.sizes()).toEqual(nothing);
      expect(store.stats()).toMatchObject({ responses: 0, bytes: 0, tags: 0 });
    },
  );
});

function now(clock: FakeClock, purgeLog: ReturnType<typeof createLocalPurgeLog>) {
  return { nowMs: clock.nowMs(), position: purgeLog.position() };
}

describe('background removal', () => {
  test('a purge frees memory in slices: the work of one turn is bounded', async () => {
    const { store, response, purge, clock } = setUp({ maxBytes: 64_000_000 });
    for (let index = 0; index < 10_000; index += 1) store.put(response({ key: `r|/${index}`, tags: ['t'] }));
    await purge('t:t');
    expect(store.stats().responses).toBe(10_000);
    expect(store.get('r|/5')).toBeUndefined();
    clock.advance(1);
    const afterOne = store.stats().responses;
    expect(afterOne).toBeGreaterThan(0);
    expect(afterOne).toBeLessThan(9000);
    clock.advance(10);
    expect(store.sizes()).toEqual(nothing);
  });

  test('behind a purge of everything a flood finds nothing of before, and never takes more than it may', async () => {
    const maxBytes = 2_000_000;
    const { store, response, purge, clock } = setUp({ maxBytes });
    const bodies = { small: ownBytes('x'.repeat(1000)), own: Buffer.alloc(20_000) };
    const keys = Array.from({ length: 3000 }, (_none, index) => `r|/${index}`);
    const fill = () => {
      for (const [index, key] of keys.entries()) {
        store.put(response({ key, body: index % 50 === 0 ? bodies.own : bodies.small, tags: [`t:${index}`] }));
        store.get(key);
        if (store.stats().bytes > maxBytes) return false;
      }
      return true;
    };
    expect(fill()).toBe(true);
    const { responses, bytes } = store.stats();
    for (const passedMs of [0, 1, 2]) {
      const before = keys.map((key) => store.get(key)).filter((read) => read !== undefined);
      expect(before.length).toBe(responses);
      expect(await store.count(['all'])).toBe(responses);
      await purge('all');
      expect(await store.count(['all'])).toBe(0);
      expect(keys.filter((key) => store.get(key) !== undefined || store.peek(key) !== undefined)).toEqual([]);
      clock.advance(passedMs);
      // As much as before has room again, and what was handed out is as it was.
      expect(fill()).toBe(true);
      expect(store.stats()).toMatchObject({ responses, bytes });
      expect(before.every(({ item }) => item.kind === 'response' && item.body.byteLength >= 1000)).toBe(true);
    }
    await purge('all');
    clock.advance(100);
    expect(store.sizes()).toEqual(nothing);
  });

  test('behind a purge of everything tables count until they are given back, and make room before anything goes', async () => {
    const { store, response, purge, clock } = setUp({ maxBytes: 4_000_000 });
    const putAll = (count: number, body: Buffer) => {
      for (let index = 0; index < count; index += 1) {
        store.put(response({ key: `r|/${index}`, body, tags: [`t:${index}`], fields: [] }));
      }
    };
    // So small that half of it is tables.
    putAll(6000, Buffer.alloc(0));
    const { bytes } = store.stats();
    await purge('all');
    expect(store.stats().bytes).toBe(bytes);
    clock.advance(100);
    expect(store.stats().bytes).toBe(0);
    putAll(2500, ownBytes('x'.repeat(1000)));
    const { responses, evictedCapacity } = store.stats();
    expect([responses, evictedCapacity]).toEqual([2500, 0]);
    await purge('all');
    putAll(6000, Buffer.alloc(0));
    await purge('all');
    putAll(2500, ownBytes('x'.repeat(1000)));
    expect(store.stats()).toMatchObject({ responses: 2500, evictedCapacity: 0 });
  });

  test.each([1, 3, 8, 9, 20])(
    '%i purges of prefixes that share a walk remove what they cover and nothing else',
    async (purges) => {
      const { store, response, purge, clock } = setUp({ maxBytes: 64_000_000 });
      for (let index = 0; index < 5000; index += 1) {
        store.put(response({ key: `r|/${index % 50}/${index}`, url: `/${index % 50}/${index}`, tags: [] }));
      }
      for (let place = 0; place < purges; place += 1) await purge(`p:/${place}/`);
      clock.advance(1000);
      expect(store.stats().responses).toBe(5000 - 100 * purges);
      expect(await store.count([`p:/${purges - 1}/`, `p:/${purges}/`])).toBe(100);
    },
  );

  test('what is stored while a purge is being carried out stays', async () => {
    const { store, response, purge, clock } = setUp({ maxBytes: 64_000_000 });
    for (let index = 0; index < 6000; index += 1) store.put(response({ key: `r|/${index}`, tags: ['t'] }));
    await purge('t:t');
    clock.advance(1);
    for (let index = 0; index < 6000; index += 3) store.put(response({ key: `r|/${index}`, tags: ['t'] }));
    clock.advance(20);
    expect(store.stats().responses).toBe(2000);
    expect(await store.count(['t:t'])).toBe(2000);
  });

  test('a purge by key takes the variants of before from a URL that varies no more', async () => {
    const { store, response, purge, clock } = setUp();
    const variant = 'r|/doc accept=de';
    expect(store.put(response({ key: variant }))).toBe('stored');
    expect(store.put(response({ key: 'r|/doc' }))).toBe('stored');
    expect(await store.count(['k:r|/doc'])).toBe(2);
    await purge('k:r|/doc');
    clock.advance(100);
    expect(store.sizes()).toEqual(nothing);
  });

  test('what nobody asks for again does not stay past its retention for ever', () => {
    const { store, response, clock } = setUp();
    for (let index = 0; index < 100; index += 1) store.put(response({ key: `r|/${index}`, retainMs: 3_600_000 }));
    store.put(response({ key: 'r|/short', retainMs: 1000 }));
    clock.advance(61_001);
    expect(store.stats()).toMatchObject({ responses: 100, evictedRetention: 1 });
    clock.advance(3_600_000);
    expect(store.stats()).toMatchObject({ responses: 0, evictedRetention: 101 });
  });

  test('what is past its retention goes within two seconds, also where it came behind what stays longer', () => {
    const { store, response, clock } = setUp();
    store.put(response({ key: 'r|/long', retainMs: 86_400_000 }));
    store.put(response({ key: 'r|/short', retainMs: 1500 }));
    store.put(varyMarker({ key: 'r|/marker', retainMs: 1500, nowMs: clock.nowMs(), position: response().position }));
    clock.advance(1499);
    expect(store.sizes()['keys']).toBe(3);
    clock.advance(2000);
    expect(store.sizes()['keys']).toBe(1);
    expect(store.stats()).toMatchObject({ responses: 1, evictedRetention: 2 });
  });

  test('what a validation gave a longer retention stays until that is over', () => {
    const { store, response, clock } = setUp();
    store.put(response({ key: 'r|/kept', retainMs: 2000 }));
    clock.advance(1000);
    store.put(response({ key: 'r|/kept', retainMs: 10_000 }));
    clock.advance(9999);
    expect(store.stats()).toMatchObject({ responses: 1, evictedRetention: 0 });
    clock.advance(2000);
    expect(store.stats()).toMatchObject({ responses: 0, evictedRetention: 1 });
  });

  test('many that end in the same second go in slices: the work of one turn is bounded', () => {
    const { store, response, clock } = setUp({ maxBytes: 64_000_000 });
    for (let index = 0; index < 20_000; index += 1) store.put(response({ key: `r|/${index}`, retainMs: 10_000 }));
    clock.advance(10_001);
    let turns = 0;
    for (let left = store.stats().responses; left > 0; turns += 1) {
      clock.advance(1);
      expect(left - store.stats().responses).toBeLessThanOrEqual(4096);
      left = store.stats().responses;
    }
    expect(turns).toBeGreaterThan(3);
    expect(store.sizes()).toEqual(nothing);
  });

  test('a timer that is for nothing any more is the last', () => {
    const { store, response, clock } = setUp();
    store.put(response({ retainMs: 5000 }));
    store.invalidate(response().key);
    clock.advance(600_000);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('a wall clock that is set %s is noticed within a minute, and by a count at once', async (_way, byMs) => {
    const clock = new FakeClock();
    let setMs = 0;
    const wall: Clock = {
      nowMs: () => clock.nowMs() + setMs,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) => clock.after(delayMs, callback),
    };
    const purgeLog = createLocalPurgeLog({ clock: wall, instanceId: 'test-instance' });
    const store = createMemoryStore({ maxBytes: 64_000_000, routeLimits: new Map(), purgeLog, clock: wall });
    const put = (key: string, retainMs: number) =>
      store.put(storedResponse({ key, retainMs, nowMs: wall.nowMs(), position: purgeLog.position() }));
    put('r|/two hours', 7_200_000);
    put('r|/half an hour', 1_800_000);
    setMs = byMs;
    put('r|/then', 1_800_000);
    const isForward = byMs > 0;
    expect(await store.count(['all'])).toBe(isForward ? 2 : 3);
    clock.advance(61_000);
    expect(store.stats().responses).toBe(isForward ? 2 : 3);
    clock.advance(1_800_000);
    expect(store.stats().responses).toBe(isForward ? 1 : 2);
    expect(store.get('r|/two hours')).toBeDefined();
    expect(store.get('r|/then')).toBeUndefined();
    clock.advance(7_200_000 + Math.max(0, -byMs));
    expect(store.sizes()).toEqual(nothing);
    store[Symbol.dispose]();
  });

  test('what a purge table that overflows interrupts is removed all the same', async () => {
    const clock = new FakeClock();
    const purgeLog = createLocalPurgeLog({ clock, instanceId: 'test-instance', maxScopes: 4 });
    const store = createMemoryStore({ maxBytes: 64_000_000, routeLimits: new Map(), purgeLog, clock });
    for (let index = 0; index < 6000; index += 1) {
      store.put(
        storedResponse({ key: `r|/${index}`, retainMs: 5000, nowMs: clock.nowMs(), position: purgeLog.position() }),
      );
    }
    clock.advance(5001);
    expect(store.stats().responses).toBeGreaterThan(0);
    for (let index = 0; index < 9; index += 1) await purgeLog.append({ scopes: [`t:none-${index}`], soft: false });
    clock.advance(1000);
    expect(store.sizes()).toEqual(nothing);
  });

  test('a purge is settled when all of its scopes have been looked through, not before', async () => {
    const clock = new FakeClock();
    const settled: number[] = [];
    const real = createLocalPurgeLog({ clock, instanceId: 'test-instance' });
    const purgeLog: TrackedPurgeLog = {
      get version() {
        return real.version;
      },
      position: () => real.position(),
      isValid: (item) => real.isValid(item),
      isPurged: (item) => real.isPurged(item),
      inEffect: (scopes) => real.inEffect(scopes),
      softPurgedAtMs: (item) => real.softPurgedAtMs(item),
      append: async (request) => real.append(request),
      follow: (hear) => {
        const follower = real.follow(hear);
        return { ...follower, settled: (version) => settled.push(version) };
      },
    };
    const store = createMemoryStore({ maxBytes: 64_000_000, routeLimits: new Map(), purgeLog, clock });
    const traits = { position: real.position(), nowMs: clock.nowMs() };
    for (let index = 0; index < 6000; index += 1) {
      store.put(storedResponse({ ...traits, key: `r|/${index}`, tags: [index < 10 ? 'few' : 'many'] }));
    }
    await purgeLog.append({ scopes: ['t:few', 't:many'], soft: false });
    clock.advance(1);
    expect(settled).toEqual([0]);
    clock.advance(10);
    expect(settled).toEqual([0, 1]);
  });

  test.each([
    ['that nothing stored carries', (index: number) => `t:none-${index}`],
    ['that only a walk through everything finds', (index: number) => `p:/none/${String(index).padStart(5, '0')}`],
    ['each of which one response carries', (index: number) => `t:own-${index}`],
  ])('50,000 purges of scopes %s at once take few steps', async (_what, scopeOf) => {
    const clock = new FakeClock();
    const purgeLog = createLocalPurgeLog({ clock, instanceId: 'test-instance', maxScopes: 200_000 });
    const store = createMemoryStore({ maxBytes: 64_000_000, routeLimits: new Map(), purgeLog, clock });
    const traits = { position: purgeLog.position(), nowMs: clock.nowMs() };
    for (let index = 0; index < 2000; index += 1) {
      const tags = Array.from({ length: 25 }, (_, place) => `own-${25 * index + place}`);
      store.put(storedResponse({ ...traits, key: `r|/${index}`, tags: index === 1999 ? [...tags, 'last'] : tags }));
    }
    for (let index = 0; index < 50_000; index += 1) {
      await purgeLog.append({ scopes: [scopeOf(index)], soft: true });
    }
    await purgeLog.append({ scopes: ['t:last'], soft: false });
    expect(store.stats().responses).toBe(2000);
    // Three slices of 4,096 steps.
    clock.advance(3);
    expect(store.stats().responses).toBe(1999);
  });

  test('a response stays stale since the first of several soft purges', async () => {
    const { store, response, purge, clock } = setUp();
    const item = response();
    store.put(item);
    const firstMs = clock.nowMs();
    await purge(`k:${item.key}`, true);
    clock.advance(1000);
    await purge(`k:${item.key}`, true);
    expect(store.get(item.key)?.staleSinceMs).toBe(firstMs);
  });

  test('after disposal no timer acts and nothing is held', async () => {
    const { store, response, purge, clock } = setUp();
    store.put(response({ retainMs: 1000 }));
    await purge('t:none');
    store[Symbol.dispose]();
    clock.advance(600_000);
    expect(store.sizes()).toEqual(nothing);
    expect(store.stats().evictedRetention).toBe(0);
  });
});

/** 40 responses and a URL with two variants. */
function filled() {
  const made = setUp();
  const { store, response, clock, purgeLog } = made;
  for (let index = 0; index < 40; index += 1) {
    const place = index % 2 === 0 ? 'berlin' : 'paris';
    const route = index % 4 < 2 ? 'forecast' : 'events';
    const tags = [`location:${place}`, `route:${route}`];
    store.put(response({ key: `${route}|/${place}/${index}`, url: `/${route}/${place}/${index}`, route, tags }));
  }
  const url = '/forecast/varied';
  const traits = { url, route: 'forecast', tags: ['location:lima'], ...now(clock, purgeLog) };
  store.put(varyMarker({ ...traits, key: 'forecast|/varied' }));
  store.put(response({ ...traits, key: 'forecast|/varied|v:de' }));
  store.put(response({ ...traits, key: 'forecast|/varied|v:en' }));
  return made;
}

describe('counting what a purge covers', () => {
  test.each([
    [['all'], 42],
    [['r:forecast'], 22],
    [['r:none'], 0],
    [['t:location:berlin'], 20],
    [['t:location:berlin', 't:route:forecast'], 30],
    [['t:location:berlin', 't:location:berlin'], 20],
    [['u:/forecast/varied'], 2],
    [['k:forecast|/varied'], 0],
    [['k:forecast|/varied|v:de'], 1],
    [['p:/forecast/'], 22],
    [['p:/events/berlin'], 10],
    [['p:'], 42],
    [[], 0],
  ])('%j covers %i responses, markers not counted', async (scopes, expected) => {
    const { store } = filled();
    expect(await store.count(scopes)).toBe(expected);
  });

  test('what is purged already is not counted again, whether or not it has been removed', async () => {
    const { store, purge, clock } = filled();
    await purge('t:location:berlin');
    expect(await store.count(['t:location:berlin'])).toBe(0);
    expect(await store.count(['all'])).toBe(22);
    expect(await store.count(['r:forecast'])).toBe(12);
    clock.advance(100);
    expect(await store.count(['all'])).toBe(22);
    expect(await store.count(['t:location:berlin'])).toBe(0);
  });

  test('a soft-purged response is still there and is counted', async () => {
    const { store, purge } = filled();
    await purge('all', true);
    expect(await store.count(['all'])).toBe(42);
  });

  test('what is past its retention is not counted, removed or not', async () => {
    const { store, response, clock } = setUp();
    for (let index = 0; index < 10; index += 1) {
      store.put(
        response({ key: `r|/${index}`, url: '/same', route: 'r', tags: ['t'], retainMs: index < 4 ? 10 : 10_000 }),
      );
    }
    clock.advance(10);
    for (const scope of ['all', 'r:r', 't:t', 'u:/same', 'p:/sa']) expect(await store.count([scope])).toBe(6);
    expect(await store.count(['k:r|/1'])).toBe(0);
  });

  test.each([0, 1, 4, 9, 10])('with %i of ten past their retention and in any state of removal', async (ended) => {
    const { store, response, clock, purgeLog } = setUp({ maxBytes: 64_000_000 });
    for (let index = 0; index < 10_000; index += 1) {
      const retainMs = index % 10 < ended ? 2000 + (index % 7) : 100_000;
      const traits = { key: `r|/${index}`, url: `/${index % 3}`, route: `r${index % 2}`, tags: [`t${index % 4}`, 'x'] };
      store.put(response({ ...traits, retainMs }));
      if (index % 5 === 0) store.put(varyMarker({ ...traits, key: `m|/${index}`, retainMs, ...now(clock, purgeLog) }));
    }
    const isLeft = (index: number) => index % 10 >= ended;
    const left = Array.from({ length: 10_000 }, (_, index) => index).filter(isLeft);
    clock.advance(2006);
    for (let turn = 0; turn < 6; turn += 1) {
      const counts = [];
      for (const scope of ['all', 'r:r1', 't:t3', 't:x', 'u:/2', 'p:/2']) counts.push(await store.count([scope]));
      const of = (isIn: (index: number) => boolean) => left.filter(isIn).length;
      const byUrl = of((index) => index % 3 === 2);
      const [byRoute, byTag] = [of((index) => index % 2 === 1), of((index) => index % 4 === 3)];
      expect(counts).toEqual([left.length, byRoute, byTag, left.length, byUrl, byUrl]);
      expect(await store.count(['t:t3', 't:none', 'u:/none'])).toBe(byTag);
      clock.advance(turn < 2 ? 1 : 400);
    }
    expect(store.stats().responses).toBe(left.length);
  });

  test('a prefix covers what begins with it, whatever the URL and its key are made of', async () => {
    const text = fc.string({ unit: fc.constantFrom('/', 'a', 'b', '\u00E9', '\u0161', ' '), maxLength: 8 });
    const pair = fc.record({ key: text, url: text, isOneAnEnd: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(pair, { maxLength: 20 }), text, async (pairs, prefix) => {
        const { store, response } = setUp();
        const urls = pairs.map(({ key, url, isOneAnEnd }, index) => {
          const whole = isOneAnEnd ? `/${url}` : `${url}/${index}`;
          store.put(
            response({ key: isOneAnEnd ? `${index}|${key}${whole}` : `${index}|${key}`, url: whole, tags: [] }),
          );
          return whole;
        });
        expect(await store.count([`p:${prefix}`])).toBe(urls.filter((url) => url.startsWith(prefix)).length);
      }),
      { numRuns: 500, seed: 20_261_126 },
    );
  });

  test('many are counted exactly across slices', async () => {
    const { store, response } = setUp({ maxBytes: 64_000_000 });
    for (let index = 0; index < 12_000; index += 1)
      store.put(response({ key: `r|/${index}`, tags: ['a', `b:${index % 2}`] }));
    expect(await store.count(['t:b:0', 't:a'])).toBe(12_000);
    expect(await store.count(['p:/'])).toBe(12_000);
  });

  test('where more have ended at once than are looked at in one go, what purges cover meanwhile is not counted either', async () => {
    const { store, response, clock, purge } = setUp({ maxBytes: 128_000_000 });
    for (let index = 0; index < 80_000; index += 1) {
      const tags = index % 2 === 0 ? ['even', `ten:${index % 10}`] : ['odd', `ten:${index % 10}`];
      store.put(response({ key: `r|/${index}`, tags, retainMs: index < 40_000 ? 100_000 : 2000 }));
    }
    clock.advance(2000);
    expect(await store.count(['t:even'])).toBe(20_000);
    // Of nothing that is stored: no look-through waits, and all were checked before it.
    await purge('t:none');
    expect(await store.count(['t:even'])).toBe(20_000);
    // Waits to be carried out when the count begins, and no turn of the clock does it.
    await purge('t:ten:4');
    expect(await store.count(['t:even'])).toBe(16_000);
    // Comes between two slices: some of its were counted by then, none that come after.
    const counting = store.count(['t:even']);
    await purge('t:even');
    const counted = await counting;
    expect(counted).toBeGreaterThan(0);
    expect(counted).toBeLessThan(16_000);
    expect(await store.count(['t:even'])).toBe(0);
    expect(await store.count(['t:odd'])).toBe(20_000);
  });

  test('a purge between two slices of the first count of all is seen by the slices behind it', async () => {
    const { store, response, clock, purge } = setUp({ maxBytes: 128_000_000 });
    for (let index = 0; index < 80_000; index += 1) {
      store.put(response({ key: `r|/${index}`, tags: ['one'], retainMs: index % 2 === 0 ? 100_000 : 2000 }));
    }
    clock.advance(2000);
    // No purge waits when it begins, so that nothing has to be judged until one comes.
    const counting = store.count(['t:one']);
    await purge('t:one');
    const counted = await counting;
    expect(counted).toBeGreaterThan(0);
    expect(counted).toBeLessThan(40_000);
  });

  test('counting changes nothing', async () => {
    const { store } = filled();
    const before = [store.stats(), store.list({ limit: 100 })];
    await store.count(['all', 'p:/']);
    expect([store.stats(), store.list({ limit: 100 })]).toEqual(before);
  });
});

describe('what an operator sees', () => {
  test('hits are what those who answer with it count; a look-up alone is none', () => {
    const { store, response } = setUp();
    const item = response();
    store.put(item);
    for (let times = 0; times < 2; times += 1) {
      const read = store.get(item.key);
      if (read !== undefined) read.tally.hits += 1;
    }
    store.get(item.key);
    store.peek(item.key);
    expect(store.list({ limit: 1 })).toMatchObject([{ hits: 2, tier: 'memory', item }]);
    store.put(response());
    expect(store.list({ limit: 1 })).toMatchObject([{ hits: 0 }]);
  });

  test('a list is narrowed by route, by tag, by both, and by its limit', () => {
    const { store, response } = setUp();
    for (const route of ['a', 'b']) {
      for (const tag of ['x', 'y']) store.put(response({ key: `${route}|/${tag}`, route, tags: [tag] }));
    }
    const keys = (filter: { route?: string; tag?: string; limit?: number }) =>
      store.list({ limit: 100, ...filter }).map((summary) => summary.item.key);
    expect(keys({})).toHaveLength(4);
    expect(keys({ route: 'a' }).toSorted()).toEqual(['a|/x', 'a|/y']);
    expect(keys({ tag: 'y' }).toSorted()).toEqual(['a|/y', 'b|/y']);
    expect(keys({ route: 'b', tag: 'x' })).toEqual(['b|/x']);
    expect(keys({ limit: 3 })).toHaveLength(3);
    expect(keys({ route: 'none' })).toEqual([]);
  });

  test('a list finds what a purge by the same tag finds, however the tag is spelt, and each response once', () => {
    const { store, response } = setUp();
    store.put(response({ key: 'r|/ruled', tags: ['b c'] }));
    store.put(response({ key: 'r|/upstream', tags: ['b%20c'] }));
    store.put(response({ key: 'r|/both', tags: ['b c', 'b%20c'] }));
    store.put(response({ key: 'r|/other', tags: ['b'] }));
    const keys = (limit: number) => store.list({ tag: 'b c', limit }).map((summary) => summary.item.key);
    expect(keys(100).toSorted()).toEqual(['r|/both', 'r|/ruled', 'r|/upstream']);
    expect(keys(3)).toHaveLength(3);
    expect(keys(2)).toHaveLength(2);
  });

  test('a list shows neither markers nor what is purged or expired', async () => {
    const { store, response, purge, clock, purgeLog } = setUp();
    store.put(varyMarker({ key: 'r|/marker', ...now(clock, purgeLog) }));
    store.put(response({ key: 'r|/purged', tags: ['gone'] }));
    store.put(response({ key: 'r|/expired', retainMs: 1 }));
    store.put(response({ key: 'r|/there' }));
    await purge('t:gone');
    clock.advance(1);
    expect(store.list({ limit: 10 }).map((summary) => summary.item.key)).toEqual(['r|/there']);
  });
});
