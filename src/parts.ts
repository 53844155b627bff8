import { BackgroundWork } from './cache/background.ts';
import { decodedBytesOf, DecodedContents } from './cache/decoded-contents.ts';
import { Exchange } from './cache/exchange.ts';
import { Fetcher, type FetcherDeps } from './cache/fetcher.ts';
import { LearnedSearch } from './cache/learned-search.ts';
import { createPurger } from './cache/purge.ts';
import { createRefresher } from './cache/refresh.ts';
import { RetryTimes } from './cache/retry-times.ts';
import { createPurgeSchedule } from './cache/schedule.ts';
import { SilentKeys } from './cache/silent-keys.ts';
import { createWarmer } from './cache/warm.ts';
import type { Clock, PurgeCounter, StoreStats } from './cache/ports.ts';
import type { Refresher } from './cache/refresher.ts';
import type { Config } from './core/config.ts';
import type { GraphqlReader } from './core/graphql-text.ts';
import { createLoopMarks } from './core/loop-marks.ts';
import type { Problem } from './core/problem.ts';
import { nextCronRunMs } from './cron.ts';
import { combineObservers } from './log/combine-observers.ts';
import { describe } from './log/describe.ts';
import type { Log } from './log/log.ts';
import { createLogObserver } from './log/observe.ts';
import type { FleetCounters } from './metrics/fleet-counters.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { routeTableOf } from './route-table-of.ts';
import { sha256 } from './sha256.ts';
import { idleLoad, type ServerLoad } from './server/load.ts';
import type { ProcessMemory } from './store/growth.ts';
import type { CoherenceRules } from './store/coherence/rules.ts';
import type { LocalPurgeLog } from './store/local-purge-log.ts';
import type { TrackedPurgeLog } from './store/purge-follower.ts';
import { buildTiers, type SharedTierParts, type Tiers } from './tiers.ts';
import { createBodyCheck } from './upstream/body-check.ts';
import { createContentDecoder } from './upstream/decode.ts';
import { relayOnDemand, upstreamClientOnDemand } from './upstream/on-demand.ts';
import type { UpstreamRelay } from './upstream/relay.ts';
import { version } from './version.ts';

/** What the parts are built on. */
export interface Ground {
  readonly config: Config;
  readonly log: Log;
  readonly stack: AsyncDisposableStack;
  readonly clock: Clock;
  readonly rules: CoherenceRules;
  /** As {@link graphqlReaderFor} gives it. */
  readonly graphql: GraphqlReader | undefined;
  /** As {@link sharedTierFor} gives it. */
  readonly sharing: SharedTierParts | undefined;
  /** See {@link createLoopMarks}. */
  readonly processMark: string;
  /** See `TierParts` in `tiers.ts`. */
  readonly processMemory?: ProcessMemory | undefined;
  /** Where this is one thread of several. */
  readonly threads?: ThreadHooks | undefined;
  /** Hears that an upstream is about to be called for the first time: until then there is nothing to purge. */
  readonly onFirstCall?: (() => void) | undefined;
}

/** What the threads of one process do together; what is not there a thread does by itself. */
export interface ThreadHooks {
  /** Makes this thread's purge log one with those of the others. */
  readonly joinPurges?: (log: LocalPurgeLog) => TrackedPurgeLog;
  /** Of the memory tiers of all. */
  readonly counter?: PurgeCounter;
  readonly refresher?: Refresher;
  readonly storeStats?: () => StoreStats;
}

/** Everything between the listeners. */
export interface Parts {
  readonly metrics: Metrics;
  readonly tiers: Tiers;
  /** `undefined`: the counters of this process are all there are. */
  readonly fleetCounters: FleetCounters | undefined;
  readonly background: BackgroundWork;
  readonly deps: FetcherDeps & ConstructorParameters<typeof Exchange>[0] & { readonly retryTimes: RetryTimes };
  readonly exchange: Exchange;
  readonly relay: UpstreamRelay;
  readonly purger: ReturnType<typeof createPurger>;
  readonly refresher: Refresher;
  readonly warmer: ReturnType<typeof createWarmer>;
  readonly schedule: ReturnType<typeof createPurgeSchedule>;
  readonly log: Log;
  readonly load: ServerLoad;
}

