import { ShardedMap } from './sharded-map.ts';
import type { StoredRecord } from './stored-record.ts';

/** The records that share a name (a tag, a route, a URL). */
export interface Members {
  readonly records: StoredRecord[];
  /** Those that are responses: Vary markers are not counted. */
  responses: number;
  /** No member is past its retention before this. A lower bound: it does not rise when members go. */
  expiresMs: number;
}

/** Which of a record's places the index under `name` uses. */
type SlotOf = (record: StoredRecord, name: string) => number;

/**
 * Name → records, with constant cost to add and remove and about 20 bytes for each membership: a record knows its place in
 * each list, and a leaver's place is filled with the list's last. A name with one record, the usual case for URLs, holds it
 * without a list.
 */
export class ScopeIndex {
  readonly #names = new ShardedMap<StoredRecord | Members>();
  readonly #slotOf: SlotOf;

  constructor(slotOf: SlotOf) {
    this.#slotOf = slotOf;
  }

  /** Names with at least one record. */
  get size(): number {
    return this.#names.size;
  }

  add(name: string, record: StoredRecord): void {
    const found = this.#names.get(name);
    if (found === undefined) {
      this.#names.set(name, record);
      return;
    }
    const members = isMembers(found) ? found : membersOf(found);
    if (members !== found) {
      this.#names.set(name, members);
      members.records[0]?.setPlace(this.#slotOf(members.records[0], name), 0);
    }
    record.setPlace(this.#slotOf(record, name), members.records.length);
    members.records.push(record);
    if (record.item.kind === 'response') members.responses += 1;
    members.expiresMs = Math.min(members.expiresMs, record.retainUntilMs);
  }

  remove(name: string, record: StoredRecord): void {
    const members = this.#names.get(name);
    if (members === undefined) return;
    if (!isMembers(members)) {
      if (members === record) this.#names.delete(name);
      return;
    }
    const place = record.place(this.#slotOf(record, name));
    if (members.records[place] !== record) return;
    const last = members.records.pop();
    if (last !== undefined && last !== record) {
      members.records[place] = last;
      last.setPlace(this.#slotOf(last, name), place);
    }
    if (record.item.kind === 'response') members.responses -= 1;
    if (members.records.length === 0) this.#names.delete(name);
  }

  /** Records under the name. */
  count(name: string): number {
    const found = this.#names.get(name);
    if (found === undefined) return 0;
    return isMembers(found) ? found.records.length : 1;
  }

  /**
   * Live for names with several records: walked from the end it may be paused while records come and go, and each that was
   * there at the start and still is will be visited.
   */
  members(name: string): Members | undefined {
    const found = this.#names.get(name);
    return found === undefined || isMembers(found) ? found : membersOf(found);
  }
}

function isMembers(value: StoredRecord | Members): value is Members {
  return 'records' in value;
}

/** A list of the one record. */
export function membersOf(record: StoredRecord): Members {
  return {
    records: [record],
    responses: record.item.kind === 'response' ? 1 : 0,
    expiresMs: record.retainUntilMs,
  };
}

/** The records from the last to the first; see {@link ScopeIndex.members}. */
export function* backwards(members: Members | undefined): Generator<StoredRecord, void, void> {
  if (members === undefined) return;
  for (let index = members.records.length - 1; index >= 0; index -= 1) {
    index = Math.min(index, members.records.length - 1);
    const record = members.records[index];
    if (record !== undefined) yield record;
  }
}
