import type { Clock } from '../../cache/ports.ts';

export interface BreakerOptions {
  readonly clock: Pick<Clock, 'after'>;
  /** Failures in a row that open it. */
  readonly failures: number;
  /** The first pause, and the longest: each probe that fails doubles it. Give or take a fifth. */
  readonly pauseMs: number;
  readonly maxPauseMs: number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Finds out whether Redis is well again, at nobody's cost; `unknown` where it could not be asked. Never rejects. */
  readonly probe: () => Promise<Health>;
  readonly onState: (state: BreakerState) => void;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

export type Health = 'well' | 'unwell' | 'unknown';

/** Processes that lost Redis together must not come back to it together. */
const JITTER = 0.2;

/**
 * Keeps requests from waiting for a Redis that does not answer: they pay for the failures that open it, and for nothing
 * after that. Whether Redis is back is found out by a probe of its own, never by a request.
 */
export class Breaker implements Disposable {
  readonly #options: BreakerOptions;
  #state: BreakerState = 'closed';
  #failed = 0;
  #pauseMs: number;
  #cancel: (() => void) | undefined = undefined;
  /** Told from one that an earlier opening began and that is still under way. */
  #probes = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Redis answered, in time. What was asked before it opened proves nothing. */
  succeeded(): void {
    if (this.#state === 'closed') this.#failed = 0;
  }

  failed(): void {
    if (this.#state !== 'closed') return;
    this.#failed += 1;
    if (this.#failed >= this.#options.failures) this.#open();
  }

  /** There is reason to believe that Redis is back: a connection, a lease. The next probe is now. */
  wake(): void {
    if (this.#state !== 'open') return;
    this.#pauseMs = this.#options.pauseMs;
    this.#cancel?.();
    void this.#halfOpen();
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#probes += 1;
  }

  #open(): void {
    this.#move('open');
    const { clock, random } = this.#options;
    const pauseMs = this.#pauseMs * (1 + JITTER * (2 * random() - 1));
    this.#cancel = clock.after(pauseMs, () => void this.#halfOpen());
  }

  async #halfOpen(): Promise<void> {
    this.#cancel = undefined;
    this.#move('half-open');
    this.#probes += 1;
    const probe = this.#probes;
    const health = await this.#options.probe();
    if (probe !== this.#probes) return;
    const { pauseMs, maxPauseMs } = this.#options;
    this.#pauseMs = health === 'unwell' ? Math.min(this.#pauseMs * 2, maxPauseMs) : pauseMs;
    if (health !== 'well') {
      this.#open();
      return;
    }
    this.#failed = 0;
    this.#move('closed');
  }

  #move(state: BreakerState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
