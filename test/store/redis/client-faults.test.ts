import { describe, expect, it } from 'vitest';

import { redisKeys } from '../../../src/store/redis/keys.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks, push, set, untilServed } from '../../support/redis-links.ts';
import { startRedis } from '../../support/redis.ts';

const bell = redisKeys('forecache').bell;

/** What a read of the request path may wait at most for its rejection: the command's timeout and some scheduling. */
const patienceMs = 350;

/**
 * Whether it settles before a timer that was set for that time when it began. Both are late where this process is held up, which is no
 * fault of the client.
 */
async function isWithin(ms: number, begun: PromiseLike<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const isInTime = await Promise.race([begun.then(() => true), late.promise]);
  clearTimeout(timer);
  return isInTime;
}

/** Whether it settles without anything being waited for: within this turn of the event loop. */
async function isAtOnce(begun: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<boolean>((resolve) => void setImmediate(() => resolve(false)));
  return Promise.race([begun.then(() => true), turn]);
}

describe('Redis that is killed', () => {
  it('is missed at once, and served again on all three connections within two seconds of its return', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    // To kill a server may take longer than a command.
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }, { timeoutMs: 5000 }));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    redis.freeze();
    const pending = failureOf(links.data.get('k'));
    await redis.kill();
    expect(await pending).toMatchObject({ kind: 'closed', isUnsent: false });
    const unsent = { kind: 'closed', isUnsent: true };
    // The end of the connection is told on each by itself.
    await expect.poll(() => links.control.isReady).toBe(false);
    const missed = failureOf(links.control.run(set, ['k'], ['v']));
    expect(await isAtOnce(missed)).toBe(true);
    expect(await missed).toMatchObject(unsent);
    expect(await failureOf(links.data.get('k'))).toMatchObject(unsent);
    // The pauses between attempts have grown to their longest.
    const made = proxy.attempts();
    await expect.poll(() => proxy.attempts(), { timeout: 10_000 }).toBeGreaterThan(made + 24);
    await redis.restart();
    const back = performance.now();
    await Promise.all([untilServed(links.data), untilServed(links.control)]);
    await expect.poll(() => redis.cli('publish', bell, 'x'), { interval: 20 }).toBe('1');
    expect(performance.now() - back).toBeLessThan(2000);
    await expect.poll(() => heard).toEqual(['x']);
  });

  it('is told of by its address', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    await redis.kill();
    await expect
      // A connection may also say how it broke, before it finds nobody there.
      .poll(() => links.troubles.filter((trouble) => !trouble.endsWith('ECONNRESET')).toSorted())
      .toEqual(['bell', 'control', 'data'].map((name) => `${name}: connect ECONNREFUSED 127.0.0.1:${redis.port}`));
  });

  it('is told of once for each connection, however long it is away, and again the next time', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await connected(links);
    proxy.refuse(true);
    proxy.cut();
    const made = proxy.attempts();
    await expect.poll(() => proxy.attempts(), { timeout: 5000 }).toBeGreaterThan(made + 15);
    // One for the connections that broke and one for those that are refused.
    expect(links.troubles).toHaveLength(new Set(links.troubles).size);
    expect(links.troubles.length).toBeLessThanOrEqual(6);
    proxy.refuse(false);
    await connected(links);
    const said = links.troubles.length;
    proxy.refuse(true);
    proxy.cut();
    await expect.poll(() => links.troubles.length).toBeGreaterThan(said);
  });

  it('is served as soon as it starts where it was not there before', async () => {
    await using redis = await startRedis();
    await redis.kill();
    const links = openLinks(redisConfig(redis));
    expect((await failureOf(links.data.get('k'))).kind).toBe('closed');
    await expect.poll(() => links.troubles.length).toBe(3);
    await redis.restart();
    expect(await untilServed(links.data)).toBeLessThan(2000);
  });
});

