import type { Clock } from '../cache/ports.ts';
import { runSlice } from './slices.ts';

/** Between two slices others get this much of the process. */
const pauseMs = 1;

/**
 * A pass over everything for the sake of retention comes this long after the first expiry it is for, so that it finds many at
 * once; two passes are at least this far apart.
 */
const sweepEveryMs = 30_000;

export interface ReaperOptions {
  readonly clock: Clock;
  /** Steps of a pass that drops what is past its retention; returns the time before which no further pass is needed. */
  readonly sweep: () => Generator<void, number, void>;
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
  readonly #sweep: ReaperOptions['sweep'];
  #jobs: Job[] = [];
  /** Those before it have ended: taking each from the front would move all others. */
  #ended = 0;
  #cancelSlice: (() => void) | undefined;
  #cancelSweep: (() => void) | undefined;
  #sweepAtMs = Number.POSITIVE_INFINITY;
  #disposed = false;

  constructor(options: ReaperOptions) {
    this.#clock = options.clock;
    this.#sweep = options.sweep;
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
  }

  /** Something is stored that is past its retention at `atMs` (wall clock). */
  expectExpiry(atMs: number): void {
    const nowMs = this.#clock.nowMs();
    const dueMs = Math.max(atMs, nowMs);
    // A pass that is soon enough already saves a timer for each put.
    if (this.#disposed || dueMs >= this.#sweepAtMs - sweepEveryMs || !Number.isFinite(dueMs)) return;
    this.#cancelSweep?.();
    this.#sweepAtMs = dueMs + sweepEveryMs;
    this.#cancelSweep = this.#clock.after(this.#sweepAtMs - nowMs, () => {
      this.#startSweep();
    });
  }

  /** Cancels timers and jobs. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.clear();
    this.#cancelSweep?.();
  }

  #startSweep(): void {
    this.#sweepAtMs = Number.POSITIVE_INFINITY;
    const pass = this.#sweep();
    let nextMs = Number.POSITIVE_INFINITY;
    const work = {
      next: (): IteratorResult<void> => {
        const step = pass.next();
        if (step.done === true) nextMs = step.value;
        return step.done === true ? { done: true, value: undefined } : { done: false, value: undefined };
      },
    };
    this.add(work, () => {
      this.expectExpiry(nextMs);
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
