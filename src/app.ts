import { randomUUID } from 'node:crypto';

import { createAdminServer, type AdminServer } from './admin/admin-server.ts';
import { BackgroundWork } from './cache/background.ts';
import { Exchange } from './cache/exchange.ts';
import { createExplainer } from './cache/explain.ts';
import { Fetcher, type FetcherDeps } from './cache/fetcher.ts';
import { localJobs } from './cache/local-jobs.ts';
import { createPurger } from './cache/purge.ts';
import { createRefresher } from './cache/refresh.ts';
import { createPurgeSchedule } from './cache/schedule.ts';
import { createWarmer } from './cache/warm.ts';
import type { Clock } from './cache/ports.ts';
import type { Config } from './core/config.ts';
import { nextCronRunMs } from './cron.ts';
import { combineObservers } from './log/combine-observers.ts';
import { createLog, type Log } from './log/log.ts';
import { createLogObserver } from './log/observe.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { routeTableOf } from './offline.ts';
import { sha256 } from './sha256.ts';
import { type BoundListener, createDataServer, type DataServer } from './server/data-server.ts';
import { idleLoad, type ServerLoad } from './server/load.ts';
import { ExchangeHandler } from './server/request-handler.ts';
import { createLocalPurgeLog } from './store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from './store/memory-store.ts';
import { systemClock } from './system-clock.ts';
import { createBodyCheck } from './upstream/body-check.ts';
import { createUpstreamClient } from './upstream/client.ts';
import { createContentDecoder } from './upstream/decode.ts';
import { createRelay } from './upstream/relay.ts';
import { version } from './version.ts';

/** A running proxy. */
export interface App {
  readonly listeners: readonly BoundListener[];
  readonly admin: { readonly host: string; readonly port: number };
  /** Readiness 503, drain delay, no new connections, grace for what is under way, then everything closed in reverse order. */
  stop(): Promise<void>;
}

export interface AppOptions {
  /** Tests move it; everything that measures or waits takes it from here. */
  readonly clock?: Clock;
}

type State = 'starting' | 'ready' | 'draining';

/**
 * The composition root: builds everything in order, binds the listeners, gives up cleanly where one cannot be bound.
 * No state outside of what it returns: two apps run in one process.
 */
export async function createApp(config: Config, { clock = systemClock }: AppOptions = {}): Promise<App> {
  await using stack = new AsyncDisposableStack();
  let state: State = 'starting';
  const log = stack.use(createLog(config.log, { secrets: secretsOf(config) }));
  const parts = buildParts({ config, log, stack, clock });
  let listeners: readonly BoundListener[] = config.server.listeners;
  const admin = buildAdmin(config, parts, { state: () => state, listeners: () => listeners });
  stack.defer(() => admin.close());
  const adminAddress = await admin.listen();
  const server = buildDataServer(config, parts);
  listeners = await server.listen();
  parts.schedule.start();
  parts.warmer.start();
  state = 'ready';
  log.info({ version, admin: `${adminAddress.host}:${adminAddress.port}` }, 'ready');
  const owned = stack.move();
  return {
    listeners,
    admin: adminAddress,
    async stop() {
      if (state === 'draining') return;
      state = 'draining';
      await shutDown(config, { server, ...parts });
      await owned.disposeAsync();
    },
  };
}

/** What the parts are built on. */
interface Ground {
  readonly config: Config;
  readonly log: Log;
  readonly stack: AsyncDisposableStack;
  readonly clock: Clock;
}

/** Everything between the listeners. */
interface Parts {
  readonly metrics: Metrics;
  readonly store: MemoryStore;
  readonly background: BackgroundWork;
  readonly deps: FetcherDeps & ConstructorParameters<typeof Exchange>[0];
  readonly exchange: Exchange;
  readonly relay: ReturnType<typeof createRelay>;
  readonly purger: ReturnType<typeof createPurger>;
  readonly warmer: ReturnType<typeof createWarmer>;
  readonly schedule: ReturnType<typeof createPurgeSchedule>;
  readonly log: Log;
  readonly load: ServerLoad;
}

