import { describe, expect, it } from 'vitest';
import type { CanonicalRequest } from '../../src/core/request.ts';
import type { CachePolicy, Route } from '../../src/core/route.ts';
import {
  decidePostStorage,
  decideStorage,
  endsStored,
  isLatestWord,
  type StorageInput,
  validatorsOf,
} from '../../src/core/storage-policy.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, T0 } from '../support/policy.ts';

const DATE = 'Date: Mon, 23 Nov 2026 12:00:00 GMT';
const FRESH = 'Cache-Control: max-age=3600';

interface Case {
  readonly route?: Route;
  readonly status?: number;
  readonly request?: readonly string[];
  readonly method?: CanonicalRequest['method'];
}

function decide(lines: readonly string[], given: Case = {}) {
  return decideStorage(inputOf(lines, given));
}

function inputOf(
  lines: readonly string[],
  { route = honourRoute(), status = 200, request = [], method = 'GET' }: Case,
): StorageInput {
  return {
    route,
    requestFields: fieldsOf(...request),
    keyed: { key: 'forecast|/forecast', canonical: { method } },
    status,
    fields: fieldsOf(...lines),
    requestTimeMs: T0,
    responseTimeMs: T0,
  };
}

function verdict(lines: readonly string[], given: Case = {}): string {
  const decision = decide(lines, given);
  return decision.kind === 'store' ? 'store' : decision.reason;
}

const cap = (policy: Partial<CachePolicy> = {}): Route => routeOf({ upstreamCacheControl: 'cap', ...policy });

describe('an error that upstream says may be kept', () => {
  const lines = [FRESH, DATE, 'Vary: Origin'];
  const route = honourRoute({}, { forwardHeaders: ['user-agent', 'accept'] });

  it.each([400, 401, 403, 406, 413, 415, 417, 421, 422, 431, 499, 500, 502])(
    '%i varies by every field that went upstream unkeyed',
    (status) => {
      expect(decide(lines, { route, status })).toMatchObject({ vary: ['accept', 'origin', 'user-agent'] });
    },
  );

  it('is not stored where any field may have gone upstream', () => {
    const all = honourRoute({}, { forwardHeaders: ['*'] });
    expect(verdict(lines, { route: all, status: 400 })).toBe('request-error');
    expect(verdict(lines, { route: all, status: 404 })).toBe('store');
  });

  it.each([200, 301, 404, 405, 410, 414, 451, 501])(
    '%i varies as upstream says, no field being its cause',
    (status) => {
      expect(decide(lines, { route, status })).toMatchObject({ vary: ['origin'] });
    },
  );
});

