import type { RedisConfig } from '../../src/core/config.ts';
import type { RedisProcess } from './redis.ts';

/** What the configuration makes of `store.redis` with this server's URL in it and nothing else, but for what is given. */
export function redisConfig(
  redis: Pick<RedisProcess, 'port' | 'password'>,
  more: Partial<RedisConfig> = {},
): RedisConfig {
  return {
    topology: { kind: 'standalone', host: '127.0.0.1', port: redis.port },
    username: undefined,
    password: redis.password,
    database: 0,
    tls: undefined,
    keyPrefix: 'forecache',
    timeoutMs: 50,
    maxObjectBytes: 2 ** 20,
    maxPendingBytes: 8 * 2 ** 20,
    compressAboveBytes: 2048,
    breaker: { failures: 5, pauseMs: 1000, maxPauseMs: 1500 },
    coherence: 'strict',
    leaseMs: 2000,
    purgeWaitMs: 2000,
    minReplicas: 0,
    purgeRetentionMs: 86_400_000,
    maxPurges: 100_000,
    maxScopes: 200_000,
    fillLockMs: 1000,
    jobLeaseMs: 10_000,
    countersEveryMs: 1000,
    ...more,
  };
}
