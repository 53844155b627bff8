import { beforeEach, describe, expect, it } from 'vitest';

import type { CounterLedger } from '../../src/cache/fleet-ports.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import type { RedisLink } from '../../src/store/redis/link.ts';
import { FakeClock } from '../support/clock.ts';
import { CountingFleet, type Counting, type JoinOptions } from '../support/counter-fleet.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { redisConfig } from '../support/redis-config.ts';
import { connected, openLinks } from '../support/redis-links.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import { Dice } from '../support/spellings.ts';

const key = redisKeys('forecache').counters;

let redis: RedisProcess;
let link: RedisLink;
let fleet: CountingFleet;

beforeEach(async () => {
  redis = await startRedis();
  link = await linkTo(redis.port);
  fleet = new CountingFleet();
  return () => redis[Symbol.asyncDispose]();
});

async function linkTo(port: number): Promise<RedisLink> {
  const links = openLinks(redisConfig({ port, password: undefined }, { leaseMs: 500 }));
  await connected(links);
  return links.control;
}

/** In the fleet, and known to the ledger. */
async function joined(id: string, options: JoinOptions = {}, over = link): Promise<Counting> {
  const one = fleet.join(id, over, options);
  await one.flush();
  return one;
}

function written(): Promise<string> {
  return redis.cli('hget', key, 'n:outcome.hit:weather');
}

/** Which of two came first is told by the clock of Redis, to within a round trip. */
async function clocksApart(): Promise<void> {
  const startMs = Date.now();
  await expect.poll(() => Date.now() - startMs, { interval: 10 }).toBeGreaterThan(100);
}

type Flush = CounterLedger['flush'];

/** Meddles with the flushes of one process; `place` counts from 0, those that joining takes included. */
function meddling(meddle: (place: number, flush: () => ReturnType<Flush>) => ReturnType<Flush>): JoinOptions {
  let place = 0;
  return {
    wrap: (ledger) => ({ ...ledger, flush: (flush) => meddle(place++, () => ledger.flush(flush)) }),
  };
}

/** To be adopted, and to write nothing. */
const joining = 2;

async function requests(one: Counting): Promise<number> {
  const report = await one.counters.report();
  expect(report.scope).toBe('fleet');
  return report.requests;
}

