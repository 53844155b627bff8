import type { Clock, StoreStats } from '../cache/ports.ts';
import type { OutcomeName } from '../core/outcome.ts';
import type { Counters, RouteTally } from './counters.ts';
import { outcomeIndex, outcomeNames, purposeIndex } from './labels.ts';
import { sum } from './tallies.ts';

/** What happened to the requests of a route, or of all. `docs/metrics.md` says which sums hold. */
interface CacheNumbers {
  /** Sum of all outcomes: hits + misses + errors + relayed + rejected + aborted. */
  readonly requests: number;
  /** Answered from store without waiting for upstream to succeed: outcomes hit, stale, stale-error. */
  readonly hits: number;
  /** Upstream had to answer first: outcomes miss, collapsed, revalidated. */
  readonly misses: number;
  readonly errors: number;
  /** Percent, hits / (hits + misses), two decimals; 0 when nothing was asked. */
  readonly hit_rate: number;
  /** Hits that were stale, for whatever reason. */
  readonly stale: number;
  readonly collapsed: number;
  readonly revalidated: number;
  readonly relayed: number;
  readonly rejected: number;
  readonly aborted: number;
  readonly outcomes: Readonly<Record<OutcomeName, number>>;
  readonly bytes_sent: number;
  /** Of outcomes hit, stale, stale-error and revalidated. */
  readonly bytes_from_store: number;
  /** All calls made: for requests, for revalidation behind a stale answer, for warming. */
  readonly upstream_calls: number;
  /** Of them, those that no client waited for: revalidation and warming. */
  readonly upstream_calls_background: number;
  /**
   * Answers given without a call of their own (hit, stale, collapsed), less the calls made in the background.
   * Below zero where warming fetched more than was asked for.
   */
  readonly upstream_calls_avoided: number;
  /**
   * An estimate: calls avoided, each taken to last as long as the mean answered call of its route; for all, the sum of
   * the routes. `null` where no call was measured.
   */
  readonly upstream_seconds_saved_estimate: number | null;
}

/** The JSON report of the contract. */
export interface CacheReport extends CacheNumbers {
  /** Whose counters these are. */
  readonly scope: 'process';
  /** ISO 8601: start of the process, or the last reset. */
  readonly since: string;
  readonly purges: number;
  /** Stored responses that purges covered. */
  readonly purged_responses: number;
  readonly warm: { readonly runs: number; readonly fetched: number; readonly reused: number; readonly failed: number };
  /** As it is now; a reset changes nothing of it. */
  readonly store: {
    readonly responses: number;
    readonly bytes: number;
    readonly max_bytes: number;
    readonly tags: number;
    readonly evicted: number;
  };
  /** By route name; `none` for requests that matched no route. */
  readonly routes: Readonly<Record<string, CacheNumbers>>;
}

/** Makes reports of what was counted since the last reset. The counters themselves never go back. */
export class Reporter {
  readonly #counters: Counters;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #storeStats: () => StoreStats;
  #sinceMs: number;
  #base: Snapshot;

  constructor(counters: Counters, clock: Pick<Clock, 'nowMs'>, storeStats: () => StoreStats) {
    this.#counters = counters;
    this.#clock = clock;
    this.#storeStats = storeStats;
    this.#sinceMs = clock.nowMs();
    this.#base = snapshotOf(counters);
  }

  reset(): void {
    this.#base = snapshotOf(this.#counters);
    this.#sinceMs = this.#clock.nowMs();
  }

