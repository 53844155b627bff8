import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExpiryWheel } from '../../src/store/expiry-wheel.ts';
import { Pages } from '../../src/store/pages.ts';
import { StoredRecords, words } from '../../src/store/stored-records.ts';

const startMs = Date.UTC(2026, 10, 26, 6, 0, 0, 250);
const yearMs = 365 * 86_400_000;

/** A wheel beside a plain Map of what it holds. */
function setUp() {
  const records = new StoredRecords(new Pages(2 ** 20));
  const wheel = new ExpiryWheel(records);
  const held = new Map<number, number>();
  let nowMs = startMs;
  const put = (afterMs: number) => {
    const record = records.rows.take();
    records.rows.setDouble(record, words.retainUntilMs, nowMs + afterMs);
    wheel.add(record, nowMs);
    held.set(record, nowMs + afterMs);
    return record;
  };
  const drop = (record: number) => {
    if (!held.has(record)) return;
    wheel.remove(record);
    records.rows.release(record);
    held.delete(record);
  };
  /** Steps until nothing is due, or so many; the ends of what was found. */
  const work = (most = Number.POSITIVE_INFINITY) => {
    const ended: number[] = [];
    for (let steps = 0; steps < most; steps += 1) {
      const step = wheel.step(nowMs);
      if (step === 'done') break;
      if (step === 'moved') continue;
      ended.push(held.get(step) ?? Number.NaN);
      drop(step);
    }
    return ended;
  };
  const later = (ms: number) => {
    nowMs += ms;
  };
  const ended = () => [...held.values()].filter((endsMs) => endsMs <= nowMs).length;
  return { wheel, held, put, drop, work, later, ended, now: () => nowMs };
}

describe('what is past its retention is found', () => {
  test.each([1, 999, 1000, 255_000, 256_000, 257_000, 65_535_000, 65_537_000, yearMs, 100 * yearMs, 200 * yearMs])(
    'within a second of its end and never before, when that is %i ms off',
    (afterMs) => {
      const { wheel, put, work, later, now } = setUp();
      put(afterMs);
      const endMs = now() + afterMs;
      let looks = 0;
      for (; wheel.size > 0; looks += 1) {
        const nextMs = wheel.nextMs(now());
        expect(nextMs).toBeLessThan(endMs + 1000);
        later(Math.max(0, nextMs - now()));
        for (const end of work()) expect(end).toBeLessThanOrEqual(now());
      }
      expect(now()).toBeGreaterThanOrEqual(endMs);
      expect(looks).toBeLessThan(10);
    },
  );

  test('at once, after a clock that was set forward by a year', () => {
    const { put, work, later, wheel } = setUp();
    for (let second = 0; second < 1000; second += 1) put(second * 77_000);
    put(2 * yearMs);
    later(yearMs);
    expect(work()).toHaveLength(1000);
    expect(wheel.size).toBe(1);
  });

  test('in time by a clock that was set back, whatever had been moved by then', () => {
    const { put, work, later, wheel } = setUp();
    for (let minute = 1; minute < 600; minute += 1) put(minute * 60_000);
    later(300 * 60_000);
    expect(work()).toHaveLength(300);
    later(-200 * 60_000);
    expect(work()).toEqual([]);
    put(60_000);
    put(-1);
    later(61_000);
    expect(work()).toHaveLength(2);
    later(198 * 60_000);
    expect(work()).toEqual([]);
    later(3 * 60_000);
    expect(work().length).toBeGreaterThan(0);
    later(600 * 60_000);
    work();
    expect(wheel.size).toBe(0);
  });

  test('never, where it does not end', () => {
    const { wheel, put, drop, work, later } = setUp();
    const record = put(Number.POSITIVE_INFINITY);
    expect(wheel.size).toBe(0);
    expect(wheel.nextMs(startMs)).toBe(Number.POSITIVE_INFINITY);
    later(1000 * yearMs);
    expect(work()).toEqual([]);
    drop(record);
    expect(wheel.size).toBe(0);
  });
});

test('a count of what has ended gives up where there is more to look at than it may', () => {
  const { wheel, put, later, now } = setUp();
  for (let index = 0; index < 100; index += 1) put(10);
  later(10);
  expect(wheel.countEnded(now(), 100, () => true)).toBe(100);
  expect(wheel.countEnded(now(), 99, () => true)).toBeUndefined();
  expect(wheel.countEnded(now(), 100, () => false)).toBe(0);
});

test('a count of what has ended gives up by all looks that it takes, those at what the records belong to included', () => {
  const { wheel, put, later, now } = setUp();
  for (let index = 0; index < 10; index += 1) put(10);
  later(10);
  const looks = { count: 0 };
  const ofNine = (): boolean => {
    looks.count += 9;
    return true;
  };
  expect(wheel.countEnded(now(), 100, ofNine, looks)).toBe(10);
  expect(looks.count).toBe(100);
  looks.count = 0;
  expect(wheel.countEnded(now(), 90, ofNine, looks)).toBeUndefined();
});

test('before 1970, as a wall clock that was never set has it, nothing is due and nothing hangs', () => {
  const { wheel, put, work, later, now } = setUp();
  put(5000);
  later(-startMs - 3_600_000);
  expect(work(1000)).toEqual([]);
  put(1000);
  later(2000);
  expect(work(1000)).toHaveLength(1);
  expect(wheel.nextMs(now())).toBeGreaterThanOrEqual(0);
  later(startMs + 3_600_000 + 60_000);
  expect(work(1000)).toHaveLength(1);
});

const afterMs = fc.oneof(
  fc.integer({ min: -3000, max: 3000 }),
  fc.integer({ min: 0, max: 600_000 }),
  fc.integer({ min: 0, max: 200_000_000 }),
  fc.constantFrom(yearMs, 150 * yearMs, Number.POSITIVE_INFINITY),
);
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('put' as const), ms: afterMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), ms: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('some steps' as const), ms: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('work' as const), ms: fc.constant(0) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('later' as const),
      ms: fc.oneof(
        fc.integer({ min: -2000, max: 5000 }),
        fc.integer({ min: -400_000, max: 400_000 }),
        fc.integer({ min: -100_000_000, max: 200_000_000 }),
      ),
    }),
  },
);

test('whatever comes, goes and is done to the clock, nothing that has ended is left and nothing else is taken', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const { wheel, held, put, drop, work, later, ended, now } = setUp();
      for (const { do: what, ms } of actions) {
        if (what === 'put') put(ms);
        else if (what === 'later') later(ms);
        else if (what === 'drop') drop([...held.keys()][ms % Math.max(1, held.size)] ?? 0);
        const taken = what === 'some steps' ? work(ms) : what === 'work' ? work() : [];
        expect(taken.filter((endMs) => endMs > now())).toEqual([]);
        expect(wheel.countEnded(now(), 1000, () => true)).toBe(ended());
        expect(wheel.size).toBe([...held.values()].filter(Number.isFinite).length);
        // To the whole second, when all is done that is due.
        const doneUntilMs = what === 'work' ? Math.floor(now() / 1000) * 1000 : Number.NEGATIVE_INFINITY;
        expect([...held.values()].filter((endMs) => endMs <= doneUntilMs)).toEqual([]);
        expect(wheel.nextMs(now())).toBeLessThanOrEqual(Math.max(now(), Math.min(...held.values()) + 1000));
      }
    }),
    { numRuns: 2000, seed: 20_261_126 },
  );
});
