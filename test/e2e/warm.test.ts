import { describe, expect, it, onTestFinished } from 'vitest';

import { ask, json } from '../support/http.ts';
import { launchServe } from '../support/launch.ts';
import { samples } from '../support/metrics.ts';
import { callsWith, startMission, startStillMission } from '../support/mission.ts';
import { startOrigin } from '../support/origin.ts';

/** Parameters of one request for the past. */
function pastOf(location: string): object {
  return { location, date: '2026-11-01' };
}

describe('warming the built program', () => {
  it('by locations runs the configured jobs for them: fetched first, then reused, then hits', async () => {
    const { call, get, weather, events } = await startMission();
    const today = new Date().toISOString().slice(0, 10);
    const locations = ['Tokyo', 'lima'];
    const first = await call('/api/warm', { locations });
    expect(first).toMatchObject({ status: 200, body: { fetched: 4, reused: 0, failed: 0 } });
    expect(first.body['items']).toEqual(
      expect.arrayContaining([
        { route: 'weather-forecast', url: expect.stringContaining('location=tokyo'), result: 'fetched', status: 200 },
        {
          route: 'event-search',
          url: expect.stringContaining(`location=lima&start=${today}`),
          result: 'fetched',
          status: 200,
        },
      ]),
    );
    const calls = (): number => callsWith(weather, 'tokyo') + callsWith(events, 'tokyo');
    expect(calls()).toBe(2);
    expect((await get('/weather/forecast?location=tokyo')).cacheStatus).toContain('; hit;');
    expect(await call('/api/warm', { locations })).toMatchObject({ body: { fetched: 0, reused: 4, failed: 0 } });
    expect(calls()).toBe(2);
  });

  it('by route fetches what is listed, reports what fails and lets nothing else fail with it', async () => {
    const { call, get, weather } = await startMission();
    const route = 'weather-historical';
    const wanted = { route, with: [pastOf('lima'), pastOf('tokyo'), { location: 'lima' }, pastOf('42')] };
    const report = await call('/api/warm', wanted);
    expect(report).toMatchObject({ status: 200, body: { fetched: 2, reused: 0, failed: 2 } });
    expect(report.body['items']).toMatchObject([
      { result: 'fetched', status: 200 },
      { result: 'fetched', status: 200 },
      // Refused like a request, without a call.
      { result: 'failed', detail: expect.stringContaining('date') },
      // The API knows no place of that name.
      { result: 'failed', status: 400 },
    ]);
    for (const location of ['lima', 'TOKYO']) {
      const { cacheStatus } = await get(`/weather/historical?date=2026-11-01&location=${location}`);
      expect(cacheStatus).toContain('; hit;');
    }
    expect(callsWith(weather, '/v1/historical')).toBe(3);

    // Four at once may be under way when the first is refused.
    weather.setFault({ status: 429 });
    const refused = await call('/api/warm', { route, with: Array.from({ length: 12 }, (_, at) => pastOf(`x${at}`)) });
    expect(refused).toMatchObject({ status: 200, body: { fetched: 0, failed: 12 } });
    expect(callsWith(weather, '/v1/historical')).toBeLessThanOrEqual(7);
    expect(refused.body['items']).toContainEqual(
      expect.objectContaining({ result: 'failed', detail: expect.stringContaining('429 (Too Many Requests)') }),
    );

    weather.setFault({ down: true });
    expect(await call('/api/warm', { route, with: [pastOf('berlin')] })).toMatchObject({
      status: 200,
      body: { fetched: 0, failed: 1, items: [{ result: 'failed', route }] },
    });
    expect(await call('/api/warm', { route: 'weather-historic', with: [{}] })).toMatchObject({ status: 400 });
  });
});

it('warms the configured locations by itself at the start and at each interval, in moved time', async () => {
  const { clock, report, get, weather, events } = await startStillMission();
  const runs = async (): Promise<unknown> => (await report())['warm'];
  // The first runs are spread over ten seconds.
  clock.advance(10_000);
  await expect.poll(runs).toEqual({ runs: 2, fetched: 6, reused: 0, failed: 0 });
  for (const place of ['berlin', 'paris', 'new york']) {
    const { cacheStatus } = await get(`/weather/forecast?location=${encodeURIComponent(place)}`);
    expect(cacheStatus).toContain('; hit;');
  }
  expect(callsWith(events, 'location=berlin&start=2020-01-06')).toBe(1);
  expect(callsWith(events, 'end=2020-01-13')).toBe(3);
  const calls = weather.calls();

  // Half an hour later the events are due again (jitter included), the forecasts are not.
  clock.advance(45 * 60_000);
  await expect.poll(runs).toMatchObject({ runs: 3, fetched: 9 });
  expect(weather.calls()).toBe(calls);
});

it.each([1, 2])(
  'with %i workers leaves an upstream that says Retry-After alone in later runs too, and clients not',
  async (workers) => {
    const origin = await startOrigin((_request, peer) => peer.respond(429, { 'Retry-After': '3600' }, 'no'));
    onTestFinished(() => origin.close());
    const { proxy, admin } = await launchServe(`
server: { listen: 127.0.0.1:0, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "${origin.url}" } }
routes: [{ name: forecast, match: /forecast, upstream: api, ttl: 1h }]
warm: { concurrency: 1 }
`);
    const warm = (): ReturnType<typeof ask> =>
      ask(admin, '/api/warm', {
        method: 'POST',
        body: JSON.stringify({ route: 'forecast', with: [{ place: 'a' }, { place: 'b' }] }),
        headers: { 'content-type': 'application/json' },
      });
    const detail: unknown = expect.stringMatching(/^not asked for: upstream api had said Retry-After /);
    const unasked = { result: 'failed', detail };
    const before = Date.now();
    const first = await warm();
    expect(json(first)).toMatchObject({ failed: 2, items: [{ result: 'failed', status: 429 }, unasked] });
    const [, retryAt = ''] = /"retryAt":"([^"]+)"/.exec(first.text) ?? [];
    const inMs = Date.parse(retryAt) - before;
    expect(inMs).toBeGreaterThanOrEqual(3_600_000 - 1000);
    expect(inMs).toBeLessThan(3_700_000);
    for (let run = 0; run < 3; run += 1)
      expect(json(await warm())).toMatchObject({ failed: 2, items: [unasked, unasked] });
    expect(origin.requests).toHaveLength(1);
    expect((await ask(proxy, '/forecast?place=a')).status).toBe(429);
    expect(origin.requests).toHaveLength(2);
    const counted = await samples(admin);
    expect(counted.get('forecache_upstream_put_offs_total{upstream="api"}')).toBe(1);
    expect(counted.get('forecache_warm_requests_total{job="api",result="unasked"}')).toBe(7);
  },
);
