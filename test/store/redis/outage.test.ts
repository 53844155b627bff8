import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { RedisLinks } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { startFaultProxy, type FaultProxy } from '../../support/fault-proxy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { startCluster } from '../../support/redis-topologies.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';
import { connected, member, type Member } from '../../support/shared-tier.ts';
import { connectRedis } from '../../../src/store/redis/client.ts';
import { storedResponse } from '../../support/stored-items.ts';

const key = 'weather-forecast|/v1/forecast?location=berlin';
/** Short pauses, so that the test is; the doubling is tested in virtual time. */
const breaker = { failures: 5, pauseMs: 200, maxPauseMs: 400 };

/** Five, and those that are not counted because a busy machine stood still; 50 ms each, and what it takes to notice. */
function expectFew(tookMs: readonly number[]): void {
  expect(tookMs.length).toBeGreaterThanOrEqual(5);
  expect(tookMs.length).toBeLessThanOrEqual(10);
  expect(tookMs.toSorted((a, b) => a - b)[2]).toBeLessThan(100);
}

describe('a Redis behind a proxy that fails', () => {
  let started: AsyncDisposableStack;
  let redis: RedisProcess;
  let proxy: FaultProxy;
  let links: RedisLinks;
  let made: Member;

  beforeEach(async () => {
    started = new AsyncDisposableStack();
    redis = started.use(await startRedis());
    proxy = started.use(await startFaultProxy(redis.port));
    const reached = { ...redis, port: proxy.port, password: undefined };
    links = started.use(await connected(reached));
    const config = redisConfig(redis, { breaker });
    made = started.use(member({ link: links.data, keyPrefix: 'outage', config, timers: systemClock, memoryBytes: 1 }));
    made.tiered.put(storedResponse({ key, position: made.position(), nowMs: made.clock.nowMs() }));
    await made.tiered.settle();
    if ((await made.tiered.get(key)) === undefined) throw new Error('nothing is stored');
  });

  afterEach(() => started.disposeAsync());

  /** Reads until one is not even sent; the milliseconds that each took. */
  async function readUntilOpen(): Promise<readonly number[]> {
    const tookMs: number[] = [];
    while (made.gate.status().breaker === 'closed') {
      const startMs = performance.now();
      expect(await made.tiered.get(key)).toBeUndefined();
      tookMs.push(performance.now() - startMs);
      if (tookMs.length > 50) throw new Error('the breaker does not open');
    }
    return tookMs;
  }

  async function expectBackWithin(ms: number): Promise<void> {
    const startMs = performance.now();
    await expect.poll(async () => made.tiered.get(key), { interval: 10 }).toMatchObject({ tier: 'redis' });
    expect(performance.now() - startMs).toBeLessThan(ms);
  }

  test('invariant 18: frozen, it costs the budget five times, then nothing, and is of use within 2 s of its return', async () => {
    redis.freeze();
    const tookMs = await readUntilOpen();
    expectFew(tookMs);
    const startMs = performance.now();
    for (let count = 0; count < 1000; count += 1) await made.tiered.get(key);
    expect(performance.now() - startMs).toBeLessThan(1000);
    redis.thaw();
    await expectBackWithin(2000);
  });

  test('slow by 200 ms, it is left alone, and is of use within 2 s of being quick again', async () => {
    proxy.latency(100);
    const tookMs = await readUntilOpen();
    expect(tookMs.length).toBeLessThanOrEqual(10);
    expectFew(tookMs);
    proxy.latency(0);
    await expectBackWithin(2000);
  });

  test('cut in the middle of a reply, it is a miss, and is of use within 2 s', async () => {
    proxy.cutAfterBytes(20);
    expect(await made.tiered.get(key)).toBeUndefined();
    proxy.resume();
    await expectBackWithin(2000);
  });

  test('killed and back empty, it is a miss within the budget, and takes what is put within 2 s', async () => {
    await redis.kill();
    const startMs = performance.now();
    expect(await made.tiered.get(key)).toBeUndefined();
    expect(performance.now() - startMs).toBeLessThan(150);
    await readUntilOpen();
    await redis.restart({ empty: true });
    const backMs = performance.now();
    await expect
      .poll(
        async () => {
          made.tiered.put(storedResponse({ key, position: made.position(), nowMs: made.clock.nowMs() }));
          return made.tiered.get(key);
        },
        { interval: 10 },
      )
      .toMatchObject({ tier: 'redis' });
    expect(performance.now() - backMs).toBeLessThan(2000);
  });

  test('a write that cannot be sent is given up, and its bytes are free again', async () => {
    proxy.pause('both');
    for (let count = 0; count < 20; count += 1) {
      made.tiered.put(storedResponse({ key: `r|/${count}`, position: made.position(), nowMs: made.clock.nowMs() }));
    }
    expect(made.gate.status().pendingBytes).toBeGreaterThan(0);
    await expect.poll(() => made.gate.status().pendingBytes).toBe(0);
    proxy.resume();
    await expectBackWithin(2000);
  });
});

test('of a cluster, a node that is down does not keep anyone from the others', async () => {
  await using cluster = await startCluster({ masters: 3, nodeTimeoutMs: 60_000 });
  const topology = {
    kind: 'cluster',
    nodes: cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
  } as const;
  const config = redisConfig(
    { port: 0, password: undefined },
    { topology, breaker: { ...breaker, maxPauseMs: 10_000 } },
  );
  await using links = connectRedis(config, { onError: () => undefined });
  if (!links.data.isReady) await new Promise<void>((resolve) => links.data.onReady(resolve));
  using made = member({ link: links.data, keyPrefix: 'outage', config, timers: systemClock, memoryBytes: 1 });
  const keys = Array.from({ length: 60 }, (_, n) => `r|/${n}`);
  const node = (name: string) => links.data.nodeOf?.(made.redis.entryOf(name) ?? '');
  const readable = async (): Promise<readonly string[]> => {
    const reads = await Promise.all(keys.map(async (name) => made.tiered.get(name)));
    return keys.filter((_, index) => reads[index] !== undefined);
  };
  await expect
    .poll(async () => {
      for (const name of keys) {
        made.tiered.put(storedResponse({ key: name, position: made.position(), nowMs: made.clock.nowMs() }));
      }
      await made.tiered.settle();
      return readable();
    })
    .toEqual(keys);
  const nodes = new Set(keys.map(node));
  expect(nodes.size).toBe(3);
  const [victim] = cluster.nodes;
  const downNode = [...nodes].find((name) => name?.endsWith(`:${victim?.port}`));
  const others = keys.filter((name) => node(name) !== downNode);
  expect(others.length).toBeGreaterThan(10);
  victim?.freeze();
  for (let round = 0; round < 10; round += 1) expect(await readable()).toEqual(others);
  victim?.thaw();
  await expect.poll(readable).toEqual(keys);
});