describe('the counters of a fleet', () => {
  it('are the exact sum of what three writers counted, whoever is asked', async () => {
    const dice = new Dice(7);
    const three = [await joined('a'), await joined('b'), await joined('c')];
    let left = 10_000;
    const flushes: Promise<void>[] = [];
    while (left > 0) {
      const writer = three[dice.roll(3)] ?? three[0];
      const count = Math.min(left, 1 + dice.roll(40));
      writer?.hit(count);
      left -= count;
      if (writer !== undefined && dice.chance(10)) flushes.push(writer.flush());
      if (dice.chance(3)) await new Promise(setImmediate);
    }
    for (const one of three) {
      expect(await one.counters.report()).toMatchObject({
        scope: 'fleet',
        sidecars: 3,
        requests: 10_000,
        hits: 10_000,
        hit_rate: 100,
        bytes_sent: 10_000_000,
        routes: { weather: { requests: 10_000 }, none: { requests: 0 } },
      });
    }
    await Promise.all(flushes);
    expect(await requests(three[0] ?? (await joined('d')))).toBe(10_000);
  });

  it('are written at each interval, whether or not anyone asks', async () => {
    const clock = new FakeClock();
    const one = fleet.join('a', link, { clock, everyMs: 1000 });
    one.hit(3);
    one.counters.start();
    await expect.poll(written, { interval: 10 }).toBe('3');
    one.hit(4);
    const step = async (): Promise<string> => {
      clock.advance(1000);
      return written();
    };
    await expect.poll(step, { interval: 10 }).toBe('7');
  });

  it('are zero where nobody was asked, the hit rate too', async () => {
    const one = await joined('a');
    expect(await one.counters.report()).toMatchObject({ scope: 'fleet', sidecars: 1, requests: 0, hit_rate: 0 });
  });

  it('lose nothing of a process that stops, which then is no member', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(25);
    await a.counters.stop();
    expect(await b.counters.report()).toMatchObject({ sidecars: 1, requests: 25 });
  });

  it('lose of a process that is killed what it had not written, and nothing else', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(25);
    await a.flush();
    a.hit(9);
    a.kill();
    b.hit(1);
    expect(await requests(b)).toBe(26);
  });

  it('go on with the last that was written of one who does not answer, after a moment', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    b.hit(5);
    fleet.cutOff.add('b');
    const startMs = performance.now();
    expect(await requests(a)).toBe(0);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThan(140);
    expect(tookMs).toBeLessThan(600);
    fleet.cutOff.clear();
    expect(await requests(a)).toBe(5);
  });

  it('hold once what was written when the reply was lost, or when nothing is known of it', async () => {
    await using proxy = await startFaultProxy(redis.port);
    const a = await joined('a', {}, await linkTo(proxy.port));
    const b = await joined('b');
    for (const direction of ['down', 'up', 'both'] as const) {
      a.hit(10);
      proxy.pause(direction);
      await a.flush();
      a.hit(1);
      proxy.resume();
      await expect.poll(() => requests(a), { interval: 20 }).toBeGreaterThan(0);
      proxy.cut();
    }
    await expect.poll(() => requests(b), { interval: 20 }).toBe(33);
    await a.counters.stop();
    expect(await requests(b)).toBe(33);
  });

  it('lose nothing at the end of a process whose last flush was lost on its way', async () => {
    const lost = meddling(async (place, flush) => (place === joining ? undefined : flush()));
    const [a, b] = [await joined('a', lost), await joined('b')];
    a.hit(2);
    await a.flush();
    a.hit(3);
    await a.counters.stop();
    expect(await requests(b)).toBe(5);
  });

  it('wait for what was counted behind a flush that has to be repeated', async () => {
    const [repeated, looked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = meddling(async (place, flush) => {
      if (place === joining) return undefined;
      // The one behind the repeated one takes until the report has looked for it.
      if (place === joining + 2) await looked.promise;
      const state = await flush();
      if (place === joining + 1) repeated.resolve();
      return state;
    });
    const looking: JoinOptions = {
      wrap: (ledger) => ({
        ...ledger,
        read: async () => {
          await repeated.promise;
          const reading = await ledger.read();
          looked.resolve();
          return reading;
        },
      }),
    };
    const [a, b] = [await joined('a', slow), await joined('b', looking)];
    a.hit(2);
    await a.flush();
    a.hit(3);
    expect(await requests(b)).toBe(5);
  });

  it('are asked for once by all who want them at the same time, each with what it had counted', async () => {
    let questions = 0;
    const wrap = (ledger: CounterLedger): CounterLedger => ({
      ...ledger,
      ask: () => {
        questions += 1;
        return ledger.ask();
      },
    });
    const [a, b] = [await joined('a', { wrap }), await joined('b')];
    b.hit(1);
    const first = requests(a);
    b.hit(1);
    const others = Array.from({ length: 20 }, () => requests(a));
    expect(await first).toBeGreaterThan(0);
    // What ended before they were asked for is in them, so the first question is too old for them.
    expect(await Promise.all(others)).toEqual(others.map(() => 2));
    expect(questions).toBe(2);
    expect(await requests(a)).toBe(2);
    expect(questions).toBe(3);
  });

  it('keep those of the dead when the reply to a flush was lost', async () => {
    const unheard = meddling(async (place, flush) => {
      const state = await flush();
      return place === joining ? undefined : state;
    });
    const [a, dead] = [await joined('a', unheard), await joined('dead')];
    dead.hit(100);
    await dead.counters.stop();
    a.hit(2);
    await a.flush();
    a.hit(3);
    expect(await requests(a)).toBe(105);
  });

  it('are those of the process alone where Redis is away or its key is of another type', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(2);
    b.hit(3);
    expect(await requests(a)).toBe(5);
    await redis.cli('set', key, 'foreign');
    expect(await a.counters.report()).toMatchObject({ scope: 'process', requests: 2 });
    expect((await a.counters.report()).sidecars).toBeUndefined();
    expect(await a.counters.reset()).toMatchObject({ ok: false, error: { status: 503, code: 'counters-unavailable' } });
    await redis.kill();
    expect(await b.counters.report()).toMatchObject({ scope: 'process', requests: 3 });
    const startMs = performance.now();
    await a.counters.stop();
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  it('of the living are written again by Redis that came back empty, since when they were', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(10);
    b.hit(20);
    const { since } = await a.counters.report();
    await redis.restart({ empty: true });
    await expect.poll(() => a.counters.report(), { interval: 20 }).toMatchObject({ scope: 'fleet' });
    a.hit(1);
    expect(await requests(a)).toBe(31);
    expect((await b.counters.report()).since).toBe(since);
  });

  it('are whole again after a fail-over to a copy without the last writes, those of the dead too', async () => {
    const [a, dead] = [await joined('a'), await joined('dead')];
    dead.hit(100);
    await dead.flush();
    dead.kill();
    for (let flushes = 0; flushes < 3; flushes += 1) {
      a.hit(1);
      await a.flush();
    }
    const copy = (await redis.cli('hgetall', key)).split('\n');
    for (let flushes = 0; flushes < 5; flushes += 1) {
      a.hit(1);
      await a.flush();
    }
    await redis.cli('del', key);
    await redis.cli('hset', key, ...copy);
    a.hit(1);
    expect(await requests(a)).toBe(109);
  });

  it('of the living are whole again after a restart from a copy that is too old to go on from', async () => {
    const a = await joined('a');
    a.hit(1);
    await a.flush();
    const copy = (await redis.cli('hgetall', key)).split('\n');
    for (let flushes = 0; flushes < 20; flushes += 1) {
      a.hit(1);
      await a.flush();
    }
    await redis.cli('del', key);
    await redis.cli('hset', key, ...copy);
    expect(await requests(a)).toBe(21);
  });

  it('survive a route whose name is odd, and names of another version', async () => {
    const a = await joined('a');
    await redis.cli('hset', key, 'n:outcome.hit:a:b c', '4', 'n:outcome.future:weather', '9', 'n:purges', '2');
    const report = await a.counters.report();
    expect(report).toMatchObject({ requests: 4, purges: 2 });
    expect(report.routes['a:b c']).toMatchObject({ hits: 4 });
  });
});

