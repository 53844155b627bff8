import { availableParallelism } from 'node:os';

import { createAdminServer, type AdminServer } from './admin/admin-server.ts';
import type { Clock } from './cache/ports.ts';
import type { Config } from './core/config.ts';
import { workersOf } from './core/worker-shares.ts';
import { graphqlReaderFor } from './graphql-reader.ts';
import { newProcessMark } from './process-mark.ts';
import { createLog } from './log/log.ts';
import { rehearseLater } from './rehearse-later.ts';
import type { BoundListener } from './server/data-server.ts';
import { buildDataServer, buildExplainer, FIRST_LEASE_PATIENCE_MS, secretsOf, shutDown, tellNotes } from './serving.ts';
import { sharedBoundsFor } from './process-memory.ts';
import type { ProcessMemory } from './store/growth.ts';
import { allRules, type CoherenceRules } from './store/coherence/rules.ts';
import { systemClock } from './system-clock.ts';
import { version } from './version.ts';
import { buildParts, type Parts } from './parts.ts';
import { sharedTierFor } from './tiers.ts';
import { giveRoomWhenBusy } from './young-generation.ts';

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
  /** Where the process is this proxy's alone: what it takes in all bounds its memory tier. */
  readonly processMemory?: ProcessMemory;
  /** In the same case: what V8's young generation is while the process is busy (`src/young-generation.ts`). */
  readonly youngBytes?: number | undefined;
  /** Rehearses purges (`src/rehearsal.ts`) once something is fetched: in each thread that does, one at a time. */
  readonly rehearses?: boolean;
}

type State = 'starting' | 'ready' | 'draining';

/**
 * The composition root: builds everything in order, binds the listeners, gives up cleanly where one cannot be bound.
 * No state outside of what it returns: two apps run in one process.
 */
export async function createApp(
  config: Config,
  { clock = systemClock, rules, processMemory, youngBytes, rehearses = false }: AppOptions = {},
): Promise<App> {
  const count = workersOf(config, availableParallelism());
  // Loaded where it is wanted: a sidecar has one worker, and that is this thread.
  if (count > 1) {
    const bounds = processMemory && sharedBoundsFor(config.store.memory.maxBytes, count);
    return (await import('./workers/coordinator.ts')).startWorkers({ config, count, clock, bounds, rehearses });
  }
  await using stack = new AsyncDisposableStack();
  let state: State = 'starting';
  const log = stack.use(createLog(config.log, { secrets: secretsOf(config) }));
  const graphql = await graphqlReaderFor(config.routes);
  const sharing = await sharedTierFor(config);
  const onFirstCall = rehearses ? () => void rehearseLater(clock, log) : undefined;
  const processMark = newProcessMark();
  const ground = { config, log, stack, clock, graphql, sharing, processMark, processMemory, onFirstCall };
  const parts = buildParts({ ...ground, rules: { ...allRules, ...rules } });
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
  tellNotes(log, config);
  if (youngBytes !== undefined) stack.defer(giveRoomWhenBusy(youngBytes, { clock, log }));
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

/** What is known later than the admin listener is built. */
interface Later {
  readonly state: () => State;
  readonly listeners: () => readonly BoundListener[];
}

function buildAdmin(config: Config, parts: Parts, { state, listeners }: Later): AdminServer {
  const { metrics, tiers, fleetCounters, purger, warmer, deps } = parts;
  const { memory } = tiers;
  const explainer = buildExplainer(config, parts, listeners);
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
