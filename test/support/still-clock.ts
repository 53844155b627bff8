import type { Clock } from '../../src/cache/ports.ts';
import { ShiftedClock } from './shifted-clock.ts';

/**
 * Time that passes only when told to, so that ages and lifetimes are exact to the second. Callbacks of `after` also fall
 * due in real time, since sockets and timeouts need it.
 */
export class StillClock implements Clock {
  readonly #timers = new ShiftedClock();
  #nowMs: number;

  /** 2026-11-23T12:00:00Z unless told otherwise. */
  constructor(nowMs = Date.UTC(2026, 10, 23, 12)) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#timers.after(delayMs, callback);
  }

  /** Lets time pass; what falls due by it runs at once. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#timers.advance(ms);
  }
}
