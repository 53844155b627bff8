import type { Clock } from '../cache/ports.ts';

/** Notices when nothing has happened for a while. Being told that something did costs no timer. */
export class RelayTimer {
  readonly #clock: Clock;
  readonly #onIdle: () => void;
  #limitMs = 0;
  #lastMs = 0;
  #stop: (() => void) | undefined;

  constructor(clock: Clock, onIdle: () => void) {
    this.#clock = clock;
    this.#onIdle = onIdle;
  }

  /** From now on `limitMs` without {@link touch} is too long. */
  limit(limitMs: number): void {
    this.#limitMs = limitMs;
    this.touch();
    this.#wait(limitMs);
  }

  touch(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #wait(delayMs: number): void {
    this.stop();
    this.#stop = this.#clock.after(delayMs, () => {
      this.#stop = undefined;
      const restMs = this.#lastMs + this.#limitMs - this.#clock.monotonicMs();
      if (restMs > 0) this.#wait(restMs);
      else this.#onIdle();
    });
  }
}
