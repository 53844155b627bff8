import { Ghosts } from './ghosts.ts';
import type { Growth } from './growth.ts';
import type { Queue, StoredRecords } from './stored-records.ts';
import { queues, words } from './stored-records.ts';

/** The part of the tier in which a newcomer has to prove itself. */
const smallPart = 0.1;

/** Uses in the small queue that earn a place in the main one. */
const usesToStay = 2;

/**
 * Records that are given another round before one is evicted regardless: with everything in use a plain S3-FIFO would walk
 * through all of it three times in one `put`.
 */
const maxRounds = 512;

/** A queue of one route, linked from newest to oldest; 0 is no record. */
interface Lane {
  newest: number;
  oldest: number;
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
  readonly #records: StoredRecords;
  readonly #shelves = new Map<string, Shelf>();
  readonly #ghosts: Ghosts;
  readonly #growth: Pick<Growth, 'grantedBytes'>;
  #smallBytes = 0;
  #stamp = 0;

  /** `growth`: what of `maxBytes` there is so far. */
  constructor(records: StoredRecords, maxBytes: number, growth: Pick<Growth, 'grantedBytes'>) {
    this.#records = records;
    this.#ghosts = new Ghosts(maxBytes);
    this.#growth = growth;
  }

  /** Routes that have records. */
  get size(): number {
    return this.#shelves.size;
  }

  add(record: number, standing: Standing | undefined): void {
    if (standing !== undefined && standing.queue !== queues.out) {
      this.#records.setFrequency(record, standing.frequency);
      this.#enter(record, standing.queue);
      return;
    }
    this.#enter(record, this.#ghosts.take(this.#printOf(record)) ? queues.main : queues.small);
  }

  remove(record: number): void {
    if (!this.#records.isStored(record)) return;
    this.#leave(record);
    const route = this.#records.route(record);
    const shelf = this.#shelves.get(route);
    if (shelf !== undefined && shelf.small.count + shelf.main.count === 0) this.#shelves.delete(route);
  }

  /** If it has earned the main queue and its key comes back soon, it goes there at once. */
  remember(record: number): void {
    if (this.#records.queue(record) === queues.main) this.#ghosts.add(this.#printOf(record));
  }

  /** Who should go for the tier's sake. The caller removes it. 0: nothing is stored. */
  victim(): number {
    return this.#choose(
      () => this.#smallBytes > this.#growth.grantedBytes * smallPart,
      (queue) => this.#oldestOf(queue),
    );
  }

  /** Who should go so that the route keeps to `limit` records; 0: it has none. */
  routeVictim(route: string, limit: number): number {
    const shelf = this.#shelves.get(route);
    if (shelf === undefined) return 0;
    return this.#choose(
      () => shelf.small.count > limit * smallPart,
      (queue) => laneOf(shelf, queue).oldest,
    );
  }

  /** The route's records; not to be paused. */
  *ofRoute(route: string): Generator<number, void, void> {
    const shelf = this.#shelves.get(route);
    if (shelf === undefined) return;
    for (const lane of [shelf.main, shelf.small]) {
      for (let record = lane.newest; record !== 0; record = this.#records.rows.get(record, words.older)) yield record;
    }
  }

  #choose(smallIsFull: () => boolean, oldest: (queue: Queue) => number): number {
    for (let rounds = 0; ; rounds += 1) {
      const preferred = smallIsFull() ? queues.small : queues.main;
      const record = oldest(preferred) || oldest(preferred === queues.small ? queues.main : queues.small);
      if (record === 0) return 0;
      if (rounds === maxRounds || !this.#staysOn(record)) {
        if (this.#records.queue(record) === queues.small) this.#ghosts.add(this.#printOf(record));
        return record;
      }
    }
  }

  /** Gives a record that was used its next round. */
  #staysOn(record: number): boolean {
    const fromSmall = this.#records.queue(record) === queues.small;
    const uses = this.#records.frequency(record);
    if (uses < (fromSmall ? usesToStay : 1)) return false;
    this.#records.setFrequency(record, fromSmall ? 0 : uses - 1);
    this.#leave(record);
    this.#enter(record, queues.main);
    return true;
  }

  #oldestOf(queue: Queue): number {
    let oldest = 0;
    let oldestStamp = Number.POSITIVE_INFINITY;
    for (const shelf of this.#shelves.values()) {
      const candidate = laneOf(shelf, queue).oldest;
      if (candidate === 0) continue;
      const stamp = this.#records.rows.double(candidate, words.stamp);
      if (stamp >= oldestStamp) continue;
      oldest = candidate;
      oldestStamp = stamp;
    }
    return oldest;
  }

  #enter(record: number, queue: Queue): void {
    const { rows } = this.#records;
    const route = this.#records.route(record);
    let shelf = this.#shelves.get(route);
    if (shelf === undefined) {
      shelf = { small: emptyLane(), main: emptyLane() };
      this.#shelves.set(route, shelf);
    }
    const lane = laneOf(shelf, queue);
    this.#stamp += 1;
    rows.setDouble(record, words.stamp, this.#stamp);
    this.#records.setQueue(record, queue);
    rows.set(record, words.older, lane.newest);
    if (lane.newest !== 0) rows.set(lane.newest, words.newer, record);
    lane.newest = record;
    if (lane.oldest === 0) lane.oldest = record;
    lane.count += 1;
    if (queue === queues.small) this.#smallBytes += this.#records.sizeOf(record);
  }

  #leave(record: number): void {
    const shelf = this.#shelves.get(this.#records.route(record));
    if (shelf === undefined) return;
    const { rows } = this.#records;
    const queue = this.#records.queue(record);
    const lane = laneOf(shelf, queue);
    const newer = rows.get(record, words.newer);
    const older = rows.get(record, words.older);
    if (newer === 0) lane.newest = older;
    else rows.set(newer, words.older, older);
    if (older === 0) lane.oldest = newer;
    else rows.set(older, words.newer, newer);
    lane.count -= 1;
    if (queue === queues.small) this.#smallBytes -= this.#records.sizeOf(record);
    rows.set(record, words.newer, 0);
    rows.set(record, words.older, 0);
    this.#records.setQueue(record, queues.out);
  }

  #printOf(record: number): number {
    return this.#records.rows.get(record, words.hashLow);
  }
}

function emptyLane(): Lane {
  return { newest: 0, oldest: 0, count: 0 };
}

function laneOf(shelf: Shelf, queue: Queue): Lane {
  return queue === queues.small ? shelf.small : shelf.main;
}
