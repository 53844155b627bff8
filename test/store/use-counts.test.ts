import { describe, expect, it, test } from 'vitest';

import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { packItem } from '../../src/store/packed-item.ts';
import { Pages } from '../../src/store/pages.ts';
import { StoredRecords, words } from '../../src/store/stored-records.ts';
import { TextHash } from '../../src/store/text-hash.ts';
import { FakeClock } from '../support/clock.ts';
import { Dice } from '../support/spellings.ts';
import { storedResponse } from '../support/stored-items.ts';

const clock = new FakeClock();
const log = createLocalPurgeLog({ clock, instanceId: 'epoch' });
const itemOf = (index: number) =>
  storedResponse({
    position: log.position(),
    nowMs: clock.nowMs(),
    key: `r|/a?n=${index}`,
    route: 'r',
    body: Buffer.from('x'),
  });

function recordsOf() {
  const records = new StoredRecords(new Pages(2 ** 26));
  const hash = new TextHash();
  const add = (index: number): number => {
    const item = itemOf(index);
    return records.add(packItem(item, 1000), hash.take(item.key), false);
  };
  return { records, add };
}

type Records = ReturnType<typeof recordsOf>;

/** What anybody asks of a record's uses. */
const questions: readonly ((records: StoredRecords, record: number) => unknown)[] = [
  (records, record) => records.frequency(record),
  (records, record) => records.hits(record),
  (records, record) => records.takeReadUse(record),
  (records, record) => records.isRead(record),
  (records, record) => records.queue(record),
];

const steps: readonly ((records: Records, record: number, dice: number, isLazy: boolean) => void)[] = [
  ({ records }, record, dice) => records.setFrequency(record, dice % 4),
  ({ records }, record, dice) => records.setRead(record, dice % 2 === 0),
  ({ records }, record, dice) => records.setHits(record, dice),
  ...Array.from({ length: 6 }, () => ({ records }: Records, record: number, dice: number, isLazy: boolean): void => {
    const isHit = dice % 3 === 0;
    if (isLazy) {
      records.useAgain(record, records.rows.get(record, words.serial), isHit);
      return;
    }
    records.use(record);
    if (isHit) records.setHits(record, records.hits(record) + 1);
  }),
];

describe('Uses of records that are answered with over and over', () => {
  it('are what they were if each was counted at once, whoever asks for them and whenever', () => {
    const dice = new Dice(20_261_126);
    const [lazy, plain] = [recordsOf(), recordsOf()];
    const count = 20_000;
    const both = (index: number): readonly [number, number] => [lazy.add(index), plain.add(index)];
    const all = Array.from({ length: count }, (_none, index) => both(index));
    const wrong: unknown[] = [];
    const compare = ([one, other]: readonly [number, number], what: number): void => {
      const told = [questions[what]?.(lazy.records, one), questions[what]?.(plain.records, other)];
      if (told[0] !== told[1]) wrong.push([one, what, ...told]);
    };
    for (let step = 0; step < 200_000; step += 1) {
      // Some are used much; all share places with others.
      const index = dice.chance(2) ? dice.roll(200) * 97 : dice.roll(count);
      const pair = all[index] ?? both(index);
      const turn = dice.roll(8);
      if (turn === 0) {
        compare(pair, dice.roll(questions.length));
      } else if (turn === 1) {
        const serial = lazy.records.rows.get(pair[0], words.serial);
        lazy.records.remove(pair[0]);
        plain.records.remove(pair[1]);
        if (lazy.records.isCounted(serial)) wrong.push([step, index, 'is counted and not stored']);
        all[index] = both(index);
      } else {
        const [act, value] = [steps[dice.roll(steps.length)], dice.roll(12)];
        act?.(lazy, pair[0], value, true);
        act?.(plain, pair[1], value, false);
      }
    }
    for (const pair of all) for (const what of questions.keys()) compare(pair, what);
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  it('are counted without a look at a row from the second one on, and of 8,192 records at once', () => {
    const { records, add } = recordsOf();
    const all = Array.from({ length: 8193 }, (_none, index) => add(index));
    const serials = all.map((record) => records.rows.get(record, words.serial));
    for (const [index, record] of all.entries()) records.useAgain(record, serials[index] ?? 0, true);
    expect(serials.map((serial) => records.isCounted(serial)).filter((isCounted) => !isCounted)).toHaveLength(1);
    // One of eight that ask for another's place gets it; the first has asked.
    const [last, lastSerial] = [all.at(-1) ?? 0, serials.at(-1) ?? 0];
    const isCounted = Array.from({ length: 7 }, () => {
      records.useAgain(last, lastSerial, true);
      return records.isCounted(lastSerial);
    });
    expect(isCounted).toEqual([false, false, false, false, false, false, true]);
    expect([records.hits(last), records.hits(all[0] ?? 0)]).toEqual([8, 1]);
    records.clear();
    expect(serials.some((serial) => records.isCounted(serial))).toBe(false);
  });
});

test('what is only answered with again outlives a flood, with all its hits', () => {
  const store = createMemoryStore({ maxBytes: 2 ** 20, routeLimits: new Map(), purgeLog: log, clock });
  const hot = Array.from({ length: 20 }, (_none, index) => {
    store.put(itemOf(index));
    const place = store.get(itemOf(index).key)?.place;
    if (place === undefined) throw new Error('nothing is stored');
    return place;
  });
  let refused = 0;
  for (let index = 20; index < 20_000; index += 1) {
    store.put(itemOf(index));
    for (const place of hot) if (index % 10 === 0 && !place.again(clock.nowMs(), true)) refused += 1;
  }
  expect(store.stats().evictedCapacity).toBeGreaterThan(10_000);
  expect(refused).toBe(0);
  expect(hot.map((_none, index) => store.inspect(itemOf(index).key)?.tally.hits)).toEqual(hot.map(() => 1998));
});
