import { describe, expect, test } from 'vitest';
import { formatIssue } from '../../src/config/issue.ts';
import { loadConfig } from '../../src/config/load.ts';
import { freshnessOf } from '../../src/core/freshness.ts';
import type { Route } from '../../src/core/route.ts';
import { loadConfigFile, explainOffline } from '../../src/offline.ts';

function shipped(name: string): string {
  return new URL(`../../config/${name}`, import.meta.url).pathname;
}

describe('the shipped files', () => {
  test.each(['forecache.yaml', 'demo.yaml', 'honour.yaml'])('%s loads in an empty environment', (name) => {
    const loaded = loadConfig(shipped(name), {});
    expect(loaded.ok ? [] : loaded.error.map(formatIssue)).toEqual([]);
  });

  test('the default one names the real APIs, keeps nothing of events past a day, and never shows the key', () => {
    const loaded = loadConfig(shipped('forecache.yaml'), { TICKETMASTER_API_KEY: 'key' });
    if (!loaded.ok) throw new Error('does not load');
    const { upstreams, routes } = loaded.value;
    expect([...upstreams.values()].map((upstream) => upstream.origin)).toEqual([
      'https://api.open-meteo.com',
      'https://archive-api.open-meteo.com',
      'https://geocoding-api.open-meteo.com',
      'https://app.ticketmaster.com',
    ]);
    const events = routes.filter((route) => route.upstream === 'ticketmaster');
    const stored = events.filter((route) => route.cache === 'on');
    expect(stored.map((route) => route.policy.retainMs)).toEqual(stored.map(() => 86_400_000));
    expect(events.map((route) => route.secret)).toEqual(events.map(() => ['apikey']));
    const forecast = routes.find((route) => route.name === 'weather-forecast');
    expect(forecast?.params.get('hourly')?.kind.type).toBe('list');
    expect(forecast?.params.get('latitude')?.kind.type).toBe('list');
  });
});

function forecastRoute(): Route | undefined {
  const loaded = loadConfig(shipped('forecache.yaml'), {});
  return loaded.ok ? loaded.value.routes.find(({ name }) => name === 'weather-forecast') : undefined;
}

const at = (time: string) => Date.parse(`2026-11-26T${time}Z`);

describe('a forecast by the default file', () => {
  test.each([
    ['Europe/Berlin', '22:50:00', '23:00:00'],
    ['Asia/Kolkata', '18:20:00', '18:30:00'],
    ['auto', '03:38:00', '03:45:00'],
    ['Europe/Berlin', '12:00:00', '12:15:00'],
  ])('of %s that came at %s is fresh until %s, give or take its jitter: days begin at midnight', (zone, came, ends) => {
    const route = forecastRoute();
    if (route === undefined) throw new Error('does not load');
    const [requestTimeMs, responseTimeMs] = [at(came), at(came)];
    const keyed = { key: 'weather-forecast|/v1/forecast?latitude=1', zone };
    const input = { policy: route.policy, status: 200, fields: [], requestTimeMs, responseTimeMs, keyed };
    const { freshUntilMs } = freshnessOf(input);
    expect(freshUntilMs).toBeGreaterThanOrEqual(at(ends));
    expect(freshUntilMs).toBeLessThanOrEqual(at(ends) + 20_000);
  });

  test('goes by the zone that its request names', () => {
    const route = forecastRoute();
    expect(route?.policy.expireAt).toMatchObject({ kind: 'daily', atMinutes: 0, zone: '{timezone}' });
  });
});

function honourWith(env: Readonly<Record<string, string>>) {
  const loaded = loadConfig(shipped('honour.yaml'), env);
  if (!loaded.ok) throw new Error(loaded.error.map(formatIssue).join());
  return loaded.value;
}

describe('the file of a cache by the book', () => {
  test('has one route for every path of one origin, and nothing else on', () => {
    const { routes, upstreams, warm, purge, store } = honourWith({ FORECACHE_UPSTREAM: 'http://origin.test' });
    expect([...upstreams.values()].map(({ origin }) => origin)).toEqual(['http://origin.test']);
    expect(routes.map(({ match, host, forward, cache }) => ({ match, host, forward, cache }))).toEqual([
      { match: '/*', host: undefined, forward: undefined, cache: 'on' },
    ]);
    expect([warm.jobs, purge.schedule, store.redis]).toEqual([[], [], undefined]);
  });

  test('leaves lifetimes, errors and fields to upstream, and keys the query as it comes', () => {
    const [route] = honourWith({}).routes;
    expect(route?.policy).toMatchObject({
      upstreamCacheControl: 'honour',
      clientCacheControl: 'honour',
      ttlMs: undefined,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 0,
      heuristicFraction: 0.1,
      storeErrors: 'all',
      storeFields: 'all',
    });
    expect(route).toMatchObject({ rawQuery: true, noVarySearch: true, content: undefined, tagsFrom: [] });
    expect(route?.forwardHeaders).toEqual(['*', 'cookie']);
  });
});

