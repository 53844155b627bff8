import type { Clock, PurgeReceipt, PurgeRequest } from '../cache/ports.ts';
import { ok, type Result } from '../core/problem.ts';
import type { Position } from '../core/stored-response.ts';
import type { PurgeEvent, PurgeFollower, TrackedPurgeLog } from './purge-follower.ts';
import type { PurgeableItem } from './purge-table.ts';
import { PurgeTable } from './purge-table.ts';

export interface LocalPurgeLogOptions {
  readonly clock: Clock;
  /** Random per process start, never a pod's name: it is the epoch of all positions. */
  readonly instanceId: string;
  /** Rows of the purge table at most. Default 20,000: 3 to 5 MB. */
  readonly maxScopes?: number;
  /**
   * Once the table is half full a position this old may be refused: it must be longer than the longest fetch that can end
   * in a stored response. Default 15 minutes.
   */
  readonly positionMaxAgeMs?: number;
  /** See {@link PurgeTable}. */
  readonly searching?: boolean | undefined;
}

/** How finely the age of purges is known. */
const marksPerAge = 16;

/** Purges up to `seq` had all happened at `atMs` (monotonic). */
interface Mark {
  readonly sinceMs: number;
  seq: number;
  atMs: number;
}

interface FollowerState {
  readonly hear: (event: PurgeEvent) => void;
  settled: number;
}

/** The purge log of a process without Redis: never loses its lease, and an append is complete when it returns. */
export function createLocalPurgeLog(options: LocalPurgeLogOptions): LocalPurgeLog {
  return new LocalPurgeLog(options);
}

/** See {@link createLocalPurgeLog}. */
export class LocalPurgeLog implements TrackedPurgeLog {
  readonly #clock: Clock;
  readonly #instanceId: string;
  readonly #maxScopes: number;
  readonly #positionMaxAgeMs: number;
  readonly #table: PurgeTable;
  readonly #followers = new Set<FollowerState>();
  /** A bounded history of when purges happened, at most {@link marksPerAge} and one. */
  readonly #marks: Mark[] = [];
  #position: Position;
  /** Positions before it are refused: the table may have forgotten purges after them. */
  #floor = 0;

  constructor(options: LocalPurgeLogOptions) {
    this.#table = new PurgeTable(options);
    this.#clock = options.clock;
    this.#instanceId = options.instanceId;
    this.#maxScopes = options.maxScopes ?? 20_000;
    this.#positionMaxAgeMs = options.positionMaxAgeMs ?? 15 * 60_000;
    this.#position = Object.freeze({ epoch: options.instanceId, seq: 0 });
  }

  get version(): number {
    return this.#position.seq;
  }

  /** Rows that the table holds, for tests and metrics. */
  get scopes(): number {
    return this.#table.size;
  }

  position(): Position {
    return this.#position;
  }

  isValid(item: PurgeableItem): boolean {
    return item.position.seq >= this.#floor && !this.isPurged(item);
  }

  isPurged(item: PurgeableItem): boolean {
    return item.position.epoch !== this.#position.epoch || this.#table.isPurged(item);
  }

  softPurgedAtMs(item: PurgeableItem): number | undefined {
    return this.#table.softPurgedAtMs(item);
  }

  inEffect(scopes: readonly string[]): readonly string[] {
    return this.#table.inEffect(scopes);
  }

  /** In force when it returns, before its promise is awaited. Rejects with RangeError for what is no scope. */
  async append(request: PurgeRequest): Promise<Result<PurgeReceipt>> {
    const startMs = this.#clock.monotonicMs();
    const seq = this.#position.seq + 1;
    const asked = { scopes: request.scopes, soft: request.soft, seq, atMs: this.#clock.nowMs() };
    const purge = this.#table.apply(asked);
    this.#position = Object.freeze({ epoch: this.#instanceId, seq });
    this.#mark(seq, startMs);
    for (const follower of this.#followers) follower.hear({ kind: 'purge', purge, version: seq });
    this.#keepBounded(startMs);
    return ok({
      id: `${this.#instanceId}-${seq}`,
      complete: true,
      sidecars: [{ id: this.#instanceId, appliedMs: this.#clock.monotonicMs() - startMs }],
      missing: [],
    });
  }

  follow(hear: (event: PurgeEvent) => void): PurgeFollower {
    const state: FollowerState = { hear, settled: this.version };
    this.#followers.add(state);
    return {
      settled: (version) => {
        state.settled = Math.max(state.settled, version);
      },
      close: () => {
        this.#followers.delete(state);
      },
    };
  }

  /**
   * Forgets what nobody can need: purges that every holder has settled and that are older than any fetch under way. Where
   * that is not enough, the older half goes and everything last checked before it counts as purged: hits are lost, never
   * the truth.
   */
  #keepBounded(nowMs: number): void {
    if (this.#table.size <= this.#maxScopes / 2) return;
    const settled = Math.min(...Array.from(this.#followers, (follower) => follower.settled));
    this.#raiseFloor(Math.min(settled, this.#seqBefore(nowMs - this.#positionMaxAgeMs)));
    if (this.#table.size <= this.#maxScopes) return;
    const floor = this.#table.seqThatLeaves(Math.floor(this.#maxScopes / 2));
    this.#raiseFloor(floor);
    if (settled >= floor) return;
    for (const follower of this.#followers) follower.hear({ kind: 'floor', version: floor });
  }

  #raiseFloor(floor: number): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    this.#table.forget(floor);
  }

  #mark(seq: number, atMs: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && atMs - last.sinceMs < this.#positionMaxAgeMs / marksPerAge) {
      last.seq = seq;
      last.atMs = atMs;
    } else {
      this.#marks.push({ sinceMs: atMs, seq, atMs });
    }
    // Of all the marks that are too old, the latest says all.
    while ((this.#marks[1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs - this.#positionMaxAgeMs) this.#marks.shift();
  }

  /** The last purge that had happened by `monotonicMs`, as far as the marks tell; 0 for none. */
  #seqBefore(monotonicMs: number): number {
    return this.#marks.findLast((mark) => mark.atMs <= monotonicMs)?.seq ?? 0;
  }
}
