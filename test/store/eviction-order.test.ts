import { expect, test } from 'vitest';
import { EvictionOrder } from '../../src/store/eviction-order.ts';
import { queues, StoredRecord } from '../../src/store/stored-record.ts';
import { storedResponse } from '../support/stored-items.ts';

function record(key: string, route = 'r'): StoredRecord {
  const item = storedResponse({ key, route, position: { epoch: 'e', seq: 0 }, nowMs: 0 });
  return new StoredRecord(item, 1000, 0, () => true);
}

test('nothing stored gives no victim', () => {
  const order = new EvictionOrder(10_000);
  expect(order.victim()).toBeUndefined();
  expect(order.routeVictim('r', 1)).toBeUndefined();
});

test('newcomers go in order of their coming over all routes', () => {
  const order = new EvictionOrder(10_000);
  const records = Array.from({ length: 6 }, (_, index) => record(`${index}`, `route-${index % 3}`));
  for (const one of records) order.add(one, undefined);
  const gone = records.map(() => {
    const victim = order.victim();
    if (victim !== undefined) order.remove(victim);
    return victim?.item.key;
  });
  expect(gone).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(order.size).toBe(0);
});

test('a newcomer that was used twice moves to the main queue, one that was used once goes', () => {
  const order = new EvictionOrder(10_000);
  const [twice, once] = [record('twice'), record('once')];
  order.add(twice, undefined);
  order.add(once, undefined);
  order.add(record('later'), undefined);
  twice.frequency = 2;
  once.frequency = 1;
  expect(order.victim()).toBe(once);
  expect(twice.queue).toBe(queues.main);
});

test('a key that returns while it is remembered goes to the main queue', () => {
  const order = new EvictionOrder(10_000);
  const first = record('a');
  order.add(first, undefined);
  order.add(record('b'), undefined);
  expect(order.victim()).toBe(first);
  order.remove(first);
  const again = record('a');
  order.add(again, undefined);
  expect(again.queue).toBe(queues.main);
  const stranger = record('c');
  order.add(stranger, undefined);
  expect(stranger.queue).toBe(queues.small);
});

test('with everything in use a victim is found after a bounded number of second chances', () => {
  const order = new EvictionOrder(10_000_000);
  const records = Array.from({ length: 5000 }, (_, index) => record(`${index}`));
  for (const one of records) order.add(one, { queue: queues.main, frequency: 3 });
  expect(order.victim()).toBeDefined();
  expect(records.filter((one) => one.frequency < 3).length).toBeLessThanOrEqual(512);
});
