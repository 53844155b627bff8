import type { AdminServices } from '../admin/services.ts';
import type { Explanation, ExplainRequest } from '../cache/operations.ts';
import type { ListFilter, StoredSummary } from '../cache/ports.ts';
import type { Problem, Result } from '../core/problem.ts';
import { ok, refused } from '../core/problem.ts';
import { familiesOf } from '../metrics/metrics.ts';
import { expositionOf } from '../metrics/prometheus.ts';
import type { CacheReport, Mark } from '../metrics/report.ts';
import { minus, totalsOf } from '../metrics/totals.ts';
import type { Parts } from '../parts.ts';
import { version } from '../version.ts';
import type { WorkerPool } from './pool.ts';
import type { WorkerSums } from './worker-sums.ts';

/** What operators ask of all workers, answered as if there were one. */
export function workerServices(
  parts: Parts,
  pool: WorkerPool,
  sums: WorkerSums,
): Omit<AdminServices, 'state' | 'purge' | 'warm'> {
  const { metrics, fleetCounters, deps, tiers } = parts;
  const { counters, reporter } = metrics;
  const mark = (): Mark => ({ totals: totalsOf(sums.counters(counters)), atMs: deps.clock.nowMs() });
  let base = mark();
  reporter.onReset(() => sums.reset(fleetCounters?.root));
  // A reset of the fleet may come from any of its processes, and each thread hears of it by itself.
  const ownReport = (): CacheReport =>
    fleetCounters === undefined
      ? reporter.reportOf(minus(mark().totals, base.totals), { sidecars: undefined, sinceMs: base.atMs })
      : reporter.reportOf(sums.totals(reporter.totals()), { sidecars: undefined, sinceMs: reporter.sinceMs });
  return {
    explain: (request) => explain(pool, request),
    list: (filter) => list(pool, filter),
    async metricsReport() {
      await sums.refresh({ thread: false });
      const report = await fleetCounters?.report();
      // Without Redis the fleet's counters tell of the coordinator alone.
      return report?.scope === 'fleet' ? report : ownReport();
    },
    async resetMetrics() {
      if (fleetCounters !== undefined) return fleetCounters.reset();
      await sums.refresh({ thread: false });
      base = mark();
      return ok({ missing: [] });
    },
    async prometheus() {
      await sums.refresh({ thread: true });
      const exposed = familiesOf({
        counters: sums.counters(counters),
        store: sums.store(),
        load: sums.load(),
        coherence: sums.coherence(tiers.shared?.coherence()),
        redis: sums.redis(tiers.shared?.redis()),
        version,
        thread: sums.thread(metrics.thread()),
      });
      return expositionOf([...exposed, ...sums.families()]);
    },
  };
}

/** Of a worker that has it stored, else of the first: all of them would do the same. */
async function explain(pool: WorkerPool, request: ExplainRequest): Promise<Result<Explanation>> {
  const all = (await pool.askAll('explain', request)).map(([, explained]) => explained);
  const stored = all.filter((one) => one.ok && one.value.stored !== null);
  const valid = stored.find((one) => one.ok && one.value.stored?.valid === true);
  return valid ?? stored[0] ?? all[0] ?? refused(noWorker);
}

/** Each response once, with its hits and its bytes in all workers. */
async function list(pool: WorkerPool, filter: ListFilter): Promise<readonly StoredSummary[]> {
  const first = await pool.askAll('list', filter);
  const keys = [...new Set(first.flatMap(([, listed]) => listed.map(({ item }) => item.key)))].slice(0, filter.limit);
  const sums = new Map<string, StoredSummary>();
  // By key: in a worker's list a response may lie beyond the limit.
  for (const [, listed] of await pool.askAll('summaries', keys)) {
    for (const one of listed) sums.set(one.item.key, together(sums.get(one.item.key), one));
  }
  return keys.flatMap((key) => sums.get(key) ?? []);
}

function together(sum: StoredSummary | undefined, one: StoredSummary): StoredSummary {
  if (sum === undefined) return one;
  const newer = responseTimeOf(one) > responseTimeOf(sum) ? one : sum;
  return { ...newer, sizeBytes: sum.sizeBytes + one.sizeBytes, hits: sum.hits + one.hits };
}

function responseTimeOf({ item }: StoredSummary): number {
  return item.kind === 'response' ? item.responseTimeMs : 0;
}

const noWorker: Problem = {
  status: 503,
  code: 'no-worker',
  title: 'No worker serves',
  detail: 'All workers have ended, and are being started again.',
  retryAfter: 1,
};