  report(): CacheReport {
    const now = snapshotOf(this.#counters);
    const base = this.#base;
    const all = new Float64Array(totalsLength);
    const routes: [string, CacheNumbers][] = [];
    for (const [name, totals] of now.routes) {
      const since = minus(totals, base.routes.get(name) ?? new Float64Array(totalsLength));
      for (const [index, count] of since.entries()) all[index] = (all[index] ?? 0) + count;
      routes.push([name, numbersOf(since)]);
    }
    const [runs = 0, fetched = 0, reused = 0, failed = 0] = minus(now.warm, base.warm);
    const [purges = 0, purged = 0] = minus(now.purges, base.purges);
    return {
      scope: 'process',
      since: new Date(this.#sinceMs).toISOString(),
      ...numbersOf(all),
      upstream_seconds_saved_estimate: sumOfEstimates(routes.map(([, numbers]) => numbers)),
      purges,
      purged_responses: purged,
      warm: { runs, fetched, reused, failed },
      store: storeNumbers(this.#storeStats()),
      // As own members, whatever a route is called.
      routes: Object.fromEntries(routes),
    };
  }
}

interface Snapshot {
  /** Per route: outcomes, bytes, calls, answered. */
  readonly routes: ReadonlyMap<string, Float64Array>;
  readonly warm: Float64Array;
  readonly purges: Float64Array;
}

const bytesAt = outcomeNames.length;
const callsAt = bytesAt + outcomeNames.length;
const answeredAt = callsAt + Object.keys(purposeIndex).length;
const totalsLength = answeredAt + 2;

function snapshotOf(counters: Counters): Snapshot {
  const warm = new Float64Array(4);
  for (const job of counters.warmJobs.values()) {
    for (const [index, count] of [job.runs, job.fetched, job.reused, job.failed].entries()) {
      warm[index] = (warm[index] ?? 0) + count;
    }
  }
  return {
    routes: new Map([...counters.routes].map(([name, tally]) => [name, totalsOf(tally)])),
    warm,
    purges: Float64Array.of(counters.purgeDurations.count, sum(counters.purgedBy)),
  };
}

function totalsOf(tally: RouteTally): Float64Array {
  return Float64Array.of(...tally.outcomes, ...tally.bytes, ...tally.calls, ...tally.answered);
}

function minus(now: Float64Array, base: Float64Array): Float64Array {
  return now.map((count, index) => count - (base[index] ?? 0));
}

function numbersOf(totals: Float64Array): CacheNumbers {
  const outcome = (name: OutcomeName): number => totals[outcomeIndex[name]] ?? 0;
  const bytes = (name: OutcomeName): number => totals[bytesAt + outcomeIndex[name]] ?? 0;
  const hits = outcome('hit') + outcome('stale') + outcome('stale-error');
  const misses = outcome('miss') + outcome('collapsed') + outcome('revalidated');
  const background = (totals[callsAt + purposeIndex.revalidate] ?? 0) + (totals[callsAt + purposeIndex.warm] ?? 0);
  const avoided = outcome('hit') + outcome('stale') + outcome('collapsed') - background;
  return {
    requests: sum(totals.subarray(0, bytesAt)),
    hits,
    misses,
    errors: outcome('error'),
    hit_rate: percent(hits, hits + misses),
    stale: outcome('stale') + outcome('stale-error'),
    collapsed: outcome('collapsed'),
    revalidated: outcome('revalidated'),
    relayed: outcome('relayed'),
    rejected: outcome('rejected'),
    aborted: outcome('aborted'),
    outcomes: {
      hit: outcome('hit'),
      stale: outcome('stale'),
      'stale-error': outcome('stale-error'),
      revalidated: outcome('revalidated'),
      miss: outcome('miss'),
      collapsed: outcome('collapsed'),
      relayed: outcome('relayed'),
      rejected: outcome('rejected'),
      error: outcome('error'),
      aborted: outcome('aborted'),
    },
    bytes_sent: sum(totals.subarray(bytesAt, callsAt)),
    bytes_from_store: bytes('hit') + bytes('stale') + bytes('stale-error') + bytes('revalidated'),
    upstream_calls: background + (totals[callsAt + purposeIndex.interactive] ?? 0),
    upstream_calls_background: background,
    upstream_calls_avoided: avoided,
    upstream_seconds_saved_estimate: secondsSaved(avoided, totals[answeredAt] ?? 0, totals[answeredAt + 1] ?? 0),
  };
}

function secondsSaved(avoided: number, answered: number, answeredMs: number): number | null {
  if (answered === 0) return null;
  return Math.round((Math.max(0, avoided) * answeredMs) / answered) / 1000;
}

/** By route, because a relayed stream of an hour says nothing about how long a forecast takes. */
function sumOfEstimates(routes: readonly CacheNumbers[]): number | null {
  const known = routes.flatMap((route) => route.upstream_seconds_saved_estimate ?? []);
  return known.length === 0 ? null : Math.round(known.reduce((total, one) => total + one, 0) * 1000) / 1000;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100;
}

function storeNumbers(stats: StoreStats): CacheReport['store'] {
  return {
    responses: stats.responses,
    bytes: stats.bytes,
    max_bytes: stats.maxBytes,
    tags: stats.tags,
    evicted: stats.evictedCapacity + stats.evictedRetention + stats.evictedRouteLimit,
  };
}
