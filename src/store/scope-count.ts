import type { MemoryTable } from './memory-table.ts';
import type { RecordJudge } from './record-judge.ts';

/** Counts the responses that several scopes cover, each once. */
export class ScopeCount {
  readonly #table: MemoryTable;
  readonly #judge: RecordJudge;
  responses = 0;

  constructor(table: MemoryTable, judge: RecordJudge) {
    this.#table = table;
    this.#judge = judge;
  }

  /** In short steps. */
  *steps(scopes: readonly string[]): Generator<void, void, void> {
    // Only a response that several scopes may cover has to be remembered.
    const seen = scopes.length > 1 ? new Set<number>() : undefined;
    for (const scope of scopes) {
      for (const record of this.#table.index.inScope(scope)) {
        const isCounted = record !== 0 && this.#table.records.isResponse(record) && seen?.has(record) !== true;
        if (isCounted && this.#judge.isLive(record)) {
          this.responses += 1;
          seen?.add(record);
        }
        // Last, as the row may be another record's after a pause.
        yield;
      }
    }
  }
}
