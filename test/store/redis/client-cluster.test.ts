import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { RedisConfig } from '../../../src/core/config.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import type { RedisScript } from '../../../src/store/redis/link.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks, ring, set, untilServed } from '../../support/redis-links.ts';
import { startCluster, type RedisCluster } from '../../support/redis-topologies.ts';
import type { RedisProcess } from '../../support/redis.ts';

function configOf({ nodes }: Pick<RedisCluster, 'nodes'>): RedisConfig {
  const topology = { kind: 'cluster', nodes: nodes.map(({ port }) => ({ host: '127.0.0.1', port })) } as const;
  return redisConfig({ port: 0, password: nodes[0]?.password }, { topology });
}

/** Of one slot. */
const both: RedisScript = {
  name: 'both',
  keys: 2,
  lua: "redis.call('SET', KEYS[1], ARGV[1]); redis.call('SET', KEYS[2], ARGV[1]); return redis.call('GET', KEYS[2])",
  reply: 'bytes',
};

const keys = Array.from({ length: 30 }, (_, index) => `key-${index}`);

describe('a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster({ password: 'pw', nodeTimeoutMs: 60_000 });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  /** A key whose node is another one. */
  const keyBeside = async (node: RedisProcess): Promise<string> => {
    const owners = await Promise.all(keys.map((key) => cluster.ownerOf(key)));
    return keys[owners.findIndex((owner) => owner !== node)] ?? '';
  };

  it('is found by names, and told of when its nodes can be used', async () => {
    const nodes = cluster.nodes.map(({ port }) => ({ host: 'localhost', port }));
    const links = openLinks({ ...configOf(cluster), topology: { kind: 'cluster', nodes } });
    const usable: number[] = [];
    links.control.onReady(() => {
      const replies = Promise.allSettled(keys.map((key) => links.control.run(set, [key], ['v'])));
      void replies.then((all) => usable.push(all.filter(({ status }) => status === 'fulfilled').length));
    });
    // Nodes that take longer to connect to are told of once more, and each time there are some.
    await expect.poll(() => usable).toContain(keys.length);
    expect(Math.min(...usable)).toBeGreaterThan(0);
  });

  it('says that it refuses the password as long as it does', async () => {
    const topology = configOf(cluster).topology;
    const links = openLinks(redisConfig({ port: 0, password: 'wrong' }, { topology }));
    await expect.poll(() => links.troubles.length).toBeGreaterThanOrEqual(3);
    const kinds = new Set<string>();
    for (const link of [links.data, links.control]) {
      await expect.poll(async () => (await failureOf(link.get('k'))).kind, { interval: 5 }).toBe('auth');
      for (let looks = 0; looks < 200; looks += 1) {
        kinds.add((await failureOf(link.get('k'))).kind);
        await new Promise(setImmediate);
      }
    }
    expect([...kinds]).toEqual(['auth']);
  });

  it('is asked at the node of each key’s slot, and known from one node', async () => {
    const links = openLinks(configOf({ nodes: cluster.nodes.slice(0, 1) }));
    await connected(links);
    await Promise.all(keys.map((key) => untilServed(links.data, key)));
    const sizes = await Promise.all(cluster.nodes.map(async (node) => Number(await node.cli('dbsize'))));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(keys.length);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    expect(await links.data.run(both, ['{a}1', '{a}2'], ['v'])).toEqual(Buffer.from('v'));
    await links.data.unlink('{a}1');
    expect(await links.data.get('{a}1')).toBeNull();
    const owner = await cluster.ownerOf('{a}2');
    expect(links.data.nodeOf?.('{a}2')).toBe(`127.0.0.1:${owner.port}`);
  });

  it('rings the bell for all, at whatever node it is rung', async () => {
    const links = openLinks(configOf(cluster));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    const bell = redisKeys('forecache').bell;
    for (const [index, node] of cluster.nodes.entries()) {
      await expect
        .poll(async () => {
          await node.cli('publish', bell, String(index));
          return heard.includes(String(index));
        })
        .toBe(true);
    }
    await links.control.run(ring, [bell], ['script']);
    await expect.poll(() => heard).toContain('script');
  });

  it('costs a command for a frozen node its timeout, and others nothing', async () => {
    const links = openLinks(configOf(cluster));
    await connected(links);
    const frozen = await cluster.ownerOf('a');
    const kept = await keyBeside(frozen);
    await untilServed(links.data, 'a');
    await untilServed(links.data, kept);
    frozen.freeze();
    const start = performance.now();
    expect((await failureOf(links.data.get('a'))).kind).toBe('timeout');
    expect(performance.now() - start).toBeLessThan(350);
    await links.data.run(set, [kept], ['still']);
    await expect.poll(async () => (await failureOf(links.data.get('a'))).kind, { timeout: 3000 }).toBe('closed');
    frozen.thaw();
    expect(await untilServed(links.data, 'a')).toBeLessThan(2000);
  });

  it('is left within 200 ms while all of it is frozen', async () => {
    const links = openLinks(configOf(cluster));
    await connected(links);
    for (const node of cluster.nodes) node.freeze();
    const pending = failureOf(links.data.get('a'));
    const start = performance.now();
    await links[Symbol.asyncDispose]();
    expect(performance.now() - start).toBeLessThan(200);
    for (const node of cluster.nodes) node.thaw();
    expect((await pending).kind).toMatch(/closed|timeout/);
  });

  it('loses only the keys of a node that is killed, and has them as soon as it serves them again', async () => {
    const links = openLinks(configOf(cluster));
    await connected(links);
    const lost = await cluster.ownerOf('a');
    const kept = await keyBeside(lost);
    await untilServed(links.data, 'a');
    await untilServed(links.data, kept);
    await lost.kill();
    await expect.poll(async () => (await failureOf(links.data.get('a'))).kind).toBe('closed');
    await links.data.run(set, [kept], ['still']);
    expect(await links.data.get(kept)).toEqual(Buffer.from('still'));
    await lost.restart();
    // A master that comes back serves nothing for two seconds, of itself.
    await expect.poll(() => lost.cli('cluster', 'info'), { timeout: 10_000 }).toContain('cluster_state:ok');
    expect(await untilServed(links.data, 'a')).toBeLessThan(1000);
  });
});

