import type { Clock } from '../cache/ports.ts';
import { Places } from '../core/places.ts';

/**
 * The one timer of all that wait in a relay. Each exchange changes its limit four times, and hardly ever is one reached: a
 * timer that was set for an earlier one is left as it is, and what is due is looked for when it goes off.
 */
export class RelayTimers {
  readonly #clock: Clock;
  readonly #waiting = new Places<RelayTimer>();
  #armedMs = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Monotonic milliseconds. */
  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  watch(timer: RelayTimer): void {
    timer.place ??= this.#waiting.add(timer);
    if (timer.dueMs < this.#armedMs) this.#arm(timer.dueMs);
  }

  forget(timer: RelayTimer): void {
    if (timer.place === undefined) return;
    this.#waiting.free(timer.place);
    timer.place = undefined;
  }

  #arm(dueMs: number): void {
    this.#disarm?.();
    this.#armedMs = dueMs;
    this.#disarm = this.#clock.after(Math.max(0, dueMs - this.nowMs()), () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#disarm = undefined;
      try {
        this.#goOff();
      } finally {
        const nextMs = this.#nextMs();
        if (nextMs < this.#armedMs) this.#arm(nextMs);
      }
    });
  }

  #goOff(): void {
    const nowMs = this.nowMs();
    for (const timer of this.#waiting) {
      if (timer.dueMs > nowMs) continue;
      this.forget(timer);
      timer.onIdle();
    }
  }

  #nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#waiting) nextMs = Math.min(nextMs, dueMs);
    return nextMs;
  }
}

/** Notices when nothing has happened for a while. Being told that something did costs no timer. */
export class RelayTimer {
  readonly onIdle: () => void;
  /** Among those that wait. Of {@link RelayTimers} alone. */
  place: number | undefined;
  readonly #timers: RelayTimers;
  #limitMs = 0;
  #lastMs = 0;

  constructor(timers: RelayTimers, onIdle: () => void) {
    this.#timers = timers;
    this.onIdle = onIdle;
  }

  /** Monotonic milliseconds from which on it has been too long. */
  get dueMs(): number {
    return this.#lastMs + this.#limitMs;
  }

  /** From now on `limitMs` without {@link touch} is too long. */
  limit(limitMs: number): void {
    this.#limitMs = limitMs;
    this.touch();
    this.#timers.watch(this);
  }

  touch(): void {
    this.#lastMs = this.#timers.nowMs();
  }

  stop(): void {
    this.#timers.forget(this);
  }
}