describe('Redis that is frozen', () => {
  it('costs each command its timeout at most, and nothing once it has been silent for a while', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    redis.freeze();
    const waited = failureOf(links.data.get('k'));
    expect(await isWithin(patienceMs, waited)).toBe(true);
    expect((await waited).kind).toBe('timeout');
    await expect.poll(async () => (await failureOf(links.data.get('k'))).kind, { timeout: 3000 }).toBe('closed');
    const missed = failureOf(links.data.get('k'));
    expect(await isAtOnce(missed)).toBe(true);
    expect((await missed).kind).toBe('closed');
    redis.thaw();
    expect(await untilServed(links.data)).toBeLessThan(2000);
    expect(await untilServed(links.control)).toBeLessThan(2000);
  });

  it('gets no write twice, and none after its caller was told that there is no connection', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    redis.freeze();
    const sent: string[] = [];
    // Into the socket, and then, when it has been given up, into nothing.
    for (let number = 0, refused = 0; refused < 20; number += 1) {
      const turn = new Promise<'at once'>((resolve) => void setImmediate(() => resolve('at once')));
      const failure = failureOf(links.data.run(push, ['list'], [number]));
      // A socket that has been given up takes nothing more, although its end is told in a later turn.
      if ((await Promise.race([failure.then(() => 'refused'), turn])) === 'refused') refused += 1;
      else sent.push(String(number));
      await Promise.all([failure, turn]);
    }
    expect(sent.length).toBeGreaterThan(1);
    redis.thaw();
    await untilServed(links.data);
    await links.data.run(push, ['list'], ['new']);
    // What Redis found on the first connection when it woke, in its order, and before everything newer.
    expect((await redis.cli('lrange', 'list', '0', '-1')).split('\n')).toEqual([...sent, 'new']);
  });

  it('is left within 200 ms', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    redis.freeze();
    const pending = failureOf(links.data.get('k'));
    expect(await isWithin(200, links[Symbol.asyncDispose]())).toBe(true);
    expect((await pending).kind).toBe('closed');
    expect((await failureOf(links.control.run(set, ['k'], ['v']))).kind).toBe('closed');
  });

  it('is connected to after it thaws, where it was frozen before', async () => {
    await using redis = await startRedis();
    redis.freeze();
    const links = openLinks(redisConfig(redis));
    await expect.poll(() => links.troubles.length, { timeout: 3000 }).toBeGreaterThan(0);
    redis.thaw();
    expect(await untilServed(links.control)).toBeLessThan(2000);
  });
});

describe('a network that is silent', () => {
  it.each(['up', 'down', 'both'] as const)(
    '%s is noticed, and made up for within two seconds of its end',
    async (way) => {
      await using redis = await startRedis();
      await using proxy = await startFaultProxy(redis.port);
      const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
      const heard: string[] = [];
      links.bell.onRing((message) => heard.push(message));
      await connected(links);
      proxy.pause(way);
      expect((await failureOf(links.data.get('k'))).kind).toBe('timeout');
      await expect.poll(async () => (await failureOf(links.data.get('k'))).kind, { timeout: 3000 }).toBe('closed');
      expect((await failureOf(links.control.run(set, ['k'], ['v']))).kind).toBe('timeout');
      const made = proxy.attempts();
      await expect.poll(() => proxy.attempts(), { timeout: 5000 }).toBeGreaterThan(made + 2);
      proxy.resume();
      const back = performance.now();
      await Promise.all([untilServed(links.data), untilServed(links.control)]);
      await expect
        .poll(async () => {
          await redis.cli('publish', bell, 'x');
          return heard.length;
        })
        .toBeGreaterThan(0);
      expect(performance.now() - back).toBeLessThan(2000);
    },
  );

  it('makes the bell heard again, although a subscriber is owed nothing', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    await expect.poll(() => redis.cli('publish', bell, 'one')).toBe('1');
    // The server has forgotten the connection, the client does not know.
    proxy.pause('both');
    await redis.cli('client', 'kill', 'type', 'pubsub');
    await redis.cli('client', 'kill', 'type', 'normal');
    await expect
      .poll(() => links.troubles.some((trouble) => trouble.startsWith('bell: ')), { timeout: 6000 })
      .toBe(true);
    proxy.resume();
    await expect.poll(() => redis.cli('publish', bell, 'two'), { timeout: 3000 }).toBe('1');
    await expect.poll(() => heard).toContain('two');
  });

  it('is left within 200 ms, also while it takes no connection', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    proxy.pause('both');
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await expect.poll(() => proxy.connections()).toBe(3);
    expect(await isWithin(200, links[Symbol.asyncDispose]())).toBe(true);
  });

  it('that is slow is waited for where the budget of a read is as long', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }, { timeoutMs: 2000 }));
    await connected(links);
    proxy.latency(200);
    expect(await links.data.get('k')).toBeNull();
  });

  it('that is slow costs no more than the timeout, and no connection', async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis.port);
    const links = openLinks(redisConfig({ port: proxy.port, password: undefined }));
    await connected(links);
    proxy.latency(150);
    const waited = failureOf(links.data.get('k'));
    expect(await isWithin(patienceMs, waited)).toBe(true);
    expect((await waited).kind).toBe('timeout');
    // A longer lease makes the control connection more patient.
    await links.control.run(set, ['k'], ['v']);
    const made = proxy.attempts();
    proxy.latency(0);
    await untilServed(links.data);
    expect(proxy.attempts()).toBe(made);
  });
});
