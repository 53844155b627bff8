import { describe, expect, it } from 'vitest';

import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { leased, startFleet, startSidecar, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin, type Origin } from '../support/origin.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

const budgetMs = 50;
/** Beside the budget: what a busy machine takes for a request over fresh connections. */
const slackMs = 150;

/** Asks for different things for a while; each answer must be a 200 of upstream's, whatever Redis does. */
async function serves(sidecar: Sidecar, what: string, count = 40): Promise<readonly number[]> {
  const tookMs: number[] = [];
  for (let one = 0; one < count; one += 1) {
    const startMs = performance.now();
    const reply = await sidecar.get(`/forecast?location=${what}${one % 20}`);
    tookMs.push(performance.now() - startMs);
    expect([reply.status, reply.text]).toEqual([200, 'weather']);
  }
  return tookMs;
}

/** At most the budget more for each, and for most of them nothing. */
function expectWithinBudget(tookMs: readonly number[]): void {
  const sorted = tookMs.toSorted((a, b) => a - b);
  expect(sorted.at(-1)).toBeLessThan(budgetMs + slackMs);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(budgetMs);
}

/** Shared again: what one process fetches the other has from Redis, within two seconds of Redis' return. */
async function sharesWithin(first: Sidecar, second: Sidecar, what: string, patienceMs = 2_000): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  for (let round = 0; ; round += 1) {
    const url = `/forecast?location=${what}-${round}`;
    await first.get(url);
    const reply = await second.get(url);
    if (reply.cacheStatus.includes('detail=redis')) return;
    if (performance.now() > untilMs)
      throw new Error(`not shared ${patienceMs} ms after Redis came back: ${reply.cacheStatus}`);
  }
}

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
  const [first, second] = await startFleet({ count: 2, redis: redisOption, origin: origin.url });
  if (first === undefined || second === undefined) throw new Error('no fleet of two');
  await leased(first);
  await leased(second);
  return { redis, link, origin, first, second };
}

type Fault = readonly [
  name: string,
  break_: (at: Place) => Promise<void> | void,
  mend: (at: Place) => Promise<void> | void,
];

const faults: readonly Fault[] = [
  ['killed', ({ redis }) => redis.kill(), ({ redis }) => redis.restart()],
  ['frozen', ({ redis }) => redis.freeze(), ({ redis }) => redis.thaw()],
  ['silent behind a network that takes everything', ({ link }) => link.pause('both'), ({ link }) => link.resume()],
  ['not heard (one-way partition)', ({ link }) => link.pause('down'), ({ link }) => link.resume()],
  ['not reached (one-way partition)', ({ link }) => link.pause('up'), ({ link }) => link.resume()],
  ['200 ms away', ({ link }) => link.latency(200), ({ link }) => link.latency(0)],
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
    'out of memory',
    async ({ redis }) => {
      await redis.cli('config', 'set', 'maxmemory-policy', 'noeviction');
      await redis.cli('config', 'set', 'maxmemory', '1');
    },
    ({ redis }) => void redis.cli('config', 'set', 'maxmemory', '0'),
  ],
  [
    'a replica that takes no writes (READONLY)',
    ({ redis }) => void redis.cli('replicaof', '127.0.0.1', '1'),
    ({ redis }) => void redis.cli('replicaof', 'no', 'one'),
  ],
];

describe('whatever Redis does, agents get their answers', () => {
  it.each(faults)(
    'while it is %s, and it is shared again within two seconds of its return',
    async (_, breaks, mends) => {
      await using stack = new AsyncDisposableStack();
      const at = await place(stack);
      await serves(at.first, 'before');
      await breaks(at);
      // Two rounds: while the lease still holds, and after its end.
      const early = await serves(at.first, 'early');
      await expect.poll(async () => (await at.second.get('/forecast?location=late')).status).toBe(200);
      const late = await serves(at.second, 'late');
      expectWithinBudget(early);
      expectWithinBudget(late);
      await mends(at);
      await sharesWithin(at.first, at.second, 'after');
    },
  );

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
    expectWithinBudget(await serves(first, 'down'));
    expect((await first.call('/api/purge', { all: true })).status).toBe(503);
    link.refuse(false);
    const second = await startSidecar(options);
    await sharesWithin(first, second, 'after');
    expect((await first.call('/api/purge', { all: true })).status).toBe(200);
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
    await leased(at.first);
    await leased(at.second);
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
    await sharesWithin(at.first, at.second, 'after');
  });
});
