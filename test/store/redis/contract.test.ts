import { afterAll, beforeAll, describe } from 'vitest';

import type { ResponseStore } from '../../../src/cache/ports.ts';
import type { RedisLinks } from '../../../src/store/redis/link.ts';
import { responseStoreContract } from '../../contract/response-store.suite.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import { connected, member, type Member, type MemberOptions } from '../../support/shared-tier.ts';
import { systemClock } from '../../../src/system-clock.ts';

let redis: RedisProcess;
let links: RedisLinks;
let count = 0;

// What was started is ended also where the rest could not be.
const started = new AsyncDisposableStack();

beforeAll(async () => {
  redis = started.use(await startRedis());
  links = started.use(await connected(redis));
});

afterAll(() => started.disposeAsync());

function optionsOf(): MemberOptions {
  count += 1;
  // The budget is real time, lest a busy machine have nothing to do with it: the stores' own time stands still.
  const config = redisConfig(redis, { timeoutMs: 5000 });
  return { link: links.data, keyPrefix: `contract-${count}`, config, timers: systemClock };
}

/** Written by one process and read by another, whose memory holds nothing: Redis answers. */
function apart(writer: Member, reader: Member): ResponseStore {
  return {
    tier: 'redis',
    get: (key, asked) => reader.tiered.get(key, asked),
    peek: (key, asked) => reader.tiered.peek(key, asked),
    put: async (item) => {
      const outcome = writer.tiered.put(item);
      await writer.tiered.settle();
      return outcome;
    },
    invalidate: (key) => writer.tiered.invalidate(key),
  };
}

describe('on a real Redis', () => {
  responseStoreContract('the Redis tier', async () => {
    const made = member(optionsOf());
    return { ...made, store: made.redis, close: async () => made[Symbol.dispose]() };
  });

  responseStoreContract('memory before Redis, where memory answers', async () => {
    const made = member(optionsOf());
    return { ...made, store: made.tiered, close: async () => made[Symbol.dispose]() };
  });

  responseStoreContract('memory before Redis, where another process has stored it', async () => {
    const options = optionsOf();
    const writer = member(options);
    const reader = member({ ...options, clock: writer.clock, purgeLog: writer.purgeLog, memoryBytes: 1 });
    const close = async (): Promise<void> => {
      writer[Symbol.dispose]();
      reader[Symbol.dispose]();
    };
    return { ...writer, store: apart(writer, reader), close };
  });
});
