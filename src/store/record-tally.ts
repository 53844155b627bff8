import type { HitTally } from '../cache/ports.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';

/** Counts into the record while it is stored, then for itself. */
export class RecordTally implements HitTally {
  readonly #records: StoredRecords;
  readonly #record: number;
  readonly #serial: number;
  #lastHits = 0;

  constructor(records: StoredRecords, record: number) {
    this.#records = records;
    this.#record = record;
    this.#serial = records.rows.get(record, words.serial);
  }

  get hits(): number {
    return this.#isStored() ? this.#records.hits(this.#record) : this.#lastHits;
  }

  set hits(hits: number) {
    if (this.#isStored()) this.#records.setHits(this.#record, hits);
    this.#lastHits = hits;
  }

  #isStored(): boolean {
    return this.#records.rows.get(this.#record, words.serial) === this.#serial;
  }
}
