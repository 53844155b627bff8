import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';

import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import type { PurgeEvent } from '../../src/store/purge-follower.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createPurgeWire, joinPurges, type PurgeWire, type SharedPurgeLog } from '../../src/workers/shared-purges.ts';
import { purgeLogContract } from '../contract/purge-log.suite.ts';
import { storedResponse } from '../support/stored-items.ts';
import type { ReaderOrders, ReaderReport } from './purge-reader.ts';

const open: SharedPurgeLog[] = [];
let lost = 0;

afterEach(() => {
  for (const log of open.splice(0)) log[Symbol.dispose]();
  lost = 0;
});

function join(wire: PurgeWire, place: number, searching = false): SharedPurgeLog {
  const log = createLocalPurgeLog({ clock: systemClock, instanceId: randomUUID(), searching });
  const joined = joinPurges({ wire, place, log, onLost: () => void (lost += 1) });
  open.push(joined);
  return joined;
}

function heardBy(log: SharedPurgeLog): PurgeEvent[] {
  const events: PurgeEvent[] = [];
  log.follow((event) => void events.push(event));
  return events;
}

describe('the log of a thread that has others beside it', () => {
  purgeLogContract(async (searching) => {
    const wire = createPurgeWire(2);
    join(wire, 1);
    return join(wire, 0, searching);
  });
});

describe('a purge of one thread', () => {
  it('holds for the next look of another, before that has had a turn of its event loop', async () => {
    const wire = createPurgeWire(2);
    const [one, other] = [join(wire, 0), join(wire, 1)];
    const item = storedResponse({ position: other.position(), nowMs: 0 });
    const soft = storedResponse({ position: other.position(), nowMs: 0, key: 'weather-forecast|/soft' });
    const receipts = Promise.all([
      one.append({ scopes: [`k:${item.key}`], soft: false }),
      one.append({ scopes: [`k:${soft.key}`], soft: true }),
    ]);
    await receipts;
    expect(other.isValid(item)).toBe(false);
    expect(other.isValid(soft)).toBe(true);
    expect(other.softPurgedAtMs(soft)).toBeTypeOf('number');
    expect(other.isValid({ ...item, position: other.position() })).toBe(true);
  });

  it('is behind each position that the other took before it, and before each that it takes after', async () => {
    const wire = createPurgeWire(2);
    const [one, other] = [join(wire, 0), join(wire, 1)];
    const before = other.position();
    await one.append({ scopes: ['all'], soft: false });
    const after = other.position();
    expect(after.seq - before.seq).toBe(1);
    expect(after.epoch).toBe(before.epoch);
  });

  it('is heard once by each, and by a thread that stands idle without its asking', async () => {
    const wire = createPurgeWire(3);
    const logs = [join(wire, 0), join(wire, 1), join(wire, 2)] as const;
    const heard = logs.map(heardBy);
    await logs[0].append({ scopes: ['r:weather'], soft: false });
    logs[1].catchUp();
    logs[1].catchUp();
    await expect.poll(() => heard.map((events) => events.length)).toEqual([1, 1, 1]);
    // A second delivery would be on its way since the first.
    await pause(0);
    expect(heard.map((events) => events.length)).toEqual([1, 1, 1]);
    expect(lost).toBe(0);
  });

  it('is not announced where it is no purge', async () => {
    const wire = createPurgeWire(2);
    const [one, other] = [join(wire, 0), join(wire, 1)];
    const heard = heardBy(other);
    await expect(one.append({ scopes: ['nonsense'], soft: false })).rejects.toThrow(RangeError);
    await one.append({ scopes: ['all'], soft: false });
    other.catchUp();
    expect(heard).toHaveLength(1);
  });

  it('does not reach the threads of another app', async () => {
    const heard = heardBy(join(createPurgeWire(2), 1));
    const [one, other] = [createPurgeWire(2), createPurgeWire(2)].map((wire) => join(wire, 0));
    await one?.append({ scopes: ['all'], soft: false });
    other?.catchUp();
    await pause(0);
    expect(heard).toEqual([]);
  });

  it('that was announced and does not come purges everything where it is missed', async () => {
    const wire = createPurgeWire(2);
    const one = join(wire, 1);
    const item = storedResponse({ position: one.position(), nowMs: 0 });
    const words = new Int32Array(wire.words);
    Atomics.add(words, 1, 1);
    expect(one.isValid(item)).toBe(true);
    Atomics.add(words, 0, 1);
    expect(one.isValid(item)).toBe(false);
    expect(lost).toBe(1);
    expect(one.isValid({ ...item, position: one.position() })).toBe(true);
    expect(lost).toBe(1);
  });

  it('of a thread that took the place of a dead one is told apart from what that announced', async () => {
    const wire = createPurgeWire(2);
    const other = join(wire, 1);
    const heard = heardBy(other);
    for (let life = 0; life < 3; life += 1) {
      const one = join(wire, 0);
      await one.append({ scopes: ['all'], soft: false });
      other.catchUp();
      one[Symbol.dispose]();
    }
    expect(heard).toHaveLength(3);
    expect(lost).toBe(0);
  });
});

describe('threads that read without a turn of their event loops', () => {
  it('find nothing that was stored before a purge that has returned', async () => {
    const readers = 2;
    const wire = createPurgeWire(readers + 1);
    const shared = new SharedArrayBuffer(12);
    const words = new Int32Array(shared);
    const log = join(wire, 0);
    const threads = Array.from({ length: readers }, (_none, index) => {
      const orders: ReaderOrders = { wire, place: index + 1, shared };
      return new Worker(new URL('purge-reader.ts', import.meta.url), { workerData: orders });
    });
    const reports = threads.map(async (thread): Promise<ReaderReport> => {
      const [report] = await once(thread, 'message');
      return report;
    });
    await expect.poll(() => Atomics.load(words, 2)).toBe(readers);
    const scopes = ['all', 'r:weather-forecast', 't:upstream:weather', 'p:/v1/', 'u:/v1/forecast?location=berlin'];
    for (let purge = 0; purge < 3_000; purge += 1) {
      await log.append({ scopes: [scopes[purge % scopes.length] ?? 'all'], soft: false });
      Atomics.add(words, 0, 1);
      if (purge % 5 === 0) await pause(1);
    }
    Atomics.store(words, 1, 1);
    for (const { reads, hits, purged, wrong, lost: lostThere } of await Promise.all(reports)) {
      expect(wrong).toBe(0);
      expect(lostThere).toBe(0);
      expect(hits).toBeGreaterThan(100);
      expect(purged).toBeGreaterThan(20);
      expect(reads).toBeGreaterThan(hits);
    }
    await Promise.all(threads.map((thread) => thread.terminate()));
  });
});
