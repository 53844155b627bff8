import { describe, expect, it } from 'vitest';

import { BackgroundWork } from '../../src/cache/background.ts';
import { createPurgeSchedule } from '../../src/cache/schedule.ts';
import { ok } from '../../src/core/problem.ts';
import { nextCronRunMs } from '../../src/cron.ts';
import { connectRedis } from '../../src/store/redis/client.ts';
import { createJobLeases } from '../../src/store/redis/job-leases.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import { systemClock } from '../../src/system-clock.ts';
import { buildFirst } from '../support/build-first.ts';
import { FakeClock } from '../support/clock.ts';

import { startFleet, startSidecar, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { redisConfig } from '../support/redis-config.ts';
import { startRedis } from '../support/redis.ts';

buildFirst();

async function askMany(sidecar: Sidecar, count: number): Promise<void> {
  for (let one = 0; one < count; one += 1) await sidecar.get(`/forecast?location=city${one % 5}`);
}

async function report(sidecar: Sidecar): Promise<Record<string, unknown>> {
  return (await sidecar.call('/api/metrics/cache')).body;
}

describe('the counters of a fleet', () => {
  it('are the sum over all processes, whichever is asked, and reset for all at once', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, {}, 'x'));
    const options = { count: 3, redis: `{ url: "${redis.url}" }`, origin: origin.url };
    const fleet = await startFleet(options);
    const [first, second, third] = fleet;
    if (first === undefined || second === undefined || third === undefined) throw new Error('no fleet of three');
    await askMany(first, 30);
    await askMany(second, 20);
    await askMany(third, 10);
    const sum = { scope: 'fleet', sidecars: 3, requests: 60, errors: 0 };
    for (const sidecar of fleet) await expect.poll(async () => report(sidecar)).toMatchObject(sum);
    const counted = await report(second);
    expect(Number(counted['hits']) + Number(counted['misses'])).toBe(60);
    expect(counted['upstream_calls']).toBe(origin.requests.length);
    const percent = Math.round((Number(counted['hits']) / 60) * 10_000) / 100;
    expect(counted['hit_rate']).toBe(percent);
    const reset = await third.call('/api/metrics/cache/reset', {});
    expect(reset).toMatchObject({ status: 200, body: { requests: 0, hits: 0, hit_rate: 0 } });
    await askMany(first, 7);
    for (const sidecar of fleet) await expect.poll(async () => report(sidecar)).toMatchObject({ requests: 7 });
    // Prometheus counters never go back.
    expect(await first.metrics()).toMatch(/forecache_hits_total\{route="forecast",tier="memory"\} [1-9]/);
  });

  it('lose nothing of a process that stops, and at most the last interval of one that is killed', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, {}, 'x'));
    const options = { count: 2, redis: `{ url: "${redis.url}", countersEvery: 1s }`, origin: origin.url };
    const [first, second] = await startFleet(options);
    if (first === undefined || second === undefined) throw new Error('no fleet of two');
    await askMany(first, 25);
    await first.process.stop();
    expect(await report(second)).toMatchObject({ requests: 25 });
    await askMany(second, 10);
    await expect.poll(async () => report(second)).toMatchObject({ requests: 35 });
    const third = await startSidecar(options);
    await askMany(second, 5);
    process.kill(second.pid, 'SIGKILL');
    const left = Number((await report(third))['requests']);
    expect(left).toBeGreaterThanOrEqual(35);
    expect(left).toBeLessThanOrEqual(40);
  });

  it('are those of the process alone while Redis is away, and of the fleet again after', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, {}, 'x'));
    const [first, second] = await startFleet({ count: 2, redis: `{ url: "${redis.url}" }`, origin: origin.url });
    if (first === undefined || second === undefined) throw new Error('no fleet of two');
    await askMany(first, 10);
    await askMany(second, 10);
    await expect.poll(async () => report(first)).toMatchObject({ scope: 'fleet', requests: 20 });
    await redis.kill();
    expect(await report(first)).toMatchObject({ scope: 'process', requests: 10 });
    await redis.restart({ empty: true });
    // What the living have counted is told again, although Redis lost it.
    await expect.poll(async () => report(first)).toMatchObject({ scope: 'fleet', requests: 20 });
  });
});

describe('work that one process does for the fleet', () => {
  const jobs = `
warm:
  locations: [berlin, paris, rome]
  jobs:
    - { route: forecast, with: { location: "{location}" }, every: 1h, jitter: 1s }
`;
  const routes = `
  - { name: forecast, match: /forecast, upstream: api, ttl: 1h, query: { location: { type: text } }, tags: ["location:{location}"] }
`;

  it('is warming: each location once for three processes, and all have it', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(answer(200, {}, 'warm'));
    const fleet = await startFleet({
      count: 3,
      redis: `{ url: "${redis.url}" }`,
      origin: origin.url,
      routes,
      more: jobs,
    });
    await origin.arrived(3);
    for (const sidecar of fleet) {
      for (const location of ['berlin', 'paris', 'rome']) {
        await expect
          .poll(async () => (await sidecar.get(`/forecast?location=${location}`)).cacheStatus)
          .toContain('hit');
      }
    }
    expect(origin.requests).toHaveLength(3);
  });

  it('is taken over from a process that is killed in the middle of it', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(() => {});
    const options = {
      count: 2,
      redis: `{ url: "${redis.url}", jobLease: 1s }`,
      origin: origin.url,
      routes,
      more: jobs.replace('jitter: 1s', 'jitter: 0'),
    };
    const first = await startSidecar(options);
    await origin.arrived(1);
    const second = await startSidecar(options);
    origin.script(answer(200, {}, 'warm'));
    process.kill(first.pid, 'SIGKILL');
    await expect.poll(async () => (await second.call('/api/stored')).body['stored']).toHaveLength(3);
  });

  it('is a scheduled purge: once at each of its instants', async () => {
    await using redis = await startRedis();
    const config = redisConfig(redis);
    const clock = new FakeClock();
    const purges: string[] = [];
    await using stack = new AsyncDisposableStack();
    const background = new BackgroundWork(() => {});
    for (const instanceId of ['one', 'two', 'three']) {
      const links = stack.use(connectRedis(config, { onError: () => {} }));
      if (!links.control.isReady) await new Promise<void>((resolve) => links.control.onReady(resolve));
      const parts = { link: links.control, keys: redisKeys(config.keyPrefix), clock: systemClock, leaseMs: 2_000 };
      const schedule = createPurgeSchedule({
        schedule: [{ cron: '* * * * *', zone: 'UTC', selector: { by: 'all' }, soft: false }],
        nextRun: nextCronRunMs,
        purger: {
          purge: async () => {
            purges.push(instanceId);
            return ok({ id: 'x', complete: true, sidecars: [], missing: [], matched: 0, dryRun: false, soft: false });
          },
        },
        clock,
        background,
        leases: createJobLeases({ ...parts, instanceId, observer: { fleet: () => {} } }),
        onRefused: (_, problem) => purges.push(problem.detail),
      });
      schedule.start();
      stack.defer(() => schedule.stop());
    }
    for (const instants of [1, 2, 3]) {
      clock.advance(60_000);
      await background.idle();
      expect(purges).toHaveLength(instants);
    }
  });
});
