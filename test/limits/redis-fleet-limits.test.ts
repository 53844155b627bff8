import { describe, expect, it } from 'vitest';

import type { CounterLedger, LedgerMember } from '../../src/cache/fleet-ports.ts';
import { FlushState } from '../../src/metrics/flush-state.ts';
import { type Totals, totalsOfFields } from '../../src/metrics/totals.ts';
import { purgeScript, syncScript } from '../../src/store/coherence/scripts.ts';
import { createSharedPurgeLog } from '../../src/store/coherence/shared-purge-log.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import { systemClock } from '../../src/system-clock.ts';
import { CountingFleet } from '../support/counter-fleet.ts';
import { redisConfig } from '../support/redis-config.ts';
import { connected, openLinks } from '../support/redis-links.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';

const { control, log: logKey, bell } = redisKeys('forecache');

async function linkTo(redis: RedisProcess) {
  const links = openLinks(redisConfig(redis));
  await connected(links);
  return links;
}

const observer = { fleet: () => undefined, limit: () => undefined };

function totalsOf(purges: number): Totals {
  return totalsOfFields(new Map([['purges', purges]]), []);
}

/** What becomes of a flush behind twenty others where Redis holds no later one than this. */
function afterTwenty(applied: number): string {
  const state = new FlushState();
  for (let count = 1; count <= 20; count += 1) state.answered(state.next(totalsOf(count)), { applied: count });
  return state.answered(state.next(totalsOf(21)), { applied });
}

/** Of Redis, milliseconds. */
async function nowOf(redis: RedisProcess): Promise<number> {
  const [seconds = '', micros = ''] = (await redis.cli('time')).split('\n');
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

describe('The purge log', () => {
  it('keeps a purge within purgeRetention, and lets go of it with the next one after', async () => {
    await using redis = await startRedis();
    const config = redisConfig(redis, { purgeRetentionMs: 1000, leaseMs: 300 });
    const links = await linkTo(redis);
    await using log = createSharedPurgeLog({
      link: links.control,
      bell: links.bell,
      keys: redisKeys('forecache'),
      config,
      clock: systemClock,
      observer,
      instanceId: 'only',
    });
    await log.start(5000);
    // The first purge waits for a lease that an earlier epoch may have left.
    expect(await log.append({ scopes: ['k:before'], soft: false })).toMatchObject({ ok: true });
    const held = {
      key: 'other',
      route: 'r',
      url: '/other',
      tags: [],
      position: log.position() ?? { epoch: '', seq: 0 },
    };
    const startMs = await nowOf(redis);
    for (const name of ['k:1', 'k:2']) await log.append({ scopes: [name], soft: false });
    const endMs = await nowOf(redis);
    expect(endMs - startMs).toBeLessThan(1000);
    expect(await redis.cli('xrange', logKey, '2-1', '3-1')).toMatch(/k:1[^]*k:2/);
    expect(log.invalidity(held)).toBeUndefined();
    await expect.poll(async () => (await nowOf(redis)) - endMs, { timeout: 5000 }).toBeGreaterThan(1000);
    expect(log.invalidity(held)).toBeUndefined();
    await log.append({ scopes: ['k:last'], soft: false });
    expect(await redis.cli('xlen', logKey)).toBe('1');
    await expect.poll(() => log.status().floor).toBe(3);
    expect(log.invalidity(held)).toBe('floor');
  });

  it('asks a process for 2 s after the end of its lease, and forgets its name after 60 s', async () => {
    await using redis = await startRedis();
    const { control: link } = await linkTo(redis);
    const call = (script: typeof syncScript, ...args: readonly (string | number)[]): Promise<unknown> =>
      link.run(script, [control, logKey], args);
    await call(syncScript, 'ann', 0, 1, '', 0, 2000, 500);
    const nowMs = await nowOf(redis);
    const ended = { late: 1000, over: 2001, known: 50_000, gone: 60_001 };
    for (const [id, agoMs] of Object.entries(ended)) {
      await redis.cli('hset', control, `m:${id}`, `0:${nowMs - agoMs}`);
    }
    const reply = JSON.stringify(await call(purgeScript, 'ann', 0, 1, 'hard', '["k:1"]', 2000, 60_000, 100, bell));
    const asked = ['ann', ...Object.keys(ended)].filter((id) => reply.includes(`"${id}"`));
    expect(asked).toEqual(['ann', 'late']);
    const fields = (await redis.cli('hkeys', control)).split('\n').filter((field) => field.startsWith('m:'));
    expect(fields.toSorted()).toEqual(['m:ann', 'm:known', 'm:late', 'm:over']);
  });
});

describe('The counters of a fleet', () => {
  it.each([
    [1000, 5000],
    [2000, 6000],
  ])(
    'written each %i ms count a process that has not written for %i ms, and none for longer',
    async (everyMs, liveMs) => {
      await using redis = await startRedis();
      const { control: link } = await linkTo(redis);
      let idleMs = 0;
      const idle = (member: LedgerMember): LedgerMember => (member.id === 'b' ? { ...member, idleMs } : member);
      const wrap = (ledger: CounterLedger): CounterLedger => ({
        ...ledger,
        async read() {
          const reading = await ledger.read();
          return reading && { ...reading, members: reading.members.map(idle) };
        },
      });
      const fleet = new CountingFleet();
      const [a, b] = [fleet.join('a', link, { everyMs, wrap }), fleet.join('b', link, { everyMs })];
      await a.flush();
      await b.flush();
      idleMs = liveMs;
      expect(await a.counters.report()).toMatchObject({ scope: 'fleet', sidecars: 2 });
      idleMs = liveMs + 1;
      expect(await a.counters.report()).toMatchObject({ scope: 'fleet', sidecars: 1 });
    },
  );

  it('go on behind any of the last 16 flushes that Redis may have lost, and begin anew behind an older one', () => {
    expect([afterTwenty(21), afterTwenty(20), afterTwenty(5), afterTwenty(4)]).toEqual([
      'written',
      'behind',
      'behind',
      'lost',
    ]);
  });
});
