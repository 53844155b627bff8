import { expect, test } from 'vitest';
import { EvictionOrder } from '../../src/store/eviction-order.ts';
import { packItem } from '../../src/store/packed-item.ts';
import { Pages } from '../../src/store/pages.ts';
import { queues, StoredRecords } from '../../src/store/stored-records.ts';
import { TextHash } from '../../src/store/text-hash.ts';
import { ownBytes, storedResponse } from '../support/stored-items.ts';

/** An order of eviction over records that are in no index. */
function setUp(maxBytes: number) {
  const records = new StoredRecords(new Pages(1_000_000));
  const order = new EvictionOrder(records, maxBytes, { grantedBytes: maxBytes });
  const record = (key: string, route = 'r'): number => {
    const item = storedResponse({
      key,
      route,
      position: { epoch: 'e', seq: 0 },
      nowMs: 0,
      body: ownBytes('x'.repeat(700)),
    });
    return records.add(packItem(item, 1000), new TextHash().take(key), false);
  };
  return { records, order, record };
}

test('nothing stored gives no victim', () => {
  const { order } = setUp(10_000);
  expect(order.victim()).toBe(0);
  expect(order.routeVictim('r', 1)).toBe(0);
});

test('newcomers go in order of their coming over all routes', () => {
  const { records, order, record } = setUp(10_000);
  const all = Array.from({ length: 6 }, (_, index) => record(`${index}`, `route-${index % 3}`));
  for (const one of all) order.add(one, undefined);
  const gone = all.map(() => {
    const victim = order.victim();
    order.remove(victim);
    return records.key(victim);
  });
  expect(gone).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(order.size).toBe(0);
});

test('a newcomer that was used twice moves to the main queue, one that was used once goes', () => {
  const { records, order, record } = setUp(10_000);
  const [twice, once] = [record('twice'), record('once')];
  order.add(twice, undefined);
  order.add(once, undefined);
  order.add(record('later'), undefined);
  records.setFrequency(twice, 2);
  records.setFrequency(once, 1);
  expect(order.victim()).toBe(once);
  expect(records.queue(twice)).toBe(queues.main);
});

test('a key that returns while it is remembered goes to the main queue', () => {
  const { records, order, record } = setUp(10_000);
  const first = record('a');
  order.add(first, undefined);
  order.add(record('b'), undefined);
  expect(order.victim()).toBe(first);
  order.remove(first);
  const again = record('a');
  order.add(again, undefined);
  expect(records.queue(again)).toBe(queues.main);
  const stranger = record('c');
  order.add(stranger, undefined);
  expect(records.queue(stranger)).toBe(queues.small);
});

test('with everything in use a victim is found after a bounded number of second chances', () => {
  const { records, order, record } = setUp(10_000_000);
  const all = Array.from({ length: 5000 }, (_, index) => record(`${index}`));
  for (const one of all) order.add(one, { queue: queues.main, frequency: 3 });
  expect(order.victim()).not.toBe(0);
  expect(all.filter((one) => records.frequency(one) < 3).length).toBeLessThanOrEqual(512);
});
