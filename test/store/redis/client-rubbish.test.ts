import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';

import { startFaultProxy } from '../../support/fault-proxy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks, push, set, untilServed } from '../../support/redis-links.ts';
import { startRedis } from '../../support/redis.ts';

describe('a connection that breaks', () => {
  it('in the middle of a reply rejects that reply, and no later one is taken for it', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await connected(links);
    const large = Buffer.alloc(100_000, 'x');
    await links.data.run(set, ['large'], [large]);
    await links.data.run(set, ['small'], ['s']);
    proxy.cutAfterBytes(50_000);
    const [first, second] = [failureOf(links.data.get('large')), failureOf(links.data.get('small'))];
    expect([(await first).kind, (await second).kind]).toEqual(['closed', 'closed']);
    proxy.resume();
    await untilServed(links.data);
    expect(await links.data.get('small')).toEqual(Buffer.from('s'));
    expect(await links.data.get('large')).toEqual(large);
  });

  it('again and again does no harm', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await connected(links);
    for (let count = 0; count < 20; count += 1) {
      const pending = [links.data.get('k'), links.data.run(set, ['k'], ['v']), links.control.run(push, ['l'], ['v'])];
      proxy.cut();
      const outcomes = await Promise.allSettled(pending);
      const failures = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
      expect(failures).toEqual(failures.map(() => expect.objectContaining({ name: 'RedisFailure', kind: 'closed' })));
      await expect.poll(() => proxy.connections(), { interval: 5, timeout: 3000 }).toBeGreaterThan(0);
    }
    expect(await untilServed(links.data)).toBeLessThan(2000);
  });

  it('as often as it is made, at any byte, does no harm', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    // Within the greeting, at the answer to it, within the subscription.
    for (const count of [1, 4, 5, 9, 60, 2000, 5400]) {
      const before = proxy.attempts();
      proxy.cutAfterBytes(count);
      await expect
        .poll(
          async () => {
            await links.data.get('k').catch(() => undefined);
            await links.control.run(set, ['k'], ['v']).catch(() => undefined);
            return proxy.attempts();
          },
          { interval: 5, timeout: 3000 },
        )
        .toBeGreaterThan(before + 3);
    }
    proxy.resume();
    expect(await untilServed(links.control)).toBeLessThan(2000);
  });
});

describe('something that is not Redis', () => {
  const rubbish: readonly (readonly [string, string])[] = [
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['noise', '\0\u{1}\u{fffd}\r\n\r\n'],
    ['a null', '$-1\r\n'],
    ['nulls', '_\r\n*-1\r\n$-1\r\n'],
    ['an error that nobody asked for', '-WRONGPASS hunter2\r\n'],
    ['a push without contents', '>1\r\n_\r\n'],
    ['a message without contents', '>2\r\n$7\r\nmessage\r\n_\r\n'],
    ['a message in an array', '*1\r\n$7\r\nmessage\r\n'],
    ['endless nesting', '*1\r\n'.repeat(2000)],
    ['a huge length', '$99999999999\r\nx'],
    ['a negative length', '$-7\r\nx\r\n'],
    ['numbers', ':x\r\n:9999999999999999999999\r\n'],
  ];

  it.each(rubbish)('answering with %s ends no process, and is over when Redis is back', async (_, bytes) => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await connected(links);
    // Between two answers, where nothing is owed; then instead of answers, and of greetings.
    proxy.inject(bytes);
    await links.data.get('k').catch(() => undefined);
    proxy.garbage(bytes);
    await links.data.get('k').catch(() => undefined);
    await links.control.run(set, ['k'], ['v']).catch(() => undefined);
    proxy.cut();
    const before = proxy.attempts();
    await expect.poll(() => proxy.attempts(), { interval: 5, timeout: 5000 }).toBeGreaterThan(before + 2);
    proxy.resume();
    proxy.cut();
    expect(await untilServed(links.data)).toBeLessThan(2000);
    expect(await untilServed(links.control)).toBeLessThan(2000);
    expect(links.troubles.join('\n')).not.toContain('hunter2');
  });
});

describe('an HTTP server in the place of Redis', () => {
  it('is told of as what to look at', async () => {
    await using server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const links = openLinks(redisConfig({ port: port ?? 0, password: 'hunter2' }));
    const said = 'what answers there does not speak the protocol of Redis; see host and port';
    await expect.poll(() => links.troubles).toEqual(expect.arrayContaining([`data: ${said}`]));
    expect(links.troubles.join('\n')).not.toContain('hunter2');
  });
});

describe('Redis that loads its data', () => {
  it('is not used before it has, and is then', async () => {
    await using redis = await startRedis({
      config: ['key-load-delay 400', 'loading-process-events-interval-bytes 1024'],
    });
    const links = openLinks(redisConfig(redis));
    await connected(links);
    await redis.cli('debug', 'populate', '2000');
    await redis.cli('save');
    await redis.restart();
    expect(await redis.info('persistence', 'loading')).toBe('1');
    expect((await failureOf(links.data.get('k'))).kind).toBe('closed');
    await expect.poll(() => redis.info('persistence', 'loading'), { interval: 20, timeout: 10_000 }).toBe('0');
    expect(await untilServed(links.data)).toBeLessThan(2000);
  });
});

describe('Redis that became a replica', () => {
  it('refuses writes, and is asked anew on another connection until it takes them', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    const connections = async (): Promise<number> => Number(await redis.info('stats', 'total_connections_received'));
    await redis.cli('replicaof', '127.0.0.1', '1');
    const before = await connections();
    const failure = await failureOf(links.control.run(set, ['k'], ['v']));
    expect([failure.kind, failure.message]).toEqual(['readonly', 'this Redis is a replica, which takes no writes']);
    // One by redis-cli itself.
    await expect.poll(connections).toBeGreaterThan(before + 1);
    await redis.cli('replicaof', 'no', 'one');
    expect(await untilServed(links.control)).toBeLessThan(2000);
  });
});
