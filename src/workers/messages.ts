import type { CoherenceStatus, RedisStatus } from '../cache/fleet-ports.ts';
import type { Explanation, ExplainRequest } from '../cache/operations.ts';
import type { ListFilter, StoredSummary, StoreStats } from '../cache/ports.ts';
import type { RefreshOutcome } from '../cache/refresher.ts';
import type { Config } from '../core/config.ts';
import type { Result } from '../core/problem.ts';
import type { Position, StoredItem } from '../core/stored-response.ts';
import type { Counts } from '../metrics/counts.ts';
import type { Totals } from '../metrics/totals.ts';
import type { ThreadNumbers } from '../metrics/process-families.ts';
import type { SharedBounds } from '../process-memory.ts';
import type { BoundListener } from '../server/data-server.ts';
import type { PurgeWire } from './shared-purges.ts';

/** What a worker is started with. */
export interface WorkerStart {
  /** With this worker's part of all limits; its listeners have ports, but for those of the first worker. */
  readonly config: Config;
  /** From 1; the coordinator has place 0. */
  readonly place: number;
  /** `undefined`: purges go through Redis. */
  readonly wire: PurgeWire | undefined;
  /** `undefined`: memory is taken as far as `maxBytes`, whatever else there is. */
  readonly bounds: SharedBounds | undefined;
  /** The same for all of them: what one has sent may come back to another. */
  readonly processMark: string;
}

/** What its thread is given. */
export interface WorkerGround extends WorkerStart {
  /** Of what of its log is on its way (`line-backlog.ts`). */
  readonly lineWords: SharedArrayBuffer;
  /** Of whether what it told of its counts was heard (`heard.ts`). */
  readonly heardWords: SharedArrayBuffer;
}

/** What the coordinator can ask of a worker. All of it is plain data. */
export interface WorkerCalls {
  /** Answered with its next turn of its event loop, whatever else it does. */
  readonly turn: { readonly input: undefined; readonly output: undefined };
  /** Responses of its memory tier that the scopes cover. */
  readonly count: { readonly input: readonly string[]; readonly output: number };
  readonly list: { readonly input: ListFilter; readonly output: readonly StoredSummary[] };
  /** Of its memory tier, those of these keys that could be served. */
  readonly summaries: { readonly input: readonly string[]; readonly output: readonly StoredSummary[] };
  readonly explain: { readonly input: ExplainRequest; readonly output: Result<Explanation> };
  /** Where its purge log is; all that was purged before the call has been applied. */
  readonly position: { readonly input: undefined; readonly output: Position | undefined };
  readonly refresh: { readonly input: RefreshCall; readonly output: Refreshed };
  readonly adopt: { readonly input: Adopted; readonly output: undefined };
  readonly numbers: { readonly input: NumbersCall; readonly output: WorkerNumbers };
  /** Rehearses what a purge has it do (`src/rehearsal.ts`); answered when that is over. */
  readonly rehearse: { readonly input: undefined; readonly output: undefined };
  /** Ends what it serves with the grace of the configuration, and tells what it had counted in the end. */
  readonly stop: { readonly input: undefined; readonly output: WorkerNumbers };
}

export type CallName = keyof WorkerCalls;

export interface NumbersCall {
  /** With those of the thread, which begin anew by that. */
  readonly thread: boolean;
}

export interface RefreshCall {
  readonly route: string;
  readonly values: ReadonlyMap<string, string>;
  readonly reuseAbove: number;
  readonly withoutCall: string | undefined;
}

export interface Refreshed {
  readonly outcome: RefreshOutcome;
  /** What is stored for it now, for the other workers; empty where that is for this worker alone. */
  readonly items: readonly StoredItem[];
}

export interface Adopted {
  readonly items: readonly StoredItem[];
  /** Of the adopter's own log, from before the items were read elsewhere. */
  readonly position: Position;
}

/** What a worker has counted since it started, and what it has now. */
export interface WorkerNumbers {
  readonly counts: Counts;
  /** What of it is since the last reset that it knows: with Redis each thread hears of those of the fleet. */
  readonly totals: Totals;
  /** Which reset that is, as `FleetCounters` has it; `undefined` without Redis, or before the first contact. */
  readonly root: number | undefined;
  readonly store: StoreStats;
  readonly load: {
    readonly requestsInFlight: number;
    readonly connections: number;
    readonly fastLane: number;
    readonly newTargets: number;
    readonly waits: number;
  };
  readonly coherence: CoherenceStatus | undefined;
  readonly redis: RedisStatus | undefined;
  /** Only where they were asked for: event-loop lag is that since it was last told. */
  readonly thread: ThreadNumbers | undefined;
}

export interface Call<Name extends CallName = CallName> {
  readonly id: number;
  readonly name: Name;
  readonly input: WorkerCalls[Name]['input'];
}

/** What a worker tells the coordinator. `Value`: of an answer, which only the caller knows. */
export type WorkerWord<Value = unknown> =
  | { readonly kind: 'listening'; readonly listeners: readonly BoundListener[] }
  /** It could not start, and ends. */
  | { readonly kind: 'failed'; readonly message: string }
  /** It is about to call an upstream for the first time: until then there is nothing to purge. */
  | { readonly kind: 'fetching' }
  /** Of its log. */
  | { readonly kind: 'lines'; readonly lines: string }
  /** Now and then, once the last was heard, so that little is lost of a worker that is killed. */
  | { readonly kind: 'counted'; readonly numbers: WorkerNumbers }
  | { readonly kind: 'answer'; readonly id: number; readonly value: Value }
  | { readonly kind: 'refusal'; readonly id: number; readonly message: string };