describe('a reset of the counters of a fleet', () => {
  it('drops what ended before the call and keeps what began after it, on every process', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(10);
    await a.flush();
    b.hit(7);
    expect(await a.counters.reset()).toEqual({ ok: true, value: { missing: [] } });
    a.hit(2);
    b.hit(3);
    expect(await requests(a)).toBe(5);
    expect(await b.counters.report()).toMatchObject({ sidecars: 2, requests: 5 });
  });

  it('is exact for who flushes in the middle of it', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    b.hit(7);
    fleet.meanwhile = async () => {
      await b.flush();
      expect(await requests(b)).toBe(0);
    };
    await a.counters.reset();
    b.hit(3);
    expect(await requests(a)).toBe(3);
  });

  it('is exact for a flush that is under way when it comes', async () => {
    let hold: Promise<void> | undefined;
    const wrap = (ledger: CounterLedger): CounterLedger => ({
      ...ledger,
      flush: async (flush) => {
        await hold;
        return ledger.flush(flush);
      },
    });
    const [a, b] = [await joined('a'), await joined('b', { wrap })];
    const gate = Promise.withResolvers<void>();
    hold = gate.promise;
    b.hit(7);
    const flush = b.flush();
    expect(await a.counters.reset()).toMatchObject({ ok: true });
    b.hit(3);
    gate.resolve();
    await flush;
    expect(await requests(a)).toBe(3);
  });

  it('is of the last of two that run at once, whatever the order in which they are heard', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    a.hit(4);
    b.hit(4);
    await Promise.all([a.counters.reset(), b.counters.reset()]);
    a.hit(1);
    b.hit(1);
    fleet.said.reverse();
    fleet.replay('a');
    fleet.replay('b');
    expect(await requests(a)).toBe(2);
  });

  it('does not drop what a process counted since its start, when it reads of an older reset', async () => {
    const a = await joined('a');
    await a.counters.reset();
    await clocksApart();
    const late = fleet.join('late', link);
    late.hit(6);
    fleet.replay('late');
    late.hit(1);
    await late.flush();
    expect(await requests(a)).toBe(7);
  });

  it('drops what a process counted before its first contact, up to the reset that it then hears of', async () => {
    const [a, late] = [await joined('a'), fleet.join('late', link)];
    await clocksApart();
    late.hit(6);
    await a.counters.reset();
    late.hit(1);
    await late.flush();
    expect(await requests(a)).toBe(1);
  });

  it('names who has not heard of it, which drops its old counts when it is back', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    b.hit(9);
    fleet.cutOff.add('b');
    expect(await a.counters.reset()).toEqual({ ok: true, value: { missing: ['b'] } });
    fleet.cutOff.clear();
    await b.flush();
    b.hit(2);
    expect(await requests(a)).toBe(2);
    expect(await a.counters.reset()).toEqual({ ok: true, value: { missing: [] } });
  });

  it('is refused where it is not certain that everyone else heard of it', async () => {
    const a = await joined('a');
    fleet.cutOff.add('b');
    fleet.complete = false;
    expect(await a.counters.reset()).toMatchObject({
      ok: false,
      error: { status: 503, code: 'counters-not-reset-everywhere', retryAfter: 2 },
    });
  });

  it('is refused as the purge log refuses it', async () => {
    const a = await joined('a');
    const problem = { status: 503, code: 'purge-not-guaranteed', title: 'No', detail: 'No.' };
    fleet.refusal = problem;
    expect(await a.counters.reset()).toEqual({ ok: false, error: problem });
  });

  it('is not undone by a copy from before it', async () => {
    const a = await joined('a');
    a.hit(50);
    await a.flush();
    const copy = (await redis.cli('hgetall', key)).split('\n');
    await a.counters.reset();
    a.hit(2);
    await redis.cli('del', key);
    await redis.cli('hset', key, ...copy);
    expect(await requests(a)).toBe(2);
  });

  it('holds for who did not hear of it, even when Redis has lost it since', async () => {
    const [a, b] = [await joined('a'), await joined('b')];
    b.hit(9);
    fleet.cutOff.add('b');
    await a.counters.reset();
    await redis.cli('del', key);
    await b.flush();
    // Who knows of the reset comes second, and finds old counts.
    await a.flush();
    await b.flush();
    fleet.cutOff.clear();
    b.hit(1);
    expect(await requests(a)).toBe(1);
  });
});
