import type { Clock } from '../cache/ports.ts';
import { runSlice } from './slices.ts';

/** Between two slices others get this much of the process. */
const pauseMs = 1;

/** A timer goes by a clock that is never set; where the wall clock was set forward, this is the longest that what has ended stays. */
const mostWaitMs = 60_000;

export interface ReaperOptions {
  readonly clock: Clock;
  /** Steps that drop what is past its retention now. */
  readonly expire: () => Iterator<unknown>;
  /** Wall clock's time at which there is something to do for it; infinite for never. */
  readonly nextMs: (nowMs: number) => number;
}

interface Job {
  readonly work: Iterator<unknown>;
  readonly done: () => void;
}

/**
 * Background removal: jobs one after another in short slices. Purges and retention hold at once without it, by checks at each
 * read; it gives memory back.
 */
export class Reaper implements Disposable {
  readonly #clock: Clock;
  readonly #options: ReaperOptions;
  #jobs: Job[] = [];
  /** Those before it have ended: taking each from the front would move all others. */
  #ended = 0;
  #cancelSlice: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  /** Wall clock's time at which the timer is due; infinite: there is none. */
  #expiryAtMs = Number.POSITIVE_INFINITY;
  #isExpiring = false;
  #disposed = false;

  constructor(options: ReaperOptions) {
    this.#clock = options.clock;
    this.#options = options;
  }

  /** Purge jobs are waiting or under way. */
  get busy(): boolean {
    return this.#jobs.length > this.#ended;
  }

  /** `done` is called when it has ended, all earlier jobs have too. */
  add(work: Iterator<unknown>, done: () => void): void {
    this.#jobs.push({ work, done });
    this.#schedule();
  }

  /** Forgets all jobs: what they would remove is gone. */
  clear(): void {
    for (const { work } of this.#jobs) work.return?.();
    this.#jobs = [];
    this.#ended = 0;
    this.#cancelSlice?.();
    this.#cancelSlice = undefined;
    this.#isExpiring = false;
    this.#setTimer();
  }

  /** Something was stored that is past its retention at `atMs` (wall clock). */
  expectExpiry(atMs: number): void {
    // A timer that is soon enough already saves a look for each put.
    if (atMs < this.#expiryAtMs) this.#setTimer();
  }

  #setTimer(): void {
    if (this.#disposed || this.#isExpiring) return;
    const nowMs = this.#options.clock.nowMs();
    const nextMs = Math.max(this.#options.nextMs(nowMs), nowMs);
    if (nextMs >= this.#expiryAtMs || nextMs === Number.POSITIVE_INFINITY) return;
    this.#cancelExpiry?.();
    const waitMs = Math.min(nextMs - nowMs, mostWaitMs);
    this.#expiryAtMs = nowMs + waitMs;
    this.#cancelExpiry = this.#clock.after(waitMs, () => {
      this.#expire();
    });
  }

  /** Cancels timers and jobs. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.clear();
    this.#cancelExpiry?.();
  }

  #expire(): void {
    this.#expiryAtMs = Number.POSITIVE_INFINITY;
    this.#isExpiring = true;
    this.add(this.#options.expire(), () => {
      this.#isExpiring = false;
      this.#setTimer();
    });
  }

  #schedule(): void {
    if (this.#disposed || this.#cancelSlice !== undefined || !this.busy) return;
    this.#cancelSlice = this.#clock.after(pauseMs, () => {
      this.#cancelSlice = undefined;
      this.#runSlice();
      this.#schedule();
    });
  }

  /** All jobs as one piece of work, so that many small ones share a slice. */
  #runSlice(): void {
    const steps = {
      next: (): IteratorResult<void> => {
        const job = this.#jobs[this.#ended];
        if (job === undefined) return { done: true, value: undefined };
        if (job.work.next().done === true) {
          this.#end();
          job.done();
        }
        return { done: false, value: undefined };
      },
    };
    runSlice(steps, this.#clock);
  }

  #end(): void {
    this.#ended += 1;
    if (this.busy) return;
    this.#jobs = [];
    this.#ended = 0;
  }
}
