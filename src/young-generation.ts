import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

import type { Clock } from './cache/ports.ts';
import { hasOwnOptions } from './lean.ts';
import type { Log } from './log/log.ts';

const lookMs = 1000;

/** Part of the time in which a process that is busy has something to do. In one that is not nothing is gained. */
const busy = 0.1;

/** An array that V8 allocates in the young generation: 32 KiB. */
const pieceUnits = 4096;
/** What is allocated at most until it has grown: it takes some 20 (Node 26) to 50 (Node 20). */
const mostPieces = 256;

interface Ground {
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Pick<Log, 'debug'>;
}

/**
 * Has V8's young generation, which stays at the MiB that it starts with (`lean.ts`), be of so many bytes while the process is busy: half of
 * what a collection takes is the same whatever there is to collect, and what has no time to die is copied and kept (decision 40). An idle
 * process does not grow, and V8 itself makes it small again where little is allocated. What is returned ends it.
 */
export function giveRoomWhenBusy(bytes: number, { clock, log }: Ground): () => void {
  // Of a V8 that names its spaces otherwise nothing is known.
  if (hasOwnOptions() || youngBytes() === 0) return () => {};
  let last = performance.eventLoopUtilization();
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    const before = youngBytes();
    if (utilization >= busy && !isAbout(before, bytes)) {
      grow(bytes / before);
      const after = youngBytes();
      log.debug({ before, after }, 'room for what is young');
      // Of a V8 that does not grow by these means nothing more is asked.
      if (!isAbout(after, bytes)) return;
    }
    cancel = clock.after(lookMs, look);
  };
  let cancel = clock.after(lookMs, look);
  return () => cancel();
}

/**
 * V8 looks at its limit when a process starts, and at its factor each time that enough has outlived a collection: so that much is kept here, for
 * one step of 2 to 3 ms, under a factor that makes it the size that is wanted at once.
 */
function grow(times: number): void {
  const before = youngBytes();
  const kept: unknown[] = [];
  setFlagsFromString(`--semi-space-growth-factor=${Math.round(times)}`);
  while (kept.length < mostPieces && youngBytes() <= before) kept.push(Array.from({ length: pieceUnits }).fill(0));
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** V8 keeps some bytes of each page to itself. */
function isAbout(size: number, bytes: number): boolean {
  return size > bytes * 0.9;
}

/** What may be allocated between two collections. */
function youngBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space === undefined ? 0 : space.space_used_size + space.space_available_size;
}