describe('what is stored on honour routes (RFC 9111 §3)', () => {
  it.each<[string, readonly string[], string]>([
    ['explicit freshness', [FRESH, DATE], 'store'],
    ['no-store', ['Cache-Control: max-age=3600, no-store', DATE], 'no-store'],
    ['no-store on a line of its own', [FRESH, 'Cache-Control: no-store', DATE], 'no-store'],
    ['NO-STORE', ['Cache-Control: max-age=3600, NO-STORE', DATE], 'no-store'],
    ['no-store behind a broken quoted string', ['Cache-Control: max-age=3600, x="oops, no-store', DATE], 'no-store'],
    ['no-store in a quoted string', ['Cache-Control: max-age=3600, x="no-store"', DATE], 'store'],
    ['private', ['Cache-Control: max-age=3600, private', DATE], 'private'],
    ['qualified private', ['Cache-Control: max-age=3600, private="x-one"', DATE], 'private'],
    ['no-store + must-understand', ['Cache-Control: max-age=3600, no-store, must-understand', DATE], 'store'],
    ['Vary: *', [FRESH, 'Vary: *', DATE], 'vary-star'],
    ['Vary: * in a list', [FRESH, 'Vary: accept, *', DATE], 'vary-star'],
    ['Vary: * on another line', [FRESH, 'Vary: accept', 'Vary: , *', DATE], 'vary-star'],
    ['no freshness, no validator', [DATE], 'no-freshness'],
    ['no freshness, a validator', ['ETag: "a"', DATE], 'store'],
    ['no-cache with a validator', ['Cache-Control: no-cache', 'ETag: "a"', DATE], 'store'],
    ['no-cache with freshness, no validator', ['Cache-Control: no-cache, max-age=60', DATE], 'no-cache'],
    ['stale on arrival', ['Cache-Control: max-age=0', DATE], 'stale-on-arrival'],
    ['stale by Age', [FRESH, 'Age: 7200', DATE], 'stale-on-arrival'],
    ['lifetime equal to age', [FRESH, 'Age: 3600', DATE], 'stale-on-arrival'],
    ['stale on arrival with a validator', ['Cache-Control: max-age=0', 'ETag: "a"', DATE], 'store'],
    [
      'stale on arrival with Last-Modified',
      ['Expires: 0', 'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', DATE],
      'store',
    ],
    [
      'stale on arrival with an invalid Last-Modified',
      ['Expires: 0', 'Last-Modified: 05/30/2024', DATE],
      'stale-on-arrival',
    ],
    ['stale on arrival with a stale window', ['Cache-Control: max-age=0, stale-while-revalidate=60', DATE], 'store'],
    ['unknown directives', ['Cache-Control: max-age=3600, nothing-to-see-here', DATE], 'store'],
    ['Pragma: no-cache', [FRESH, 'Pragma: no-cache', DATE], 'store'],
  ])('%s: %s → %s', (_case, lines, expected) => {
    expect(verdict(lines)).toBe(expected);
  });

  it.each([
    200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 410, 418, 429, 499, 500, 503, 504, 599, 999,
  ])('a %i with explicit freshness is', (status) => {
    expect(verdict([FRESH, DATE], { status })).toBe('store');
  });

  it.each([
    [100, 'status'],
    [103, 'status'],
    [206, 'partial'],
    [304, 'status'],
    [412, 'status'],
    [416, 'status'],
  ])('a %i never is: an answer to the conditions of one request (%s)', (status, reason) => {
    const lines = [FRESH, 'ETag: "a"', DATE];
    const statusTtlMs = new Map([[status, HOUR]]);
    expect(verdict(lines, { status })).toBe(reason);
    expect(verdict(lines, { status, route: honourRoute({ statusTtlMs }) })).toBe(reason);
    expect(verdict(lines, { status, route: routeOf({ statusTtlMs }) })).toBe(reason);
  });

  it.each([
    [200, 'store'],
    [404, 'store'],
    [501, 'store'],
    [201, 'no-freshness'],
    [503, 'no-freshness'],
    [599, 'no-freshness'],
  ])('a %i with a validator but no freshness: %s', (status, expected) => {
    expect(verdict(['ETag: "a"', DATE], { status })).toBe(expected);
    expect(verdict(['ETag: "a"', 'Cache-Control: public', DATE], { status })).toBe('store');
  });

  it('is no answer with must-understand and a status that nobody here understands', () => {
    expect(verdict(['Cache-Control: max-age=3600, must-understand', DATE], { status: 299 })).toBe('not-understood');
    expect(verdict(['Cache-Control: max-age=3600, no-store, must-understand', DATE], { status: 599 })).toBe(
      'not-understood',
    );
  });

  it.each([
    ['max-age=3600', 'authorization'],
    ['max-age=3600, public', 'store'],
    ['max-age=3600, must-revalidate', 'store'],
    ['s-maxage=3600', 'store'],
    ['max-age=3600, proxy-revalidate', 'authorization'],
  ])('of a request with Authorization: %s → %s (§3.5)', (directives, expected) => {
    expect(verdict([`Cache-Control: ${directives}`, DATE], { request: ['Authorization: Bearer x'] })).toBe(expected);
  });

  it('is what a request without no-store got', () => {
    const request = ['Cache-Control: no-store'];
    expect(verdict([FRESH, DATE], { request })).toBe('request-no-store');
    expect(verdict([FRESH, DATE], { request, route: routeOf({ clientCacheControl: 'honour' }) })).toBe(
      'request-no-store',
    );
    expect(verdict([FRESH, DATE], { request, route: routeOf() })).toBe('store');
  });

  it('falls under the rule where upstream says nothing', () => {
    const route = honourRoute({
      ttlMs: MINUTE,
      statusTtlMs: new Map([
        [404, MINUTE],
        [301, 0],
      ]),
    });
    expect(verdict([DATE], { route })).toBe('store');
    expect(verdict([DATE], { route, status: 404 })).toBe('store');
    expect(verdict([DATE], { route, status: 500 })).toBe('no-freshness');
    expect(verdict([FRESH, DATE], { route, status: 301 })).toBe('status');
  });

  it('comes with sorted Vary names and validators as upstream sent them', () => {
    const lines = [
      FRESH,
      'Vary: Accept-Language, accept',
      'Vary: ACCEPT',
      'ETag: W/"a"',
      'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT',
    ];
    expect(decide(lines)).toMatchObject({
      kind: 'store',
      vary: ['accept', 'accept-language'],
      etag: 'W/"a"',
      lastModified: 'Sun, 22 Nov 2026 12:00:00 GMT',
    });
  });

  it('has a Date, the time of arrival where upstream sent none', () => {
    expect(decide([FRESH])).toMatchObject({
      fields: expect.arrayContaining([['date', 'Mon, 23 Nov 2026 12:00:00 GMT']]),
    });
    const own = 'Sun, 22 Nov 2026 12:00:00 GMT';
    expect(decide(['Cache-Control: max-age=999999', `Date: ${own}`])).toMatchObject({
      fields: [
        ['cache-control', 'max-age=999999'],
        ['date', own],
      ],
    });
  });
});

