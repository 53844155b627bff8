import type { WarmJob } from '../core/config.ts';
import type { Clock } from './ports.ts';

export interface JobTimersParts {
  readonly jobs: readonly WarmJob[];
  readonly clock: Clock;
  /** 0 up to but not 1. */
  readonly random: () => number;
  /**
   * Begins a run; `ended` is to be called once, when it has ended however it did: with nothing where this turn is over,
   * else with the milliseconds after which it is to be begun again.
   */
  readonly run: (job: WarmJob, ended: (againMs?: number) => void) => void;
}

/** The first runs come within this of the start, whatever the jitter: agents that start along want warm answers. */
const firstWithinMs = 10_000;

/**
 * Each job on a grid: run n is due at start + n × `every`, moved by a random part of `jitter`. The jitter does not add
 * up, so the mean interval stays `every`, and sidecars that started together do not ask upstream together.
 */
export class JobTimers {
  readonly #parts: JobTimersParts;
  readonly #cancels = new Map<WarmJob, () => void>();
  #stopped = false;

  constructor(parts: JobTimersParts) {
    this.#parts = parts;
  }

  start(): void {
    for (const job of this.#parts.jobs) {
      this.#wait(job, this.#parts.clock.monotonicMs(), Math.min(job.jitterMs, firstWithinMs));
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  #wait(job: WarmJob, dueMs: number, jitterMs: number): void {
    if (this.#stopped) return;
    const { clock, random } = this.#parts;
    const delayMs = Math.max(0, dueMs + random() * jitterMs - clock.monotonicMs());
    const cancel = clock.after(delayMs, () => this.#begin(job, dueMs));
    this.#cancels.set(job, cancel);
  }

  #begin(job: WarmJob, dueMs: number): void {
    const { clock, run } = this.#parts;
    // The next wait begins with the end of this run, so that no job runs twice at once. Where the run took longer than
    // the interval, or was put off, the grid begins anew.
    run(job, (againMs) => {
      const nowMs = clock.monotonicMs();
      if (againMs === undefined) this.#wait(job, Math.max(dueMs + job.everyMs, nowMs), job.jitterMs);
      else this.#wait(job, nowMs + againMs, 0);
    });
  }
}
