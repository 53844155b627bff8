import { isComplete, type History, type Purge, type Read, type Violation } from './history.ts';

/**
 * All reads that break the guarantee: begun after a completed purge of their key, and yet from a fetch that began before that
 * purge did, or of a version older than the one that was there when it began. One violation for each such read, with the
 * latest purge that it breaks. Pure, and about as fast as sorting: a long run has a million reads.
 */
export function findViolations({ reads, purges }: History): readonly Violation[] {
  const demands = demandsByKey(purges);
  return reads.flatMap((read) => {
    const purge = brokenBy(read, demands.get(read.key) ?? []);
    return purge === undefined ? [] : [{ read, purge }];
  });
}

/** Whether the read breaks the purge: the guarantee, literally. */
export function breaks(read: Read, purge: Purge): boolean {
  const least = purge.least.get(read.key);
  if (least === undefined || !isComplete(purge) || read.startMs <= purge.endMs) return false;
  return read.version < least || read.fetchedMs < purge.startMs;
}

/** Completed purges of one key in order of their end, each with what all up to it demand together. */
interface Demand {
  readonly purge: Purge;
  /** Of all purges up to this one. */
  readonly leastVersion: number;
  readonly fetchedFromMs: number;
}

function demandsByKey(purges: readonly Purge[]): ReadonlyMap<string, readonly Demand[]> {
  const demands = new Map<string, Demand[]>();
  for (const purge of purges.filter(isComplete).toSorted((a, b) => a.endMs - b.endMs)) {
    for (const [key, version] of purge.least) {
      const before = demands.get(key) ?? [];
      const last = before.at(-1);
      const leastVersion = Math.max(version, last?.leastVersion ?? 0);
      const fetchedFromMs = Math.max(purge.startMs, last?.fetchedFromMs ?? -Infinity);
      before.push({ purge, leastVersion, fetchedFromMs });
      demands.set(key, before);
    }
  }
  return demands;
}

function brokenBy(read: Read, demands: readonly Demand[]): Purge | undefined {
  const count = countBefore(demands, read.startMs);
  const demand = demands[count - 1];
  if (demand === undefined) return undefined;
  if (read.version >= demand.leastVersion && read.fetchedMs >= demand.fetchedFromMs) return undefined;
  return demands.slice(0, count).findLast(({ purge }) => breaks(read, purge))?.purge;
}

/** How many of them ended before the instant; they are in order. */
function countBefore(demands: readonly Demand[], ms: number): number {
  let low = 0;
  let high = demands.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const demand = demands[middle];
    if (demand !== undefined && demand.purge.endMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