describe('what is stored on ruled routes', () => {
  it.each([
    [200, 'store'],
    [203, 'store'],
    ...[201, 204, 301, 302, 303, 307, 400, 401, 403, 404, 410, 429, 500, 502, 503, 504, 599].map(
      (status) => [status, 'status'] as const,
    ),
  ] as const)('a %i: %s, even with explicit freshness', (status, expected) => {
    for (const route of [routeOf(), cap()]) {
      expect(verdict([FRESH, DATE], { route, status })).toBe(expected);
    }
  });

  it.each([404, 429, 500, 503, 301])('is a %i where statusTtl names it', (status) => {
    const statusTtlMs = new Map([[status, MINUTE]]);
    expect(verdict([DATE], { route: routeOf({ statusTtlMs }), status })).toBe('store');
    expect(verdict([DATE], { route: cap({ statusTtlMs }), status })).toBe('store');
  });

  it('is no status to which statusTtl gives no time', () => {
    expect(verdict([DATE], { route: routeOf({ statusTtlMs: new Map([[200, 0]]) }) })).toBe('status');
  });

  it.each([
    ['Cache-Control: no-store', 'store', 'no-store'],
    ['Cache-Control: private, max-age=60', 'store', 'private'],
    ['Cache-Control: private="x"', 'store', 'private'],
    ['Cache-Control: no-cache', 'store', 'no-cache'],
    ['Cache-Control: max-age=0', 'store', 'stale-on-arrival'],
    ['Expires: 0', 'store', 'stale-on-arrival'],
    ['Pragma: no-cache', 'store', 'store'],
    ['Vary: *', 'vary-star', 'vary-star'],
    ['Vary: Accept-Encoding', 'store', 'store'],
  ])('%s: %s on ignore routes, %s on cap routes', (line, ignored, capped) => {
    expect(verdict([line, DATE], { route: routeOf() })).toBe(ignored);
    expect(verdict([line, DATE], { route: cap() })).toBe(capped);
  });

  it('has no variants', () => {
    expect(decide(['Vary: Accept', DATE], { route: routeOf() })).toMatchObject({ vary: [] });
  });

  it('is nothing that was answered to credentials which the route does not key', () => {
    for (const policy of [{}, { upstreamCacheControl: 'cap' as const }]) {
      const given = (request: string, headers: readonly string[] = []): string =>
        verdict(['Cache-Control: public', DATE], { route: routeOf(policy, { headers }), request: [request] });
      expect(given('Authorization: Bearer x')).toBe('authorization');
      expect(given('Cookie: a=b')).toBe('cookie');
      expect(given('Authorization: Bearer x', ['authorization'])).toBe('store');
      expect(given('Cookie: a=b', ['cookie'])).toBe('store');
    }
  });

  it('holds nothing of one caller', () => {
    const lines = [
      DATE,
      'Set-Cookie: CMPS=1',
      'X-RateLimit-Remaining: 1',
      'Connection: x-hop',
      'X-Hop: 1',
      'Age: 3',
      'X-Kept: 1',
    ];
    expect(decide(lines, { route: routeOf() })).toMatchObject({
      initialAgeMs: 3000,
      fields: [
        ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
        ['x-kept', '1'],
      ],
    });
  });
});

