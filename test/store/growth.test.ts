import { describe, expect, test } from 'vitest';
import { sharedBoundsFor } from '../../src/process-memory.ts';
import { Growth } from '../../src/store/growth.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { ownBytes, storedResponse } from '../support/stored-items.ts';

const mebibyte = 2 ** 20;

/** A process whose memory is a tier's and `rest`, and a tier that takes whatever it may. */
function setUp({ maxBytes, mostBytes }: { readonly maxBytes: number; readonly mostBytes: number }) {
  const process = { rest: 0, looks: 0, tight: 0 };
  let taken = 0;
  const growth = new Growth(maxBytes, {
    residentBytes: () => {
      process.looks += 1;
      return process.rest + taken;
    },
    mostBytes,
    onTight: () => (process.tight += 1),
  });
  /** Wants one MiB more than there is, so many times. */
  const grow = (times: number) => {
    for (let time = 0; time < times; time += 1)
      taken = Math.min(growth.grant(taken + mebibyte, taken), taken + mebibyte);
    return taken / mebibyte;
  };
  return { process, growth, grow };
}

/** A tier of 64 MiB in a process whose rest leaves it nothing, so that it gets its least. */
function heldBack({ stored }: { readonly stored: number }) {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'test-instance' });
  const maxBytes = 64 * mebibyte;
  const processMemory = { residentBytes: () => 2 ** 40, mostBytes: 2 * maxBytes };
  const store = createMemoryStore({ maxBytes, processMemory, routeLimits: new Map(), purgeLog, clock });
  const put = (key: string) =>
    store.put(
      storedResponse({ key, position: purgeLog.position(), nowMs: clock.nowMs(), body: ownBytes('x'.repeat(4096)) }),
    );
  return { store, put, keys: Array.from({ length: stored }, (_, number) => `stored${number}`) };
}

