import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { coreWaitMs } from '../../bench/http/cores.ts';
import { buildFirst } from '../support/build-first.ts';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { leased, openFleet, startSidecar, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin, type Origin } from '../support/origin.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

buildFirst();

const budgetMs = 50;

/** How long requests took, in their order. */
interface Took {
  readonly ms: readonly number[];
  /** Less what the process and this one, which is its upstream and stands before Redis, were ready to run meanwhile and had no core. */
  readonly withCoreMs: readonly number[];
}

/** Asks for things of its own; each answer must be a 200 of upstream's, whatever Redis does. */
async function serves(sidecar: Sidecar, what: string, count = 40): Promise<Took> {
  const waitedMs = (): number => coreWaitMs(sidecar.pid) + coreWaitMs(process.pid);
  const ms: number[] = [];
  const withCoreMs: number[] = [];
  for (let one = 0; one < count; one += 1) {
    const before = { waitedMs: waitedMs(), startMs: performance.now() };
    const reply = await sidecar.get(`/forecast?location=${what}${one}`);
    const tookMs = performance.now() - before.startMs;
    ms.push(tookMs);
    withCoreMs.push(tookMs - (waitedMs() - before.waitedMs));
    expect([reply.status, reply.text]).toEqual([200, 'weather']);
  }
  return { ms, withCoreMs };
}

/**
 * At most the budget more than without a fault, as measured in the same run: the machine may be busy. With `first` calls that
 * may take the budget before the breaker opens, all others take nothing more. A core that other work of the machine has is no wait for
 * Redis, and comes when it likes: it is taken off beside the fault, but not without, where that would make the bound tighter.
 */
function expectWithinBudget({ withCoreMs: tookMs }: Took, { ms: usualMs }: Took, first: number): void {
  expect(Math.max(...tookMs)).toBeLessThan(2 * Math.max(...usualMs) + budgetMs + 50);
  const slow = tookMs.filter((ms) => ms > 2 * median(usualMs) + budgetMs / 2);
  const usuallySlow = usualMs.filter((ms) => ms > 2 * median(usualMs) + budgetMs / 2);
  expect(slow.length).toBeLessThanOrEqual(first + 3 * usuallySlow.length + 2);
}

function median(list: readonly number[]): number {
  return list.toSorted((one, two) => one - two)[list.length >> 1] ?? 0;
}

/** Milliseconds until what one process fetches the other has from Redis again. */
async function sharedAfterMs(first: Sidecar, second: Sidecar, what: string): Promise<number> {
  const startMs = performance.now();
  for (let round = 0; performance.now() - startMs < 10_000; round += 1) {
    const url = `/forecast?location=${what}-${round}`;
    await first.get(url);
    if ((await second.get(url)).cacheStatus.includes('detail=redis')) break;
  }
  return performance.now() - startMs;
}

/** Within which Redis is of use again, and a little for the machine. */
const returnMs = 2_500;

interface Place {
  readonly redis: RedisProcess;
  readonly link: FaultProxy;
  readonly origin: Origin;
  readonly first: Sidecar;
  readonly second: Sidecar;
}

/** Two processes; a TCP proxy stands between Redis and both. */
async function place(stack: AsyncDisposableStack): Promise<Place> {
  const redis = stack.use(await startRedis());
  const link = stack.use(await startFaultProxy(redis.port));
  const origin = stack.use(await startOrigin(answer(200, {}, 'weather')));
  const redisOption = `{ url: "redis://127.0.0.1:${link.port}" }`;
  const { fleet } = stack.use(await openFleet({ count: 2, redis: redisOption, origin: origin.url }));
  const [first, second] = fleet;
  if (first === undefined || second === undefined) throw new Error('no fleet of two');
  await bothLeased({ first, second });
  return { redis, link, origin, first, second };
}

async function bothLeased({ first, second }: Pick<Place, 'first' | 'second'>): Promise<void> {
  await leased(first);
  await leased(second);
}

type Fault = readonly [
  name: string,
  breaks: (at: Place) => Promise<void> | void,
  mends: (at: Place) => Promise<void> | void,
];

/** The lease outlives these: the purge log can be followed. */
const mildFaults: readonly Fault[] = [
  ['200 ms away', ({ link }) => link.latency(200), ({ link }) => link.latency(0)],
  [
    'out of memory',
    async ({ redis }) => {
      await redis.cli('config', 'set', 'maxmemory-policy', 'noeviction');
      await redis.cli('config', 'set', 'maxmemory', '1');
    },
    async ({ redis }) => void (await redis.cli('config', 'set', 'maxmemory', '0')),
  ],
];

const faults: readonly Fault[] = [
  ['killed', ({ redis }) => redis.kill(), ({ redis }) => redis.restart()],
  ['frozen', ({ redis }) => redis.freeze(), ({ redis }) => redis.thaw()],
  ['silent behind a network that takes everything', ({ link }) => link.pause('both'), ({ link }) => link.resume()],
  ['not heard (one-way partition)', ({ link }) => link.pause('down'), ({ link }) => link.resume()],
  ['not reached (one-way partition)', ({ link }) => link.pause('up'), ({ link }) => link.resume()],
  [
    'refusing connections',
    ({ link }) => {
      link.refuse(true);
      link.cut();
    },
    ({ link }) => link.refuse(false),
  ],
  ['breaking off in the middle of a reply', ({ link }) => link.cutAfterBytes(100), ({ link }) => link.resume()],
  [
    'a replica that takes no writes (READONLY)',
    async ({ redis }) => void (await redis.cli('replicaof', '127.0.0.1', '1')),
    async ({ redis }) => void (await redis.cli('replicaof', 'no', 'one')),
  ],
];