/** What the program says of a GET under the default file: route, key or why there is none, and target upstream. */
async function explained(url: string): Promise<Readonly<Record<string, unknown>>> {
  const answer = await explainOffline(shipped('forecache.yaml'), {}, { url });
  if (answer.kind !== 'explained') throw new Error(JSON.stringify(answer));
  const { route, key, upstream, problem }: Record<string, unknown> = { ...answer.explanation };
  return { route, key, upstream, problem };
}

describe('the default file', () => {
  test.each(['forecache.yaml', 'demo.yaml', 'honour.yaml'])(
    '%s has no issue and no note in the program itself',
    (name) => {
      const loaded = loadConfigFile(shipped(name), {});
      expect(loaded.ok ? loaded.value.notes : loaded.error.map(formatIssue)).toEqual([]);
    },
  );

  test.each([
    ['event-search', '/discovery/v2/events', '?size=020&endDateTime=2026-11-23T23:59:59Z', 'size=20'],
    ['event-detail', '/discovery/v2/events/G5d', '', 'locale=en'],
    ['event-images', '/discovery/v2/events/G5d/images', '', ''],
    ['event-suggest', '/discovery/v2/suggest', '?keyword=Foo%20%20Fighters', 'keyword=foo%20fighters'],
    ['event-catalogue', '/discovery/v2/venues', '?keyword=x', 'keyword=x'],
    ['event-catalogue-item', '/discovery/v2/attractions/K8', '', 'locale=en'],
    ['event-classification-part', '/discovery/v2/classifications/genres/K1', '', 'locale=en'],
  ])('%s has one key for all spellings of %s', async (route, path, query, keyed) => {
    const spellings = [path, `${path}.json`, `/events${path}`, `/events${path}.json`];
    const found = await Promise.all(spellings.map((spelling) => explained(spelling + query)));
    expect(found[0]).toMatchObject({ route, problem: null });
    expect(found[0]?.['key']).toContain(keyed);
    expect(new Set(found.map((one) => JSON.stringify(one))).size).toBe(1);
  });

  test('takes the end of a search up to the hour and its beginning down', async () => {
    const { key } = await explained(
      '/events/discovery/v2/events?startDateTime=2026-11-23T10:59:01Z&endDateTime=2026-11-23T23:59:59Z',
    );
    expect(key).toContain('endDateTime=2026-11-24T00:00:00Z');
    expect(key).toContain('startDateTime=2026-11-23T10:00:00Z');
  });

  test.each([
    ['/weather/v1/gfs?latitude=1', 'weather-rest', 'https://api.open-meteo.com/v1/gfs?latitude=1'],
    ['/weather/v1/elevation?latitude=1', 'weather-rest', 'https://api.open-meteo.com/v1/elevation?latitude=1'],
    ['/archive/v1/era5?x=1&apikey=k', 'archive-rest', 'https://archive-api.open-meteo.com/v1/era5?x=1'],
    ['/geocoding/v1/get?id=1', 'geocoding-rest', 'https://geocoding-api.open-meteo.com/v1/get?id=1'],
    ['/events/discovery/v2/new.json?a=%20', 'event-rest', 'https://app.ticketmaster.com/discovery/v2/new.json?a=%20'],
    ['/discovery/v3/x/y', 'event-rest', 'https://app.ticketmaster.com/discovery/v3/x/y'],
  ])('passes %s on, of which it knows nothing', async (url, route, target) => {
    expect(await explained(url)).toMatchObject({ route, key: null, upstream: { target }, problem: null });
  });

  test.each(['sort=random', 'size=', 'size=201', 'endDateTime=tomorrow'])('refuses a search with %s', async (query) => {
    const { problem } = await explained(`/events/discovery/v2/events?${query}`);
    expect(problem).toMatchObject({ status: 400, code: 'parameter-invalid' });
  });
});