describe('what is stored with storeErrors: all', () => {
  const route = honourRoute({ storeErrors: 'all' }, { forwardHeaders: ['*', 'cookie'] });
  const errors = [
    400, 401, 403, 406, 408, 413, 417, 418, 421, 422, 425, 429, 431, 499, 500, 502, 503, 504, 511, 599, 999,
  ];

  it.each([
    200,
    201,
    202,
    203,
    204,
    205,
    226,
    299,
    300,
    301,
    302,
    303,
    307,
    308,
    404,
    405,
    410,
    414,
    451,
    501,
    ...errors,
  ])('is a %i with explicit freshness, varying as upstream says', (status) => {
    expect(decide([FRESH, DATE, 'Vary: Origin'], { route, status })).toMatchObject({ kind: 'store', vary: ['origin'] });
  });

  it.each([206, 304, 412, 416])('is no %i', (status) => {
    expect(decide([FRESH, DATE], { route, status }).kind).toBe('pass');
  });

  it.each(errors)('is no %i without explicit freshness, which only public replaces', (status) => {
    expect(verdict([DATE], { route, status })).toBe('no-freshness');
    expect(verdict([DATE, 'Cache-Control: public', 'ETag: "a"'], { route, status })).toBe('store');
  });
});

describe('what CDN-Cache-Control says of storing (RFC 9213 §2.2)', () => {
  it.each<[string, readonly string[], string]>([
    ['no-store', ['CDN-Cache-Control: no-store', FRESH], 'no-store'],
    ['private', ['CDN-Cache-Control: private, max-age=60', FRESH], 'private'],
    ['a lifetime', ['CDN-Cache-Control: max-age=60', 'Cache-Control: no-store'], 'store'],
    ['a lifetime, private elsewhere', ['CDN-Cache-Control: max-age=60', 'Cache-Control: private'], 'store'],
    ['nothing, no-store elsewhere', ['CDN-Cache-Control: none', 'Cache-Control: no-store', 'ETag: "a"'], 'store'],
    ['something invalid', ['CDN-Cache-Control: max-age="60"', 'Cache-Control: no-store'], 'no-store'],
    ['something invalid, a lifetime elsewhere', ['CDN-Cache-Control: no-store, max-age=x', FRESH], 'store'],
  ])('%s: %s → %s', (_case, lines, expected) => {
    expect(verdict([...lines, DATE])).toBe(expected);
    expect(verdict([...lines, DATE], { route: cap() })).toBe(expected);
  });

  it('counts for Authorization too (§3.5)', () => {
    const request = ['Authorization: Bearer x'];
    expect(verdict(['CDN-Cache-Control: s-maxage=60', DATE], { request })).toBe('store');
    expect(verdict(['CDN-Cache-Control: max-age=60', 'Cache-Control: public', DATE], { request })).toBe(
      'authorization',
    );
  });

  it('means nothing on ignore routes', () => {
    expect(verdict(['CDN-Cache-Control: no-store', DATE], { route: routeOf() })).toBe('store');
  });

  it('is stored and passed on, like the fields that it overrules', () => {
    const lines = ['CDN-Cache-Control: max-age=60', 'Cache-Control: no-store', 'Expires: 0', DATE];
    expect(decide(lines)).toMatchObject({ fields: fieldsOf(...lines) });
  });
});

describe('what upstream says of caching', () => {
  it.each([
    ['is not read at all where the route ignores it', routeOf({ upstreamCacheControl: 'ignore' }), 0],
    ['is read once on a cap route', cap(), 1],
    ['is read once on an honour route', honourRoute(), 1],
  ])('%s', (_what, route, times) => {
    let reads = 0;
    const line = Object.defineProperty(['cdn-cache-control', ''] as const, 1, {
      get: () => {
        reads += 1;
        return 'max-age=60';
      },
    });
    expect(decideStorage({ ...inputOf([DATE], { route }), fields: [line] }).kind).toBe('store');
    expect(reads).toBe(times);
  });
});

