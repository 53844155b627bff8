import type { Clock } from '../cache/ports.ts';
import { Places } from '../core/places.ts';

/** When the time of one is over, monotonic, and where it waits for it. */
export interface Deadline {
  readonly dueMs: number;
  readonly place: number;
}

/** What hears that its time is over. */
export interface Timed {
  /** While it waits. Of {@link Deadlines} alone. */
  deadline?: Deadline | undefined;
  /** It waits for what others hold: of those whose time is over at once it is told first, and is not given that any more. */
  readonly isQueued?: boolean;
  expire(): void;
}

/**
 * One span of time for many, with one timer: those who began first are due first. A timer for each call would be made, let go
 * of the process and cleared with each, and hardly one is ever due.
 */
export class Deadlines<T extends Timed> {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #waiting = new Places<T>();
  #isArmed = false;

  /** @param delayMs from {@link add} to `expire` */
  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Its time begins. One that waits already goes on as it is. */
  add(one: T): void {
    if (one.deadline !== undefined) return;
    one.deadline = { dueMs: this.#clock.monotonicMs() + this.#delayMs, place: this.#waiting.add(one) };
    if (!this.#isArmed) this.#arm(this.#delayMs);
  }

  /** It waits no more. Milliseconds that were left; `undefined` where it did not wait. */
  take(one: T): number | undefined {
    const { deadline } = one;
    if (deadline === undefined) return undefined;
    this.delete(one);
    return Math.max(0, deadline.dueMs - this.#clock.monotonicMs());
  }

  /** As {@link take}, for those who do not ask what was left. */
  delete(one: T): void {
    if (one.deadline === undefined) return;
    this.#waiting.free(one.deadline.place);
    one.deadline = undefined;
  }

  /** The timer of one that was deleted runs on: it is set once in `delayMs` then, and not with each that comes. */
  #arm(delayMs: number): void {
    this.#isArmed = true;
    this.#clock.after(delayMs, () => {
      try {
        this.#expireDue();
      } finally {
        // Armed for the first that is left; who was let in meanwhile is due later than that.
        let nextMs = Number.POSITIVE_INFINITY;
        for (const one of this.#waiting) nextMs = Math.min(nextMs, dueMsOf(one));
        this.#isArmed = false;
        if (nextMs < Number.POSITIVE_INFINITY) this.#arm(Math.max(0, nextMs - this.#clock.monotonicMs()));
      }
    });
  }

  /** Those that are queued first, then in the order in which they are due. */
  #expireDue(): void {
    const nowMs = this.#clock.monotonicMs();
    const due = [...this.#waiting].filter((one) => dueMsOf(one) <= nowMs);
    for (const one of due.toSorted((a, b) => rankOf(a) - rankOf(b) || dueMsOf(a) - dueMsOf(b))) {
      // One before it may have taken it out.
      if (dueMsOf(one) > nowMs) continue;
      this.delete(one);
      one.expire();
    }
  }
}

function dueMsOf({ deadline }: Timed): number {
  return deadline?.dueMs ?? Number.POSITIVE_INFINITY;
}

function rankOf({ isQueued }: Timed): number {
  return isQueued === true ? 0 : 1;
}
