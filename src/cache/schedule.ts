import type { ScheduledPurge } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import type { Background, Clock } from './ports.ts';
import type { Purger } from './purge.ts';

/** The first instant of a checked cron expression after `afterMs`, in Unix milliseconds; `undefined`: there is none. */
type NextRun = (expression: string, zone: string, afterMs: number) => number | undefined;

export interface PurgeScheduleParts {
  readonly schedule: readonly ScheduledPurge[];
  readonly nextRun: NextRun;
  readonly purger: Purger;
  readonly clock: Clock;
  readonly background: Background;
  /** A scheduled purge that could not be done; nobody else hears of it, so it should be logged. */
  readonly onRefused: (entry: ScheduledPurge, problem: Problem) => void;
}

export interface PurgeSchedule {
  /** Arms each entry. What fell due before the start is not made up for: the store was empty then. */
  start(): void;
  /** No purge begins after this; one under way goes on. */
  stop(): void;
}

/**
 * Waits are cut at this length and the wall clock read again, because a timer counts machine time: after a suspend
 * or a clock correction, a wait of a day would end hours off.
 */
const longestWaitMs = 60_000;

/** Purges by cron: each entry at each of its instants, in its own time zone. */
export function createPurgeSchedule(parts: PurgeScheduleParts): PurgeSchedule {
  const cancels = new Map<ScheduledPurge, () => void>();

  function waitUntil(entry: ScheduledPurge, dueMs: number): void {
    const leftMs = dueMs - parts.clock.nowMs();
    const callback = leftMs > longestWaitMs ? () => waitUntil(entry, dueMs) : () => comeDue(entry, dueMs);
    cancels.set(entry, parts.clock.after(Math.min(Math.max(leftMs, 0), longestWaitMs), callback));
  }

  function comeDue(entry: ScheduledPurge, dueMs: number): void {
    if (parts.clock.nowMs() < dueMs) {
      // Timers may fire a millisecond early, and the wall clock may have been set back.
      waitUntil(entry, dueMs);
      return;
    }
    parts.background.run('scheduled purge', async () => {
      const { selector, soft } = entry;
      const answer = await parts.purger.purge({ selector, soft, dryRun: false, source: 'schedule' });
      if (!answer.ok) parts.onRefused(entry, answer.error);
    });
    arm(entry);
  }

  function arm(entry: ScheduledPurge): void {
    const dueMs = parts.nextRun(entry.cron, entry.zone, parts.clock.nowMs());
    if (dueMs === undefined) cancels.delete(entry);
    else waitUntil(entry, dueMs);
  }

  return {
    start() {
      for (const entry of parts.schedule) arm(entry);
    },
    stop() {
      for (const cancel of cancels.values()) cancel();
      cancels.clear();
    },
  };
}
