import type { Clock } from '../cache/ports.ts';

/** What hears that its time is over. */
export interface Timed {
  expire(): void;
}

/**
 * One span of time for many, with one timer: those who began first are due first. A timer for each call would be made, let go
 * of the process and cleared with each, and hardly one is ever due.
 */
export class Deadlines<T extends Timed> {
  readonly #clock: Clock;
  readonly #delayMs: number;
  /** Monotonic, in the order in which they are due. */
  readonly #dueMs = new Map<T, number>();
  #isArmed = false;

  /** @param delayMs from {@link add} to `expire` */
  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** How many wait. */
  get size(): number {
    return this.#dueMs.size;
  }

  /** Its time begins. One that waits already goes on as it is. */
  add(one: T): void {
    if (this.#dueMs.has(one)) return;
    this.#dueMs.set(one, this.#clock.monotonicMs() + this.#delayMs);
    if (!this.#isArmed) this.#arm(this.#delayMs);
  }

  /** It waits no more. Milliseconds that were left; `undefined` where it did not wait. */
  take(one: T): number | undefined {
    const dueMs = this.#dueMs.get(one);
    if (dueMs === undefined) return undefined;
    this.#dueMs.delete(one);
    return Math.max(0, dueMs - this.#clock.monotonicMs());
  }

  /** As {@link take}, for those who do not ask what was left. */
  delete(one: T): void {
    this.#dueMs.delete(one);
  }

  /** The timer of one that was deleted runs on: it is set once in `delayMs` then, and not with each that comes. */
  #arm(delayMs: number): void {
    this.#isArmed = true;
    this.#clock.after(delayMs, () => {
      try {
        this.#expireDue();
      } finally {
        // Armed for the first that is left; who was let in meanwhile is due later than that.
        const [nextMs] = this.#dueMs.values();
        this.#isArmed = false;
        if (nextMs !== undefined) this.#arm(Math.max(0, nextMs - this.#clock.monotonicMs()));
      }
    });
  }

  #expireDue(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [one, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) return;
      this.#dueMs.delete(one);
      one.expire();
    }
  }
}
