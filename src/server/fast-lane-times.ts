import { setImmediate } from 'node:timers';

import type { Clock } from '../cache/ports.ts';

/** Requests are taken for a crowd where so many in a row came within {@link CLOSE_MS} of the end of the one before them. */
const CROWD = 4;

/** Less than the event loop takes to wait for something new. Milliseconds. */
const CLOSE_MS = 0.01;

/**
 * When answers of the fast lane began, and what the wall clock says. A look at a clock makes the processor wait for all that it has begun: three
 * for each hit were 0.6 of its 6.7 microseconds. Where a crowd of requests is answered in one turn of the event loop, each but the first
 * begins when the one before it has ended, and the wall clock is looked at once: a turn of hits takes some 0.2 ms.
 */
export class TurnTimes {
  /** Monotonic; of the request that is being answered. */
  startedMs = 0;
  /** Wall clock. */
  nowMs = 0;
  readonly #clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  /** In a row, that came close to each other. */
  #close = 0;
  /** Requests of this turn that began without a look at a clock. */
  #unseen = 0;
  /** The end of this turn will be told. */
  #isWatched = false;
  /** Nothing but answers has been in this turn since `startedMs`, which is when the last one ended. */
  #goesOn = false;

  constructor(clock: Pick<Clock, 'nowMs' | 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** A request is here. */
  begin(): void {
    if (this.#goesOn) {
      this.#unseen += 1;
      return;
    }
    const startedMs = this.#clock.monotonicMs();
    if (this.#close < CROWD) this.#close = startedMs - this.startedMs < CLOSE_MS ? this.#close + 1 : 0;
    this.startedMs = startedMs;
    this.nowMs = this.#clock.nowMs();
    if (this.#close >= CROWD) this.#watch();
  }

  /** It was answered. Milliseconds that it took. */
  end(): number {
    const endedMs = this.#clock.monotonicMs();
    const tookMs = endedMs - this.startedMs;
    this.startedMs = endedMs;
    this.#goesOn = this.#isWatched;
    return tookMs;
  }

  /** Something else than an answer comes, which may take long: the next request has to look for itself. */
  interrupt(): void {
    this.#goesOn = false;
  }

  /** It costs about as much as two looks, so not for requests that come alone. */
  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    // It comes right behind what the event loop has found ready. Not `unref`: wherever this is called from, the loop must not
    // wait before it.
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    if (this.#unseen < CROWD) this.#close = 0;
    this.#unseen = 0;
    this.#isWatched = false;
    this.#goesOn = false;
  }
}
