import type { StoredPlace } from '../cache/ports.ts';
import type { HotRead } from './hot-reads.ts';
import type { RecordJudge } from './record-judge.ts';

/**
 * The number of a record, and what was known of it, for whoever answers with it over and over. Nothing of what is stored is
 * kept by whoever holds one: it may outlive all of that.
 */
export class RecordPlace implements StoredPlace {
  readonly record: number;
  readonly serial: number;
  readonly retainUntilMs: number;
  readonly staleSinceMs: number | undefined;
  /** Of the purge log when it was last found valid. */
  checkedVersion: number;
  readonly #judge: RecordJudge;

  constructor(hot: HotRead, judge: RecordJudge) {
    this.record = hot.record;
    this.serial = hot.serial;
    this.retainUntilMs = hot.retainUntilMs;
    this.staleSinceMs = hot.staleSinceMs;
    this.checkedVersion = hot.checkedVersion;
    this.#judge = judge;
  }

  again(nowMs: number, isHit: boolean): boolean {
    if (!this.#judge.isThere(this, nowMs)) return false;
    this.#judge.countUse(this, isHit);
    return true;
  }

  holds(nowMs: number): boolean {
    return this.#judge.isThere(this, nowMs);
  }
}
