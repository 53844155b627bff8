import type { ScheduledPurge } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import type { JobLease, JobLeases } from './fleet-ports.ts';
import type { Background, Clock } from './ports.ts';
import type { Purger } from './purge.ts';

/** One instant of an entry. */
export interface PurgeTurn {
  readonly entry: ScheduledPurge;
  readonly dueMs: number;
  /** The entry's next instant, at which this turn is too late; infinite where there is none. */
  readonly nextMs: number;
}

export interface PurgeTurnParts {
  readonly purger: Purger;
  readonly clock: Pick<Clock, 'after'>;
  /** Wall clock of the fleet, milliseconds. */
  readonly nowMs: () => number;
  readonly background: Background;
  readonly leases: JobLeases;
  readonly onRefused: (entry: ScheduledPurge, problem: Problem) => void;
}

/** A purge that could not be guaranteed is tried again after this, unless its refusal says another time. */
const tryAgainMs = 5_000;

/** A done purge is remembered until the entry's next instant, within these: processes may be late by hours, but not by more. */
const shortestHoldMs = 2 * 3_600_000;
const longestHoldMs = 7 * 24 * 3_600_000;

/**
 * Does each scheduled purge once for the fleet: until somebody has done it, it is tried again, and given up when the
 * entry's next instant is due.
 */
export class PurgeTurns {
  readonly #parts: PurgeTurnParts;
  readonly #waits = new Map<PurgeTurn, () => void>();
  #stopped = false;

  constructor(parts: PurgeTurnParts) {
    this.#parts = parts;
  }

  take(turn: PurgeTurn): void {
    this.#waits.delete(turn);
    this.#parts.background.run('scheduled purge', async () => {
      const putOff = await this.#attempt(turn);
      // Waiting is no background work: a stop would wait for it.
      if (putOff !== undefined) this.#tryAgain(turn, putOff);
    });
  }

  /** No purge begins after this; one under way goes on. */
  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#waits.values()) cancel();
    this.#waits.clear();
  }

  #tryAgain(turn: PurgeTurn, { afterMs, problem }: PutOff): void {
    const { clock, nowMs, onRefused } = this.#parts;
    if (this.#stopped) return;
    if (nowMs() + afterMs >= turn.nextMs) onRefused(turn.entry, problem);
    else
      this.#waits.set(
        turn,
        clock.after(afterMs, () => this.take(turn)),
      );
  }

  /** Purges where it is this process's to do; else says why not yet. */
  async #attempt(turn: PurgeTurn): Promise<PutOff | undefined> {
    const { leases } = this.#parts;
    const claim = await leases.claim(leaseName(turn));
    switch (claim.kind) {
      case 'ours':
        return await this.#purge(turn, claim.lease);
      case 'running':
        return { afterMs: leases.retryMs, problem: stillRunning };
      case 'done':
        return undefined;
      case 'unavailable':
        return { afterMs: tryAgainMs, problem: unavailable };
    }
  }

  async #purge({ entry, nextMs }: PurgeTurn, lease: JobLease): Promise<PutOff | undefined> {
    const { purger, nowMs, onRefused } = this.#parts;
    let holdMs = 0;
    try {
      // The claim may have come back after the stop.
      if (this.#stopped) return undefined;
      const { selector, soft } = entry;
      const answer = await purger.purge({ selector, soft, dryRun: false, source: 'schedule' });
      // Done a second time it would take what was fetched since.
      const isDone = answer.ok || answer.error.holdsLater === true;
      if (!answer.ok && !isDone && answer.error.status >= 500) {
        const { retryAfter } = answer.error;
        return { afterMs: retryAfter === undefined ? tryAgainMs : retryAfter * 1000, problem: answer.error };
      }
      if (!answer.ok && !isDone) onRefused(entry, answer.error);
      holdMs = Math.min(Math.max(nextMs - nowMs(), shortestHoldMs), longestHoldMs);
      return undefined;
    } finally {
      await lease.finish(holdMs);
    }
  }
}

/** A turn that is to be taken again, and what to say where it is too late for that. */
interface PutOff {
  readonly afterMs: number;
  readonly problem: Problem;
}

const stillRunning: Problem = {
  status: 503,
  code: 'purge-elsewhere',
  title: 'Purge not seen to end',
  detail: 'Another proxy had begun this purge and was not seen to end it before the next one was due.',
};

const unavailable: Problem = {
  status: 503,
  code: 'jobs-unavailable',
  title: 'Jobs cannot be claimed',
  detail: 'Redis did not answer before the next purge of this entry was due.',
};

/** By what it purges and when, not by its place in a file that may change. */
function leaseName({ entry, dueMs }: PurgeTurn): string {
  return `purge:${JSON.stringify([entry.cron, entry.zone, entry.selector, entry.soft])}:${dueMs}`;
}
