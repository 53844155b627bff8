import { describe, expect, it } from 'vitest';

import { ask } from '../support/http.ts';
import { callsWith, startMission, type Mission } from '../support/mission.ts';

/** Requests that hit, miss, are refused and fail: known to the last one. None of them is about a place that is warmed. */
async function script({ get, events }: Mission): Promise<void> {
  const targets = [
    '/weather/forecast?location=lima', // miss
    '/weather/forecast?location=LIMA', // hit
    '/weather/forecast?location=%20lima&days=7', // hit
    '/weather/forecast?location=tokyo', // miss
    '/weather/historical?location=lima&date=2026-11-01', // miss
    '/weather/historical?date=2026-11-01&location=Lima', // hit
    '/events/search?location=lima', // miss
    '/events/search?location=lima', // hit
    '/events/search?location=lima', // hit
    '/weather/forecast', // refused: no location
    '/nowhere', // no route
  ];
  for (const target of targets) await get(target);
  events.setFault({ down: true });
  await get('/events/search?location=tokyo'); // error
  events.setFault({});
}

const counted = { requests: 12, hits: 5, misses: 4, errors: 1, rejected: 2, hit_rate: 55.56, relayed: 0, aborted: 0 };
const zero = { requests: 0, hits: 0, misses: 0, errors: 0, rejected: 0, hit_rate: 0, stale: 0, collapsed: 0 };

/** The samples of a counter in the Prometheus text, by their labels. */
async function samples(mission: Mission, name: string): Promise<ReadonlyMap<string, number>> {
  const { text } = await ask(mission.admin, '/metrics');
  const found = text.matchAll(new RegExp(`^${name}(\\{[^}]*\\})? (\\S+)$`, 'gm'));
  return new Map([...found].map(([, labels = '', value]) => [labels, Number(value)]));
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

describe('the counts of the built program', () => {
  it('begin at zero, with a hit rate of 0', async () => {
    expect(await (await startMission()).report()).toMatchObject(zero);
  });

  it('are exact after a sequence that is known, in all and by route', async () => {
    const mission = await startMission();
    await script(mission);
    const report = await mission.report();
    expect(report).toMatchObject(counted);
    expect(report['routes']).toMatchObject({
      'weather-forecast': { requests: 5, hits: 2, misses: 2, errors: 0, rejected: 1, hit_rate: 50 },
      'weather-historical': { requests: 2, hits: 1, misses: 1, errors: 0, rejected: 0, hit_rate: 50 },
      'event-search': { requests: 4, hits: 2, misses: 1, errors: 1, rejected: 0, hit_rate: 66.67 },
      none: { requests: 1, hits: 0, misses: 0, rejected: 1, hit_rate: 0 },
    });
    expect(callsWith(mission.weather, 'lima') + callsWith(mission.weather, 'tokyo')).toBe(3);
  });

  it('go to zero by a reset and count on from there, while those of Prometheus never go back', async () => {
    const mission = await startMission();
    await script(mission);
    const before = await samples(mission, 'forecache_requests_total');
    expect(sum(before)).toBe(12);
    const reset = await mission.call('/api/metrics/cache/reset', {});
    expect(reset).toMatchObject({ status: 200, body: zero });
    expect(await mission.report()).toMatchObject(zero);
    expect(await samples(mission, 'forecache_requests_total')).toEqual(before);

    // What is stored is not what is counted: everything hits now but what failed and what is refused.
    await script(mission);
    expect(await mission.report()).toMatchObject({ ...counted, hits: 9, misses: 0, hit_rate: 100 });
    const after = await samples(mission, 'forecache_requests_total');
    expect(sum(after)).toBe(24);
    for (const [labels, count] of before) expect(after.get(labels)).toBeGreaterThanOrEqual(count);
  });

  it('show what the cache is there for: calls upstream with it and without it', async () => {
    const mission = await startMission();
    const { get, weather } = mission;
    const asked = Array.from({ length: 60 }, (_, index) => `?location=place%20${'abcde'[index % 5]}`);
    for (const query of asked) await ask(weather.origin, `/v1/forecast${query}`);
    expect(callsWith(weather, 'place')).toBe(60);
    for (const query of asked) await get(`/weather/forecast${query}`);
    expect(callsWith(weather, 'place') - 60).toBe(5);
    const { routes, hit_rate: rate } = await mission.report();
    expect(rate).toBe(91.67);
    expect(routes).toMatchObject({ 'weather-forecast': { requests: 60, hits: 55, misses: 5 } });
  });

  it('take a crowd that asks for one thing at once for one call', async () => {
    const mission = await startMission();
    mission.weather.setFault({ latencyMs: 300 });
    const crowd = Array.from({ length: 50 }, () => mission.get('/weather/forecast?location=cape%20town'));
    const replies = await Promise.all(crowd);
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(callsWith(mission.weather, 'cape')).toBe(1);
    const { requests, hits, misses, outcomes } = await mission.report();
    expect(requests).toBe(50);
    expect(Number(hits) + Number(misses)).toBe(50);
    expect(outcomes).toMatchObject({ miss: 1 });
  });
});