describe('whatever Redis does, one thing after the other, agents get their answers', () => {
  const stack = new AsyncDisposableStack();
  let at: Place;
  let times = 0;

  beforeAll(async () => {
    at = await place(stack);
  });
  afterAll(() => stack.disposeAsync());

  /** What nobody has asked for before this test. */
  async function begin(): Promise<(what: string) => string> {
    await bothLeased(at);
    times += 1;
    const time = times;
    return (what) => `${what}-${time}-`;
  }

  it.each(mildFaults)(
    'while it is %s, and it is shared again within two seconds of its return',
    async (_, breaks, mends) => {
      const own = await begin();
      const usual = await serves(at.first, own('usual'));
      await breaks(at);
      expectWithinBudget(await serves(at.first, own('early')), usual, 6);
      expectWithinBudget(await serves(at.second, own('late')), usual, 6);
      await mends(at);
      expect(await sharedAfterMs(at.first, at.second, own('after'))).toBeLessThan(returnMs);
    },
  );

  it.each(faults)(
    'while it is %s, and it is shared again within two seconds of its return',
    async (_, breaks, mends) => {
      const own = await begin();
      const usual = await serves(at.first, own('usual'));
      await breaks(at);
      // While the lease still holds: five failures open the breaker, and what is under way then ends.
      expectWithinBudget(await serves(at.first, own('early')), usual, 6);
      for (const sidecar of [at.first, at.second]) {
        await expect.poll(async () => sidecar.metrics()).toMatch(/^forecache_lease_held 0$/m);
      }
      const bypassed = await at.second.get(`/forecast?location=${own('bypassed')}`);
      expect([bypassed.status, bypassed.cacheStatus]).toEqual([200, 'forecache; fwd=bypass; detail=lease']);
      expectWithinBudget(await serves(at.second, own('late')), usual, 0);
      await mends(at);
      expect(await sharedAfterMs(at.first, at.second, own('after'))).toBeLessThan(returnMs);
    },
  );
});

describe('whatever Redis does, agents get their answers', () => {
  it('when it is not there at the start: ready, serving, and purges are refused until it comes', async () => {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await startRedis());
    const link = stack.use(await startFaultProxy(redis.port));
    link.refuse(true);
    const origin = stack.use(await startOrigin(answer(200, {}, 'weather')));
    const options = { count: 1, redis: `{ url: "redis://127.0.0.1:${link.port}" }`, origin: origin.url };
    const first = await startSidecar(options);
    const reply = await first.get('/forecast?location=berlin');
    expect([reply.status, reply.cacheStatus]).toEqual([200, 'forecache; fwd=bypass; detail=lease']);
    const down = await serves(first, 'down');
    expect((await first.call('/api/purge', { all: true })).status).toBe(503);
    link.refuse(false);
    const second = await startSidecar(options);
    expect(await sharedAfterMs(first, second, 'after')).toBeLessThan(returnMs);
    expect((await first.call('/api/purge', { all: true })).status).toBe(200);
    expectWithinBudget(down, await serves(first, 'usual'), 0);
  });

  it('nothing that was purged comes back from an old dump', async () => {
    await using stack = new AsyncDisposableStack();
    const at = await place(stack);
    at.origin.script(answer(200, {}, 'old'));
    await at.first.get('/forecast?location=berlin');
    await expect.poll(async () => (await at.second.get('/forecast?location=berlin')).cacheStatus).toContain('hit');
    await at.redis.cli('save');
    expect((await at.first.call('/api/purge', { tag: 'location:berlin' })).status).toBe(200);
    at.origin.script(answer(200, {}, 'new'));
    await at.redis.kill();
    await at.redis.restart();
    await bothLeased(at);
    for (const sidecar of [at.first, at.second]) {
      expect((await sidecar.get('/forecast?location=berlin')).text).toBe('new');
    }
  });

  it('nothing that was purged comes back when it is empty, and all control data is lost', async () => {
    await using stack = new AsyncDisposableStack();
    const at = await place(stack);
    at.origin.script(answer(200, {}, 'old'));
    await at.first.get('/forecast?location=berlin');
    await expect.poll(async () => (await at.second.get('/forecast?location=berlin')).cacheStatus).toContain('hit');
    expect((await at.first.call('/api/purge', { tag: 'location:berlin' })).status).toBe(200);
    at.origin.script(answer(200, {}, 'new'));
    await at.redis.cli('flushall');
    for (const sidecar of [at.first, at.second]) {
      await expect.poll(async () => (await sidecar.get('/forecast?location=berlin')).text).toBe('new');
    }
    expect(await sharedAfterMs(at.first, at.second, 'after')).toBeLessThan(returnMs);
  });
});
