import type { FleetEvent, ReadFor } from '../../src/cache/fleet-ports.ts';
import type { Clock } from '../../src/cache/ports.ts';
import type { RedisConfig } from '../../src/core/config.ts';
import type { Position } from '../../src/core/stored-response.ts';
import { createLocalPurgeLog, type LocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from '../../src/store/memory-store.ts';
import { connectRedis } from '../../src/store/redis/client.ts';
import { createFillLocks, type ForeseeingLocks } from '../../src/store/redis/fill-locks.ts';
import { RedisGate } from '../../src/store/redis/gate.ts';
import { redisKeys, type RedisKeys } from '../../src/store/redis/keys.ts';
import type { RedisLink, RedisLinks } from '../../src/store/redis/link.ts';
import { createRedisStore, type RedisStore } from '../../src/store/redis/redis-store.ts';
import { createTieredStore, type TieredStore } from '../../src/store/tiered-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { FakeClock } from './clock.ts';
import { redisConfig } from './redis-config.ts';
import type { RedisProcess } from './redis.ts';

/** An epoch as Redis makes them. */
export const someEpoch = '0123456789abcdef';

/** The budget of calls to Redis that no test is about: what a busy machine makes late is no fault of Redis. */
export const patient = { timeoutMs: 5000 } as const;

/** One process's view of the shared tier. */
export interface Member extends Disposable {
  readonly clock: FakeClock;
  readonly purgeLog: LocalPurgeLog;
  readonly gate: RedisGate;
  readonly keys: RedisKeys;
  readonly redis: RedisStore;
  readonly memory: MemoryStore;
  readonly tiered: TieredStore;
  readonly locks: ForeseeingLocks;
  readonly events: FleetEvent[];
  readonly limits: string[];
  /** What went wrong in the program itself. */
  readonly bugs: unknown[];
  position(): Position;
  /** The results of one operation, in order. */
  results(operation: string): readonly string[];
}

export interface MemberOptions {
  readonly link: RedisLink;
  readonly keyPrefix: string;
  readonly config: RedisConfig;
  /** Shared by members who are to agree on what is purged. */
  readonly purgeLog?: LocalPurgeLog;
  readonly clock?: FakeClock;
  /** Times the gate and the locks; default: the same as everything else. */
  readonly timers?: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly skewMs?: () => number;
  readonly leased?: () => boolean;
  readonly memoryBytes?: number;
  readonly fingerprintOf?: (route: string) => string | undefined;
}

/** Options of one over a real Redis: its stores' time stands still, what it waits for is real. */
export function overRedis(
  { redis, links, keyPrefix }: { redis: RedisProcess; links: RedisLinks; keyPrefix: string },
  config: Parameters<typeof redisConfig>[1] = {},
): MemberOptions {
  return {
    link: links.data,
    keyPrefix,
    timers: systemClock,
    config: redisConfig(redis, { ...patient, ...config }),
  };
}

export function member(options: MemberOptions): Member {
  const { link, keyPrefix, config, clock = new FakeClock(), skewMs = () => 0, leased = () => true } = options;
  const purgeLog = options.purgeLog ?? createLocalPurgeLog({ clock, instanceId: someEpoch });
  const events: FleetEvent[] = [];
  const limits: string[] = [];
  const bugs: unknown[] = [];
  const onBug = (error: unknown): void => void bugs.push(error);
  const observer = {
    fleet: (event: FleetEvent) => void events.push(event),
    limit: (name: string) => void limits.push(name),
  };
  const timers = options.timers ?? clock;
  const keys = redisKeys(keyPrefix);
  const gate = new RedisGate({ link, config, clock: timers, leased, observer, random: () => 0.5, onBug });
  const { fingerprintOf = () => 'recipe' } = options;
  const redis = createRedisStore({ gate, keys, config, fingerprintOf, purgeLog, clock, skewMs, observer });
  const maxBytes = options.memoryBytes ?? 16 * 2 ** 20;
  const memory = createMemoryStore({ maxBytes, routeLimits: new Map(), purgeLog, clock, observer });
  const log = { ...bound(purgeLog), position: () => (leased() ? purgeLog.position() : undefined) };
  const tiered = createTieredStore({
    memory,
    redis,
    purgeLog: log,
    clock,
    onBug,
    foresee: (claim) => locks.foresee(claim),
  });
  const { fillLockMs } = config;
  const adopt = tiered.adopt.bind(tiered);
  const locks = createFillLocks({ gate, keys, store: redis, purgeLog: log, clock: timers, skewMs, fillLockMs, adopt });
  return {
    clock,
    purgeLog,
    gate,
    keys,
    redis,
    memory,
    tiered,
    locks,
    events,
    limits,
    bugs,
    position: () => purgeLog.position(),
    results: (operation) =>
      events.flatMap((event) => (event.kind === 'redis' && event.operation === operation ? [event.result] : [])),
    [Symbol.dispose]() {
      gate[Symbol.dispose]();
      memory[Symbol.dispose]();
    },
  };
}

function bound(log: LocalPurgeLog) {
  return {
    isValid: log.isValid.bind(log),
    softPurgedAtMs: log.softPurgedAtMs.bind(log),
    append: log.append.bind(log),
  };
}

/** Connects, and waits until the data connection is usable. */
export async function connected(redis: RedisProcess, more: Partial<RedisConfig> = {}): Promise<RedisLinks> {
  const links = connectRedis(redisConfig(redis, more), { onError: () => undefined });
  if (!links.data.isReady) await new Promise<void>((resolve) => links.data.onReady(resolve));
  return links;
}

/** A request on behalf of which is read, of the route as it is today. */
export function askedBy(route: ReadFor['route'], url: string, tags: readonly string[] = []): ReadFor {
  return { route, keyed: { key: url, url, tags } };
}
