import { beforeEach, describe, expect, it } from 'vitest';

import type { CounterFlush, CounterLedger, FleetEvent, LedgerState } from '../../../src/cache/fleet-ports.ts';
import type { RedisConfig } from '../../../src/core/config.ts';
import { createCounterLedger } from '../../../src/store/redis/counter-ledger.ts';
import { redisKeys } from '../../../src/store/redis/keys.ts';
import type { RedisLink } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { redisConfig } from '../../support/redis-config.ts';
import { connected, openLinks } from '../../support/redis-links.ts';
import { startRedis, type RedisProcess } from '../../support/redis.ts';

const keys = redisKeys('forecache');

let redis: RedisProcess;

beforeEach(async () => {
  redis = await startRedis();
  return () => redis[Symbol.asyncDispose]();
});

async function linkTo(
  port = redis.port,
  commandTimeout = 2000,
  account: Pick<RedisConfig, 'username' | 'password'> = { username: undefined, password: undefined },
): Promise<RedisLink> {
  const links = openLinks(redisConfig({ port, password: undefined }, { leaseMs: commandTimeout, ...account }));
  await connected(links);
  return links.control;
}

function ledgerOf(link: Pick<RedisLink, 'run'>, instanceId: string, events: FleetEvent[] = []): CounterLedger {
  const observer = { fleet: (event: FleetEvent) => void events.push(event) };
  return createCounterLedger({ link, keys, clock: systemClock, instanceId, observer });
}

function flushOf(changes: Partial<CounterFlush> = {}): CounterFlush {
  return {
    number: 1,
    after: 0,
    counts: new Map([['purges', 5]]),
    generation: '',
    root: 0,
    sinceMs: undefined,
    heard: 0,
    rebuild: false,
    ...changes,
  };
}

async function flushed(ledger: CounterLedger, changes: Partial<CounterFlush>): Promise<LedgerState> {
  const state = await ledger.flush(flushOf(changes));
  if (state === undefined) throw new Error('Redis did not answer');
  return state;
}

async function generationOf(ledger: CounterLedger): Promise<string> {
  return (await flushed(ledger, {})).generation;
}

async function counted(ledger: CounterLedger, name = 'purges'): Promise<number | undefined> {
  return (await ledger.read())?.counts.get(name);
}

