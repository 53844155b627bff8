import type { Clock, StoreStats } from '../cache/ports.ts';
import type { OutcomeName } from '../core/outcome.ts';
import type { Counters } from './counters.ts';
import { sum } from './tallies.ts';
import {
  answeredAt,
  answeredMicrosAt,
  bytesAt,
  bytesOf,
  callsAt,
  callsOf,
  countOf,
  minus,
  type Totals,
  totalsOf,
} from './totals.ts';

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
  /** All calls that came to a connection: for requests, for revalidation behind a stale answer, for warming. */
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
  readonly scope: 'process' | 'fleet';
  /** With `fleet`: processes that took part a moment ago. */
  readonly sidecars?: number;
  /** ISO 8601: start of the process or of the fleet's counters, or the last reset. */
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

/** What a report says beside the counts. */
export interface ReportFrame {
  /** `undefined`: this process alone. */
  readonly sidecars: number | undefined;
  /** Wall clock, milliseconds. */
  readonly sinceMs: number;
}

/** A moment, and what was counted by then. */
export interface Mark {
  readonly totals: Totals;
  /** Wall clock, milliseconds. */
  readonly atMs: number;
}

/** Makes reports of what was counted since the last reset. The counters themselves never go back. */
export class Reporter {
  readonly #counters: Counters;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #storeStats: () => StoreStats;
  #base: Mark;
  #onReset: () => void = () => undefined;

  constructor(counters: Counters, clock: Pick<Clock, 'nowMs'>, storeStats: () => StoreStats) {
    this.#counters = counters;
    this.#clock = clock;
    this.#storeStats = storeStats;
    this.#base = this.mark();
  }

  get routeNames(): Iterable<string> {
    return this.#counters.routes.keys();
  }

  mark(): Mark {
    return { totals: totalsOf(this.#counters), atMs: this.#clock.nowMs() };
  }

  /** Wall clock, milliseconds: what was counted since is in the reports. */
  get sinceMs(): number {
    return this.#base.atMs;
  }

  /** Counts from now on, or from a moment that has been. */
  reset(from: Mark = this.mark()): void {
    this.#base = from;
    this.#onReset();
  }

  /** Hears of each reset from now on; one callback, the last that was given. */
  onReset(callback: () => void): void {
    this.#onReset = callback;
  }

  /** What was counted since the last reset. */
  totals(): Totals {
    return minus(totalsOf(this.#counters), this.#base.totals);
  }

  /** Of this process, since the last reset that it knows. */
  report(): CacheReport {
    return this.reportOf(this.totals(), { sidecars: undefined, sinceMs: this.#base.atMs });
  }

  /** Of these totals; `store` is always that of this process. */
  reportOf(totals: Totals, { sidecars, sinceMs }: ReportFrame): CacheReport {
    const [first = new Float64Array(0)] = totals.routes.values();
    const all = new Float64Array(first.length);
    const routes: [string, CacheNumbers][] = [];
    for (const [name, counts] of totals.routes) {
      for (const [index, count] of counts.entries()) all[index] = (all[index] ?? 0) + count;
      routes.push([name, numbersOf(counts)]);
    }
    const [runs = 0, fetched = 0, reused = 0, failed = 0, purges = 0, purged = 0] = totals.whole;
    return {
      ...(sidecars === undefined ? { scope: 'process' } : { scope: 'fleet', sidecars }),
      since: new Date(sinceMs).toISOString(),
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

function numbersOf(totals: Float64Array): CacheNumbers {
  const outcome = (name: OutcomeName): number => countOf(totals, name);
  const bytes = (name: OutcomeName): number => bytesOf(totals, name);
  const hits = outcome('hit') + outcome('stale') + outcome('stale-error');
  const misses = outcome('miss') + outcome('collapsed') + outcome('revalidated');
  const background = callsOf(totals, 'revalidate') + callsOf(totals, 'warm');
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
    upstream_calls: background + callsOf(totals, 'interactive'),
    upstream_calls_background: background,
    upstream_calls_avoided: avoided,
    upstream_seconds_saved_estimate: secondsSaved(
      avoided,
      totals[answeredAt] ?? 0,
      (totals[answeredMicrosAt] ?? 0) / 1000,
    ),
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
