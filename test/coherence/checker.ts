import { isComplete, type History, type Purge, type Read, type Violation } from './history.ts';

/**
 * All reads that break the guarantee: begun after a completed purge of their key, and yet from a fetch that began before that
 * purge did, or of a version older than the one that was there when it began. One violation for each such read, with the
 * latest purge that it breaks. Pure, and about as fast as sorting: a long run has a million reads.
 */
export function findViolations({ reads, purges }: History): readonly Violation[] {
  const demands = demandsByScope(purges);
  return reads.flatMap((read) => {
    const purge = latest(scopesOf(read).map((scope) => brokenBy(read, demands.get(scope) ?? [])));
    return purge === undefined ? [] : [{ read, purge }];
  });
}

/** Whether the read breaks the purge: the guarantee, literally. */
export function breaks(read: Read, purge: Purge): boolean {
  if (!isComplete(purge) || read.startMs <= purge.endMs) return false;
  const least = purge.least.get(read.key);
  if (least !== undefined && (read.version < least || read.fetchedMs < purge.startMs)) return true;
  if (!purge.tags.some((tag) => read.tags.includes(tag))) return false;
  return read.version < (purge.leastTagged.get(read.key) ?? 0) || read.fetchedMs < purge.startMs;
}

/** Completed purges of one scope in order of their end, each with what all up to it demand together. */
interface Demand {
  readonly purge: Purge;
  /** Of all purges up to this one. */
  readonly leastVersion: number;
  readonly fetchedFromMs: number;
}

/** What a read can be covered by: its key, a tag, and a tag together with the key, which only versions are about. */
function scopesOf({ key, tags }: Read): readonly string[] {
  return [`k ${key}`, ...tags.flatMap((tag) => [`t ${tag}`, `t ${tag} k ${key}`])];
}

function demandedBy({ least, tags, leastTagged }: Purge): readonly (readonly [string, number])[] {
  return [
    ...[...least].map(([key, version]) => [`k ${key}`, version] as const),
    ...tags.map((tag) => [`t ${tag}`, 0] as const),
    ...tags.flatMap((tag) => [...leastTagged].map(([key, version]) => [`t ${tag} k ${key}`, version] as const)),
  ];
}

function demandsByScope(purges: readonly Purge[]): ReadonlyMap<string, readonly Demand[]> {
  const demands = new Map<string, Demand[]>();
  for (const purge of purges.filter(isComplete).toSorted((a, b) => a.endMs - b.endMs)) {
    for (const [scope, version] of demandedBy(purge)) {
      const before = demands.get(scope) ?? [];
      const last = before.at(-1);
      const leastVersion = Math.max(version, last?.leastVersion ?? 0);
      const fetchedFromMs = Math.max(purge.startMs, last?.fetchedFromMs ?? -Infinity);
      before.push({ purge, leastVersion, fetchedFromMs });
      demands.set(scope, before);
    }
  }
  return demands;
}

function latest(purges: readonly (Purge | undefined)[]): Purge | undefined {
  return purges.reduce((one, other) => (other !== undefined && (one?.endMs ?? -Infinity) <= other.endMs ? other : one));
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
