import { existsSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { contractFile } from '../support/config-text.ts';
import type { Reply } from '../support/http.ts';
import { callsWith, startMission, startStillMission, type Mission } from '../support/mission.ts';

const SECOND = 1000;

const shared = new URL('../../../shared/contract/forecache.yaml', import.meta.url);

it('is tested with the configuration of the contract, byte for byte where that is at hand', () => {
  const text = existsSync(shared) ? readFileSync(shared, 'utf8') : contractFile;
  expect(contractFile).toBe(text);
  expect(contractFile).toContain('name: weather-historical');
});

/** Route, a request of it, and its lifetime in seconds. */
const lifetimes = [
  ['event-search', '/events/search?location=lima', 1800],
  ['weather-forecast', '/weather/forecast?location=lima', 3600],
  ['weather-historical', '/weather/historical?location=lima&date=2026-11-01', 86_400],
  ['weather-point', '/weather/point?lat=-12.04&lon=-77.03', 600],
] as const;

const whole = (ms: number): number => Math.floor(ms / SECOND);

/**
 * An answer that was stored just now, its max-age being the lifetime where it has no age. Where a whole second of the clock turned on the
 * way from upstream it has one (RFC 9111 §4.2.3), of which max-age has a part: then another is asked for, a few times, since on a
 * machine that is busy enough all have.
 */
async function youngAnswer({ get, call }: Mission, target: string, lifetime: number): Promise<Reply> {
  for (let round = 0; ; round += 1) {
    const askedMs = Date.now();
    const reply = await get(target);
    const turns = whole(Date.now()) - whole(askedMs);
    expect([reply.status, reply.cacheStatus]).toEqual([200, 'forecache; fwd=uri-miss; stored']);
    const age = Number(reply.headers.age ?? '0');
    const maxAge = Number(/^max-age=(\d+)$/.exec(reply.headers['cache-control'] ?? '')?.[1]);
    expect(maxAge).toBeGreaterThanOrEqual(lifetime);
    expect(maxAge).toBeLessThanOrEqual(lifetime + age);
    const isLast = round === 3;
    expect(isLast ? age : 0).toBeLessThanOrEqual(turns);
    if (age === 0 || isLast) return reply;
    expect((await call('/api/purge', { all: true })).status).toBe(200);
  }
}

describe('lifetimes of the built program', () => {
  it('are 1800 s for events, 3600 s for forecasts and 86400 s for the past, in max-age and in what is left', async () => {
    const mission = await startMission();
    for (const [, target, lifetime] of lifetimes) {
      const first = await youngAnswer(mission, target, lifetime);
      const second = await mission.get(target);
      const [, ttl = ''] = /^forecache; hit; ttl=(\d+); detail=memory$/.exec(second.cacheStatus) ?? [];
      // Some seconds may have passed on a busy machine, never more than the test may take.
      expect(Number(ttl)).toBeLessThanOrEqual(lifetime);
      expect(Number(ttl)).toBeGreaterThan(lifetime - 30);
      // What a client's own cache makes of it is just what is left.
      expect(Number(ttl) + Number(second.headers.age)).toBeGreaterThanOrEqual(lifetime - 1);
      expect(second.body.equals(first.body)).toBe(true);
    }
  });
});

describe('lifetimes in moved time', () => {
  it.each([
    // Kept beyond their lifetime for when upstream fails, so that they are known to be stale.
    [...lifetimes[0], 'forecache; fwd=stale; stored'],
    [...lifetimes[2], 'forecache; fwd=uri-miss; stored'],
    [...lifetimes[3], 'forecache; fwd=uri-miss; stored'],
  ])('of %s (%s): hits for %d s to the millisecond, then %s', async (_route, target, lifetime, afterwards) => {
    const mission = await startStillMission();
    const seen: (readonly [string, string | undefined, string | undefined])[] = [];
    for (const advanceMs of [0, 0, lifetime * SECOND - 1, 1, 0]) {
      mission.clock.advance(advanceMs);
      const { cacheStatus, headers } = await mission.get(target);
      seen.push([cacheStatus, headers.age, headers['cache-control']]);
    }
    const maxAge = `max-age=${lifetime}`;
    expect(seen).toEqual([
      ['forecache; fwd=uri-miss; stored', undefined, maxAge],
      [`forecache; hit; ttl=${lifetime}; detail=memory`, '0', maxAge],
      ['forecache; hit; ttl=0; detail=memory', String(lifetime - 1), maxAge],
      [afterwards, undefined, maxAge],
      [`forecache; hit; ttl=${lifetime}; detail=memory`, '0', maxAge],
    ]);
  });

  it('of weather-forecast: hits for 3600 s, stale ones for 600 s more while one call refreshes it, then a miss', async () => {
    const { clock, get, weather } = await startStillMission();
    const target = '/weather/forecast?location=lima';
    const calls = (): number => callsWith(weather, 'location=lima');
    await get(target);
    clock.advance(3600 * SECOND - 1);
    expect((await get(target)).cacheStatus).toBe('forecache; hit; ttl=0; detail=memory');
    expect(calls()).toBe(1);
    clock.advance(600 * SECOND);
    expect((await get(target)).cacheStatus).toBe('forecache; hit; ttl=-600; detail=memory');
    await expect.poll(async () => (await get(target)).cacheStatus).toBe('forecache; hit; ttl=3600; detail=memory');
    expect(calls()).toBe(2);
    clock.advance(4200 * SECOND);
    expect((await get(target)).cacheStatus).toBe('forecache; fwd=stale; stored');
  });

  it('lets the past outlive the forecast, and the forecast the events', async () => {
    const { clock, get } = await startStillMission();
    const states = async (): Promise<Record<string, boolean>> => {
      const entries: (readonly [string, boolean])[] = [];
      for (const [name, target] of lifetimes.slice(0, 3)) {
        entries.push([name, (await get(target)).cacheStatus.includes('; hit;')]);
      }
      return Object.fromEntries(entries);
    };
    const [events, forecast, past] = ['event-search', 'weather-forecast', 'weather-historical'] as const;
    expect(await states()).toEqual({ [events]: false, [forecast]: false, [past]: false });
    clock.advance(1801 * SECOND);
    expect(await states()).toEqual({ [events]: false, [forecast]: true, [past]: true });
    // Past stale-while-revalidate, too.
    clock.advance(3 * 3600 * SECOND);
    expect(await states()).toEqual({ [events]: false, [forecast]: false, [past]: true });
    clock.advance(24 * 3600 * SECOND);
    expect(await states()).toEqual({ [events]: false, [forecast]: false, [past]: false });
  });
});
