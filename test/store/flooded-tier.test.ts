import { expect, test } from 'vitest';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { storedResponse } from '../support/stored-items.ts';

const maxBytes = 2 ** 23;
const body = Buffer.alloc(1024, 'x');

function begin() {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'epoch' });
  const store = createMemoryStore({ maxBytes, routeLimits: new Map(), purgeLog, clock });
  const common = { position: purgeLog.position(), nowMs: clock.nowMs(), body };
  const put = (index: number): void => {
    store.put(storedResponse({ ...common, key: `r|/forecast?place=${index}`, route: 'r', tags: [`place:${index}`] }));
  };
  return { store, put };
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
