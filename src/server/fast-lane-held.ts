import type { Handled } from '../cache/handled.ts';
import type { LateHearer } from '../cache/later.ts';
import type { Observer, ResponseMeta } from '../cache/ports.ts';
import type { Turn } from './connections.ts';
import { type Ahead, letGo } from './fast-lane-ahead.ts';
import type { Tail } from './fast-lane-tails.ts';

/**
 * A request waits no longer than this on the fast lane, milliseconds; then the parser is given it, and it waits there for as long as it
 * takes. So whatever ends a connection for being idle never ends one that waits: see {@link mayWait}.
 */
export const MOST_WAIT_MS = 1_000;

/** So that those who began to wait within a second are not all handed over in one step. */
const TICK_MS = 50;
const MOST_TICKS = MOST_WAIT_MS / TICK_MS;

/** `keepAliveMs`: 0 where no connection is ended for being idle. */
export function mayWait(keepAliveMs: number): boolean {
  return keepAliveMs === 0 || keepAliveMs >= 2 * MOST_WAIT_MS;
}

/** Whoever waits. */
export interface Waiter {
  /** Gives the parser what it has not been given. */
  handOver(): void;
  /** The answer is there; it was neither handed over nor has its client gone. */
  came(held: Held, handled: Handled): void;
}

interface HeldParts {
  readonly tail: Tail;
  readonly ahead: Ahead;
  readonly turn: Turn;
}

/** A request of which the parser has not been told, and whose answer takes time. */
export class Held implements LateHearer<Handled> {
  readonly tail: Tail;
  readonly ahead: Ahead;
  readonly turn: Turn;
  /** The list's. */
  sinceTick = 0;
  older: Held | undefined = undefined;
  newer: Held | undefined = undefined;
  isListed = false;
  readonly #waiter: Waiter;
  readonly #telling: Telling;
  /** `over`: it is none of the fast lane's any more. */
  #state: 'waits' | 'over' | 'gone' = 'waits';

  constructor(waiter: Waiter, telling: Telling, { tail, ahead, turn }: HeldParts) {
    this.#waiter = waiter;
    this.#telling = telling;
    this.tail = tail;
    this.ahead = ahead;
    this.turn = turn;
  }

  handOver(): void {
    this.#waiter.handOver();
  }

  /** It was answered, or handed over. */
  end(): void {
    this.#state = 'over';
  }

  /** Its client has gone: it is told of when what was begun has come to its end, as `node:http`'s are. */
  leave(): void {
    this.#state = 'gone';
  }

  /** To be called once, when the connection knows of it. */
  wait(): void {
    const { handled, client } = this.ahead;
    if (client.isPending) client.hear(this);
    else if (handled instanceof Promise) {
      handled.then(
        (late) => this.came(late),
        (error: unknown) => this.failed(error),
      );
    }
  }

  /** Never throws: nobody hears what is thrown where a promise ends. */
  came(late: Handled): void {
    const telling = this.#telling;
    try {
      if (this.#state === 'waits') this.#waiter.came(this, late);
      else if (this.#state === 'gone') this.#tellGone(late, telling);
    } catch (error) {
      telling.onBug(error);
    }
  }

  /** Never throws either. */
  failed(error: unknown): void {
    const telling = this.#telling;
    try {
      // Who takes it over hears of the error.
      if (this.#state === 'waits') this.#waiter.handOver();
      else if (this.#state === 'gone') {
        telling.onBug(error);
        this.#tell({ ...nowhere, problem: 'internal' }, telling);
      }
    } catch (another) {
      telling.onBug(another);
    }
  }

  #tellGone(late: Handled, telling: Telling): void {
    letGo(late, telling.onBug);
    this.#tell(metaOf(late), telling);
  }

  /** Nothing of an answer was sent. */
  #tell({ route, upstream, tier, fwd, problem, url }: Gone, { observer, clock }: Telling): void {
    const { request, startedMs } = this.ahead;
    observer.request({
      outcome: 'aborted',
      method: request.method,
      route,
      upstream,
      tier,
      fwd,
      status: 0,
      durationMs: clock.monotonicMs() - startedMs,
      bytesSent: 0,
      problem,
      url,
      traceId: this.tail.traceId,
      listener: request.listener,
    });
  }
}

/** Who hears of those whose client has gone. */
interface Telling {
  readonly observer: Pick<Observer, 'request'>;
  readonly clock: { monotonicMs(): number };
  readonly onBug: (error: unknown) => void;
}

type Gone = Omit<ResponseMeta, 'outcome'>;

const nowhere: Gone = {
  route: undefined,
  upstream: undefined,
  tier: undefined,
  fwd: undefined,
  problem: undefined,
  url: '-',
};

function metaOf(handled: Handled): Gone {
  switch (handled.kind) {
    case 'response':
      return handled.response.meta;
    case 'relay': {
      const { route, fwd, url } = handled.relay;
      return { ...nowhere, route: route.name, upstream: route.upstream, fwd, url };
    }
    case 'content': {
      const { route, url } = handled.wanted;
      return { ...nowhere, route: route.name, upstream: route.upstream, url };
    }
  }
}

/** All that wait, in the order in which they began to, with one timer for all. */
export class HeldList {
  #oldest: Held | undefined;
  #newest: Held | undefined;
  #tick = 0;
  #interval: NodeJS.Timeout | undefined;

  add(held: Held): void {
    held.sinceTick = this.#tick;
    held.isListed = true;
    held.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = held;
    else this.#newest.newer = held;
    this.#newest = held;
    this.#interval ??= setInterval(() => this.#pass(), TICK_MS).unref();
  }

  remove(held: Held): void {
    if (!held.isListed) return;
    held.isListed = false;
    const { older, newer } = held;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    held.older = undefined;
    held.newer = undefined;
  }

  /** None waits here any more. */
  handOverAll(): void {
    for (let held = this.#oldest; held !== undefined; held = this.#oldest) this.#handOver(held);
  }

  #pass(): void {
    // It is not stopped with the last one: with each miss that is the only one it would be started anew.
    if (this.#oldest === undefined) {
      clearInterval(this.#interval);
      this.#interval = undefined;
      return;
    }
    this.#tick += 1;
    for (let held = this.#oldest; held !== undefined && isDue(held, this.#tick); held = this.#oldest) {
      this.#handOver(held);
    }
  }

  #handOver(held: Held): void {
    held.handOver();
    // Whatever came of it: one that stayed would be met here for ever.
    this.remove(held);
  }
}

function isDue({ sinceTick }: Held, tick: number): boolean {
  return tick - sinceTick >= MOST_TICKS;
}