describe('what is stored by heuristics (RFC 9111 §4.2.2)', () => {
  const route = honourRoute({ heuristicFraction: 0.1, heuristicMaxMs: HOUR, storeErrors: 'all' });
  const lines = [DATE, 'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'];

  it.each([
    [200, 'store'],
    [404, 'store'],
    [410, 'store'],
    [201, 'no-freshness'],
    [302, 'no-freshness'],
    [403, 'no-freshness'],
    [503, 'no-freshness'],
    [599, 'no-freshness'],
  ])('of a %i: %s', (status, expected) => {
    expect(verdict(lines, { route, status })).toBe(expected);
  });

  it('lasts for a part of the time that it has not changed for', () => {
    expect(decide(lines, { route })).toMatchObject({ freshness: { source: 'heuristic', freshUntilMs: T0 + HOUR } });
  });
});

describe('what is stored of a caller', () => {
  const route = honourRoute({ storeFields: 'all' }, { forwardHeaders: ['*', 'cookie'] });

  it('is Set-Cookie and what is left of a quota with storeFields: all', () => {
    const lines = [FRESH, DATE, 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-RateLimit-Remaining: 3'];
    expect(decide(lines, { route })).toMatchObject({ fields: fieldsOf(...lines) });
    expect(decide(lines)).toMatchObject({ fields: fieldsOf(FRESH, DATE) });
  });

  it('is an answer to a Cookie only where Cookie is keyed or forwarded by its name', () => {
    const request = ['Cookie: a=b'];
    expect(verdict([FRESH, DATE], { request, route })).toBe('store');
    expect(verdict([FRESH, DATE], { request, route: honourRoute({}, { headers: ['cookie'] }) })).toBe('store');
    expect(verdict([FRESH, DATE], { request })).toBe('cookie');
    expect(verdict([FRESH, DATE], { request, route: honourRoute({}, { forwardHeaders: ['*'] }) })).toBe('cookie');
  });

  it('is an answer to Authorization that goes upstream only by §3.5', () => {
    const request = ['Authorization: Bearer x'];
    expect(verdict([FRESH, DATE], { request, route })).toBe('authorization');
    expect(verdict([FRESH, DATE, 'Cache-Control: public'], { request, route })).toBe('store');
  });
});

describe('what is stored by method', () => {
  const route = honourRoute({ heuristicFraction: 0.1, heuristicMaxMs: HOUR });
  const unchanged = ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', DATE];

  it('is nothing of HEAD', () => {
    expect(verdict([FRESH, DATE], { method: 'HEAD' })).toBe('method');
    expect(verdict([DATE], { method: 'HEAD', route: routeOf() })).toBe('method');
  });

  it('is of POST what has explicit freshness (RFC 9110 §9.3.3), of QUERY as of GET (RFC 10008)', () => {
    expect(verdict([FRESH, DATE], { method: 'POST', route })).toBe('store');
    expect(verdict(unchanged, { method: 'POST', route })).toBe('not-explicit');
    expect(verdict(['ETag: "a"', DATE], { method: 'POST', route })).toBe('not-explicit');
    expect(verdict(unchanged, { method: 'QUERY', route })).toBe('store');
    expect(verdict(['ETag: "a"', DATE], { method: 'QUERY', route })).toBe('store');
  });

  it('is of POST what the rule gives a lifetime, since the operator says that it is a query', () => {
    expect(verdict([DATE], { method: 'POST', route: routeOf() })).toBe('store');
    expect(verdict([DATE], { method: 'POST', route: honourRoute({ ttlMs: MINUTE }) })).toBe('store');
  });
});

describe('the latest word of upstream', () => {
  it('is no failure, also where the errors of all are stored', () => {
    const all = honourRoute({ storeErrors: 'all' });
    expect([200, 404, 403, 429, 500, 503].filter((status) => isLatestWord(all, status))).toEqual([200, 404, 403]);
    const ofResource = honourRoute();
    expect([200, 404, 403, 429, 500, 503].filter((status) => isLatestWord(ofResource, status))).toEqual([200, 404]);
  });
});

function etagOf(...lines: readonly string[]): string | undefined {
  return validatorsOf(fieldsOf(...lines), T0).etag;
}

describe('what a response can be validated with', () => {
  it('is what it says once, and says at all', () => {
    expect(etagOf('ETag: "a"')).toBe('"a"');
    expect(etagOf('ETag: "a"', 'ETag: "b"')).toBeUndefined();
    expect(etagOf('ETag: ')).toBeUndefined();
    expect(etagOf()).toBeUndefined();
  });
});

describe('the answer to a POST that was relayed (RFC 9110 §9.3.3)', () => {
  const posted = (lines: readonly string[], given: Case = {}, namesTarget = true): string => {
    const decision = decidePostStorage(inputOf(lines, given), namesTarget);
    return decision.kind === 'store' ? 'store' : decision.reason;
  };

  it.each<[string, readonly string[], Case, string]>([
    ['max-age', [FRESH, DATE], {}, 'store'],
    ['s-maxage', ['Cache-Control: s-maxage=60', DATE], {}, 'store'],
    ['Expires', ['Expires: Mon, 23 Nov 2026 18:00:00 GMT', DATE], {}, 'store'],
    ['CDN-Cache-Control', ['CDN-Cache-Control: max-age=60', DATE], {}, 'store'],
    ['a 201', [FRESH, DATE], { status: 201 }, 'store'],
    ['no lifetime', ['ETag: "a"', DATE], {}, 'not-explicit'],
    [
      'a heuristic',
      ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', DATE],
      { route: honourRoute({ heuristicFraction: 0.1, heuristicMaxMs: HOUR }) },
      'not-explicit',
    ],
    ["the rule's lifetime", [DATE], { route: honourRoute({ ttlMs: MINUTE }) }, 'not-explicit'],
    ['a ruled route', [FRESH, DATE], { route: cap() }, 'not-explicit'],
    ['the last success there could be', [FRESH, DATE], { status: 299 }, 'store'],
    ['what has several answers', [FRESH, DATE], { status: 300 }, 'not-explicit'],
    ['a redirect', [FRESH, DATE], { status: 303 }, 'not-explicit'],
    ['an error', [FRESH, DATE], { status: 404 }, 'not-explicit'],
    ['no-store', ['Cache-Control: max-age=60, no-store', DATE], {}, 'no-store'],
    ['private', ['Cache-Control: max-age=60, private', DATE], {}, 'private'],
    ['private, with no lifetime', ['Cache-Control: private', DATE], {}, 'private'],
    ['a part', [FRESH, DATE], { status: 206 }, 'partial'],
    ['Authorization', [FRESH, DATE], { request: ['Authorization: Bearer x'] }, 'authorization'],
  ])('with %s: %s', (_case, lines, given, expected) => {
    expect(posted(lines, given)).toBe(expected);
  });

  it('is not stored where its Content-Location does not name the target', () => {
    expect(posted([FRESH, DATE], {}, false)).toBe('not-explicit');
  });
});

describe('an answer that is not stored itself (RFC 9111 §4.3.3)', () => {
  const forbidden = ['Cache-Control: no-store', DATE];
  const all = honourRoute({ storeErrors: 'all' });

  it.each([200, 203, 301, 404, 410])('ends what is stored where upstream forbids to keep it: %i', (status) => {
    expect(endsStored(inputOf(forbidden, { status }))).toBe(true);
    expect(endsStored(inputOf(forbidden, { status, route: routeOf() }))).toBe(false);
  });

  it.each([500, 503, 429, 400])(
    'ends nothing as a failure, or as one that the request may have caused: %i',
    (status) => {
      expect(endsStored(inputOf(forbidden, { status }))).toBe(false);
    },
  );

  it.each([103, 206, 304, 412, 416])('ends nothing as a part, or an answer to a condition: %i', (status) => {
    expect(endsStored(inputOf(forbidden, { status, route: all }))).toBe(false);
  });

  it('ends nothing for what the request is', () => {
    expect(endsStored(inputOf([FRESH, DATE], { request: ['Cache-Control: no-store'] }))).toBe(false);
    expect(endsStored(inputOf([FRESH, DATE], { request: ['Authorization: Bearer secret'] }))).toBe(false);
    expect(endsStored(inputOf(forbidden, { request: ['Cache-Control: no-store'] }))).toBe(true);
  });
});
