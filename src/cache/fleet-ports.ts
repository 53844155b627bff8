import type { KeyedRequest } from '../core/request.ts';
import type { Result } from '../core/problem.ts';
import type { Route } from '../core/route.ts';
import type { Position, StoredItem } from '../core/stored-response.ts';
import type { PurgeReceipt, StoreRead } from './ports.ts';

/**
 * On whose behalf a tier is read. A shared tier holds what other configurations stored: lifetimes are worked out anew by the
 * rules of this route, and its URL and tags count for purges beside those that were stored (invariants 13 and 20).
 */
export interface ReadFor {
  readonly route: Route;
  readonly keyed: Pick<KeyedRequest, 'key' | 'url' | 'tags' | 'zone' | 'place' | 'memo'>;
  /** Milliseconds that the request has waited for the shared tier before; they count against its budget (invariant 18). */
  readonly waitedMs?: number;
}

/** Whether this process may serve from store, and what it knows of the purge log. */
export interface CoherenceStatus {
  /** False: nothing may be served from store (`position()` is `undefined`). */
  readonly leased: boolean;
  /** Milliseconds since the lease was last renewed, counted from the send time of the call; `undefined` before the first. */
  readonly leaseAgeMs: number | undefined;
  readonly leaseMs: number;
  /** 16 hex digits; empty before the first contact. */
  readonly epoch: string;
  /** Last purge of the log that was applied here. */
  readonly applied: number;
  /** Purges that the log was last known to hold beyond `applied`. */
  readonly lag: number;
  readonly floor: number;
  /** Scopes in the purge table. */
  readonly scopes: number;
  /** Wall clock of Redis less that of this process, milliseconds. */
  readonly skewMs: number;
}

/** One fetch for the fleet: an optimisation, on which no guarantee rests. Never rejects, and answers within the budget. */
export interface FillLocks {
  claim(claim: FillClaim): Promise<FillAnswer>;
}

export interface FillClaim {
  readonly key: string;
  readonly asked: ReadFor;
  /** What is known to be stored and not good enough; anything newer is the answer. */
  readonly known: StoredItem | undefined;
  /** Whether the asker was told to wait when he asked last: then what has failed since is younger than he is. */
  readonly hasWaited?: boolean;
  /** Milliseconds that the request has waited for the shared tier before; they count against its budget (invariant 18). */
  readonly waitedMs?: number;
}

export type FillAnswer =
  /** This process fetches; it calls `release` once, however the fetch ends. */
  | { readonly kind: 'ours'; readonly lock: FillLock }
  /**
   * Another one is fetching: ask again in some 25 ms. `position`: that of its claim where it is known, so that nobody waits
   * for a fetch that a purge has made useless.
   */
  | { readonly kind: 'theirs'; readonly position?: Position }
  /** Another one has fetched; valid now, and put into the memory tier. */
  | { readonly kind: 'stored'; readonly read: StoreRead }
  /** Another one fetched a moment ago what cannot be shared: everyone fetches for itself. */
  | { readonly kind: 'unshared' }
  /** What was waited for ended without an answer of upstream in its time: who waited for that has waited long enough. */
  | { readonly kind: 'timeout' }
  /** Redis does not answer, the lease is lost, or the breaker is open: fetch at once. */
  | { readonly kind: 'unavailable' };

export type FillOutcome = 'stored' | 'unshared' | 'timeout' | 'left';

export interface FillLock {
  /**
   * `stored`: in the store of this process; where it was not written to Redis (too large, no room, no connection) that is
   * as good as `unshared` to the others. `unshared`: what was fetched was not stored, and those who wait should not wait for
   * one another. `timeout`: so is a fetch that upstream did not answer in time, and those who waited for it fetch no more.
   * `left`: nothing was fetched that says anything to others, or nobody here wants it any more: one of those who wait takes its place.
   * `keys`: what was written beside what the lock is for; it is let go once all of that is in Redis. Returns at once.
   */
  release(outcome: FillOutcome, keys?: readonly string[]): void;
}

/** Work that one process does for the fleet. Never rejects. */
export interface JobLeases {
  /**
   * `ours`: run it and call `finish`; the lease is renewed until then. `running`: somebody else runs it; ask again after
   * {@link retryMs}, since a crashed holder's job is there to be taken over. `done`: done for this turn. `unavailable`: Redis
   * does not answer, so nobody knows.
   */
  claim(name: string): Promise<JobClaim>;
  readonly retryMs: number;
}

export type JobClaim =
  | { readonly kind: 'ours'; readonly lease: JobLease }
  | { readonly kind: 'running' | 'done' | 'unavailable' };

export interface JobLease {
  /** Done, and not to be done again by anyone for this long. 0: to be done again whenever it is asked for. */
  finish(holdMs: number): Promise<void>;
}

/** Tells every process of the fleet something in the order of the purge log, and waits as a purge does. */
export interface FleetNotices {
  /** `notice` is a word of at most 200 ASCII characters without spaces. */
  announce(notice: string): Promise<Result<PurgeReceipt>>;
  /** Hears each notice exactly once, when its place in the log is applied, before that is acknowledged. */
  onNotice(hear: (notice: string) => void): void;
}

/**
 * The counters of the fleet: sums by name, in one generation after the other. A reset begins one, and so does Redis that
 * has lost the last one. Never rejects; `undefined`: Redis did not answer, and it may have been carried out or not.
 */
