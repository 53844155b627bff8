import type { ScheduledPurge } from '../core/config.ts';
import type { Clock } from './ports.ts';
import { PurgeTurns, type PurgeTurnParts } from './purge-turn.ts';

/** The first instant of a checked cron expression after `afterMs`, in Unix milliseconds; `undefined`: there is none. */
type NextRun = (expression: string, zone: string, afterMs: number) => number | undefined;

export interface PurgeScheduleParts extends Pick<PurgeTurnParts, 'purger' | 'background'> {
  readonly schedule: readonly ScheduledPurge[];
  readonly nextRun: NextRun;
  readonly clock: Clock;
  /**
   * The fleet's wall clock less that of this process, milliseconds; absent: 0. All go by one clock, because the first to
   * come purges for all: one whose clock is fast would do it before what it is to purge is outdated.
   */
  readonly skewMs?: () => number;
  /** Each instant of an entry is claimed, so that it is purged once for the fleet. */
  readonly leases: PurgeTurnParts['leases'];
  /** Whether what is stored outlives this process, so that what fell due while no process ran has to be made up for. */
  readonly storeOutlives?: boolean;
  /** A scheduled purge that was given up; nobody else hears of it, so it should be logged. */
  readonly onRefused: PurgeTurnParts['onRefused'];
}

export interface PurgeSchedule {
  /**
   * Arms each entry. What fell due before the start is made up for only where the store outlives the process, and the
   * last instant within an hour alone: else the store was empty then.
   */
  start(): void;
  /** No purge begins after this; one under way goes on. */
  stop(): void;
}

/**
 * Waits are cut at this length and the wall clock read again, because a timer counts machine time: after a suspend
 * or a clock correction, a wait of a day would end hours off.
 */
const longestWaitMs = 60_000;

/** Shorter than a done purge is remembered, so that a restart repeats none. */
const madeUpForMs = 3_600_000;

/** Purges by cron: each entry at each of its instants, in its own time zone, once for the fleet. */
export function createPurgeSchedule(parts: PurgeScheduleParts): PurgeSchedule {
  const { clock, nextRun } = parts;
  const waits = new Map<ScheduledPurge, () => void>();
  const nowMs = (): number => clock.nowMs() + (parts.skewMs?.() ?? 0);
  const turns = new PurgeTurns({ ...parts, nowMs });

  function waitUntil(entry: ScheduledPurge, dueMs: number): void {
    const leftMs = dueMs - nowMs();
    const callback = leftMs > longestWaitMs ? () => waitUntil(entry, dueMs) : () => comeDue(entry, dueMs);
    waits.set(entry, clock.after(Math.min(Math.max(leftMs, 0), longestWaitMs), callback));
  }

  function comeDue(entry: ScheduledPurge, dueMs: number): void {
    // Timers may fire a millisecond early, and the wall clock may have been set back.
    if (nowMs() < dueMs) waitUntil(entry, dueMs);
    else turns.take({ entry, dueMs, nextMs: arm(entry) });
  }

  /** When it comes due next; infinite: never. */
  function arm(entry: ScheduledPurge): number {
    const dueMs = nextRun(entry.cron, entry.zone, nowMs());
    if (dueMs === undefined) waits.delete(entry);
    else waitUntil(entry, dueMs);
    return dueMs ?? Number.POSITIVE_INFINITY;
  }

  return {
    start() {
      for (const entry of parts.schedule) {
        const missedMs = parts.storeOutlives === true ? lastInstant(nextRun, entry, nowMs()) : undefined;
        const nextMs = arm(entry);
        if (missedMs !== undefined) turns.take({ entry, dueMs: missedMs, nextMs });
      }
    },
    stop() {
      for (const cancel of waits.values()) cancel();
      waits.clear();
      turns.stop();
    },
  };
}

/** The last instant that fell due while, perhaps, no process of the fleet ran. */
function lastInstant(nextRun: NextRun, { cron, zone }: ScheduledPurge, untilMs: number): number | undefined {
  let last: number | undefined;
  let next = nextRun(cron, zone, untilMs - madeUpForMs);
  while (next !== undefined && next <= untilMs) {
    last = next;
    next = nextRun(cron, zone, next);
  }
  return last;
}
