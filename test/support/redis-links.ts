import { expect, onTestFinished } from 'vitest';

import type { RedisConfig } from '../../src/core/config.ts';
import { connectRedis } from '../../src/store/redis/client.ts';
import { RedisFailure, type RedisLink, type RedisLinks, type RedisScript } from '../../src/store/redis/link.ts';

/** Links that are closed at the end of the test, and what they said of their troubles. */
export interface OpenLinks extends RedisLinks {
  readonly troubles: string[];
}

/**
 * Connects, without waiting for anything. At the end of the test the links are closed, and it is seen to that nothing was
 * thrown or rejected unheard.
 */
export function openLinks(config: RedisConfig): OpenLinks {
  const unheard: unknown[] = [];
  const note = (error: unknown): void => void unheard.push(error);
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  const troubles: string[] = [];
  const links = connectRedis(config, { onError: (message) => troubles.push(message) });
  onTestFinished(async () => {
    await links[Symbol.asyncDispose]();
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    expect(unheard).toEqual([]);
  });
  return { ...links, troubles };
}

/** Resolves when both links take commands. */
export async function connected({ data, control }: RedisLinks): Promise<void> {
  await expect.poll(() => data.isReady && control.isReady, { interval: 5, timeout: 5000 }).toBe(true);
}

/** Milliseconds until the link carries out a command again. */
export async function untilServed(link: RedisLink, key = 'served', timeout = 10_000): Promise<number> {
  const start = performance.now();
  const isServed = (): Promise<boolean> =>
    link.run(set, [key], ['1']).then(
      () => true,
      () => false,
    );
  await expect.poll(isServed, { interval: 10, timeout }).toBe(true);
  return performance.now() - start;
}

/** How a command failed. */
export async function failureOf(command: Promise<unknown>): Promise<RedisFailure> {
  const error = await command.then(
    (reply) => new Error(`it did not fail: ${String(reply)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof RedisFailure) return error;
  throw error;
}

export const set: RedisScript = {
  name: 'set',
  keys: 1,
  lua: "return redis.call('SET', KEYS[1], ARGV[1])",
  reply: 'text',
};

export const push: RedisScript = {
  name: 'push',
  keys: 1,
  lua: "return redis.call('RPUSH', KEYS[1], ARGV[1])",
  reply: 'text',
};

export const ring: RedisScript = {
  name: 'ring',
  keys: 1,
  lua: "return redis.call('PUBLISH', KEYS[1], ARGV[1])",
  reply: 'text',
};