/** Builds everything that stands between the listeners; opens nothing but the way to Redis. */
export function buildParts(ground: Ground): Parts {
  const { config, log, stack, clock, rules, graphql, sharing, threads, processMemory, processMark } = ground;
  const load = idleLoad();
  const table = routeTableOf(config);
  const metrics: Metrics = stack.use(metricsOf(ground, load, () => tiers));
  const observer = combineObservers([metrics.observer, createLogObserver(log, config.log)]);
  const joinPurges = threads?.joinPurges;
  const tiers: Tiers = buildTiers({ config, log, stack, clock, observer, rules, joinPurges, processMemory }, sharing);
  const upstream = stack.use(
    upstreamClientOnDemand({ upstreams: config.upstreams, clock, version, observer }, ground.onFirstCall),
  );
  const background = new BackgroundWork((name, error) =>
    log.error({ work: name, error: describe(error) }, 'background work failed'),
  );
  const decoder = createContentDecoder();
  const deps = {
    table,
    store: tiers.store,
    purgeLog: tiers.purgeLog,
    upstream,
    upstreams: config.upstreams,
    background,
    observer,
    clock,
    sha256,
    random: Math.random,
    rules,
    search: new LearnedSearch(observer, clock),
    silent: new SilentKeys(),
    retryTimes: new RetryTimes(clock),
    bodyCheck: createBodyCheck(),
    decoder,
    decoded: new DecodedContents({ decoder, maxBytes: decodedBytesOf(config), observer }),
    graphql,
    maxHops: config.server.limits.maxHops,
    loops: createLoopMarks({ processMark, routes: config.routes, maxHops: config.server.limits.maxHops }),
    ownHosts: new Set(config.server.listeners.map((listener) => listener.host)),
    onInvalidationRefused: (route: string, { detail }: Problem) =>
      log.warn({ route, problem: detail }, 'not invalidated'),
    ...(config.store.redis === undefined ? {} : { purgeWaitMs: config.store.redis.purgeWaitMs }),
    ...(tiers.shared === undefined ? {} : { fillLocks: tiers.shared.fillLocks, unleased: tiers.memory }),
  };
  const fetcher = new Fetcher(deps);
  const relay = stack.use(
    relayOnDemand({ upstreams: config.upstreams, clock, onLimit: (option) => observer.limit(option) }),
  );
  const exchange = new Exchange(deps, fetcher);
  return {
    metrics,
    tiers,
    fleetCounters: tiers.shared && sharing?.countForFleet(tiers.shared, { metrics, clock, observer }),
    background,
    deps,
    exchange,
    relay,
    log,
    load,
    ...buildOperations(config, { deps, fetcher, tiers, log, threads }),
  };
}

/** The counters, and how they ask for the rest when a report or a scrape is made. */
function metricsOf({ config, clock, threads }: Ground, load: ServerLoad, tiers: () => Tiers): Metrics {
  return createMetrics({
    routes: config.routes,
    upstreams: config.upstreams,
    jobs: config.warm.jobs,
    clock,
    version,
    storeStats: threads?.storeStats ?? (() => tiers().memory.stats()),
    load: () => load,
    coherence: () => tiers().shared?.coherence(),
    redis: () => tiers().shared?.redis(),
  });
}

/** What operators and the clock have done. */
function buildOperations(
  config: Config,
  {
    deps,
    fetcher,
    tiers,
    log,
    threads,
  }: Pick<Parts, 'deps' | 'tiers' | 'log'> & {
    readonly fetcher: Fetcher;
    readonly threads: ThreadHooks | undefined;
  },
): Pick<Parts, 'purger' | 'refresher' | 'warmer' | 'schedule'> {
  const leases = tiers.jobs;
  const purger = createPurger({ ...deps, counter: threads?.counter ?? tiers.memory });
  const refresher = threads?.refresher ?? createRefresher(deps, fetcher);
  const warmer = createWarmer({ ...deps, config: config.warm, leases, refresher, random: Math.random });
  const { shared } = tiers;
  const schedule = createPurgeSchedule({
    ...deps,
    purger,
    leases,
    schedule: config.purge.schedule,
    nextRun: nextCronRunMs,
    ...(shared === undefined ? {} : { skewMs: () => shared.log.skewMs(), storeOutlives: true }),
    onRefused: (entry, problem) => log.error({ cron: entry.cron, problem: problem.detail }, 'scheduled purge refused'),
  });
  return { purger, refresher, warmer, schedule };
}
