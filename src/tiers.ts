import type { CoherenceStatus, FillLocks, JobLeases, RedisStatus } from './cache/fleet-ports.ts';
import { localJobs } from './cache/local-jobs.ts';
import type { Clock, Observer, ResponseStore, StoredView } from './cache/ports.ts';
import type { Config, RedisConfig } from './core/config.ts';
import { instanceId } from './instance-id.ts';
import type { Log } from './log/log.ts';
import type { FleetCounters } from './metrics/fleet-counters.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { ProcessMemory } from './store/growth.ts';
import type { CoherenceRules } from './store/coherence/rules.ts';
import type { SharedPurgeLog } from './store/coherence/shared-log.ts';
import { createLocalPurgeLog, type LocalPurgeLog } from './store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from './store/memory-store.ts';
import type { TrackedPurgeLog } from './store/purge-follower.ts';
import type { RedisKeys } from './store/redis/keys.ts';
import type { RedisLinks } from './store/redis/link.ts';
import type { TieredStore } from './store/tiered-store.ts';

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
  /** Of a process that is the proxy's alone; `undefined`: memory is taken as far as `maxBytes`, whatever else there is. */
  readonly processMemory?: ProcessMemory | undefined;
}

/** Where the counters of a fleet come from. */
export interface CountingParts {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** What is only read where there is Redis. */
export interface SharedTierParts {
  withRedis(parts: TierParts, config: RedisConfig): Tiers;
  countForFleet(shared: SharedTier, parts: CountingParts): FleetCounters;
}

/**
 * The shared tier, where the configuration has one; `undefined` elsewhere. Read then alone: a process without Redis
 * would pay 24 MiB and 60 ms for its client.
 */
export async function sharedTierFor({ store }: Pick<Config, 'store'>): Promise<SharedTierParts | undefined> {
  return store.redis === undefined ? undefined : import('./shared-tier.ts');
}

/** Redis where the configuration has it, else memory alone. Nothing waits for Redis here. `sharing`: as {@link sharedTierFor} gives it. */
export function buildTiers(parts: TierParts, sharing: SharedTierParts | undefined): Tiers {
  const { redis } = parts.config.store;
  if (redis === undefined) return memoryAlone(parts);
  if (sharing === undefined) throw new Error('the shared tier was not loaded');
  return sharing.withRedis(parts, redis);
}

function memoryAlone({ config, stack, clock, observer, joinPurges, processMemory }: TierParts): Tiers {
  const local = createLocalPurgeLog({
    clock,
    instanceId: instanceId(),
    positionMaxAgeMs: positionMaxAgeMs(config),
    searching: isSearching(config),
  });
  const purgeLog = joinPurges?.(local) ?? local;
  const memory = stack.use(memoryStore({ config, clock, observer, processMemory }, purgeLog));
  return { memory, store: memory, purgeLog, jobs: localJobs, shared: undefined };
}

/** The memory tier, over whatever says which of its responses still hold. */
export function memoryStore(
  { config, clock, observer, processMemory }: Pick<TierParts, 'config' | 'clock' | 'observer' | 'processMemory'>,
  purgeLog: TrackedPurgeLog,
): MemoryStore {
  const routeLimits = new Map(config.routes.map((route) => [route.name, route.maxKeys]));
  const { maxBytes } = config.store.memory;
  return createMemoryStore({ maxBytes, processMemory, routeLimits, purgeLog, clock, observer });
}

/** Where no route reads No-Vary-Search, purges cost nothing for it. */
export function isSearching({ routes }: Pick<Config, 'routes'>): boolean {
  return routes.some((route) => route.noVarySearch);
}

/** No fetch that ends in a stored response takes longer than its upstream's total timeout; twice that is never too early. */
function positionMaxAgeMs(config: Config): number {
  const longestMs = Math.max(...[...config.upstreams.values()].map((upstream) => upstream.totalTimeoutMs));
  return Math.max(15 * 60_000, 2 * longestMs);
}