describe('a memory tier grows into what the process leaves it', () => {
  test('without a process there is all of it at once', () => {
    const growth = new Growth(256 * mebibyte, undefined);
    expect(growth.grant(mebibyte, 0)).toBe(256 * mebibyte);
  });

  test('up to maxBytes where the rest is small, and the system is asked once for each step', () => {
    const { process, grow } = setUp({ maxBytes: 100 * mebibyte, mostBytes: 200 * mebibyte });
    process.rest = 20 * mebibyte;
    expect(grow(1000)).toBe(100);
    expect(process.looks).toBeLessThanOrEqual(100);
    expect(process.tight).toBe(0);
  });

  test('as far as it stays within what the process may take with 48 MiB to spare, and no step further', () => {
    const { process, grow } = setUp({ maxBytes: 100 * mebibyte, mostBytes: 164 * mebibyte });
    process.rest = 80 * mebibyte;
    expect(grow(10_000)).toBe(164 - 48 - 80);
    expect(process.tight).toBeGreaterThan(0);
    // Refused, it does not ask the system each time.
    expect(process.looks).toBeLessThan(10_000 / 100);
  });

  test('to 16 MiB whatever the rest takes', () => {
    const { process, grow } = setUp({ maxBytes: 100 * mebibyte, mostBytes: 164 * mebibyte });
    process.rest = 1000 * mebibyte;
    expect(grow(10_000)).toBe(16);
    expect(process.tight).toBeGreaterThan(0);
  });

  test('to 16 MiB also where it would have a few large responses, in whole bytes', () => {
    const { process, growth } = setUp({ maxBytes: 100 * mebibyte, mostBytes: 164 * mebibyte });
    process.rest = 1000 * mebibyte;
    const taken = 7.25 * mebibyte + 0.5;
    expect(growth.grant(taken, 0)).toBe(Math.ceil(taken));
    expect(growth.grant(2 * taken, taken)).toBe(Math.ceil(2 * taken));
    expect(growth.grant(3 * taken, 2 * taken)).toBe(16 * mebibyte);
    expect(growth.grant(3 * taken, 2 * taken)).toBe(16 * mebibyte);
  });

  test('of one process together take no more than it may, and each its least whatever the others take', () => {
    const workers = 4;
    const maxBytes = 400 * mebibyte;
    const { mostBytes, leastBytes } = sharedBoundsFor(maxBytes, workers);
    expect(mostBytes).toBe((400 + 5 * 64) * mebibyte);
    expect(leastBytes).toBe(4 * mebibyte);
    const fill = (restBytes: number) => {
      const taken = Array.from({ length: workers }, () => 0);
      const residentBytes = () => restBytes + taken.reduce((sum, bytes) => sum + bytes, 0);
      const tiers = taken.map(() => new Growth(maxBytes / workers, { residentBytes, mostBytes, leastBytes }));
      for (let time = 0; time < 200_000; time += 1) {
        for (const [place, growth] of tiers.entries()) {
          const now = taken[place] ?? 0;
          taken[place] = Math.min(growth.grant(now + mebibyte, now), now + mebibyte);
        }
      }
      return taken.map((bytes) => bytes / mebibyte);
    };
    expect(fill(200 * mebibyte)).toEqual([100, 100, 100, 100]);
    const inAll = fill(500 * mebibyte).reduce((sum, bytes) => sum + bytes, 0);
    expect(inAll).toBeGreaterThan(720 - 500 - 48 - workers);
    expect(inAll).toBeLessThanOrEqual(720 - 500 - 48 + workers);
    expect(fill(1000 * mebibyte)).toEqual([4, 4, 4, 4]);
  });

  test('on, when the rest has become smaller for some time, but not into a dip', () => {
    const { process, grow } = setUp({ maxBytes: 100 * mebibyte, mostBytes: 164 * mebibyte });
    process.rest = 86 * mebibyte;
    expect(grow(2000)).toBe(30);
    process.rest = 56 * mebibyte;
    expect(grow(257)).toBeLessThanOrEqual(32);
    process.rest = 86 * mebibyte;
    expect(grow(2000)).toBeLessThanOrEqual(32);
    process.rest = 56 * mebibyte;
    expect(grow(100_000)).toBeGreaterThanOrEqual(59);
  });

  test('a flood leaves a tier that may not grow what it has, and a hot set its hits', () => {
    const { store, put } = heldBack({ stored: 0 });
    const hot = Array.from({ length: 100 }, (_, number) => `hot${number}`);
    for (const key of hot) put(key);
    let [asked, hits] = [0, 0];
    for (let number = 0; number < 20_000; number += 1) {
      put(`flood${number}`);
      if (number % 10 !== 0) continue;
      const key = hot[(number / 10) % hot.length] ?? '';
      asked += 1;
      if (store.get(key) === undefined) put(key);
      else hits += 1;
    }
    expect(store.stats().bytes).toBeLessThanOrEqual(16 * mebibyte);
    expect(store.stats().bytes).toBeGreaterThan(13 * mebibyte);
    expect(store.stats().responses).toBeGreaterThan(2000);
    expect(hits / asked).toBeGreaterThan(0.95);
    store[Symbol.dispose]();
  });

  test('what is in use now is unpacked where what was before is, in a tier that may not grow too', () => {
    const { store, put, keys } = heldBack({ stored: 6000 });
    const read = (set: readonly string[], times: number): number => {
      for (let time = 0; time < times; time += 1) for (const key of set) store.get(key);
      return set.filter((key) => store.get(key)?.once === false).length;
    };
    keys.forEach(put);
    const stored = keys.filter((key) => store.peek(key) !== undefined);
    const [before, now] = [stored.slice(-1000, -500), stored.slice(-40)];
    expect([before.length, now.length]).toEqual([500, 40]);
    const kept = read(before, 4);
    expect(kept).toBeGreaterThan(100);
    expect(read(now, 4)).toBeGreaterThan(25);
    // Nothing that is stored went for it.
    expect(stored.every((key) => store.peek(key) !== undefined)).toBe(true);
    expect(store.stats().bytes).toBeLessThanOrEqual(16 * mebibyte);
    store[Symbol.dispose]();
  });
});
