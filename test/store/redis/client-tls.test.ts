import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { RedisTls } from '../../../src/core/config.ts';
import { selfSigned } from '../../support/certificate.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, openLinks, set } from '../../support/redis-links.ts';
import { startCluster, startSentinels } from '../../support/redis-topologies.ts';
import { freePort, startRedis, type RedisTlsFiles } from '../../support/redis.ts';

/** A certificate for `localhost`, which is its own authority, with its key in a file, until the end of the test. */
async function certificate(): Promise<RedisTlsFiles> {
  const made = await selfSigned();
  onTestFinished(() => made[Symbol.dispose]());
  const keyFile = made.certFile.replace('cert.pem', 'key.pem');
  writeFileSync(keyFile, made.key);
  return { caFile: made.certFile, certFile: made.certFile, keyFile };
}

const trusting = (files: RedisTlsFiles, more: Partial<RedisTls> = {}): RedisTls => ({
  caFile: files.caFile,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  ...more,
});

describe('TLS', () => {
  it('carries commands where the authority is known and the name is right', async () => {
    const files = await certificate();
    await using redis = await startRedis({ tls: files, password: 'pw' });
    const topology = { kind: 'standalone', host: 'localhost', port: redis.port } as const;
    const links = openLinks(redisConfig(redis, { topology, tls: trusting(files) }));
    const heard: string[] = [];
    links.bell.onRing((message) => heard.push(message));
    await connected(links);
    await links.data.run(set, ['k'], ['v']);
    expect(await links.data.get('k')).toEqual(Buffer.from('v'));
    await expect.poll(() => redis.cli('publish', 'forecache:{forecache}:bell', 'x')).toBe('1');
    await expect.poll(() => heard).toEqual(['x']);
  });

  it.each<readonly [string, Partial<RedisTls>, string, RegExp]>([
    ['an unknown authority', { caFile: undefined }, 'localhost', /self-signed certificate/],
    ['another name', {}, '127.0.0.1', /does not match certificate/],
  ])('is refused for %s', async (_, tls, host, trouble) => {
    const files = await certificate();
    await using redis = await startRedis({ tls: files });
    const topology = { kind: 'standalone', host, port: redis.port } as const;
    const links = openLinks(redisConfig(redis, { topology, tls: trusting(files, tls) }));
    await expect.poll(() => links.troubles).toHaveLength(3);
    expect(links.troubles.every((message) => trouble.test(message))).toBe(true);
    expect(links.data.isReady).toBe(false);
  });

  it('that Redis does not speak is told of as what to look at', async () => {
    const files = await certificate();
    await using redis = await startRedis();
    const links = openLinks(redisConfig(redis, { tls: trusting(files) }));
    await expect.poll(() => links.troubles).toHaveLength(3);
    const said =
      'connect ETIMEDOUT: no connection within the time for it; see host and port, and with TLS (rediss://) whether this Redis takes it';
    expect(links.troubles.filter((trouble) => !trouble.endsWith(`: ${said}`))).toEqual([]);
  });

  it('takes the name of the configuration instead of the host’s', async () => {
    const files = await certificate();
    await using redis = await startRedis({ tls: files });
    const links = openLinks(redisConfig(redis, { tls: trusting(files, { serverName: 'localhost' }) }));
    await connected(links);
    expect(await links.data.run(set, ['k'], ['v'])).toBe('OK');
  });

  it('shows a certificate of its own where the server asks for one', async () => {
    const files = await certificate();
    await using redis = await startRedis({ tls: { ...files, clients: true } });
    const topology = { kind: 'standalone', host: 'localhost', port: redis.port } as const;
    const stranger = openLinks(redisConfig(redis, { topology, tls: trusting(files) }));
    await expect.poll(() => stranger.troubles.length).toBeGreaterThan(0);
    const own = { certFile: files.certFile, keyFile: files.keyFile };
    await connected(openLinks(redisConfig(redis, { topology, tls: trusting(files, own) })));
    expect(stranger.data.isReady).toBe(false);
  });

  it('goes on with the certificates of the start where their files are gone when it connects again', async () => {
    const files = await certificate();
    const caFile = files.caFile.replace('cert.pem', 'mounted.pem');
    copyFileSync(files.caFile, caFile);
    const port = await freePort();
    // The bell of a cluster takes a new client for each connection.
    const topology = { kind: 'cluster', nodes: [{ host: 'localhost', port }] } as const;
    const links = openLinks(redisConfig({ port, password: undefined }, { topology, tls: trusting(files, { caFile }) }));
    await expect.poll(() => links.troubles.some((trouble) => trouble.startsWith('bell: '))).toBe(true);
    rmSync(caFile);
    await using redis = await startRedis({ port, tls: files });
    await expect.poll(() => redis.cli('publish', 'forecache:{forecache}:bell', 'x'), { timeout: 5000 }).toBe('1');
  });

  it('is not begun where a certificate cannot be read', () => {
    const tls = { caFile: '/nowhere/ca.pem', certFile: undefined, keyFile: undefined, serverName: undefined };
    expect(() => openLinks(redisConfig({ port: 1, password: undefined }, { tls }))).toThrow('/nowhere/ca.pem');
  });

  it('goes to Sentinels and to the master that they name', async () => {
    const tls = await certificate();
    await using servers = await startSentinels({ tls, password: 'pw', sentinelPassword: 'spw' });
    const topology = {
      kind: 'sentinel',
      sentinels: servers.sentinels.map(({ port }) => ({ host: 'localhost', port })),
      name: servers.name,
      sentinelUsername: undefined,
      sentinelPassword: 'spw',
    } as const;
    const master = await servers.master();
    const links = openLinks(redisConfig(master, { topology, tls: trusting(tls, { serverName: 'localhost' }) }));
    await connected(links);
    await links.data.run(set, ['k'], ['v']);
    expect(await master.cli('get', 'k')).toBe('v');
  });

  it('goes to every node of a cluster', async () => {
    const tls = await certificate();
    await using cluster = await startCluster({ tls, password: 'pw' });
    const topology = {
      kind: 'cluster',
      nodes: cluster.nodes.map(({ port }) => ({ host: 'localhost', port })),
    } as const;
    const links = openLinks(
      redisConfig({ port: 0, password: 'pw' }, { topology, tls: trusting(tls, { serverName: 'localhost' }) }),
    );
    await connected(links);
    for (const key of ['a', 'b', 'c']) {
      await expect.poll(() => links.data.run(set, [key], ['v']).catch((error: Error) => error.message)).toBe('OK');
    }
  });
});
