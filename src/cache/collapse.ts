import type { Position } from '../core/stored-response.ts';

/** One upstream call that several requests wait for. */
export interface Flight<T> {
  /** Purge position from before its fetch began; `undefined` without a lease. */
  readonly position: Position | undefined;
  readonly result: Promise<T>;
}

/** What a request gets from {@link Flights.join}. */
export interface Boarding<T> {
  readonly flight: Flight<T>;
  /** True for the request that started the flight: it alone may use a streamed or meanwhile purged result. */
  readonly leader: boolean;
}

/**
 * Collapsed forwarding (RFC 9211 §2.6) within one process: concurrent requests for one key share one fetch.
 * A request never joins a fetch that began before a purge it could have seen (invariant 6 of `docs/decisions/`).
 */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Flights under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** Joins the flight of `key` if there is one that is `joinable`, else starts one in its place. */
  join(key: string, joinable: (flight: Flight<T>) => boolean, start: () => Flight<T>): Boarding<T> {
    const current = this.#flights.get(key);
    if (current !== undefined && joinable(current)) return { flight: current, leader: false };
    const flight = start();
    this.#flights.set(key, flight);
    const land = () => {
      // A later flight may have taken the key after a purge; only its own entry is removed.
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.result.then(land, land);
    return { flight, leader: true };
  }

  /** True where a flight for `key` is under way (for `stale-while-revalidate`: one refresh at a time). */
  has(key: string): boolean {
    return this.#flights.has(key);
  }
}

/**
 * Keys that are held for a while. Bounded; the oldest is forgotten first. Two uses: keys whose last answer proved not
 * storable are not collapsed (each waiter would have to fetch alone anyway; Varnish calls it hit-for-miss), and keys
 * whose background refresh failed are not refreshed again with every hit.
 */
export class HoldList {
  readonly #until = new Map<string, number>();
  readonly #holdMs: number;
  readonly #capacity: number;

  constructor(holdMs: number, capacity: number) {
    this.#holdMs = holdMs;
    this.#capacity = capacity;
  }

  note(key: string, nowMs: number): void {
    this.#until.delete(key);
    if (this.#until.size >= this.#capacity) {
      const oldest = this.#until.keys().next();
      if (oldest.done !== true) this.#until.delete(oldest.value);
    }
    this.#until.set(key, nowMs + this.#holdMs);
  }

  forget(key: string): void {
    this.#until.delete(key);
  }

  has(key: string, nowMs: number): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (nowMs < until) return true;
    this.#until.delete(key);
    return false;
  }
}
