import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { systemClock } from '../../src/system-clock.ts';
import { purgeLogContract } from '../contract/purge-log.suite.ts';
import { joinFleet } from '../support/purge-fleet.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

describe('the log of a process alone', () => {
  purgeLogContract(async (searching) =>
    createLocalPurgeLog({ clock: systemClock, instanceId: randomUUID(), searching }),
  );
});

describe('the log that a fleet shares', () => {
  let redis: RedisProcess;
  let fleets = 0;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(async () => {
    await redis[Symbol.asyncDispose]();
  });

  purgeLogContract(async (searching) => {
    fleets += 1;
    // A short lease: an epoch's first purge waits for one.
    const config = { keyPrefix: `fleet${fleets}`, leaseMs: 500 };
    const { log } = await joinFleet(redis, { config, searching });
    await joinFleet(redis, { config });
    return log;
  });
});
