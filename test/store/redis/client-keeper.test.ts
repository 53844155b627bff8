import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';

import { Keeper } from '../../../src/store/redis/client-keeper.ts';
import { freePort, startRedis } from '../../support/redis.ts';

it('a client that cannot be made again is told of, and tried again until it can', async () => {
  const unheard: unknown[] = [];
  const note = (error: unknown): void => void unheard.push(error);
  process.on('uncaughtException', note);
  onTestFinished(() => void process.off('uncaughtException', note));
  const port = await freePort();
  const troubles: string[] = [];
  let made = 0;
  const keeper = new Keeper(
    () => {
      made += 1;
      if (made > 1 && made < 4) throw new Error('no such file');
      // It ends with its connection.
      return new Redis({ port, host: '127.0.0.1', protocol: 2, retryStrategy: () => null });
    },
    (trouble) => troubles.push(trouble),
  );
  onTestFinished(() => keeper.close());
  await expect.poll(() => made, { interval: 5, timeout: 5000 }).toBeGreaterThan(3);
  const redis = await startRedis({ port });
  onTestFinished(() => redis[Symbol.asyncDispose]());
  await expect.poll(() => keeper.isReady, { interval: 5, timeout: 5000 }).toBe(true);
  expect(troubles).toContain('no such file');
  expect(unheard).toEqual([]);
});
