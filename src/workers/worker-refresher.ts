import type { Refresher, RefreshInput, RefreshOutcome } from '../cache/refresher.ts';
import type { Position } from '../core/stored-response.ts';
import type { Refreshed } from './messages.ts';
import type { WorkerPool } from './pool.ts';
import type { WorkerThread } from './worker-thread.ts';

/**
 * Warms for all workers with one upstream call: one of them, in turn, fetches, and the others take what it stored into their
 * memory. `handsOver` false: what is stored is in Redis, where each finds it with its first request.
 */
export function createWorkerRefresher(pool: WorkerPool, handsOver: boolean): Refresher {
  let turn = 0;
  return {
    async refresh(input, signal) {
      if (signal.aborted) return failed('stopped');
      const { serving } = pool;
      const worker = serving[turn++ % Math.max(1, serving.length)];
      if (worker === undefined) return failed('no worker serves');
      // From before the look-up: see `adopt`.
      const positions = handsOver ? await pool.askAll('position', undefined) : [];
      const { outcome, items } = await refreshedBy(worker, input);
      const others = positions.filter(([other]) => other !== worker);
      await Promise.all(
        others.map(async ([other, position]) => {
          if (position !== undefined && items.length > 0) await handOver(other, position, items);
        }),
      );
      return outcome;
    },
  };
}

async function refreshedBy(
  worker: WorkerThread,
  { route, values = new Map(), reuseAbove, withoutCall }: RefreshInput,
): Promise<Refreshed> {
  try {
    return await worker.call('refresh', { route: route.name, values, reuseAbove, withoutCall });
  } catch (error) {
    return { outcome: failed(error instanceof Error ? error.message : String(error)), items: [] };
  }
}

async function handOver(worker: WorkerThread, position: Position, items: Refreshed['items']): Promise<void> {
  try {
    await worker.call('adopt', { items, position });
  } catch {
    // It has ended: the one that is started in its place begins with nothing.
  }
}

function failed(detail: string): RefreshOutcome {
  return { result: 'failed', status: undefined, detail };
}
