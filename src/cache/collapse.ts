import type { Position } from '../core/stored-response.ts';
import { Places } from '../core/places.ts';
import { dropOldest } from './drop-oldest.ts';
import type { ClientLink } from './handled.ts';

/** Orders arrivals and departures; no time. */
interface Moments {
  now: number;
}

/** Who waits for a flight, as far as it can tell that nobody does any more. */
type Waiting = Pick<ClientLink, 'isOver'>;

/** One upstream call that several requests wait for, begun when it is made. */
export class Flight<T, P = undefined> {
  readonly result: Promise<T>;
  /** What whoever began it said of the request. */
  readonly begunBy: P;
  readonly #moments: Moments;
  #departedAt: number | undefined;
  #position: Position | undefined;
  #boarders = 1;
  /** `undefined`: it is wanted whoever has gone. */
  #clients: Waiting[] | undefined;

  constructor(
    moments: Moments,
    { plan, client }: Pick<Boarder<T, P>, 'plan' | 'client'>,
    fly: (flight: Flight<T, P>) => Promise<T>,
  ) {
    this.#moments = moments;
    this.begunBy = plan;
    this.#clients = client === undefined ? undefined : [client];
    this.result = fly(this);
  }

  /** Those who wait for it, whoever began it included. */
  get boarders(): number {
    return this.#boarders;
  }

  /** Purge position from before its fetch began; `undefined` before it has departed, and without a lease. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** Right before the request is sent, once. */
  depart(position: Position | undefined): void {
    if (this.#departedAt !== undefined) throw new Error('a flight departs once');
    this.#moments.now += 1;
    this.#departedAt = this.#moments.now;
    this.#position = position;
  }

  /** Whether all of its fetch is later than that moment: always while its request has not been sent. */
  leavesAfter(moment: number): boolean {
    return this.#departedAt === undefined || this.#departedAt > moment;
  }

  board(client: Waiting | undefined): void {
    this.#boarders += 1;
    if (client === undefined) this.keep();
    else this.#clients?.push(client);
  }

  /** It is wanted though all who wait for it should go. */
  keep(): void {
    this.#clients = undefined;
  }

  /** Whether anybody waits for it still. */
  get isWanted(): boolean {
    return this.#clients?.every(({ isOver }) => isOver) !== true;
  }
}

/** How a request may board. */
export interface Boarder<T, P = undefined> {
  /** What a flight that it begins is to keep of it: {@link Flight.begunBy}. */
  readonly plan: P;
  /** Whose answer waits for it; `undefined`: it is wanted in any case. */
  readonly client: Waiting | undefined;
  /** {@link Flights.moment} when it came. */
  readonly cameAt: number;
  /** Whether it may have what was under way before it came. */
  readonly mayJoin: (flight: Flight<T, P>) => boolean;
  /** Whether a new flight has to wait for the one that is under way: not two at once. */
  readonly queues: boolean;
  /** Begins a flight; `ahead` has to land first. */
  readonly start: (flight: Flight<T, P>, ahead: Flight<T, P> | undefined) => Promise<T>;
}

/** What a request gets from {@link Flights.join}. */
export interface Boarding<T, P = undefined> {
  readonly flight: Flight<T, P>;
  /** True for the request that started the flight. */
  readonly leader: boolean;
  /** True where the fetch begins after the request came: its result is good for it whatever is purged meanwhile. */
  readonly early: boolean;
}

/**
 * Collapsed forwarding (RFC 9211 §2.6) within one process: concurrent requests for one key share one fetch. A request
 * never gets a fetch that began before a purge it could have seen (invariant 6 of docs/coherence.md).
 */
export class Flights<T, P = undefined> {
  /** The place of the latest flight of each key. */
  readonly #latest = new Map<string, number>();
  readonly #flights = new Places<Flight<T, P>>();
  readonly #moments: Moments = { now: 0 };

  /** Keys with a flight under way. */
  get size(): number {
    return this.#latest.size;
  }

  /** Now, for {@link Boarder.cameAt}. */
  get moment(): number {
    return this.#moments.now;
  }

  /** Whether {@link join} would find a flight to join. */
  offers(key: string, boarder: Pick<Boarder<T, P>, 'cameAt' | 'mayJoin'>): boolean {
    const current = this.#latestOf(key);
    return current !== undefined && (current.leavesAfter(boarder.cameAt) || boarder.mayJoin(current));
  }

  /** Joins the latest flight of `key` where that may be, else starts one in its place. */
  join(key: string, boarder: Boarder<T, P>): Boarding<T, P> {
    const current = this.#latestOf(key);
    const early = current?.leavesAfter(boarder.cameAt) === true;
    if (current !== undefined && (early || boarder.mayJoin(current))) {
      current.board(boarder.client);
      return { flight: current, leader: false, early };
    }
    const ahead = boarder.queues ? current : undefined;
    const flight = new Flight<T, P>(this.#moments, boarder, (itself) => boarder.start(itself, ahead));
    const place = this.#flights.add(flight);
    this.#latest.set(key, place);
    const land = () => {
      // A later flight may have taken the key; only its own entry is removed.
      if (this.#latest.get(key) === place) this.#latest.delete(key);
      this.#flights.free(place);
    };
    flight.result.then(land, land);
    return { flight, leader: true, early: true };
  }

  /** True where a flight for `key` is under way (for `stale-while-revalidate`: one refresh at a time). */
  has(key: string): boolean {
    return this.#latest.has(key);
  }

  #latestOf(key: string): Flight<T, P> | undefined {
    const place = this.#latest.get(key);
    return place === undefined ? undefined : this.#flights.get(place);
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

  /** Keys that have been noted and not forgotten, their time over or not. */
  get size(): number {
    return this.#until.size;
  }

  note(key: string, nowMs: number): void {
    this.#until.delete(key);
    if (this.#until.size >= this.#capacity) dropOldest(this.#until);
    this.#until.set(key, nowMs + this.#holdMs);
  }

  forget(key: string): void {
    if (this.#until.size > 0) this.#until.delete(key);
  }

  has(key: string, nowMs: number): boolean {
    // Mostly nothing is held, and the key of a miss has not been hashed by anybody yet.
    if (this.#until.size === 0) return false;
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (nowMs < until) return true;
    this.#until.delete(key);
    return false;
  }
}
