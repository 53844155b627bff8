import type { HitTally, StoreRead } from '../cache/ports.ts';
import type { StoredItem } from '../core/stored-response.ts';

/** Where a record stands in the eviction order; `out`: in no queue, that is, not stored. */
export const queues = { out: 0, small: 1, main: 2 } as const;
export type Queue = (typeof queues)[keyof typeof queues];

/**
 * One stored item with all its bookkeeping in one flat object: links, counters and places in the indexes are plain slots, as
 * a Set or list node for each would double what a stored response costs beside its body.
 */
export class StoredRecord implements HitTally {
  readonly item: StoredItem;
  /** What it takes of the tier's bytes. */
  readonly sizeBytes: number;
  readonly retainUntilMs: number;
  /** Of the purge log when the item was last found valid. */
  checkedVersion: number;
  staleSinceMs: number | undefined;
  /** Times served since stored. */
  hits = 0;
  /** Uses since it was last considered for eviction, up to 3 (S3-FIFO). */
  frequency = 0;
  queue: Queue = queues.out;
  /** Order of entry into its queue over all routes. */
  stamp = 0;
  newer: StoredRecord | undefined = undefined;
  older: StoredRecord | undefined = undefined;
  readonly #again: (record: StoredRecord) => boolean;
  #read: StoreRead | undefined = undefined;
  // Places in index buckets: 0 its URL, 1 its route, from 2 on its tags. The first five are inline.
  #place0 = 0;
  #place1 = 0;
  #place2 = 0;
  #place3 = 0;
  #place4 = 0;
  #morePlaces: number[] | undefined = undefined;

  constructor(item: StoredItem, sizeBytes: number, checkedVersion: number, again: (record: StoredRecord) => boolean) {
    this.#again = again;
    this.item = item;
    this.sizeBytes = sizeBytes;
    this.checkedVersion = checkedVersion;
    this.retainUntilMs = item.kind === 'response' ? item.freshness.retainUntilMs : item.retainUntilMs;
  }

  /** The same object for each read, until a soft purge changes what it says. */
  get read(): StoreRead {
    if (this.#read !== undefined) return this.#read;
    const { item, staleSinceMs } = this;
    const read: StoreRead = {
      item,
      staleSinceMs,
      tier: 'memory',
      tally: this,
      again: () => this.#again(this) && this.#read === read,
    };
    this.#read = read;
    return read;
  }

  /** Stale since the first soft purge that was noticed; later ones change nothing. */
  markStale(sinceMs: number): void {
    if (this.staleSinceMs !== undefined && this.staleSinceMs <= sinceMs) return;
    this.staleSinceMs = sinceMs;
    this.#read = undefined;
  }

  place(slot: number): number {
    switch (slot) {
      case 0:
        return this.#place0;
      case 1:
        return this.#place1;
      case 2:
        return this.#place2;
      case 3:
        return this.#place3;
      case 4:
        return this.#place4;
      default:
        return this.#morePlaces?.[slot - 5] ?? 0;
    }
  }

  setPlace(slot: number, place: number): void {
    switch (slot) {
      case 0:
        this.#place0 = place;
        break;
      case 1:
        this.#place1 = place;
        break;
      case 2:
        this.#place2 = place;
        break;
      case 3:
        this.#place3 = place;
        break;
      case 4:
        this.#place4 = place;
        break;
      default:
        this.#morePlaces ??= [];
        this.#morePlaces[slot - 5] = place;
    }
  }
}