function buildParts({ config, log, stack, clock }: Ground): Parts {
  const load = idleLoad();
  const table = routeTableOf(config);
  const metrics: Metrics = stack.use(
    createMetrics({
      routes: config.routes,
      upstreams: config.upstreams,
      clock,
      version,
      storeStats: () => store.stats(),
      load: () => load,
    }),
  );
  const observer = combineObservers([metrics.observer, createLogObserver(log, config.log)]);
  const onLimit = (option: string): void => observer.limit(option);
  const purgeLog = createLocalPurgeLog({ clock, instanceId: randomUUID(), positionMaxAgeMs: positionMaxAgeMs(config) });
  const routeLimits = new Map(config.routes.map((route) => [route.name, route.maxKeys]));
  const store: MemoryStore = stack.use(
    createMemoryStore({ maxBytes: config.store.memory.maxBytes, routeLimits, purgeLog, clock, observer }),
  );
  const upstream = stack.use(createUpstreamClient({ upstreams: config.upstreams, clock, version, observer }));
  const background = new BackgroundWork((name, error) =>
    log.error({ work: name, error: describe(error) }, 'background work failed'),
  );
  const deps = {
    table,
    store,
    purgeLog,
    upstream,
    upstreams: config.upstreams,
    background,
    observer,
    clock,
    sha256,
    bodyCheck: createBodyCheck(),
    decoder: createContentDecoder(),
    ownHosts: new Set(config.server.listeners.map((listener) => listener.host)),
  };
  const fetcher = new Fetcher(deps);
  const purger = createPurger({ ...deps, counter: store });
  const refresher = createRefresher(deps, fetcher);
  const warmer = createWarmer({ ...deps, config: config.warm, leases: localJobs, refresher, random: Math.random });
  const schedule = createPurgeSchedule({
    ...deps,
    purger,
    leases: localJobs,
    schedule: config.purge.schedule,
    nextRun: nextCronRunMs,
    onRefused: (entry, problem) => log.error({ cron: entry.cron, problem: problem.detail }, 'scheduled purge refused'),
  });
  const relay = stack.use(createRelay({ upstreams: config.upstreams, clock, onLimit }));
  const exchange = new Exchange(deps, fetcher);
  return { metrics, store, background, deps, exchange, relay, purger, warmer, schedule, log, load };
}

/** What is known later than the admin listener is built. */
interface Later {
  readonly state: () => State;
  readonly listeners: () => readonly BoundListener[];
}

function buildAdmin(config: Config, parts: Parts, { state, listeners }: Later): AdminServer {
  const { metrics, store, purger, warmer, deps } = parts;
  const explainer = createExplainer({ ...deps, upstreams: config.upstreams, listeners, inspector: store });
  return createAdminServer({
    config: config.admin,
    clock: deps.clock,
    log: parts.log,
    version,
    onLimit: (option) => deps.observer.limit(option),
    services: {
      purge: (command) => purger.purge(command),
      warm: (request) => warmer.run(request),
      explain: (request) => explainer.explain(request),
      list: (filter) => store.list(filter),
      metricsReport: () => metrics.report(),
      resetMetrics: () => metrics.resetReport(),
      prometheus: () => metrics.prometheus(),
      state,
    },
  });
}

function buildDataServer(config: Config, parts: Parts): DataServer {
  const { exchange, deps, relay, log, load } = parts;
  const handler = new ExchangeHandler({
    config: config.server,
    handle: (request) => exchange.handle(request),
    relay,
    observer: deps.observer,
    clock: deps.clock,
    load,
    onBug: (error) => log.error({ error: describe(error) }, 'a request failed inside the proxy'),
  });
  return createDataServer({ config: config.server, handler, load });
}

/** The reverse of the start, with the deadlines of the config; the admin listener outlives it for the last scrape. */
async function shutDown(config: Config, parts: Parts & { readonly server: DataServer }): Promise<void> {
  const { server, background, warmer, schedule, deps, log } = parts;
  log.info({ drainDelayMs: config.server.drainDelayMs, graceMs: config.server.graceMs }, 'draining');
  warmer.stop();
  schedule.stop();
  await pause(config.server.drainDelayMs);
  server.beginDrain();
  const ended = server.close();
  log.info({}, 'closing');
  const cancelGrace = deps.clock.after(config.server.graceMs, () => server.closeNow());
  // The clock's timers do not keep the process alive; an open connection does.
  await ended;
  const deadline = Promise.withResolvers<void>();
  // Cleared below: what is left running would keep the process alive for as long.
  const timer = setTimeout(deadline.resolve, BACKGROUND_DEADLINE_MS);
  await Promise.race([background.idle(), deadline.promise]);
  clearTimeout(timer);
  await background.stop();
  cancelGrace();
}

/** Background work (refreshes, fills whose client went) is given this long after the last connection has ended. */
const BACKGROUND_DEADLINE_MS = 2_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** No fetch that ends in a stored response takes longer than its upstream's total timeout; twice that is never too early. */
function positionMaxAgeMs(config: Config): number {
  const longestMs = Math.max(...[...config.upstreams.values()].map((upstream) => upstream.totalTimeoutMs));
  return Math.max(15 * 60_000, 2 * longestMs);
}

/** A bug's own words and where it happened; the log masks what is secret. */
function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** What must never be written, wherever it turns up. */
function secretsOf(config: Config): readonly string[] {
  const credentials = [...config.upstreams.values()].flatMap((upstream) => [
    ...upstream.credentials.query.values(),
    ...upstream.credentials.headers.values(),
  ]);
  return config.admin.token === undefined ? credentials : [config.admin.token, ...credentials];
}
