import { describe, expect, it, onTestFinished } from 'vitest';

import { connectRedis } from '../../../src/store/redis/client.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import { RedisFailure, type RedisLink } from '../../../src/store/redis/link.ts';
import {
  judgeSettings,
  parseInfo,
  type RedisFinding,
  type RedisSettings,
  watchRedisSettings,
} from '../../../src/store/redis/startup-check.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { freePort, startRedis, type RedisProcess } from '../../support/redis.ts';

/** Each policy and what is to be said of it, in part. */
const policies = [
  ['noeviction', 'not stored'],
  ['allkeys-lru', 'evict the purge log'],
  ['allkeys-lfu', 'evict the purge log'],
  ['allkeys-random', 'evict the purge log'],
] as const;
const goodPolicies = ['volatile-lru', 'volatile-lfu', 'volatile-ttl', 'volatile-random'];

/** All that is found while the test runs, and how often Redis was looked at. */
function watch(port: number, changes: Parameters<typeof redisConfig>[1] = {}) {
  const links = connectRedis(redisConfig({ port, password: undefined }, changes), { onError: () => undefined });
  onTestFinished(() => links[Symbol.asyncDispose]());
  const found: RedisFinding[] = [];
  let looks = 0;
  const { control } = links;
  const link: Pick<RedisLink, 'isReady' | 'onReady' | 'run'> = {
    get isReady() {
      return control.isReady;
    },
    onReady: (callback) => control.onReady(callback),
    run: async (...call) => {
      const reply = await control.run(...call).finally(() => (looks += 1));
      return reply;
    },
  };
  watchRedisSettings({
    link,
    key: redisKeys('test').control,
    config: { minReplicas: 0 },
    onFinding: (finding) => found.push(finding),
  });
  return { found, looks: () => looks, link: control };
}

async function server(config: readonly string[]): Promise<RedisProcess> {
  const redis = await startRedis({ config });
  onTestFinished(() => redis[Symbol.asyncDispose]());
  return redis;
}

/** What is said of a server of this configuration. */
async function foundOn(config: readonly string[]): Promise<readonly RedisFinding[]> {
  const { found, looks } = watch((await server(config)).port);
  await expect.poll(looks, { interval: 5 }).toBe(1);
  // The reply is judged in the microtasks behind it.
  await new Promise((resolve) => void setImmediate(resolve));
  return found;
}

describe('a Redis that is limited in memory', () => {
  it.each(policies)('is warned of with %s', async (policy, words) => {
    const found = await foundOn(['maxmemory 100mb', `maxmemory-policy ${policy}`]);
    expect(found.map(({ concern }) => concern)).toEqual(['eviction-policy']);
    expect(found[0]?.message).toContain(`maxmemory-policy is ${policy}:`);
    expect(found[0]?.message).toContain(words);
    expect(found[0]?.message).toContain('volatile-lfu');
  });

  it.each(goodPolicies)('is as it should be with %s', async (policy) => {
    expect(await foundOn(['maxmemory 100mb', `maxmemory-policy ${policy}`])).toEqual([]);
  });
});