describe('the ledger of counters in Redis', () => {
  it('begins a generation for the first who comes, and adds nothing before it is known', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    expect(await ledger.read()).toBeUndefined();
    const state = await flushed(ledger, {});
    expect(state).toMatchObject({ root: 0, applied: 0 });
    expect(Math.abs(state.sinceMs - Date.now())).toBeLessThan(5000);
    expect(await counted(ledger)).toBeUndefined();
    expect(await flushed(ledger, { generation: state.generation })).toEqual({
      ...state,
      applied: 1,
      nowMs: expect.any(Number),
    });
    expect(await counted(ledger)).toBe(5);
  });

  it('adds a flush once, however often and late it comes', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    for (let times = 0; times < 3; times += 1) await ledger.flush(flushOf({ generation }));
    expect(await flushed(ledger, { generation, number: 2, after: 1 })).toMatchObject({ applied: 2 });
    expect(await flushed(ledger, { generation, number: 1, after: 0 })).toMatchObject({ applied: 2 });
    expect(await counted(ledger)).toBe(10);
  });

  it('adds nothing of a flush whose predecessor it does not hold, and says what it holds', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await ledger.flush(flushOf({ generation }));
    expect(await flushed(ledger, { generation, number: 9, after: 8 })).toMatchObject({ applied: 1 });
    expect(await counted(ledger)).toBe(5);
  });

  it('adds nothing of a flush of another generation', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    const root = await ledger.reset(0);
    expect(await flushed(ledger, { generation })).toMatchObject({ root, applied: 0 });
    expect(await counted(ledger)).toBeUndefined();
  });

  it('adds nothing more when a flush that was held up arrives after it was repeated, or after its process left', async () => {
    await using proxy = await startFaultProxy(redis.port);
    const slow = ledgerOf(await linkTo(proxy.port, 500), 'a');
    const quick = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(quick);
    proxy.pause('up');
    expect(await slow.flush(flushOf({ generation }))).toBeUndefined();
    expect(await flushed(quick, { generation })).toMatchObject({ applied: 1 });
    expect(await quick.leave()).toBe(true);
    proxy.resume();
    // What is sent behind it on the same connection is carried out behind it.
    await expect.poll(async () => await slow.heard(['a'])).toBeDefined();
    expect(await counted(quick)).toBe(5);
  });

  it('says when a flush was carried out whose reply was lost', async () => {
    await using proxy = await startFaultProxy(redis.port);
    const ledger = ledgerOf(await linkTo(proxy.port, 500), 'a');
    const generation = await generationOf(ledger);
    proxy.pause('down');
    expect(await ledger.flush(flushOf({ generation }))).toBeUndefined();
    proxy.resume();
    await expect.poll(() => ledger.flush(flushOf({ generation }))).toMatchObject({ applied: 1 });
    expect(await counted(ledger)).toBe(5);
  });

  it('begins another generation when it was lost, since when the counts were', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await redis.cli('del', keys.counters);
    const state = await flushed(ledger, { generation, sinceMs: 12_345 });
    expect(state).toMatchObject({ sinceMs: 12_345, applied: 0 });
    expect(state.generation).not.toBe(generation);
  });

  it('is thrown away when it is older than a reset that somebody knows', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await ledger.flush(flushOf({ generation }));
    expect(await flushed(ledger, { generation: 'later', root: 77 })).toMatchObject({ root: 77, applied: 0 });
    expect(await counted(ledger)).toBeUndefined();
  });

  it('is thrown away when it cannot be gone on from, by the first who says so', async () => {
    const [a, b] = [ledgerOf(await linkTo(), 'a'), ledgerOf(await linkTo(), 'b')];
    const generation = await generationOf(a);
    const again = await flushed(a, { generation, rebuild: true });
    expect(again.generation).not.toBe(generation);
    expect(await flushed(b, { generation, rebuild: true })).toMatchObject({ generation: again.generation });
  });

  it('has no two resets of one root, and knows the members of before', async () => {
    const [a, b] = [ledgerOf(await linkTo(), 'a'), ledgerOf(await linkTo(), 'b')];
    const generation = await generationOf(a);
    await a.flush(flushOf({ generation }));
    await b.flush(flushOf({ generation }));
    await b.leave();
    const roots = await Promise.all([a.reset(0), b.reset(0), a.reset(Date.now() * 2)]);
    expect(new Set(roots).size).toBe(3);
    expect(roots[2]).toBeGreaterThan(Date.now() * 2 - 10_000);
    expect(await a.read()).toMatchObject({ counts: new Map(), members: [{ id: 'a' }] });
  });

  it('rings the fleet with a question, and tells who has heard it', async () => {
    const links = openLinks(redisConfig(redis));
    const rung: string[] = [];
    links.bell.onRing((message) => rung.push(message));
    await connected(links);
    const ledger = ledgerOf(links.control, 'a');
    let question = 0;
    const isRung = async (): Promise<boolean> => {
      question = (await ledger.ask()) ?? 0;
      // A subscriber hears what was published before it is asked for a reply on another connection, or soon after.
      await new Promise(setImmediate);
      return rung.includes(`flush:${question}`);
    };
    await expect.poll(isRung, { interval: 5 }).toBe(true);
    const generation = await generationOf(ledger);
    await ledger.flush(flushOf({ generation, heard: question }));
    // A repeated flush has heard nothing new, and takes nothing back.
    await ledger.flush(flushOf({ generation, heard: 0 }));
    expect(await ledger.heard(['a', 'nobody'])).toEqual([question, 0]);
  });

  describe.each<readonly [string, (ledger: CounterLedger, generation: string) => Promise<unknown>, readonly string[]]>([
    ['when a report is made', (ledger) => ledger.read(), []],
    ['when a process joins', (ledger, generation) => ledger.flush(flushOf({ generation })), ['f:a']],
  ])('%s', (_, forget, joined) => {
    it('forgets who left ten minutes ago, and who was lost a week ago', async () => {
      const ledger = ledgerOf(await linkTo(), 'a');
      const generation = await generationOf(ledger);
      const [minute, day] = [60_000, 86_400_000];
      const member = (id: string, idleMs: number, left = ''): Promise<string> =>
        redis.cli('hset', keys.counters, `f:${id}`, `1 ${Date.now() - idleMs} 0${left}`);
      await member('left-just', 9 * minute, ' left');
      await member('left-long', 11 * minute, ' left');
      await member('lost-just', 6 * day);
      await member('lost-long', 8 * day);
      await forget(ledger, generation);
      const fields = (await redis.cli('hkeys', keys.counters)).split('\n').filter((field) => field.startsWith('f:'));
      expect(fields.toSorted()).toEqual([...joined, 'f:left-just', 'f:lost-just']);
      expect((await ledger.read())?.members.map(({ id }) => id)).not.toContain('left-just');
    });
  });

  it('counts on where somebody else wrote rubbish into it', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await redis.cli('hset', keys.counters, 'n:purges', 'many', 'f:b', 'rubbish');
    expect(
      await flushed(ledger, {
        generation,
        counts: new Map([
          ['warm.runs', 1],
          ['purges', 2],
        ]),
      }),
    ).toMatchObject({
      applied: 1,
    });
    expect(await counted(ledger)).toBe(2);
  });

  it('keeps what others have counted from a user who may not add to it', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await flushed(ledger, { generation });
    await redis.cli('acl', 'setuser', 'bob', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-hincrby');
    const events: FleetEvent[] = [];
    const other = ledgerOf(await linkTo(redis.port, 2000, { username: 'bob', password: 'pw' }), 'b', events);
    expect(await other.flush(flushOf({ generation, counts: new Map([['purges', 2]]) }))).toBeUndefined();
    expect(events).toMatchObject([{ operation: 'counters', result: 'auth' }]);
    expect(await counted(ledger)).toBe(5);
  });

  it('answers nothing where its key is of another type, and leaves that alone', async () => {
    await redis.cli('set', keys.counters, 'not ours');
    const events: FleetEvent[] = [];
    const ledger = ledgerOf(await linkTo(), 'a', events);
    const answers = [await ledger.flush(flushOf()), await ledger.reset(0), await ledger.read(), await ledger.leave()];
    expect(answers).toEqual([undefined, undefined, undefined, undefined]);
    expect(await redis.cli('get', keys.counters)).toBe('not ours');
    expect(events).toHaveLength(4);
    for (const event of events) expect(event).toMatchObject({ kind: 'redis', operation: 'counters', result: 'other' });
  });

  it('answers nothing where there is no Redis', async () => {
    const link = await linkTo();
    const events: FleetEvent[] = [];
    const ledger = ledgerOf(link, 'a', events);
    await redis.kill();
    await expect.poll(() => link.isReady).toBe(false);
    expect([await ledger.flush(flushOf()), await ledger.ask()]).toEqual([undefined, undefined]);
    const unsent = { result: 'closed', durationMs: undefined };
    expect(events).toMatchObject([unsent, unsent]);
  });

  it('goes on counting when Redis is full', async () => {
    const ledger = ledgerOf(await linkTo(), 'a');
    const generation = await generationOf(ledger);
    await redis.cli('config', 'set', 'maxmemory', '1');
    expect(await flushed(ledger, { generation })).toMatchObject({ applied: 1 });
  });
});
