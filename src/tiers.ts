import { randomUUID } from 'node:crypto';

import type { CoherenceStatus, FillLocks, JobLeases, RedisStatus } from './cache/fleet-ports.ts';
import { localJobs } from './cache/local-jobs.ts';
import type { Clock, Observer, ResponseStore, StoredView } from './cache/ports.ts';
import type { Config, RedisConfig } from './core/config.ts';
import { describe } from './log/describe.ts';
import type { Log } from './log/log.ts';
import type { CoherenceRules } from './store/coherence/rules.ts';
import type { SharedPurgeLog } from './store/coherence/shared-log.ts';
import { createSharedPurgeLog } from './store/coherence/shared-purge-log.ts';
import { createLocalPurgeLog, type LocalPurgeLog } from './store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from './store/memory-store.ts';
import type { TrackedPurgeLog } from './store/purge-follower.ts';
import { connectRedis } from './store/redis/client.ts';
import { createFillLocks } from './store/redis/fill-locks.ts';
import { fingerprintsOf } from './store/redis/fingerprint.ts';
import { RedisGate } from './store/redis/gate.ts';
import { createJobLeases } from './store/redis/job-leases.ts';
import { redisKeys, type RedisKeys } from './store/redis/keys.ts';
import type { RedisLinks } from './store/redis/link.ts';
import { createRedisStore } from './store/redis/redis-store.ts';
import { watchRedisSettings } from './store/redis/startup-check.ts';
import { createTieredStore, type TieredStore } from './store/tiered-store.ts';

/** Where responses are kept, and what says which of them still hold. */
export interface Tiers {
  readonly memory: MemoryStore;
  /** Memory alone, or memory before Redis. */
  readonly store: ResponseStore & StoredView;
  readonly purgeLog: TrackedPurgeLog;
  readonly jobs: JobLeases;
  /** `undefined`: memory only. */
  readonly shared: SharedTier | undefined;
}

/** What there is with Redis alone. */
export interface SharedTier {
  readonly config: RedisConfig;
  readonly links: RedisLinks;
  readonly keys: RedisKeys;
  readonly log: SharedPurgeLog;
  readonly store: TieredStore;
  readonly fillLocks: FillLocks;
  coherence(): CoherenceStatus;
  redis(): RedisStatus;
}

export interface TierParts {
  readonly config: Config;
  readonly log: Log;
  readonly stack: AsyncDisposableStack;
  readonly clock: Clock;
  readonly observer: Observer;
  /** Only tests take rules away. */
  readonly rules: CoherenceRules;
  /** Of memory alone: makes the log of this thread one with those of the others. */
  readonly joinPurges?: ((log: LocalPurgeLog) => TrackedPurgeLog) | undefined;
}

/** Redis where the configuration has it, else memory alone. Nothing waits for Redis here. */
export function buildTiers(parts: TierParts): Tiers {
  const { redis } = parts.config.store;
  return redis === undefined ? memoryAlone(parts) : withRedis(parts, redis);
}

function memoryAlone({ config, stack, clock, observer, joinPurges }: TierParts): Tiers {
  const local = createLocalPurgeLog({
    clock,
    instanceId: randomUUID(),
    positionMaxAgeMs: positionMaxAgeMs(config),
    searching: isSearching(config),
  });
  const purgeLog = joinPurges?.(local) ?? local;
  const memory = stack.use(memoryStore({ config, clock, observer }, purgeLog));
  return { memory, store: memory, purgeLog, jobs: localJobs, shared: undefined };
}

function withRedis(parts: TierParts, config: RedisConfig): Tiers {
  const { stack, clock, observer } = parts;
  // Without a lease the gate's breakers learn nothing.
  const { links, keys, log } = followLog(parts, config, () => gate.wake());
  const memory = stack.use(memoryStore(parts, log));
  const skewMs = (): number => log.skewMs();
  const leased = (): boolean => log.position() !== undefined;
  const onBug = (error: unknown): void =>
    parts.log.error({ error: describe(error) }, 'a call to Redis failed inside the proxy');
  const gate = stack.use(new RedisGate({ link: links.data, config, clock, leased, observer, onBug }));
  const { routes, upstreams } = parts.config;
  const far = createRedisStore({
    gate,
    keys,
    config,
    fingerprintOf: fingerprintsOf(routes, upstreams),
    purgeLog: log,
    judge: log,
    clock,
    skewMs,
    observer,
  });
  const store = createTieredStore({
    memory,
    redis: far,
    purgeLog: log,
    clock,
    onBug,
    foresee: (claim) => fillLocks.foresee(claim),
  });
  const adopt = store.adopt.bind(store);
  const { fillLockMs, jobLeaseMs: leaseMs } = config;
  const fillLocks = createFillLocks({ gate, keys, store: far, purgeLog: log, clock, skewMs, fillLockMs, adopt });
  const jobs = createJobLeases({ link: links.control, keys, clock, leaseMs, instanceId: log.instanceId, observer });
  const shared: SharedTier = {
    config,
    links,
    keys,
    log,
    store,
    fillLocks,
    coherence: () => log.status(),
    redis: () => gate.status(),
  };
  return { memory, store, purgeLog: log, jobs, shared };
}

/** Connections, and the purge log over them. */
function followLog(
  { config: { routes }, log: lines, stack, clock, observer, rules }: TierParts,
  config: RedisConfig,
  onLease: () => void,
): Pick<SharedTier, 'links' | 'keys' | 'log'> {
  const keys = redisKeys(config.keyPrefix);
  const links = stack.use(connectRedis(config, { onError: (message) => lines.warn({ redis: message }, 'Redis') }));
  watchRedisSettings({
    link: links.control,
    key: keys.control,
    config,
    onFinding: ({ concern, message }) => lines.warn({ concern }, message),
  });
  const log = stack.use(
    createSharedPurgeLog({
      link: links.control,
      bell: links.bell,
      keys,
      config,
      clock,
      observer,
      // Never the name of a pod: two lives of one under one id would hide a lease from the other's purges (invariant 17).
      instanceId: randomUUID(),
      rules,
      searching: isSearching({ routes }),
      onLease,
      onWarning: (message) => lines.warn({}, message),
    }),
  );
  return { links, keys, log };
}

function memoryStore(
  { config, clock, observer }: Pick<TierParts, 'config' | 'clock' | 'observer'>,
  purgeLog: TrackedPurgeLog,
): MemoryStore {
  const routeLimits = new Map(config.routes.map((route) => [route.name, route.maxKeys]));
  return createMemoryStore({ maxBytes: config.store.memory.maxBytes, routeLimits, purgeLog, clock, observer });
}

/** Where no route reads No-Vary-Search, purges cost nothing for it. */
function isSearching({ routes }: Pick<Config, 'routes'>): boolean {
  return routes.some((route) => route.noVarySearch);
}

/** No fetch that ends in a stored response takes longer than its upstream's total timeout; twice that is never too early. */
function positionMaxAgeMs(config: Config): number {
  const longestMs = Math.max(...[...config.upstreams.values()].map((upstream) => upstream.totalTimeoutMs));
  return Math.max(15 * 60_000, 2 * longestMs);
}
