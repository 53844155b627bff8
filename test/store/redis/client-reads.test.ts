import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import { RedisFailure, type RedisLink } from '../../../src/store/redis/link.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { connected, openLinks, push, set } from '../../support/redis-links.ts';
import { freePort, startRedis } from '../../support/redis.ts';

interface Tap {
  readonly port: number;
  /** What clients sent, as it came. */
  readonly chunks: string[];
  /** So many further bytes of Redis come through, from now on, on all connections together; the rest is kept until more may. */
  let(bytes: number): void;
  /** Resolves when some are kept, ends all connections behind what came through, and lets through what comes on others. */
  endWithRest(): Promise<void>;
}

/** Passes everything on to Redis, and back. */
async function startTap(redisPort: number): Promise<Tap> {
  const chunks: string[] = [];
  const sockets: Socket[] = [];
  const kept: { readonly to: Socket; readonly bytes: Buffer }[] = [];
  let left = Infinity;
  const flow = (): void => {
    for (let first = kept[0]; first !== undefined && left > 0; first = kept[0]) {
      const passed = first.bytes.subarray(0, Math.min(left, first.bytes.length));
      left -= passed.length;
      first.to.write(passed);
      kept.shift();
      if (passed.length < first.bytes.length) kept.unshift({ ...first, bytes: first.bytes.subarray(passed.length) });
    }
  };
  const port = await freePort();
  const server = createServer((client) => {
    const redis = connect(redisPort, '127.0.0.1');
    sockets.push(client, redis);
    for (const socket of [client, redis]) socket.on('error', () => socket.destroy());
    client.on('data', (chunk) => {
      chunks.push(chunk.toString('latin1'));
      redis.write(chunk);
    });
    redis.on('data', (bytes) => {
      kept.push({ to: client, bytes: Buffer.from(bytes) });
      flow();
    });
    redis.on('end', () => client.end());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const pass = (bytes: number): void => {
    left = bytes;
    flow();
  };
  const endWithRest = async (): Promise<void> => {
    await expect.poll(() => kept.length, { interval: 1 }).toBeGreaterThan(0);
    kept.length = 0;
    for (const socket of sockets.splice(0)) socket.end();
    pass(Infinity);
  };
  return { port, chunks, let: pass, endWithRest };
}

/** How often each was told what: its value, or why there is none. */
function tellAll(link: RedisLink, keys: readonly string[]): readonly string[][] {
  return keys.map((key) => {
    const told: string[] = [];
    link.tellOf?.(key, {
      replied: (value) => void told.push(String(value)),
      failed: (error) => void told.push(error instanceof RedisFailure ? error.kind : 'a bug'),
    });
    return told;
  });
}

describe('reads of one turn of the event loop', () => {
  it.each([
    { length: 'of one length', first: 10 },
    { length: 'of several', first: 0 },
  ])('go to Redis in one write, and each has its own answer, with keys $length', async ({ first }) => {
    await using redis = await startRedis();
    const tap = await startTap(redis.port);
    const links = openLinks(redisConfig({ port: tap.port, password: undefined }));
    await connected(links);
    const keys = Array.from({ length: 40 }, (_, index) => `k${first + index}`);
    await Promise.all(keys.slice(1).map((key) => links.data.run(set, [key], [`of ${key}`])));
    tap.chunks.length = 0;
    const values = await Promise.all(keys.map((key) => links.data.get(key)));
    expect(values.map(String)).toEqual(['null', ...keys.slice(1).map((key) => `of ${key}`)]);
    const reads = tap.chunks.filter((chunk) => chunk.includes(`\r\n${keys[1]}\r\n`));
    expect(reads.map((chunk) => keys.filter((key) => chunk.includes(`\r\n${key}\r\n`)))).toEqual([keys]);
  });

  it('stay in their order among other commands', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    // A script goes whole the first time, which is no matter for the order either.
    for (let round = 0; round < 3; round += 1) {
      await links.data.unlink('k');
      const answers = await Promise.all([
        links.data.get('k'),
        links.data.run(set, ['k'], ['1']),
        links.data.get('k'),
        links.data.run(set, ['k'], ['2']),
        links.data.unlink('k'),
        links.data.get('k'),
        links.data.run(set, ['k'], ['3']),
        links.data.get('k'),
      ]);
      expect(answers.map(String)).toEqual(['null', 'OK', '1', 'OK', 'undefined', 'null', 'OK', '3']);
    }
  });

  it('stay in their order where the library sends a script anew by itself, which Redis has forgotten', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    await links.data.run(set, ['b'], ['of b']);
    for (let round = 0; round < 20; round += 1) {
      await redis.cli('script', 'flush');
      // Both answers come together: the second read is held back when the script is sent again.
      const [read, value] = await Promise.all([
        links.data.get('a').then(() => links.data.get('b')),
        links.data.run(set, ['k'], [String(round)]),
      ]);
      expect([String(read), value]).toEqual(['of b', await links.data.run(set, ['k'], [String(round)])]);
    }
  });

  it('have each the time of a command, however many others are answered meanwhile, and the connection lives on', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    // The least that a command has.
    const timeoutMs = 200;
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }, { timeoutMs: 50 }));
    await connected(links);
    for (let count = 0; count < 50; count += 1) expect(await links.data.get('k')).toBeNull();
    proxy.pause('down');
    const startMs = performance.now();
    const late = await Promise.allSettled([links.data.get('a'), links.data.get('b')]);
    expect(late).toMatchObject([{ reason: { kind: 'timeout' } }, { reason: { kind: 'timeout' } }]);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(timeoutMs - 2);
    proxy.resume();
    // Replies that came late are those of the reads that they are of.
    expect(await links.data.get('k')).toBeNull();
  });

  it('have it from when they are sent, however long this process was busy between two of one turn', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { timeoutMs: 50 }));
    await connected(links);
    const early = links.data.get('a');
    // Longer than a command has, and nothing is sent meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
    const late = links.data.get('b');
    expect(await Promise.allSettled([early, late])).toEqual([
      { status: 'fulfilled', value: null },
      { status: 'fulfilled', value: null },
    ]);
  });

  it('are answered after a connection that broke under others of theirs', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    const lost = Promise.allSettled([links.data.get('a'), links.data.get('b')]);
    // In the turn in which they are held back.
    await redis.restart({ empty: true });
    expect((await lost).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await connected(links);
    expect(await Promise.all([links.data.get('a'), links.data.get('b')])).toEqual([null, null]);
  });

  it('have each its own answer, also behind others that came too late to be heard', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }, { timeoutMs: 50 }));
    await connected(links);
    const keys = Array.from({ length: 30 }, (_, index) => `k${index}`);
    const all = (): Promise<string[]> =>
      Promise.all(keys.map(async (key) => String(await links.data.get(key).catch(() => 'late'))));
    await Promise.all(keys.map((key) => links.data.run(set, [key], [`of ${key}`])));
    const own = keys.map((key) => `of ${key}`);
    for (let round = 0; round < 3; round += 1) {
      expect(await all()).toEqual(own);
      proxy.pause('down');
      expect(await all()).toEqual(keys.map(() => 'late'));
      const behind = all();
      proxy.resume();
      expect(await behind).toEqual(own);
    }
  });

  it('have each its own refusal, and the others their answers', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    await links.data.run(set, ['a'], ['of a']);
    await links.data.run(push, ['list'], ['1']);
    for (const keys of ['a list', 'list a', 'list list', 'a list a a list', 'list']) {
      const expected = keys.split(' ').map((key) => [key === 'a' ? 'of a' : 'other']);
      const told = tellAll(links.data, keys.split(' '));
      await expect.poll(() => told).toEqual(expected);
      // What comes behind them has its own answers.
      expect(String(await links.data.get('a'))).toBe('of a');
      expect(told).toEqual(expected);
    }
  });

  it('have each the refusal of a server that is no master any more, once, and their answers from it when it is again', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    await links.data.run(set, ['a'], ['of a']);
    await redis.cli('config', 'set', 'replica-serve-stale-data', 'no');
    await redis.cli('replicaof', '127.0.0.1', String(await freePort()));
    const told = tellAll(links.data, ['a', 'b', 'c']);
    await expect.poll(() => told).toEqual([['readonly'], ['readonly'], ['readonly']]);
    await redis.cli('replicaof', 'no', 'one');
    await expect.poll(() => links.data.get('a').then(String, () => 'none')).toBe('of a');
    expect(told).toEqual([['readonly'], ['readonly'], ['readonly']]);
  });

  it('that were answered before their connection broke keep their answers, at whatever byte of a value it breaks', async () => {
    await using redis = await startRedis();
    const tap = await startTap(redis.port);
    const links = openLinks(redisConfig({ port: tap.port, password: undefined }));
    await connected(links);
    const keys = ['a', 'b', 'c'];
    for (const key of keys) await links.data.run(set, [key], [key]);
    const reply = '$1\r\na\r\n'.length;
    // Within the end of its line a value may count as whole.
    const places = Array.from({ length: keys.length * reply }, (_, bytes) => bytes).filter((at) => at % reply < 5);
    for (const bytes of places) {
      tap.let(bytes);
      const told = tellAll(links.data, keys);
      await tap.endWithRest();
      const expected = keys.map((key, index) => [(index + 1) * reply <= bytes ? key : 'closed']);
      await expect.poll(() => told, { interval: 2 }).toEqual(expected);
      await connected(links);
      expect(String(await links.data.get('a'))).toBe('a');
      expect(told).toEqual(expected);
    }
  });

  it('of which some are answered in time are told so, the others that they are late, and what comes later is theirs', async () => {
    await using redis = await startRedis();
    const tap = await startTap(redis.port);
    const links = openLinks(redisConfig({ port: tap.port, password: undefined }, { timeoutMs: 50 }));
    await connected(links);
    const keys = ['a', 'b', 'c', 'd'];
    for (const key of keys) await links.data.run(set, [key], [key]);
    const reply = '$1\r\na\r\n'.length;
    for (let count = 0; count < keys.length; count += 1) {
      tap.let(count * reply + 3);
      const told = tellAll(links.data, keys);
      const expected = keys.map((key, index) => [index < count ? key : 'timeout']);
      await expect.poll(() => told, { interval: 2 }).toEqual(expected);
      const behind = Promise.all(keys.map((key) => links.data.get(key)));
      tap.let(Infinity);
      expect((await behind).map(String)).toEqual(keys);
      expect(told).toEqual(expected);
    }
  });

  it('that are refused at once are told so in a later step, each once', async () => {
    const links = openLinks(redisConfig({ port: await freePort(), password: undefined }));
    const told: string[] = [];
    const hearer = {
      replied: () => void told.push('replied'),
      failed: (error: unknown) => void told.push(error instanceof RedisFailure ? error.kind : 'a bug'),
    };
    for (let count = 0; count < 3; count += 1) links.data.tellOf?.('k', hearer);
    // Before which they are sent.
    const unlinked = links.data.unlink('k').catch((error: unknown) => error);
    expect(told).toEqual([]);
    expect(await unlinked).toMatchObject({ kind: 'closed', isUnsent: true });
    await expect.poll(() => told.length).toBe(3);
    expect(told).toEqual(['closed', 'closed', 'closed']);
  });
});
