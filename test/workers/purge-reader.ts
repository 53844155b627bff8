import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { joinPurges, type PurgeWire } from '../../src/workers/shared-purges.ts';
import { storedResponse } from '../support/stored-items.ts';

/** What a reader is started with. Words of `shared`: 0 counts purges that have returned, 1 says stop, 2 counts readers. */
export interface ReaderOrders {
  readonly wire: PurgeWire;
  readonly place: number;
  readonly shared: SharedArrayBuffer;
}

/** What a reader has seen. */
export interface ReaderReport {
  readonly reads: number;
  readonly hits: number;
  /** Rounds in which a purge had returned before the read. */
  readonly purged: number;
  /** Reads that found what was stored before a purge that had returned, and positions before such a purge. */
  readonly wrong: number;
  /** Purges that were announced and did not come. */
  readonly lost: number;
}

/** Stores and reads without a turn of the event loop until it is told to stop: no message reaches it but those it takes. */
function read({ wire, place, shared }: ReaderOrders): ReaderReport {
  const words = new Int32Array(shared);
  const local = createLocalPurgeLog({ clock: systemClock, instanceId: randomUUID() });
  const seen = { reads: 0, hits: 0, purged: 0, wrong: 0, lost: 0 };
  using log = joinPurges({ wire, place, log: local, onLost: () => void (seen.lost += 1) });
  using store = createMemoryStore({
    maxBytes: 2 ** 20,
    routeLimits: new Map(),
    purgeLog: log,
    clock: systemClock,
  });
  const { key } = storedResponse({ position: log.position(), nowMs: 0 });
  let storedAfter = -1;
  Atomics.add(words, 2, 1);
  while (Atomics.load(words, 1) === 0) {
    // In this order: what has returned by now must show in the read.
    const returned = Atomics.load(words, 0);
    const found = store.get(key);
    seen.reads += 1;
    if (found !== undefined) seen.hits += 1;
    if (returned > storedAfter) seen.purged += 1;
    if (found !== undefined && returned > storedAfter) seen.wrong += 1;
    if (found !== undefined) continue;
    // As a fetch does. No purge was before this thread joined, and one thread purges: the position is the number of those
    // that it is behind, whether or not the thread that purges has got as far as to count them.
    const before = Atomics.load(words, 0);
    const position = log.position();
    if (position.seq < before) seen.wrong += 1;
    storedAfter = position.seq;
    store.put(storedResponse({ position, nowMs: systemClock.nowMs() }));
  }
  return seen;
}

const orders: ReaderOrders = workerData;
parentPort?.postMessage(read(orders));
