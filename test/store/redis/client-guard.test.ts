import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';

import { guardLibrary } from '../../../src/store/redis/client-guard.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { startRedis } from '../../support/redis.ts';

guardLibrary();

/** As the library makes connections for itself, with its own defaults. */
function connect(port: number, options: object = {}): Redis {
  const redis = new Redis({ port, host: '127.0.0.1', protocol: 2, ...options });
  onTestFinished(() => redis.disconnect());
  return redis;
}

it('a command that timed out in the queue is not sent when the connection comes', async () => {
  await using server = await startRedis({
    config: ['key-load-delay 300', 'loading-process-events-interval-bytes 1024'],
  });
  await server.cli('debug', 'populate', '2000');
  await server.cli('save');
  await server.restart();
  const redis = connect(server.port, { commandTimeout: 100, maxLoadingRetryTime: 100 });
  redis.on('error', () => undefined);
  await expect(redis.set('k', 'late')).rejects.toThrow('Command timed out');
  expect(redis.status).not.toBe('ready');
  await expect.poll(() => redis.status, { timeout: 10_000 }).toBe('ready');
  await redis.set('other', 'v');
  expect(await redis.get('k')).toBeNull();
});

it('a command of its own that nobody awaits is no unhandled rejection', async () => {
  await using server = await startRedis();
  await using proxy = await startFaultProxy(server.port);
  const unheard: unknown[] = [];
  const note = (error: unknown): void => void unheard.push(error);
  process.on('unhandledRejection', note);
  onTestFinished(() => void process.off('unhandledRejection', note));
  const redis = connect(proxy.port, { retryStrategy: () => null });
  redis.on('error', () => undefined);
  await expect.poll(() => redis.status).toBe('ready');
  proxy.pause('down');
  // As it does where a slot moves.
  void redis.asking();
  proxy.resume();
  proxy.pause('up');
  void redis.asking();
  proxy.cut();
  await expect.poll(() => redis.status).toBe('end');
  await new Promise(setImmediate);
  expect(unheard).toEqual([]);
});

it('a connection that nobody listens to writes nothing to stderr', async () => {
  const written: unknown[] = [];
  const before = console.error;
  console.error = (...words: unknown[]) => void written.push(words);
  onTestFinished(() => {
    console.error = before;
  });
  const redis = connect(1, { retryStrategy: () => null });
  await expect.poll(() => redis.status).toBe('end');
  expect(written).toEqual([]);
});
