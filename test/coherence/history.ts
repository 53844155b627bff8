/**
 * Where an answer came from, as its `Cache-Status` says. `collapsed`: another request's fetch in the same process; `fleet`:
 * another process's fetch; `lease`: fetched because nothing may be served from store.
 */
export const sources = ['memory', 'redis', 'miss', 'validated', 'collapsed', 'fleet', 'lease', 'other'] as const;
export type Source = (typeof sources)[number];

/** The source of an answer with this `Cache-Status`. */
export function sourceOf(cacheStatus: string): Source {
  const own = /forecache; (.*)$/.exec(cacheStatus)?.[1] ?? '';
  const has = (part: string): boolean => own.split('; ').includes(part);
  if (has('detail=lease')) return 'lease';
  if (has('hit')) return has('detail=redis') ? 'redis' : has('detail=memory') ? 'memory' : 'other';
  if (has('collapsed')) return has('detail=redis') ? 'fleet' : 'collapsed';
  if (has('fwd=stale')) return 'validated';
  return /fwd=(?:uri-|vary-)?miss/.test(own) ? 'miss' : 'other';
}

/** One answered read. Instants are milliseconds of one monotonic clock, that of the process which recorded them all. */
export interface Read {
  /** Before the request was written. */
  readonly startMs: number;
  /** When the answer had been read. */
  readonly endMs: number;
  /** Which sidecar answered. */
  readonly sidecar: string;
  readonly key: string;
  /** The upstream's version of the key at some instant of the fetch that this answer is from. */
  readonly version: number;
  /** When the request of that fetch reached the upstream. */
  readonly fetchedMs: number;
  readonly source: Source;
  /** What the answer itself says that it can be purged by: the tags that upstream gave it, and the key that it is under. */
  readonly tags: readonly string[];
}

/**
 * One purge call, or an unsafe request that went through. Before it began (for an unsafe request: at its effect), each key that it
 * covers was given the version in `least`.
 */
export interface Purge {
  readonly startMs: number;
  readonly endMs: number;
  /** The sidecar that was asked. */
  readonly sidecar: string;
  /** One of the selectors of `world.ts`. */
  readonly by: string;
  /** 0: no answer came. */
  readonly status: number;
  /** The answer said that it holds everywhere; a 202 may not. */
  readonly complete: boolean;
  /** Ids of the sidecars that had not acknowledged. */
  readonly missing: readonly string[];
  /** Covered key → the version that it had when the purge began. */
  readonly least: ReadonlyMap<string, number>;
  /** Covered too, whatever their key: reads whose answer has one of these tags. */
  readonly tags: readonly string[];
  /** As `least`, for those: keys that had such a tag then, or may have. */
  readonly leastTagged: ReadonlyMap<string, number>;
}

/** Something that was done to the fleet, for whoever reads a violation. */
export interface FaultEvent {
  readonly startMs: number;
  readonly endMs: number;
  readonly kind: string;
  readonly what: string;
}

export interface History {
  readonly reads: readonly Read[];
  readonly purges: readonly Purge[];
}

/** A read that began after a purge had completed, and got what was fetched before it. */
export interface Violation {
  readonly read: Read;
  readonly purge: Purge;
}

/** True of a purge that promised: 202 and 503 promise nothing, nor does a call that broke off. */
export function isComplete({ status, complete }: Pick<Purge, 'status' | 'complete'>): boolean {
  return complete && status >= 200 && status < 400 && status !== 202;
}