describe('a cluster that changes', () => {
  it('is followed to the replica that takes over from the owner of the control slot', async () => {
    await using cluster = await startCluster({ replicas: 1 });
    const links = openLinks(configOf(cluster));
    const { control, bell } = redisKeys('forecache');
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    await untilServed(links.control, control);
    const owner = await cluster.ownerOf(control);
    await owner.kill();
    expect((await failureOf(links.control.run(set, [control], ['v']))).kind).toMatch(/closed|clusterdown/);
    await expect
      .poll(
        () =>
          cluster.ownerOf(control).then(
            ({ port }) => port,
            () => owner.port,
          ),
        { timeout: 15_000 },
      )
      .not.toBe(owner.port);
    expect(await untilServed(links.control, control)).toBeLessThan(2000);
    const after = await cluster.ownerOf(control);
    await expect
      .poll(async () => {
        await after.cli('publish', bell, 'x');
        return heard.length;
      })
      .toBeGreaterThan(0);
  });

  it('that lacks slots is said to, and one that is not there at all is found when it comes', async () => {
    await using cluster = await startCluster({ nodeTimeoutMs: 300 });
    for (const node of cluster.nodes) await node.kill();
    const links = openLinks(configOf(cluster));
    expect((await failureOf(links.data.get('a'))).kind).toBe('closed');
    await expect.poll(() => links.troubles.length).toBeGreaterThan(0);
    const [first, second, third] = cluster.nodes;
    await first?.restart();
    await second?.restart();
    await expect
      .poll(async () => (await failureOf(links.data.get('a'))).kind, { timeout: 5000 })
      .toMatch(/closed|clusterdown/);
    await third?.restart();
    await expect.poll(() => first?.cli('cluster', 'info'), { timeout: 10_000 }).toContain('cluster_state:ok');
    expect(await untilServed(links.data, 'a')).toBeLessThan(2000);
    expect(await untilServed(links.control, 'a')).toBeLessThan(2000);
  });
});
