import { createAdminServer, type AdminServer } from '../admin/admin-server.ts';
import type { AdminServices } from '../admin/services.ts';
import type { Clock } from '../cache/ports.ts';
import type { Config } from '../core/config.ts';
import { graphqlReaderFor } from '../graphql-reader.ts';
import { createLog } from '../log/log.ts';
import { buildParts, type Parts, type ThreadHooks } from '../parts.ts';
import { sharedTierFor } from '../tiers.ts';
import type { BoundListener } from '../server/data-server.ts';
import { FIRST_LEASE_PATIENCE_MS, secretsOf, shutDown, tellNotes } from '../serving.ts';
import { allRules } from '../store/coherence/rules.ts';
import type { SharedBounds } from '../process-memory.ts';
import { version } from '../version.ts';
import { type PoolTimes, WorkerPool } from './pool.ts';
import { rehearsals } from './rehearsals.ts';
import { createPurgeWire, joinPurges } from './shared-purges.ts';
import { createWorkerRefresher } from './worker-refresher.ts';
import { workerServices } from './worker-services.ts';
import { WorkerSums } from './worker-sums.ts';

export interface CoordinatorOptions {
  readonly config: Config;
  /** Workers. */
  readonly count: number;
  readonly clock: Clock;
  readonly times?: PoolTimes;
  /** Of a process that is the proxy's alone; `undefined`: memory is taken as far as `maxBytes`. */
  readonly bounds?: SharedBounds | undefined;
  /** See `AppOptions`. */
  readonly rehearses?: boolean;
}

/** A running proxy of several threads; as `App`. */
export interface Coordinator {
  readonly listeners: readonly BoundListener[];
  readonly admin: { readonly host: string; readonly port: number };
  readonly pool: WorkerPool;
  stop(): Promise<void>;
}

/**
 * The composition root of several threads: this one has what is there once (admin listener, schedules, warming, signals), the
 * workers serve. See docs/workers.md.
 */
export async function startWorkers(options: CoordinatorOptions): Promise<Coordinator> {
  const { config, count, clock, times, bounds, rehearses = false } = options;
  await using stack = new AsyncDisposableStack();
  let state: 'starting' | 'ready' | 'draining' = 'starting';
  const log = stack.use(createLog(config.log, { secrets: secretsOf(config) }));
  const graphql = await graphqlReaderFor(config.routes);
  const sharing = await sharedTierFor(config);
  const wire = config.store.redis === undefined ? createPurgeWire(count + 1) : undefined;
  const onLost = (): void => log.error({}, 'a purge of a worker was announced and did not come');
  const pool = new WorkerPool({
    config,
    count,
    wire,
    bounds,
    log,
    clock,
    onGone: (worker) => sums.keep(worker),
    onFetching: rehearses ? rehearsals(clock, log) : undefined,
    ...(times === undefined ? {} : { times }),
  });
  stack.defer(() => pool.end());
  const sums = new WorkerSums(config, pool);
  const threads: ThreadHooks = {
    ...(wire === undefined ? {} : { joinPurges: (own) => stack.use(joinPurges({ wire, place: 0, log: own, onLost })) }),
    // A purge waits for its count: of a worker that is stuck it is not asked.
    counter: { count: async (scopes) => sumOf(await pool.askAll('count', scopes, await pool.attentive())) },
    refresher: createWorkerRefresher(pool, wire !== undefined),
    storeStats: () => sums.store(),
  };
  const { processMark } = pool;
  const parts = buildParts({ config, log, stack, clock, graphql, sharing, processMark, rules: allRules, threads });
  const services: AdminServices = {
    ...workerServices(parts, pool, sums),
    purge: (command) => parts.purger.purge(command),
    warm: (request) => parts.warmer.run(request),
    state: () => (state === 'ready' && pool.serving.length === 0 ? 'starting' : state),
  };
  const admin = buildAdmin(config, parts, services);
  stack.defer(() => admin.close());
  const address = await admin.listen();
  await parts.tiers.shared?.log.start(FIRST_LEASE_PATIENCE_MS);
  parts.fleetCounters?.start();
  const listeners = await pool.start();
  parts.schedule.start();
  parts.warmer.start();
  tellNotes(log, config);
  state = 'ready';
  log.info({ version, admin: `${address.host}:${address.port}`, workers: count }, 'ready');
  const owned = stack.move();
  return {
    listeners,
    admin: address,
    pool,
    async stop() {
      if (state === 'draining') return;
      state = 'draining';
      await shutDown(config, { ...parts, server: asServer(pool) });
      await owned.disposeAsync();
    },
  };
}

function buildAdmin(config: Config, { deps, log }: Parts, services: AdminServices): AdminServer {
  const onLimit = (option: string): void => deps.observer.limit(option);
  return createAdminServer({ config: config.admin, clock: deps.clock, log, version, onLimit, services });
}

/** To the end of the coordinator the workers are what it serves by. */
function asServer(pool: WorkerPool): Parameters<typeof shutDown>[1]['server'] {
  return {
    beginDrain: () => undefined,
    // Each worker keeps to the grace of the configuration by itself.
    close: () => pool.stop(),
  };
}

function sumOf(counted: readonly (readonly [unknown, number])[]): number {
  return counted.reduce((sum, [, count]) => sum + count, 0);
}
