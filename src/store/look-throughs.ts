import type { MemoryTable } from './memory-table.ts';
import type { TrackedPurgeLog } from './purge-follower.ts';
import type { Reaper } from './reaper.ts';
import type { RecordJudge } from './record-judge.ts';

/** A walk through everything that more scopes than these wait for checks all that is stored. */
const mostShared = 8;

/** Records that are passed over in one step: each takes some 50 ns. */
const passedAtOnce = 8;

export interface LookThroughParts {
  readonly table: MemoryTable;
  readonly judge: RecordJudge;
  readonly log: TrackedPurgeLog;
  readonly reaper: Pick<Reaper, 'add'>;
  /** One has ended; what purges up to `version` cover is gone or marked. */
  readonly onDone: (version: number) => void;
}

/**
 * Looks through what purges cover, in the background: what a hard one covers is dropped, what a soft one does is marked. Many purges at once
 * must not cost more than a few walks: those that each would need one through everything share it, and so do more than there are
 * records.
 */
export class LookThroughs {
  readonly #parts: LookThroughParts;
  /** Scopes whose members wait to be looked through. */
  readonly #waiting = new Set<string>();
  /** Those for which everything will be walked through, which is `all` of {@link #waiting}. */
  readonly #shared = new Set<string>();
  #pending = 0;

  constructor(parts: LookThroughParts) {
    this.#parts = parts;
  }

  /** That wait or are under way. */
  get pending(): number {
    return this.#pending;
  }

  /** Checks all members of the scope; those already waiting to be checked will see the purge that it is for too. */
  add(scope: string): void {
    if (this.#shared.has('all') || this.#waiting.has(scope)) return;
    const { table, log, reaper, onDone } = this.#parts;
    const reach = table.index.reach(scope);
    if (reach === 'none') return;
    const isShared = reach === 'all' || this.#waiting.size >= table.index.size;
    if (isShared) this.#shared.add(reach === 'all' && this.#shared.size < mostShared ? scope : 'all');
    const walked = isShared ? 'all' : scope;
    if (this.#waiting.has(walked)) return;
    this.#waiting.add(walked);
    this.#pending += 1;
    const { version } = log;
    reaper.add(this.#steps(walked), () => {
      this.#pending -= 1;
      // Another scope of this very purge may still wait, none of an earlier one.
      onDone(this.#pending > 0 ? version - 1 : log.version);
    });
  }

  /** Nothing is stored any more that was when they were added, or the reaper has forgotten them. */
  forget(): void {
    this.#waiting.clear();
    this.#shared.clear();
    this.#pending = 0;
  }

  *#steps(scope: string): Generator<void> {
    const { table } = this.#parts;
    this.#waiting.delete(scope);
    const isIn = scope === 'all' ? this.#testOfShared() : isAny;
    const walk = table.index.walk(scope);
    try {
      while (this.#step(walk.next, isIn)) yield;
    } finally {
      walk.end();
    }
  }

  /** Checks one record, or passes over some that are none of those; false where the walk is over. */
  #step(next: () => number | undefined, isIn: (record: number) => boolean): boolean {
    const { table, judge } = this.#parts;
    for (let left = passedAtOnce; left > 0; left -= 1) {
      const record = next();
      if (record === undefined) return false;
      if (record === 0 || !isIn(record)) continue;
      if (!judge.isValid(record)) table.drop(record, 'purge');
      return true;
    }
    return true;
  }

  /** Tells what a walk that begins now has to check: to unpack each that no purge covers would take a microsecond. */
  #testOfShared(): (record: number) => boolean {
    const shared = [...this.#shared];
    this.#shared.clear();
    if (shared.includes('all')) return isAny;
    const tests = shared.map((scope) => this.#parts.table.index.testOf(scope));
    const [only] = tests;
    return only !== undefined && tests.length === 1 ? only : (record) => tests.some((isIn) => isIn(record));
  }
}

function isAny(): boolean {
  return true;
}
