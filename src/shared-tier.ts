import { randomUUID } from 'node:crypto';

import type { RedisConfig } from './core/config.ts';
import { describe } from './log/describe.ts';
import { createFleetCounters, type FleetCounters } from './metrics/fleet-counters.ts';
import { createSharedPurgeLog } from './store/coherence/shared-purge-log.ts';
import { connectRedis } from './store/redis/client.ts';
import { createCounterLedger } from './store/redis/counter-ledger.ts';
import { createFillLocks } from './store/redis/fill-locks.ts';
import { fingerprintsOf } from './store/redis/fingerprint.ts';
import { RedisGate } from './store/redis/gate.ts';
import { createJobLeases } from './store/redis/job-leases.ts';
import { redisKeys } from './store/redis/keys.ts';
import { createRedisStore } from './store/redis/redis-store.ts';
import { watchRedisSettings } from './store/redis/startup-check.ts';
import { createTieredStore } from './store/tiered-store.ts';
import { isSearching, memoryStore, type CountingParts, type SharedTier, type TierParts, type Tiers } from './tiers.ts';

/** Memory before Redis, and everything that keeps them in step. */
export function withRedis(parts: TierParts, config: RedisConfig): Tiers {
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

/** Counters of the fleet, over those of this process. */
export function countForFleet(
  { config, links, keys, log }: SharedTier,
  { metrics, clock, observer }: CountingParts,
): FleetCounters {
  const { instanceId } = log;
  return createFleetCounters({
    reporter: metrics.reporter,
    ledger: createCounterLedger({ link: links.control, keys, clock, instanceId, observer }),
    notices: log,
    bell: links.bell,
    clock,
    everyMs: config.countersEveryMs,
  });
}
