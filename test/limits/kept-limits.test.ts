import { describe, expect, it } from 'vitest';
import { Ghosts } from '../../src/store/ghosts.ts';
import { HotRead, HotReads } from '../../src/store/hot-reads.ts';
import { mostInline } from '../../src/store/item-size.ts';
import { packItem } from '../../src/store/packed-item.ts';
import { pageBytesOf } from '../../src/store/pages.ts';
import { storedResponse } from '../support/stored-items.ts';

const made = { position: { epoch: 'e', seq: 1 }, nowMs: 1_764_000_000_000 };

function readOf(key: string, bytes: number, record: number): HotRead {
  const hot = new HotRead({
    item: storedResponse({ ...made, key }),
    staleSinceMs: undefined,
    tally: { hits: 0 },
    record,
    retainUntilMs: 0,
    checkedVersion: 0,
    serial: 1,
    placeOf: () => ({ again: () => true, holds: () => true }),
  });
  hot.bytes = bytes;
  return hot;
}

/** How many reads are let in when they come again, while as much is kept unpacked as may be. */
function rememberedBeside(maxBytes: number): number {
  const hot = new HotReads(maxBytes, () => false);
  hot.add(readOf('a', maxBytes, 1));
  const hashes = Array.from({ length: 40_000 }, (_none, number) => number + 1);
  expect(hashes.filter((hash) => hot.isOpen(hash))).toEqual([]);
  // Newest first: each that is let in is forgotten, and makes no room.
  return hashes.toReversed().filter((hash) => hot.isOpen(hash)).length;
}

describe('what is kept beside what is stored', () => {
  it('holds unpacked responses of exactly its bytes, one byte more lets the first go', () => {
    const exact = new HotReads(100, () => false);
    expect([...exact.add(readOf('a', 50, 1)), ...exact.add(readOf('b', 50, 2))]).toEqual([]);
    expect(exact.bytes).toBe(100);
    const more = new HotReads(100, () => false);
    more.add(readOf('a', 50, 1));
    expect(more.add(readOf('b', 51, 2)).map(({ item }) => item.key)).toEqual(['a']);
    expect(more.bytes).toBe(51);
  });

  it('holds what is kept free for it where the tier may not grow, or what it has; one byte more lets the first go', () => {
    const hot = new HotReads(1000, () => false);
    const [heldBack, free] = [true, false].map((isHeldBack) => ({ grantedBytes: 1600, isHeldBack }));
    const most = (growth = heldBack) => (growth === undefined ? 0 : hot.mostBytes(growth));
    expect([most(), most(free), hot.spareBytes({ grantedBytes: 1600 })]).toEqual([100, 1000, 100]);
    expect([...hot.add(readOf('a', 50, 1), most()), ...hot.add(readOf('b', 50, 2), most())]).toEqual([]);
    expect([hot.spareBytes({ grantedBytes: 1600 }), hot.grownBy(1, most())]).toEqual([0, 0]);
    expect(hot.add(readOf('c', 1, 3), most()).map(({ item }) => item.key)).toEqual(['a']);
    // It was free to grow, and is not any more.
    hot.add(readOf('d', 200, 4));
    expect([hot.bytes, most(), hot.grownBy(50, most())]).toEqual([251, 251, 0]);
    // Full: what comes is let in when it comes again.
    expect([hot.isOpen(7, most()), hot.isOpen(7, most()), hot.isOpen(8)]).toEqual([false, true, true]);
  });

  it('finds nothing that has gone, by whatever way', () => {
    const hot = new HotReads(100, () => false);
    for (const record of [1, 2]) hot.add(readOf('a', 50, record));
    hot.add(readOf('a', 50, 3));
    hot.remove(2);
    expect([1, 2, 3, 4].map((record) => hot.get(record)?.record)).toEqual([undefined, undefined, 3, undefined]);
    hot.clear();
    expect([hot.get(3), hot.bytes]).toEqual([undefined, 0]);
  });

  it('remembers what was read of late and is not kept unpacked, one read for 16 KiB that are kept, 64 at least', () => {
    expect([16, 64 * 16_384, 2 ** 25].map(rememberedBeside)).toEqual([64, 64, 2048]);
  });

  it('remembers exactly four keys of a set of four, a fifth makes it forget the first', () => {
    const ghosts = new Ghosts(4 * 4096, 4);
    for (const key of ['a', 'b', 'c', 'd']) ghosts.add(key);
    expect(['a', 'b', 'c', 'd'].map((key) => ghosts.take(key))).toEqual([true, true, true, true]);
    for (const key of ['a', 'b', 'c', 'd', 'e']) ghosts.add(key);
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => ghosts.take(key))).toEqual([false, true, true, true, true]);
  });

  it('remembers 262,144 keys at most, however large the tier is', () => {
    const ghosts = new Ghosts(2 ** 50);
    const keys = Array.from({ length: 600_000 }, (_none, number) => `key-${number}`);
    for (const key of keys) ghosts.add(key);
    const known = keys.filter((key) => ghosts.take(key)).length;
    expect(known).toBeLessThanOrEqual(262_144);
    expect(known).toBeGreaterThan(200_000);
  });

  it('has a body of exactly 16 KiB in a page with others, and one that is a byte longer by itself', () => {
    const most = mostInline(pageBytesOf(2 ** 30));
    const ownBodyOf = (bytes: number) =>
      packItem(storedResponse({ ...made, body: Buffer.alloc(bytes) }), most).ownBody?.byteLength;
    expect([ownBodyOf(16_384), ownBodyOf(16_385)]).toEqual([undefined, 16_385]);
  });
});
