import { describe, expect, it } from 'vitest';
import type { Route } from '../../../src/core/route.ts';
import { freshnessOf, initialAgeMs } from '../../../src/core/freshness.ts';
import type { StoredResponse } from '../../../src/core/stored-response.ts';
import { asAsked } from '../../../src/store/redis/as-asked.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, SECOND, storedOf, T0 } from '../../support/policy.ts';

const DATE = 'Date: Mon, 23 Nov 2026 12:00:00 GMT';
const key = 'forecast|/forecast';

/** As a response with these fields is stored that came at {@link T0}, two seconds after it was asked for. */
function cameWith(lines: readonly string[], route: Route, zone?: string): StoredResponse {
  const times = { requestTimeMs: T0 - 2 * SECOND, responseTimeMs: T0 };
  const input = { policy: route.policy, status: 200, fields: fieldsOf(...lines), ...times, keyed: { key, zone } };
  const fields = input.fields.filter(([name]) => name !== 'age');
  return storedOf({ ...times, fields, initialAgeMs: initialAgeMs(input), freshness: freshnessOf(input) });
}

function today(item: StoredResponse, route: Route, zone?: string): StoredResponse | undefined {
  const read = asAsked(item, { route, keyed: { key, url: '/forecast', tags: [], zone } });
  return read?.kind === 'response' ? read : undefined;
}

function error(status: number, variant = ''): StoredResponse {
  return storedOf({ status, key: `${key}${variant}` });
}

describe('a stored response by the rules of today', () => {
  const heuristic = honourRoute({ heuristicFraction: 0.1, heuristicMaxMs: 24 * HOUR });
  const hourly = { kind: 'every', everyMs: HOUR, offsetMs: 20 * MINUTE, jitterMs: 5 * MINUTE } as const;
  const midnight = { kind: 'daily', atMinutes: 0, zone: '{tz}', fallbackZone: 'UTC', jitterMs: MINUTE } as const;

  it.each<[string, readonly string[], Route, string | undefined]>([
    ['max-age and Age', ['Cache-Control: max-age=600', 'Age: 100', DATE], honourRoute(), undefined],
    [
      'CDN-Cache-Control',
      ['CDN-Cache-Control: max-age=600', 'Cache-Control: no-cache', 'Age: 7', DATE],
      honourRoute(),
      undefined,
    ],
    ['Expires', ['Expires: Mon, 23 Nov 2026 18:00:00 GMT', DATE], honourRoute(), undefined],
    ['a heuristic', ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', 'Age: 60', DATE], heuristic, undefined],
    [
      'a heuristic by an old Date',
      ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', 'Date: Mon, 23 Nov 2026 11:00:00 GMT'],
      heuristic,
      undefined,
    ],
    ['an instant with jitter', [DATE], routeOf({ expireAt: hourly }), undefined],
    ["a midnight of the request's zone", [DATE], routeOf({ expireAt: midnight, ttlMs: 24 * HOUR }), 'Asia/Kolkata'],
    [
      'an instant on a cap route',
      ['Cache-Control: max-age=3000', DATE],
      routeOf({ upstreamCacheControl: 'cap', expireAt: hourly }),
      undefined,
    ],
  ])('has the times that it was stored with while nothing has changed: %s', (_case, ...[lines, route, zone]) => {
    const item = cameWith(lines, route, zone);
    expect(item.freshness.freshUntilMs).toBeGreaterThan(T0);
    expect(today(item, route, zone)?.freshness).toEqual(item.freshness);
  });

  it('is bounded by an expireAt that is new, and freed of one that is gone', () => {
    const free = routeOf();
    const bounded = routeOf({ expireAt: { ...hourly, jitterMs: 0 } });
    expect(today(cameWith([DATE], free), bounded)?.freshness).toMatchObject({
      freshUntilMs: T0 + 20 * MINUTE,
      source: 'expireAt',
    });
    expect(today(cameWith([DATE], bounded), free)?.freshness.source).toBe('rule ttl');
  });

  it('loses a heuristic lifetime with the option', () => {
    const item = cameWith(['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', DATE], heuristic);
    expect(today(item, honourRoute())?.freshness).toMatchObject({ freshUntilMs: T0, source: 'none' });
  });
});

describe('a response that no rule would have stored', () => {
  it.each([206, 304, 412, 416])('is not read where its status is %i, by whatever rule', (status) => {
    const all = honourRoute({ storeErrors: 'all' });
    const named = routeOf({ statusTtlMs: new Map([[status, MINUTE]]) });
    expect(today(error(status), all)).toBeUndefined();
    expect(today(error(status), named)).toBeUndefined();
  });
});

describe('a response with a validator that no request can have', () => {
  it.each([{ etag: '"a"\r\nx: y' }, { etag: '"\u{1F600}"' }, { lastModified: 'Sun\n' }])(
    'is not read: %j',
    (planted) => {
      expect(today(storedOf(planted), routeOf())).toBeUndefined();
      expect(today(storedOf({ etag: 'W/"\u00e9"', lastModified: 'Sun' }), routeOf())).toBeDefined();
    },
  );
});

describe('an error that storeErrors: all let in', () => {
  const named = honourRoute({}, { forwardHeaders: ['accept', 'user-agent'] });

  it('is read under storeErrors: all, and under resource only where it is of the resource', () => {
    const all = honourRoute({ storeErrors: 'all' }, { forwardHeaders: ['*'] });
    const resource = honourRoute({}, { forwardHeaders: ['*'] });
    for (const status of [400, 403, 500, 503, 599]) {
      expect(today(error(status), all)).toBeDefined();
      expect(today(error(status), resource)).toBeUndefined();
    }
    for (const status of [200, 301, 404, 410, 501]) expect(today(error(status), resource)).toBeDefined();
  });

  it('is read under resource where its key tells all forwarded fields apart', () => {
    expect(today(error(400, ' accept=a|user-agent'), named)).toBeDefined();
    expect(today(error(400, ' accept=a|origin|user-agent=#0123'), named)).toBeDefined();
    expect(today(error(400, ' accept=user-agent'), named)).toBeUndefined();
    expect(today(error(400, ' accept=a'), named)).toBeUndefined();
    expect(today(error(400), named)).toBeUndefined();
    expect(today(error(400), honourRoute())).toBeDefined();
  });
});
