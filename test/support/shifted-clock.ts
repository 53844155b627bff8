import type { Clock } from '../../src/cache/ports.ts';
import { systemClock } from '../../src/system-clock.ts';

/**
 * Real time that a test can move on: sockets and timeouts keep their pace while hours pass for what is stored.
 * Callbacks of `after` that fall due by a shift run at once, in order.
 */
export class ShiftedClock implements Clock {
  #offsetMs = 0;
  #wallMs = 0;
  readonly #pending = new Set<{ dueMs: number; cancel: () => void; readonly callback: () => void }>();

  nowMs(): number {
    return systemClock.nowMs() + this.#offsetMs + this.#wallMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#offsetMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const entry = { dueMs: this.monotonicMs() + delayMs, cancel: () => {}, callback };
    const fire = () => {
      this.#pending.delete(entry);
      callback();
    };
    entry.cancel = systemClock.after(delayMs, fire);
    this.#pending.add(entry);
    return () => {
      this.#pending.delete(entry);
      entry.cancel();
    };
  }

  /** Sets the wall clock on, or back where it is below 0; no time passes. */
  setWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  /** Lets time pass. */
  advance(ms: number): void {
    this.#offsetMs += ms;
    const nowMs = this.monotonicMs();
    const due = [...this.#pending].filter((entry) => entry.dueMs <= nowMs).toSorted((a, b) => a.dueMs - b.dueMs);
    for (const entry of due) {
      if (!this.#pending.delete(entry)) continue;
      entry.cancel();
      entry.callback();
    }
  }
}
