import type { Clock } from '../cache/ports.ts';
import type { MemoryTable } from './memory-table.ts';
import type { RecordJudge } from './record-judge.ts';
import { words } from './stored-records.ts';

/** Records for one step: most are looked at in some 30 ns, some in a microsecond. */
const recordsForStep = 8;

/**
 * Looks at records past their retention and not removed yet, and at their memberships, for a count in one go: some 4 ms, where rows and
 * code are cold.
 */
const mostLooks = 2 ** 14;

/**
 * All responses that are known to be in the scope but for those past their retention, which are looked at in one go, so that nothing comes
 * or goes meanwhile. Right only while no hard purge waits to be carried out. `undefined`: only looking at what is in the scope can
 * tell, or is less work.
 */
export function quickCount({ index, expiry, records }: MemoryTable, scope: string, nowMs: number): number | undefined {
  const totals = index.totals(scope);
  if (totals === undefined) return undefined;
  const looks = { count: 0 };
  const isIn = index.testOf(scope, looks);
  const isCounted = (record: number): boolean => records.isResponse(record) && isIn(record);
  const ended = expiry.countEnded(nowMs, Math.min(mostLooks, totals.records), isCounted, looks);
  return ended === undefined ? undefined : totals.responses - ended;
}

export interface ScopeCountParts {
  readonly table: MemoryTable;
  readonly judge: RecordJudge;
  readonly clock: Pick<Clock, 'nowMs'>;
  /**
   * No hard purge waits to be carried out, so that all that is stored is valid. Asked for each record: to judge each by the purges
   * since it was checked last has it unpacked, and took six times as long.
   */
  readonly isAllValid: () => boolean;
}

/** Counts the responses that scopes cover, each once, by a look at each. */
export class ScopeCount {
  readonly #table: MemoryTable;
  readonly #judge: RecordJudge;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #isAllValid: () => boolean;
  responses = 0;

  constructor({ table, judge, clock, isAllValid }: ScopeCountParts) {
    this.#table = table;
    this.#judge = judge;
    this.#clock = clock;
    this.#isAllValid = isAllValid;
  }

  /** In short steps. */
  *steps(scopes: readonly string[]): Generator<void, void, void> {
    // Only a response that several scopes may cover has to be remembered.
    const seen = scopes.length > 1 ? new Set<number>() : undefined;
    for (const scope of scopes) {
      const walk = this.#table.index.walk(scope);
      try {
        while (this.#count(walk.next, seen)) yield;
      } finally {
        walk.end();
      }
    }
  }

  /** One step; false where the walk is over. A record is counted at once, as after a pause its row may be another's. */
  #count(next: () => number | undefined, seen: Set<number> | undefined): boolean {
    const nowMs = this.#clock.nowMs();
    for (let left = recordsForStep; left > 0; left -= 1) {
      const record = next();
      if (record === undefined) return false;
      const isCounted = record !== 0 && this.#table.records.isResponse(record) && seen?.has(record) !== true;
      if (isCounted && this.#isLive(record, nowMs)) {
        this.responses += 1;
        seen?.add(record);
      }
    }
    return true;
  }

  #isLive(record: number, nowMs: number): boolean {
    if (this.#table.records.rows.double(record, words.retainUntilMs) <= nowMs) return false;
    return this.#isAllValid() || this.#judge.isValid(record);
  }
}
