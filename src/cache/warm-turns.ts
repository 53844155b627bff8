import type { WarmJob } from '../core/config.ts';
import type { JobLease, JobLeases } from './fleet-ports.ts';
import type { Clock, Sha256 } from './ports.ts';

export interface WarmTurnsParts {
  readonly leases: JobLeases;
  readonly locations: readonly string[];
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly sha256: Sha256;
  /** Warms what the job names; `undefined`: nothing of it was put off. */
  readonly warm: (job: WarmJob, signal: AbortSignal) => Promise<JobPutOff | undefined>;
}

/** What upstream has put off of a run by Retry-After. */
export interface JobPutOff {
  /** Requests. */
  readonly count: number;
  /** Until the first of them may be asked for. */
  readonly leftMs: number;
}

/**
 * A run counts for the fleet until this part of the interval is left, from when it began, and who finds it done asks again
 * after so much. Waiting for one's own next turn instead could leave up to two intervals between runs, since each process
 * has its own grid and jitter; so the interval is kept, early by a twentieth at most.
 */
const askAgainPart = 0.05;

/** A job of every second is asked for twice a second. */
const shortestAskMs = 500;

/** While Redis does not answer, jobs ask at least this often: a daily one should not wait an hour after its return. */
const longestOutageWaitMs = 60_000;

/** What was put off is not tried sooner: an upstream that says a second each time would be called all along by a job of every day. */
const soonestAgainMs = 60_000;

/** Sees to it that a job is run by one process of the fleet. */
export class WarmTurns {
  readonly #parts: WarmTurnsParts;
  /** Of jobs that are run again out of turn: the fewest that were left of one since its turn, and what it waited for at least. */
  readonly #again = new Map<WarmJob, { readonly fewest: number; readonly soonestMs: number }>();
  #stopped = false;

  constructor(parts: WarmTurnsParts) {
    this.#parts = parts;
  }

  /** Runs the job if it is this process's to run, and resolves to nothing; else to the milliseconds after which to ask again. */
  async take(job: WarmJob, signal: AbortSignal): Promise<number | undefined> {
    const { leases } = this.#parts;
    const claim = await leases.claim(this.#leaseName(job));
    switch (claim.kind) {
      case 'ours':
        return this.#run(job, claim.lease, signal);
      case 'running':
        return leases.retryMs;
      case 'done':
        return Math.max(shortestAskMs, job.everyMs * askAgainPart);
      case 'unavailable':
        return Math.max(leases.retryMs, Math.min(job.everyMs * askAgainPart, longestOutageWaitMs));
    }
  }

  /** No run begins after this. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves as {@link take}: what was put off comes again before the next turn, where that is later. */
  async #run(job: WarmJob, lease: JobLease, signal: AbortSignal): Promise<number | undefined> {
    const { clock, warm } = this.#parts;
    const startMs = clock.monotonicMs();
    let holdMs = 0;
    try {
      // The claim may have come back after the stop.
      if (this.#stopped) return undefined;
      const putOff = await warm(job, signal);
      // A run that was cut short by a stop is somebody else's to do, at once.
      if (signal.aborted) return undefined;
      const tookMs = clock.monotonicMs() - startMs;
      const againMs = this.#againMs(job, putOff);
      const isSooner = againMs < job.everyMs - tookMs;
      if (!isSooner) this.#again.delete(job);
      holdMs = isSooner ? againMs * (1 - askAgainPart) : job.everyMs * (1 - askAgainPart) - tookMs;
      return isSooner ? againMs : undefined;
    } finally {
      await lease.finish(Math.max(0, holdMs));
    }
  }

  /**
   * When to run it again. Each run asks for whatever is not fresh, so one that leaves as much as those before (an upstream that
   * always says so, a limit that does not let all of it through) comes after twice the wait: the rest of its turn is some ten runs.
   */
  #againMs(job: WarmJob, putOff: JobPutOff | undefined): number {
    if (putOff === undefined) return job.everyMs;
    const { count, leftMs } = putOff;
    const { fewest, soonestMs } = this.#again.get(job) ?? {
      fewest: Number.POSITIVE_INFINITY,
      soonestMs: soonestAgainMs,
    };
    const atLeastMs = count < fewest ? soonestAgainMs : soonestMs * 2;
    this.#again.set(job, { fewest: Math.min(count, fewest), soonestMs: atLeastMs });
    return Math.max(leftMs, atLeastMs);
  }

  /** Two configurations that mean different things by a name are both warmed: in a rolling update both are there. */
  #leaseName(job: WarmJob): string {
    const meaning = JSON.stringify([job.route, [...job.with], job.zone, job.everyMs, this.#parts.locations]);
    return `warm:${job.name}:${this.#parts.sha256(meaning).slice(0, 16)}`;
  }
}
