import { expect, test } from 'vitest';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { Dice } from '../support/spellings.ts';
import { storedResponse } from '../support/stored-items.ts';

const maxBytes = 2 ** 23;

const keyOf = (index: number): string => `r|/forecast?place=${index}`;

function begin({ maxBytes: most = maxBytes, size = 1024 } = {}) {
  const body = Buffer.alloc(size, 'x');
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'epoch' });
  const store = createMemoryStore({ maxBytes: most, routeLimits: new Map(), purgeLog, clock });
  const common = { position: purgeLog.position(), nowMs: clock.nowMs(), body };
  const item = (index: number) =>
    storedResponse({ ...common, key: keyOf(index), route: 'r', tags: [`place:${index}`] });
  return { store, item, put: (index: number): string => store.put(item(index)) };
}

test('who floods a tier has each put evict a few records, oldest first, and none all that a page holds', () => {
  const { store, put } = begin();
  const fills = 10_000;
  for (let index = 0; index < fills; index += 1) put(index);
  const full = store.stats().responses;

  const evicted: number[] = [];
  for (let index = fills; index < 2 * fills; index += 1) {
    const before = store.stats().evictedCapacity;
    put(index);
    evicted.push(store.stats().evictedCapacity - before);
  }

  expect(Math.max(...evicted)).toBeLessThanOrEqual(2);
  const { responses, bytes } = store.stats();
  expect(bytes).toBeLessThanOrEqual(maxBytes);
  // A page of 128 KiB less than there could be at most.
  expect(Math.abs(responses - full)).toBeLessThan(200);
  const isStored = (index: number): boolean => store.holds(`r|/forecast?place=${index}`);
  expect(isStored(2 * fills - responses)).toBe(true);
  expect(isStored(2 * fills - responses - 1)).toBe(false);
});

test('a tier that has room evicts nothing ahead', () => {
  const { store, put } = begin();
  for (let index = 0; index < 4000; index += 1) put(index);
  expect(store.stats()).toMatchObject({ responses: 4000, evictedCapacity: 0 });
});

test('a full tier has no room for what somebody else has as well, though it keeps a page empty', () => {
  const { store, put, item } = begin();
  for (let index = 0; index < 10_000; index += 1) put(index);
  const roomy = Array.from({ length: 1000 }, (_none, index) => store.hasRoomFor(item(10_000 + index))).filter(Boolean);
  expect(roomy).toHaveLength(0);
  // Nor after whatever comes, at whatever fill of the page.
  for (let index = 10_000; index < 11_000; index += 1) {
    put(index);
    expect(store.hasRoomFor(item(index + 1))).toBe(false);
  }
});

test('a tier in which responses are replaced at random is not drained to have a page empty', () => {
  const { store, put } = begin({ size: 14_336 });
  const dice = new Dice(11);
  const places = Math.floor((0.9 * maxBytes) / (14_336 + 380));
  for (let step = 0; step < 20_000; step += 1) {
    const place = dice.roll(places);
    if (store.get(keyOf(place)) === undefined || dice.chance(2)) put(place);
  }
  // 460 where nothing is evicted ahead, 400 where it always is.
  expect(store.stats().responses).toBeGreaterThan(435);
});

test('what a full tier says that it has stored it has, also where all others are in use', () => {
  const { store, put } = begin({ maxBytes: 2 ** 20, size: 2000 });
  const dice = new Dice(7);
  const places = 478;
  for (let step = 0; step < 1500; step += 1) {
    const place = dice.roll(places);
    for (let other = 0; other < places; other += 1) {
      if (other !== place) for (let use = 0; use < 3; use += 1) store.get(keyOf(other));
    }
    expect([step, put(place), store.holds(keyOf(place))]).toEqual([step, 'stored', true]);
  }
});
