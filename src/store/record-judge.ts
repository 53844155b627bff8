import { wasAskedLater } from '../cache/asked-later.ts';
import type { Clock } from '../cache/ports.ts';
import type { StoredItem } from '../core/stored-response.ts';
import type { HotRead } from './hot-reads.ts';
import type { MemoryTable } from './memory-table.ts';
import type { TrackedPurgeLog } from './purge-follower.ts';
import type { PurgeableItem } from './purge-table.ts';
import type { RecordPlace } from './record-place.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';

/** Says of what is stored whether it may be served, by its retention and the purge log. */
export class RecordJudge {
  readonly #table: MemoryTable;
  readonly #clock: Clock;
  readonly #log: TrackedPurgeLog;
  /** Records last checked before this version of the log cannot be judged any more. */
  lostBefore = 0;

  constructor(table: MemoryTable, { clock, purgeLog }: { readonly clock: Clock; readonly purgeLog: TrackedPurgeLog }) {
    this.#table = table;
    this.#clock = clock;
    this.#log = purgeLog;
  }

  /** The record under the key, dropped where it may not be served any more; 0: there is none. */
  usable(key: string): number {
    const record = this.#table.index.find(key);
    return record !== 0 && this.isUsable(record) ? record : 0;
  }

  /** Whether it may be served; dropped where it may not be any more. */
  isUsable(record: number): boolean {
    if (this.isExpired(record)) this.#table.drop(record, 'retention');
    else if (this.isValid(record)) return true;
    else this.#table.drop(record, 'purge');
    return false;
  }

  /** As {@link usable}, without a drop: for walks through the indexes. */
  isLive(record: number): boolean {
    return !this.isExpired(record) && this.isValid(record);
  }

  isExpired(record: number): boolean {
    return this.#table.records.rows.double(record, words.retainUntilMs) <= this.#clock.nowMs();
  }

  /** False where a hard purge covers it. Notes soft ones. `known`: what purges judge it by, where that is unpacked. */
  isValid(record: number, known?: PurgeableItem): boolean {
    if (this.#table.records.rows.double(record, words.checkedVersion) === this.#log.version) return true;
    return this.#check(record, known);
  }

  /** Whether what is at the place is what it was made for, may be served, and is what a look-up would find. */
  isThere(place: RecordPlace, nowMs: number): boolean {
    // Others' purges may drop it.
    this.#log.catchUp?.();
    const { records } = this.#table;
    if (place.retainUntilMs <= nowMs || !isStored(records, place)) return false;
    const { version } = this.#log;
    if (place.checkedVersion === version) return true;
    if (!this.isValid(place.record) || records.staleSinceMs(place.record) !== place.staleSinceMs) return false;
    place.checkedVersion = version;
    return true;
  }

  /** It must be there. */
  countUse({ record, serial }: RecordPlace, isHit: boolean): void {
    this.#table.records.useAgain(record, serial, isHit);
  }

  /** Of a read that is kept: whether a look-up of its key gives it still. */
  isGood(hot: HotRead, nowMs: number = this.#clock.nowMs()): boolean {
    if (hot.retainUntilMs <= nowMs) return false;
    if (hot.checkedVersion === this.#log.version) return true;
    // A soft purge makes it one that is kept no longer.
    if (!this.isValid(hot.record, hot.item) || !this.#table.hot.keeps(hot)) return false;
    hot.checkedVersion = this.#log.version;
    return true;
  }

  /**
   * A validation or a slow answer that was asked for before what is stored now must not replace it.
   *
   * @param record what is stored under its key
   */
  isOutdated(item: StoredItem, record: number): boolean {
    if (item.kind !== 'response') return false;
    const stored = this.#table.unpacked(record).item;
    return stored.kind === 'vary' || wasAskedLater(stored, item, this.#clock);
  }

  #check(record: number, known: PurgeableItem | undefined): boolean {
    const { records } = this.#table;
    if (records.rows.double(record, words.checkedVersion) < this.lostBefore) return false;
    const scopes = known ?? records.scopes(record);
    if (this.#log.isPurged(scopes)) return false;
    const staleSinceMs = this.#log.softPurgedAtMs(scopes);
    // What is unpacked of it says the wrong time.
    if (staleSinceMs !== undefined && records.markStale(record, staleSinceMs)) this.#table.forgetRead(record);
    records.rows.setDouble(record, words.checkedVersion, this.#log.version);
    return true;
  }
}

function isStored(records: StoredRecords, { record, serial }: RecordPlace): boolean {
  // A row that is free reads as zeros, and no two records have one serial.
  return records.isCounted(serial) || records.rows.get(record, words.serial) === serial;
}