describe('the look at the settings of Redis', () => {
  it.each(['noeviction', 'allkeys-random'])('finds nothing in %s where memory is not limited', async (policy) => {
    expect(await foundOn(['maxmemory 0', `maxmemory-policy ${policy}`])).toEqual([]);
  });

  it('comes again with each connection, since another server may answer then, and says each thing once', async () => {
    const redis = await server(['maxmemory 100mb', 'maxmemory-policy volatile-lfu']);
    const { found, looks } = watch(redis.port);
    await expect.poll(looks, { interval: 5 }).toBe(1);
    await redis.cli('config', 'set', 'maxmemory-policy', 'allkeys-lru');
    for (const expected of [2, 3]) {
      await redis.cli('client', 'kill', 'type', 'normal');
      await expect.poll(looks, { interval: 5 }).toBe(expected);
    }
    await expect.poll(() => found.length, { interval: 5 }).toBe(1);
    expect(found[0]?.message).toContain('allkeys-lru');
  });

  it('waits without a word for a Redis that is not there yet', async () => {
    const port = await freePort();
    const { found, looks } = watch(port);
    const redis = await startRedis({ port, config: ['maxmemory 1gb', 'maxmemory-policy noeviction'] });
    onTestFinished(() => redis[Symbol.asyncDispose]());
    await expect.poll(looks).toBe(1);
    await expect.poll(() => found.map(({ concern }) => concern), { interval: 5 }).toEqual(['eviction-policy']);
  });

  it('takes place where the connection was there before', async () => {
    const redis = await server(['maxmemory 100mb', 'maxmemory-policy noeviction']);
    const { link } = watch(redis.port);
    await expect.poll(() => link.isReady, { interval: 5 }).toBe(true);
    const found: RedisFinding[] = [];
    watchRedisSettings({ link, key: 'test', config: { minReplicas: 0 }, onFinding: (each) => found.push(each) });
    await expect.poll(() => found.length, { interval: 5 }).toBe(1);
  });

  it('says that it could not be made where the user may not ask', async () => {
    const redis = await server(['user limited on >secret ~* &* +@all -info', 'maxmemory 100mb']);
    const { found } = watch(redis.port, { username: 'limited', password: 'secret' });
    await expect.poll(() => found.map(({ concern }) => concern), { interval: 5 }).toEqual(['unchecked']);
    expect(found[0]?.message).toContain('INFO');
    expect(found[0]?.message).not.toContain('secret');
  });

  it.each(['closed', 'timeout', 'loading', 'clusterdown'] as const)(
    'leaves what fails as %s to the next connection',
    async (kind) => {
      const found: RedisFinding[] = [];
      const asked = Promise.withResolvers<void>();
      const link = {
        isReady: true,
        onReady: () => undefined,
        run: () => {
          asked.resolve();
          return Promise.reject(new RedisFailure(kind, 'for the test'));
        },
      };
      watchRedisSettings({ link, key: 'test', config: { minReplicas: 0 }, onFinding: (each) => found.push(each) });
      await asked.promise;
      await new Promise((resolve) => void setImmediate(resolve));
      expect(found).toEqual([]);
    },
  );

  it('warns of a split brain where the server has a replica and nobody counts it', async () => {
    const master = await server([]);
    await server([`replicaof 127.0.0.1 ${master.port}`]);
    await expect.poll(() => master.info('replication', 'connected_slaves')).toBe('1');
    const { found } = watch(master.port);
    await expect.poll(() => found.map(({ concern }) => concern), { interval: 5 }).toEqual(['split-brain']);
  });
});

describe('what is thought of settings', () => {
  const good: RedisSettings = {
    version: '7.0.15',
    maxMemoryBytes: 1024,
    evictionPolicy: 'volatile-lfu',
    replicationId: 'a'.repeat(40),
    replicas: 0,
    clustered: false,
  };
  const concerns = (changes: Partial<RedisSettings>, minReplicas = 0) =>
    judgeSettings({ ...good, ...changes }, { minReplicas }).map(({ concern }) => concern);

  it.each(['7.0.0', '7.4.1', '8.2.0', '10.0.0'])('Redis %s is new enough', (version) => {
    expect(concerns({ version })).toEqual([]);
  });

  it.each(['6.2.14', '5.0.7', undefined])('Redis %s is not', (version) => {
    expect(concerns({ version })).toEqual(['version']);
  });

  it.each(['', undefined])('a server that does not name its history (%j) cannot keep the promise', (replicationId) => {
    expect(concerns({ replicationId })).toEqual(['replication-id']);
  });

  it('replicas want to be counted, but not in a cluster, whose masters stop by themselves', () => {
    expect(concerns({ replicas: 1 })).toEqual(['split-brain']);
    expect(concerns({ replicas: 2 }, 1)).toEqual([]);
    expect(concerns({ replicas: 2, clustered: true })).toEqual([]);
  });

  it.each([
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
  ])('of %i replicas a master needs at least %i, so that two masters cannot both have enough', (replicas, least) => {
    expect(concerns({ replicas }, least)).toEqual([]);
    const found = judgeSettings({ ...good, replicas }, { minReplicas: least - 1 });
    expect(found.map(({ concern }) => concern)).toEqual(['split-brain']);
    expect(found[0]?.message).toContain(`set minReplicas to ${least},`);
  });

  it('all that is wrong is told, each with its own concern', () => {
    const all = { version: '6.0.0', evictionPolicy: 'allkeys-lru', replicationId: undefined, replicas: 1 };
    expect(concerns(all)).toEqual(['version', 'eviction-policy', 'replication-id', 'split-brain']);
  });

  it('INFO is read whatever its line ends, and what is missing is not made up', () => {
    const text = 'redis_version:7.2.4\r\nvalkey_version:8.1.0\r\nmaxmemory:1048576\r\nmaxmemory_policy:allkeys-lfu\r\n';
    expect(parseInfo(`${text}master_replid:abc\r\nconnected_slaves:2\r\ncluster_enabled:1\r\n`)).toEqual({
      version: '7.2.4',
      maxMemoryBytes: 1_048_576,
      evictionPolicy: 'allkeys-lfu',
      replicationId: 'abc',
      replicas: 2,
      clustered: true,
    });
    expect(parseInfo('')).toEqual({
      version: undefined,
      maxMemoryBytes: 0,
      evictionPolicy: undefined,
      replicationId: undefined,
      replicas: 0,
      clustered: false,
    });
    expect(() => parseInfo(['no', 'text'])).toThrow(TypeError);
  });
});
