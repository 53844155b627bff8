import { Ghosts } from './ghosts.ts';
import type { Queue, StoredRecord } from './stored-record.ts';
import { queues } from './stored-record.ts';

/** The part of the tier in which a newcomer has to prove itself. */
const smallPart = 0.1;

/** Uses in the small queue that earn a place in the main one. */
const usesToStay = 2;

/**
 * Records that are given another round before one is evicted regardless: with everything in use a plain S3-FIFO would walk
 * through all of it three times in one `put`.
 */
const maxRounds = 512;

/** A queue of one route, linked from newest to oldest. */
interface Lane {
  newest: StoredRecord | undefined;
  oldest: StoredRecord | undefined;
  count: number;
}

interface Shelf {
  readonly small: Lane;
  readonly main: Lane;
}

/** What a replaced response hands on to the one that takes its key. */
export interface Standing {
  readonly queue: Queue;
  readonly frequency: number;
}

/**
 * S3-FIFO (Yang et al., SOSP 2023) by bytes: newcomers wait in a small queue and leave it unless used; who returns soon
 * after, or was used, lives in the main queue, where each use buys another round. A flood of keys that are asked once passes
 * through the small queue alone. A use is a counter's step, no list moves.
 *
 * Each route has lanes of its own, so that a route over its limit evicts from itself; as each lane is in order of entry,
 * the oldest head over all lanes is the oldest of all, which makes the lanes of one queue together exactly one queue.
 */
export class EvictionOrder {
  readonly #shelves = new Map<string, Shelf>();
  readonly #ghosts: Ghosts;
  readonly #maxSmallBytes: number;
  #smallBytes = 0;
  #stamp = 0;

  constructor(maxBytes: number) {
    this.#ghosts = new Ghosts(maxBytes);
    this.#maxSmallBytes = maxBytes * smallPart;
  }

  /** Routes that have records. */
  get size(): number {
    return this.#shelves.size;
  }

  add(record: StoredRecord, standing: Standing | undefined): void {
    if (standing !== undefined && standing.queue !== queues.out) {
      record.frequency = standing.frequency;
      this.#enter(record, standing.queue);
      return;
    }
    this.#enter(record, this.#ghosts.take(record.item.key) ? queues.main : queues.small);
  }

  remove(record: StoredRecord): void {
    if (record.queue === queues.out) return;
    this.#leave(record);
    const shelf = this.#shelves.get(record.item.route);
    if (shelf !== undefined && shelf.small.count + shelf.main.count === 0) this.#shelves.delete(record.item.route);
  }

  /** If it has earned the main queue and its key comes back soon, it goes there at once. */
  remember(record: StoredRecord): void {
    if (record.queue === queues.main) this.#ghosts.add(record.item.key);
  }

  /** Who should go for the tier's sake. The caller removes it. `undefined`: nothing is stored. */
  victim(): StoredRecord | undefined {
    return this.#choose(
      () => this.#smallBytes > this.#maxSmallBytes,
      (queue) => this.#oldestOf(queue),
    );
  }

  /** Who should go so that the route keeps to `limit` records. */
  routeVictim(route: string, limit: number): StoredRecord | undefined {
    const shelf = this.#shelves.get(route);
    if (shelf === undefined) return undefined;
    return this.#choose(
      () => shelf.small.count > limit * smallPart,
      (queue) => laneOf(shelf, queue).oldest,
    );
  }

  #choose(smallIsFull: () => boolean, oldest: (queue: Queue) => StoredRecord | undefined): StoredRecord | undefined {
    for (let rounds = 0; ; rounds += 1) {
      const preferred = smallIsFull() ? queues.small : queues.main;
      const record = oldest(preferred) ?? oldest(preferred === queues.small ? queues.main : queues.small);
      if (record === undefined) return undefined;
      if (rounds === maxRounds || !this.#staysOn(record)) {
        if (record.queue === queues.small) this.#ghosts.add(record.item.key);
        return record;
      }
    }
  }

  /** Gives a record that was used its next round. */
  #staysOn(record: StoredRecord): boolean {
    const fromSmall = record.queue === queues.small;
    if (record.frequency < (fromSmall ? usesToStay : 1)) return false;
    record.frequency = fromSmall ? 0 : record.frequency - 1;
    this.#leave(record);
    this.#enter(record, queues.main);
    return true;
  }

  #oldestOf(queue: Queue): StoredRecord | undefined {
    let oldest: StoredRecord | undefined;
    for (const shelf of this.#shelves.values()) {
      const candidate = laneOf(shelf, queue).oldest;
      if (candidate !== undefined && (oldest === undefined || candidate.stamp < oldest.stamp)) oldest = candidate;
    }
    return oldest;
  }

  #enter(record: StoredRecord, queue: Queue): void {
    const { route } = record.item;
    let shelf = this.#shelves.get(route);
    if (shelf === undefined) {
      shelf = { small: emptyLane(), main: emptyLane() };
      this.#shelves.set(route, shelf);
    }
    const lane = laneOf(shelf, queue);
    this.#stamp += 1;
    record.stamp = this.#stamp;
    record.queue = queue;
    record.older = lane.newest;
    if (lane.newest !== undefined) lane.newest.newer = record;
    lane.newest = record;
    lane.oldest ??= record;
    lane.count += 1;
    if (queue === queues.small) this.#smallBytes += record.sizeBytes;
  }

  #leave(record: StoredRecord): void {
    const shelf = this.#shelves.get(record.item.route);
    if (shelf === undefined) return;
    const lane = laneOf(shelf, record.queue);
    if (record.newer === undefined) lane.newest = record.older;
    else record.newer.older = record.older;
    if (record.older === undefined) lane.oldest = record.newer;
    else record.older.newer = record.newer;
    lane.count -= 1;
    if (record.queue === queues.small) this.#smallBytes -= record.sizeBytes;
    record.newer = undefined;
    record.older = undefined;
    record.queue = queues.out;
  }
}

function emptyLane(): Lane {
  return { newest: undefined, oldest: undefined, count: 0 };
}

function laneOf(shelf: Shelf, queue: Queue): Lane {
  return queue === queues.small ? shelf.small : shelf.main;
}
