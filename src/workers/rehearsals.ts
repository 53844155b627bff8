import type { Clock } from '../cache/ports.ts';
import { describe } from '../log/describe.ts';
import type { Log } from '../log/log.ts';
import { rehearseLater } from '../rehearse-later.ts';
import type { WorkerThread } from './worker-thread.ts';

type Rehearsing = Pick<WorkerThread, 'place' | 'call'>;

/**
 * Hears of workers that fetch for the first time, and has purges rehearsed: here, where the admin interface is, with the first of them,
 * and in each. One thread after another: all at once they would take every core that requests are served on.
 */
export function rehearsals(clock: Clock, log: Pick<Log, 'debug' | 'error'>): (worker: Rehearsing) => void {
  let last: Promise<void> | undefined;
  const rehearseIn = async (worker: Rehearsing): Promise<void> => {
    try {
      await worker.call('rehearse', undefined);
      log.debug({ worker: worker.place }, 'purges rehearsed in a worker');
    } catch (error) {
      // It has ended meanwhile, or its first purge takes longer, and nothing else.
      log.debug({ worker: worker.place, error: describe(error) }, 'a worker did not rehearse purges');
    }
  };
  return (worker) => {
    last = (last ?? rehearseLater(clock, log)).then(() => rehearseIn(worker));
  };
}
