import { describe, expect, test } from 'vitest';

import { redisKeys } from '../../../src/store/redis/keys.ts';
import type { ControlLink, RedisScript } from '../../../src/store/redis/link.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, failureOf, openLinks } from '../../support/redis-links.ts';
import { startCluster } from '../../support/redis-topologies.ts';
import { replicationOf, startRedis } from '../../support/redis.ts';

const key = redisKeys('forecache').control;

const write: RedisScript = {
  name: 'anyWrite',
  keys: 1,
  reply: 'text',
  lua: "return redis.call('HSET', KEYS[1], 'x', ARGV[1])",
};

/** The connection on which something was written. */
async function written(link: ControlLink): Promise<object> {
  const connection = link.connectionOf(key);
  await link.run(write, [key], ['1']);
  if (connection === undefined) throw new Error('there is no connection');
  return connection;
}

describe('a wait for replicas', () => {
  test('is answered with those that have what was written, in the time that it has', async () => {
    await using master = await startRedis();
    await using wire = await startFaultProxy(master.port);
    await using replica = await startRedis({ config: [`replicaof 127.0.0.1 ${wire.port}`] });
    await expect.poll(() => replicationOf(master, replica), { timeout: 5000 }).toBe('up, online');
    const { control, ...links } = openLinks(redisConfig(master));
    await connected({ control, ...links });
    const connection = await written(control);
    // A replica that has just come may need longer for its first word on how far it is.
    const waited = () => control.wait(key, { connection, replicas: 1, timeoutMs: 500 });
    await expect.poll(waited, { timeout: 5000 }).toBe(1);
    expect(await replica.cli('hget', key, 'x')).toBe('1');
    wire.pause('both');
    expect(await written(control)).toBe(connection);
    const startedMs = performance.now();
    expect(await control.wait(key, { connection, replicas: 1, timeoutMs: 60_000 })).toBe(0);
    // Never as long as a command may take (0.8 s with this lease): what is behind it has to come as well.
    expect(performance.now() - startedMs).toBeGreaterThan(450);
    expect(performance.now() - startedMs).toBeLessThan(750);
  });

  test('is refused on another connection, whose master knows nothing of what was written on the first', async () => {
    await using master = await startRedis();
    await using wire = await startFaultProxy(master.port);
    const links = openLinks(redisConfig({ port: wire.port, password: undefined }));
    await connected(links);
    const connection = await written(links.control);
    wire.cut();
    await expect.poll(() => links.control.isReady, { interval: 1 }).toBe(false);
    expect(links.control.connectionOf(key)).toBeUndefined();
    expect((await failureOf(links.control.wait(key, { connection, replicas: 0, timeoutMs: 100 }))).kind).toBe('closed');
    await connected(links);
    expect((await failureOf(links.control.wait(key, { connection, replicas: 0, timeoutMs: 100 }))).kind).toBe('closed');
    const again = await written(links.control);
    expect(again).not.toBe(connection);
    expect(await links.control.wait(key, { connection: again, replicas: 0, timeoutMs: 100 })).toBe(0);
  });

  test('goes to the node of a cluster that the key is on', { timeout: 30_000 }, async () => {
    await using cluster = await startCluster({ masters: 3, replicas: 1, nodeTimeoutMs: 60_000 });
    const [first] = cluster.nodes;
    if (first === undefined) throw new Error('no nodes');
    const { host, port } = { host: '127.0.0.1', port: first.port };
    const links = openLinks(redisConfig(first, { topology: { kind: 'cluster', nodes: [{ host, port }] } }));
    await connected(links);
    await expect.poll(() => links.control.connectionOf(key), { timeout: 5000 }).toBeDefined();
    const connection = await written(links.control);
    expect(await links.control.wait(key, { connection, replicas: 1, timeoutMs: 500 })).toBe(1);
    const owner = await cluster.ownerOf(key);
    const asked = await Promise.all(
      cluster.nodes.map(async (node) => ((await node.info('commandstats', 'cmdstat_wait')) === '' ? [] : [node.port])),
    );
    expect(asked.flat()).toEqual([owner.port]);
  });
});
