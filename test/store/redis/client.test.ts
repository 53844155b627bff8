import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { redisKeys } from '../../../src/store/redis/keys.ts';
import type { RedisScript } from '../../../src/store/redis/link.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks, push, ring, set } from '../../support/redis-links.ts';
import { startRedis } from '../../support/redis.ts';

const nested: RedisScript = {
  name: 'nested',
  keys: 1,
  lua: "redis.call('SET', KEYS[1], ARGV[1]); return {ARGV[1], 7, {ARGV[2]}, false}",
  reply: 'bytes',
};

describe('a connection to Redis', () => {
  it('carries bytes and text, and gives back what was stored to the byte', async () => {
    await using redis = await startRedis();
    const { data, ...links } = openLinks(redisConfig(redis));
    await connected({ data, ...links });
    const bytes = Buffer.from([0, 13, 10, 255, 128]);
    expect(await data.run(nested, ['k'], [bytes, 5])).toEqual([bytes, 7, [Buffer.from('5')], null]);
    expect(await data.get('k')).toEqual(bytes);
    expect(await data.run({ ...nested, name: 'text', reply: 'text' }, ['k'], ['ä', 5])).toEqual(['ä', 7, ['5'], null]);
    await data.unlink('k');
    expect(await data.get('k')).toBeNull();
  });

  it('sends a script whole once and then by its digest, and again where Redis has forgotten it', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    const calls = async (command: string): Promise<string> =>
      /calls=(\d+)/.exec(await redis.info('commandstats', `cmdstat_${command}`))?.[1] ?? '0';
    for (const value of ['1', '2', '3']) await links.data.run(set, ['k'], [value]);
    expect([await calls('eval'), await calls('evalsha')]).toEqual(['1', '2']);
    await redis.cli('script', 'flush');
    await links.data.run(set, ['k'], ['4']);
    await links.data.run(set, ['k'], ['5']);
    expect(await redis.cli('get', 'k')).toBe('5');
    expect([await calls('eval'), await calls('evalsha')]).toEqual(['2', '4']);
  });

  it('carries out commands in their order, however they are sent', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    const values = Array.from({ length: 50 }, (_, index) => String(index));
    await Promise.all(values.map((value) => links.control.run(push, ['list'], [value])));
    expect((await redis.cli('lrange', 'list', '0', '-1')).split('\n')).toEqual(values);
  });

  it('is one of three that are called forecache in the database of the configuration', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { database: 3 }));
    await connected(links);
    await links.data.run(set, ['k'], ['v']);
    expect(await redis.cli('-n', '3', 'get', 'k')).toBe('v');
    const clients = async (): Promise<readonly string[]> =>
      (await redis.cli('client', 'list')).split('\n').filter((line) => line.includes(' name=forecache '));
    await expect
      .poll(async () => (await clients()).map((line) => Number(/ sub=(\d)/.exec(line)?.[1])))
      .toEqual(expect.arrayContaining([0, 0, 1]));
    expect((await clients()).every((line) => line.includes(' db=3 '))).toBe(true);
  });

  it('hears the bell of its own fleet', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { keyPrefix: 'mine' }));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    const bell = redisKeys('mine').bell;
    await expect.poll(() => redis.cli('publish', bell, 'one')).toBe('1');
    await links.control.run(ring, [redisKeys('other').bell], ['no']);
    await links.control.run(ring, [bell], ['two']);
    await expect.poll(() => heard).toEqual(['one', 'two']);
  });

  it('tells each time that it has become usable', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    let times = 0;
    links.control.onReady(() => {
      times += 1;
      expect(links.control.isReady).toBe(true);
    });
    await connected(links);
    expect(times).toBe(1);
    await redis.cli('client', 'kill', 'type', 'normal');
    await expect.poll(() => times).toBe(2);
  });

  it('names no node, since there is only one', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    expect(links.data.nodeOf?.('k')).toBeUndefined();
  });
});

describe('user and password', () => {
  it('let in, as a user of the ACL too', async () => {
    await using redis = await startRedis({ password: 'pa ss', config: ['user ann on >pw ~* &* +@all'] });
    const links = openLinks(redisConfig(redis));
    await connected(links);
    const ofAnn = openLinks(redisConfig(redis, { username: 'ann', password: 'pw' }));
    await connected(ofAnn);
    await ofAnn.data.run(set, ['k'], ['v']);
    expect(await links.data.get('k')).toEqual(Buffer.from('v'));
  });

  it.each([
    ['a wrong one', 'hunter2'],
    ['none', undefined],
  ])('that are %s are said once, without them, and nothing is sent', async (_, password) => {
    await using redis = await startRedis({ password: 'right' });
    const links = openLinks(redisConfig(redis, { password }));
    await expect.poll(() => links.troubles.toSorted()).toHaveLength(3);
    const trouble = 'Redis refuses the user, its password, or one of its commands';
    const all = ['bell', 'control', 'data'].map((name) => `${name}: ${trouble}`);
    expect(links.troubles.toSorted()).toEqual(all);
    const attempts = async (): Promise<number> => Number(await redis.info('stats', 'total_connections_received'));
    const before = await attempts();
    await expect.poll(attempts, { timeout: 3000 }).toBeGreaterThan(before + 6);
    expect(links.troubles.toSorted()).toEqual(all);
    expect(links.data.isReady).toBe(false);
    for (const link of [links.data, links.control]) {
      expect(await failureOf(link.run(set, ['k'], ['v']))).toMatchObject({
        kind: 'auth',
        message: trouble,
        isUnsent: true,
      });
    }
    // What stands in the way now is another thing.
    await redis.kill();
    await expect.poll(async () => (await failureOf(links.data.get('k'))).kind, { interval: 10 }).toBe('closed');
  });

  it('are let in as soon as Redis knows them', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { username: 'ann', password: 'pw' }));
    await expect.poll(() => links.troubles).toHaveLength(3);
    await redis.cli('acl', 'setuser', 'ann', 'on', '>pw', '~*', '&*', '+@all');
    await connected(links);
  });

  it('that a server does not ask for do no harm, to the bell neither, and are said in the log alone', async () => {
    const written = vi.spyOn(console, 'warn');
    onTestFinished(() => written.mockRestore());
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { password: 'not needed' }));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    await links.data.run(set, ['k'], ['v']);
    expect(await links.data.get('k')).toEqual(Buffer.from('v'));
    await expect.poll(() => redis.cli('publish', redisKeys('forecache').bell, 'x')).toBe('1');
    await expect.poll(() => heard).toEqual(['x']);
    const trouble = 'Redis asks for no password, though one is configured';
    expect(links.troubles.toSorted()).toEqual(['bell', 'control', 'data'].map((name) => `${name}: ${trouble}`));
    await redis.cli('client', 'kill', 'type', 'normal');
    await expect.poll(() => links.data.get('k').catch(() => undefined)).toEqual(Buffer.from('v'));
    expect(links.troubles.filter((one) => one.endsWith(trouble))).toHaveLength(3);
    expect(written).not.toHaveBeenCalled();
  });
});