export interface CounterLedger {
  /** Adds, where the ledger is of this generation and holds of this process what was written as `after`. */
  flush(flush: CounterFlush): Promise<LedgerState | undefined>;
  /** Begins a generation with nothing in it; its root, larger than `knownRoot`. */
  reset(knownRoot: number): Promise<number | undefined>;
  /** Asks every process to flush now; the question's number, later ones larger. */
  ask(): Promise<number | undefined>;
  read(): Promise<LedgerReading | undefined>;
  /** The last question that each of these processes had heard when it took its last flush; 0 for those unknown. */
  heard(ids: readonly string[]): Promise<readonly number[] | undefined>;
  /** This process flushes no more. */
  leave(): Promise<boolean | undefined>;
}

export interface CounterFlush {
  /** Of this process's flushes in this generation. Equal to `after`: nothing is added, it only shows that it is alive. */
  readonly number: number;
  readonly after: number;
  readonly counts: ReadonlyMap<string, number>;
  /** Empty before the first contact. */
  readonly generation: string;
  /** The last reset that this process knows, 0 for none. A ledger with an older one was restored from a copy, and goes. */
  readonly root: number;
  /** Since when the counts are, by the clock of Redis, for a ledger that was lost. `undefined`: since now. */
  readonly sinceMs: number | undefined;
  /** The last question that was heard when the counts were taken. */
  readonly heard: number;
  /** The ledger of `generation` holds too little to go on with: begin another. */
  readonly rebuild: boolean;
}

export interface LedgerState {
  readonly generation: string;
  /** Milliseconds on the clock of Redis, never twice the same. */
  readonly root: number;
  readonly sinceMs: number;
  /** Number of this process's last flush that the generation holds, 0 for none. */
  readonly applied: number;
  /** Wall clock of Redis. */
  readonly nowMs: number;
}

export interface LedgerReading {
  readonly sinceMs: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly members: readonly LedgerMember[];
}

export interface LedgerMember {
  readonly id: string;
  /** Milliseconds since its last flush. */
  readonly idleMs: number;
  readonly heard: number;
}

/** What the shared tier does and meets, for metrics and the log. Members are tokens: nothing of keys or contents. */
export type FleetEvent =
  /** `left`: it was given up by a process that ends in good order. */
  | { readonly kind: 'lease'; readonly state: 'gained' | 'lost'; readonly left?: true }
  /** `new`: no control data was there at the first contact; `gone`: they were there before; `failover`: another replication history; `log-lost`: the log was not whole; `behind`: less in it than was applied here. */
  | {
      readonly kind: 'epoch';
      readonly reason: 'new' | 'gone' | 'failover' | 'log-lost' | 'behind';
      readonly epoch: string;
    }
  | { readonly kind: 'sync'; readonly result: 'ok' | RedisFailureKind; readonly durationMs: number }
  /** A purge's acknowledgements: how long each took, and who was missing at the end. */
  | {
      readonly kind: 'acknowledged';
      readonly sidecars: readonly { readonly appliedMs: number }[];
      readonly missing: number;
    }
  /** A stored response was found and refused: why. */
  | { readonly kind: 'refused'; readonly reason: 'lease' | 'epoch' | 'floor' | 'purged' }
  | {
      readonly kind: 'redis';
      readonly operation: 'get' | 'put' | 'claim' | 'release' | 'unlink' | 'counters' | 'job';
      /**
       * `over-budget`: not answered within `timeout`. `outdated`: what is stored is newer, or leads to variants, and stays. Not sent at all:
       * `breaker`, `lease`, `pending`, `too-large`, `spent` (other calls have used up the request's budget), and a failure
       * where there was no connection.
       */
      readonly result: RedisResult;
      /** `undefined`: it was not sent. */
      readonly durationMs: number | undefined;
      /** Bytes of the value that was read, or was written: 0 for one that Redis did not take. */
      readonly bytes: number;
    }
  /** A value that cannot be used was read. */
  | {
      readonly kind: 'unusable';
      readonly reason: 'foreign' | 'version' | 'truncated' | 'checksum' | 'collision' | 'coding';
    }
  | { readonly kind: 'breaker'; readonly state: 'open' | 'half-open' | 'closed' }
  /** Work for the fleet was asked for, by the name of its lease. `lost`: the lease lapsed while it ran here, so somebody else may run it too. */
  | { readonly kind: 'job'; readonly name: string; readonly result: JobClaim['kind'] | 'lost' }
  /** A purge that could not be guaranteed (503); it may have taken effect, and is safe to repeat. */
  | { readonly kind: 'purge-refused'; readonly code: string; readonly source: 'api' | 'method' | 'schedule' };

export type RedisResult =
  | 'ok'
  | 'hit'
  | 'miss'
  | 'too-large'
  | 'outdated'
  | 'over-budget'
  | 'spent'
  | 'breaker'
  | 'lease'
  | 'pending'
  | RedisFailureKind;

/** Why a command failed. `closed`: there was no connection, or it broke. */
export type RedisFailureKind =
  | 'closed'
  | 'timeout'
  | 'readonly'
  | 'loading'
  | 'oom'
  | 'noreplicas'
  | 'clusterdown'
  | 'auth'
  | 'other';

/** What the shared tier is like now, for gauges. */
export interface RedisStatus {
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly pendingBytes: number;
  readonly maxPendingBytes: number;
}

/** A position with why it is not good, for `explain`; `undefined`: good. */
export type Invalidity = 'lease' | 'epoch' | 'floor' | 'purged';

export interface PositionJudge {
  /** Why an item of this position and scopes may not be served now. */
  invalidity(item: Pick<StoredItem, 'key' | 'route' | 'url' | 'tags' | 'position'>): Invalidity | undefined;
}

export type { Position };
