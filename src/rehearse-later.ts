import type { Clock } from './cache/ports.ts';
import { describe } from './log/describe.ts';
import type { Log } from './log/log.ts';

/** The first fetch compiles enough by itself. */
const delayMs = 200;

/**
 * Rehearses purges (`rehearsal.ts`, which is read only now) once a first fetch has had its time. Resolves when that is over; never
 * rejects.
 */
export async function rehearseLater(clock: Clock, log: Pick<Log, 'debug' | 'error'>): Promise<void> {
  await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
  try {
    await (await import('./rehearsal.ts')).rehearsePurges(clock);
    log.debug({}, 'purges rehearsed');
  } catch (error) {
    // The first purge takes longer then, and nothing else.
    log.error({ error: describe(error) }, 'the rehearsal of a purge failed');
  }
}
