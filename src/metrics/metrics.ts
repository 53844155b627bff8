import type { CoherenceStatus, RedisStatus } from '../cache/fleet-ports.ts';
import type { CountersReset } from '../cache/operations.ts';
import type { Clock, Observer, StoreStats } from '../cache/ports.ts';
import { ok, type Result } from '../core/problem.ts';
import { Counters } from './counters.ts';
import {
  loadFamilies,
  type LoadNumbers,
  operationFamilies,
  requestFamilies,
  storeFamilies,
  upstreamFamilies,
} from './families.ts';
import type { Family } from './family.ts';
import { coherenceFamilies, redisFamilies } from './fleet-families.ts';
import { processFamilies, type ThreadNumbers, watchThread } from './process-families.ts';
import { expositionOf } from './prometheus.ts';
import { Reporter, type CacheReport } from './report.ts';

/** Counts and tells. Dispose of it to stop watching the event loop. */
export interface Metrics extends Disposable {
  readonly observer: Observer;
  /** What was counted since the start or the last reset. */
  readonly report: () => CacheReport;
  /** Sets the report's counters of this process to zero, and refuses never; the Prometheus counters go on. */
  readonly resetReport: () => Result<CountersReset>;
  /** Makes both; `fleet-counters.ts` makes reports of a fleet with it. */
  readonly reporter: Reporter;
  /** The Prometheus text exposition, version 0.0.4. */
  readonly prometheus: () => Promise<string>;
  readonly counters: Counters;
  /** Of this thread; event-loop lag covers the time since the last call. */
  readonly thread: () => ThreadNumbers;
}

export interface MetricsOptions {
  readonly routes: readonly { readonly name: string }[];
  /** By name. */
  readonly upstreams: ReadonlyMap<string, unknown>;
  /** Of warming. */
  readonly jobs: readonly { readonly name: string }[];
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Called when a report or a scrape is made, not before. */
  readonly storeStats: () => StoreStats;
  /** Of the data listeners; called when a scrape is made. */
  readonly load: () => LoadNumbers;
  /** Of the program. */
  readonly version: string;
  /** Of the shared tier, called when a scrape is made; absent without Redis, and with them their families. */
  readonly coherence?: () => CoherenceStatus | undefined;
  readonly redis?: () => RedisStatus | undefined;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const counters = new Counters(
    options.routes.map((route) => route.name),
    options.upstreams.keys(),
    options.jobs.map((job) => job.name),
  );
  const reporter = new Reporter(counters, options.clock, options.storeStats);
  const watch = watchThread();
  return {
    observer: counters,
    report: () => reporter.report(),
    resetReport: () => {
      reporter.reset();
      return ok({ missing: [] });
    },
    reporter,
    prometheus: () =>
      expositionOf(
        familiesOf({
          counters,
          store: options.storeStats(),
          load: options.load(),
          coherence: options.coherence?.(),
          redis: options.redis?.(),
          version: options.version,
          thread: watch.numbers(),
        }),
      ),
    counters,
    thread: () => watch.numbers(),
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

/** What an exposition is made of. */
export interface Exposed {
  readonly counters: Counters;
  readonly store: StoreStats;
  readonly load: LoadNumbers;
  /** `undefined`, as the next: without Redis. */
  readonly coherence: CoherenceStatus | undefined;
  readonly redis: RedisStatus | undefined;
  readonly version: string;
  readonly thread: ThreadNumbers;
}

export function familiesOf({ counters, store, load, coherence, redis, version, thread }: Exposed): readonly Family[] {
  return [
    ...requestFamilies(counters),
    ...upstreamFamilies(counters),
    ...operationFamilies(counters),
    ...storeFamilies(store),
    ...loadFamilies(load),
    ...(coherence === undefined ? [] : coherenceFamilies(counters.fleetTally, coherence)),
    ...(redis === undefined ? [] : redisFamilies(counters.fleetTally, redis)),
    ...processFamilies(version, thread),
  ];
}