it('without INFO a connection is had all the same, and nothing is written beside the log', async () => {
  await using redis = await startRedis({ config: ['user ann on >pw ~* &* +@all -info'] });
  const written = vi.spyOn(console, 'warn');
  onTestFinished(() => written.mockRestore());
  const links = openLinks(redisConfig(redis, { username: 'ann', password: 'pw' }));
  await connected(links);
  await links.data.run(set, ['k'], ['v']);
  expect(written).not.toHaveBeenCalled();
});

describe('a database that is not there', () => {
  it('is said, and nothing is put into another one', async () => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { database: 99 }));
    await expect
      .poll(() => links.troubles.toSorted())
      .toEqual(['bell', 'control', 'data'].map((name) => `${name}: Redis has no database of this number`));
    const attempts = async (): Promise<number> => Number(await redis.info('stats', 'total_connections_received'));
    const before = await attempts();
    // Whenever it seems to be connected, a write must not get through.
    await expect
      .poll(
        async () => {
          await links.data.run(set, ['k'], ['v']).catch(() => undefined);
          return attempts();
        },
        { interval: 1, timeout: 3000 },
      )
      .toBeGreaterThan(before + 6);
    expect(await redis.cli('dbsize')).toBe('0');
  });
});

describe('a database that the user may not choose', () => {
  it.each([
    ['for want of a right', 'Redis refuses the user, its password, or one of its commands', []],
    ['since the server is one of a cluster', 'Redis has no database of this number', ['cluster-enabled yes']],
  ])('is said, and nothing is put into another one: %s', async (_, trouble, config) => {
    await using redis = await startRedis({ config: ['user ann on >pw ~* &* +@all -select', ...config] });
    const username = config.length === 0 ? 'ann' : undefined;
    const links = openLinks(redisConfig(redis, { database: 3, username, password: username && 'pw' }));
    await expect
      .poll(() => links.troubles.toSorted())
      .toEqual(['bell', 'control', 'data'].map((name) => `${name}: ${trouble}`));
    await expect
      .poll(
        async () => {
          await links.control.run(set, ['k'], ['v']).catch(() => undefined);
          return Number(await redis.info('stats', 'total_connections_received'));
        },
        { interval: 1, timeout: 3000 },
      )
      .toBeGreaterThan(10);
    expect(await redis.cli('dbsize')).toBe('0');
    expect(links.control.isReady).toBe(false);
  });
});

type Refusal = readonly [
  what: string,
  before: readonly (readonly string[])[],
  script: RedisScript,
  expected: readonly [kind: string, message: string],
];

describe('what Redis refuses', () => {
  it.each<Refusal>([
    [
      'a write for lack of memory',
      [['config', 'set', 'maxmemory', '1']],
      set,
      ['oom', 'Redis has no memory left for a write'],
    ],
    [
      'a write for lack of replicas',
      [['config', 'set', 'min-replicas-to-write', '1']],
      set,
      ['noreplicas', 'Redis has fewer replicas in step than are asked for'],
    ],
    [
      'a command that the user may not give',
      [['acl', 'setuser', 'default', '-set']],
      set,
      ['auth', 'Redis refuses the user, its password, or one of its commands'],
    ],
    [
      'a value of another type',
      [['lpush', 'secret-key', 'x']],
      { ...set, name: 'get', lua: "return redis.call('GET', KEYS[1])" },
      ['other', 'Redis answered WRONGTYPE at user_script:1'],
    ],
    [
      'a script that fails',
      [],
      { ...set, name: 'bad', lua: 'return nil .. ARGV[1]' },
      ['other', 'Redis answered ERR at user_script:1'],
    ],
  ])('as %s has a kind, and a message without key, value or script', async (_, before, script, expected) => {
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis));
    await connected(links);
    for (const words of before) await redis.cli(...words);
    const failure = await failureOf(links.data.run(script, ['secret-key'], ['secret-value']));
    expect([failure.kind, failure.message, failure.cause]).toEqual([...expected, undefined]);
    expect(links.data.isReady).toBe(true);
  });
});
