import { describe, expect, it } from 'vitest';

import { redisKeys } from '../../src/store/redis/keys.ts';
import { buildFirst } from '../support/build-first.ts';
import { leased, startFleet, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';
import { startCluster, startSentinels } from '../support/redis-topologies.ts';

buildFirst();

/** A new replication history was noticed, which voids what was stored before. */
const failedOver = /^forecache_epoch_changes_total\{reason="failover"\} [1-9]/m;

const patience = { timeout: 20_000 };

async function pairOn(redis: string, origin: string): Promise<readonly [Sidecar, Sidecar]> {
  const [first, second] = await startFleet({ count: 2, redis, origin });
  if (first === undefined || second === undefined) throw new Error('no fleet of two');
  await leased(first);
  await leased(second);
  return [first, second];
}

/** What one process fetches the other has from Redis. */
async function expectShared([first, second]: readonly [Sidecar, Sidecar], what: string): Promise<void> {
  let round = 0;
  const shared = async (): Promise<string> => {
    round += 1;
    const url = `/forecast?location=${what}-${round}`;
    expect((await first.get(url)).status).toBe(200);
    const reply = await second.get(url);
    expect(reply.status).toBe(200);
    return reply.cacheStatus;
  };
  await expect.poll(shared, patience).toContain('detail=redis');
}

/** Both answer with what upstream says now, never with what was purged. */
async function expectNew(fleet: readonly Sidecar[], count: number): Promise<void> {
  for (let one = 0; one < count; one += 1) {
    for (const sidecar of fleet) {
      const reply = await sidecar.get('/forecast?location=berlin');
      expect([reply.status, reply.text]).toEqual([200, 'new']);
    }
  }
}

async function expectPurged(sidecar: Sidecar): Promise<void> {
  await expect
    .poll(async () => (await sidecar.call('/api/purge', { tag: 'location:berlin' })).status, patience)
    .toBe(200);
}

describe('a fleet on more than one Redis', () => {
  it(
    'goes on through a fail-over of Sentinel, and nothing that was purged comes back',
    { timeout: 60_000 },
    async () => {
      // With 300 ms the Sentinels take a master that they have just promoted for dead before they have connected to it anew, promote
      // the other replica too, and find out that there are two masters some 18 s later.
      await using servers = await startSentinels({ replicas: 2, downAfterMs: 1000 });
      await using origin = await startOrigin(answer(200, {}, 'old'));
      const hosts = servers.sentinels.map(({ port }) => `"127.0.0.1:${port}"`).join(', ');
      const fleet = await pairOn(`{ sentinels: [${hosts}], name: ${servers.name}, minReplicas: 1 }`, origin.url);
      await expectShared(fleet, 'before');
      await fleet[0].get('/forecast?location=berlin');
      origin.script(answer(200, {}, 'new'));
      await expectPurged(fleet[0]);
      await (await servers.master()).kill();
      await expectNew(fleet, 20);
      await expectShared(fleet, 'after');
      await expectNew(fleet, 5);
      await expectPurged(fleet[1]);
      expect(await fleet[0].metrics()).toMatch(failedOver);
    },
  );

  it('misses only what was in the slots that a cluster has lost', { timeout: 60_000 }, async () => {
    await using cluster = await startCluster({ masters: 3, replicas: 0 });
    for (const node of cluster.nodes) await node.cli('config', 'set', 'cluster-require-full-coverage', 'no');
    await using origin = await startOrigin(answer(200, {}, 'weather'));
    const hosts = cluster.nodes.map(({ port }) => `"127.0.0.1:${port}"`).join(', ');
    const fleet = await pairOn(`{ cluster: [${hosts}] }`, origin.url);
    await expectShared(fleet, 'before');
    const control = await cluster.ownerOf(redisKeys('forecache').control);
    const lost = cluster.nodes.find((node) => node.port !== control.port);
    await lost?.kill();
    // Of many keys a third is in the lost slots; all are answered, and the others are shared as before.
    let hits = 0;
    for (let one = 0; one < 30; one += 1) {
      const url = `/forecast?location=partly-${one}`;
      expect((await fleet[0].get(url)).status).toBe(200);
      const reply = await fleet[1].get(url);
      expect(reply.status).toBe(200);
      if (reply.cacheStatus.includes('detail=redis')) hits += 1;
    }
    expect(hits).toBeGreaterThan(5);
    await expectPurged(fleet[1]);
  });

  it('bypasses the store until a cluster has a new owner of the control slot', { timeout: 60_000 }, async () => {
    await using cluster = await startCluster({ masters: 3, replicas: 1 });
    await using origin = await startOrigin(answer(200, {}, 'old'));
    const hosts = cluster.nodes.map(({ port }) => `"127.0.0.1:${port}"`).join(', ');
    const fleet = await pairOn(`{ cluster: [${hosts}] }`, origin.url);
    await fleet[0].get('/forecast?location=berlin');
    origin.script(answer(200, {}, 'new'));
    await expectPurged(fleet[0]);
    await (await cluster.ownerOf(redisKeys('forecache').control)).kill();
    await expectNew(fleet, 20);
    await expectPurged(fleet[1]);
    await expectShared(fleet, 'after');
    await expectNew(fleet, 5);
    expect(await fleet[0].metrics()).toMatch(failedOver);
  });

  it(
    'answers while Redis reads a dump after its restart (LOADING), and shares after',
    { timeout: 60_000 },
    async () => {
      await using redis = await startRedis({
        config: ['key-load-delay 20000', 'loading-process-events-interval-bytes 1024'],
      });
      await using origin = await startOrigin(answer(200, {}, 'weather'));
      const fleet = await pairOn(`{ url: "${redis.url}" }`, origin.url);
      for (let one = 0; one < 100; one += 1) await redis.cli('set', `other:${one}`, 'x'.repeat(2000));
      await redis.cli('save');
      await redis.kill();
      const back = redis.restart();
      for (let one = 0; one < 30; one += 1)
        expect((await fleet[0].get(`/forecast?location=load-${one}`)).status).toBe(200);
      await back;
      await expectShared(fleet, 'after');
    },
  );
});
