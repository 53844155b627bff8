import { METHODS } from 'node:http';

import { createAdminServer, type AdminServer } from './admin/admin-server.ts';
import { createExplainer } from './cache/explain.ts';
import type { Clock } from './cache/ports.ts';
import { redisSecrets } from './config/compile-redis.ts';
import type { Config } from './core/config.ts';
import { graphqlReaderFor } from './graphql-reader.ts';
import { createLog } from './log/log.ts';
import { type BoundListener, createDataServer, type DataServer } from './server/data-server.ts';
import { ExchangeHandler } from './server/request-handler.ts';
import { allRules, type CoherenceRules } from './store/coherence/rules.ts';
import { systemClock } from './system-clock.ts';
import { version } from './version.ts';
import { describe } from './log/describe.ts';
import { buildParts, type Parts } from './parts.ts';

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
  /** Rules of coherence to leave out, so that tests can show what each is for. The program itself leaves none out. */
  readonly rules?: Partial<CoherenceRules>;
}

type State = 'starting' | 'ready' | 'draining';

/**
 * The composition root: builds everything in order, binds the listeners, gives up cleanly where one cannot be bound.
 * No state outside of what it returns: two apps run in one process.
 */
export async function createApp(config: Config, { clock = systemClock, rules }: AppOptions = {}): Promise<App> {
  await using stack = new AsyncDisposableStack();
  let state: State = 'starting';
  const log = stack.use(createLog(config.log, { secrets: secretsOf(config) }));
  const graphql = await graphqlReaderFor(config.routes);
  const parts = buildParts({ config, log, stack, clock, graphql, rules: { ...allRules, ...rules } });
  let listeners: readonly BoundListener[] = config.server.listeners;
  const admin = buildAdmin(config, parts, { state: () => state, listeners: () => listeners });
  stack.defer(() => admin.close());
  const adminAddress = await admin.listen();
  // The first requests are served from store where Redis answers at once; where it does not, they do not wait for it.
  await parts.tiers.shared?.log.start(FIRST_LEASE_PATIENCE_MS);
  parts.fleetCounters?.start();
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

/** Redis is asked for so long before the listeners open; it is followed all the same after. */
const FIRST_LEASE_PATIENCE_MS = 500;

/** What is known later than the admin listener is built. */
interface Later {
  readonly state: () => State;
  readonly listeners: () => readonly BoundListener[];
}

function buildAdmin(config: Config, parts: Parts, { state, listeners }: Later): AdminServer {
  const { metrics, tiers, fleetCounters, purger, warmer, deps } = parts;
  const { memory, shared } = tiers;
  const explainer = createExplainer({
    ...deps,
    upstreams: config.upstreams,
    listeners,
    methods: new Set(METHODS),
    store: tiers.store,
    ...(shared === undefined ? {} : { coherence: shared.log }),
  });
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
      list: (filter) => memory.list(filter),
      metricsReport: () => fleetCounters?.report() ?? metrics.report(),
      resetMetrics: () => fleetCounters?.reset() ?? metrics.resetReport(),
      prometheus: () => metrics.prometheus(),
      state,
    },
  });
}

function buildDataServer(config: Config, parts: Parts): DataServer {
  const { exchange, deps, relay, log, load } = parts;
  const handler = new ExchangeHandler({
    config: config.server,
    handle: (request, client) => exchange.handle(request, client),
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
  const { server, background, warmer, schedule, deps, log, tiers, fleetCounters } = parts;
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
  // Nothing is served any more: what is on its way to Redis gets there, and no purge waits for this process.
  await tiers.shared?.store.settle();
  await fleetCounters?.stop();
  await tiers.shared?.log.leave();
}

/** Background work (refreshes, fills whose client went) is given this long after the last connection has ended. */
const BACKGROUND_DEADLINE_MS = 2_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** What must never be written, wherever it turns up. */
function secretsOf(config: Config): readonly string[] {
  const credentials = [...config.upstreams.values()].flatMap((upstream) => [
    ...upstream.credentials.query.values(),
    ...upstream.credentials.headers.values(),
  ]);
  const own = config.admin.token === undefined ? [] : [config.admin.token];
  return [...own, ...credentials, ...redisSecrets(config.store.redis)];
}
