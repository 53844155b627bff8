import {
  type Arbitrary,
  array,
  assert as assertProperty,
  constantFrom,
  nat,
  oneof,
  option,
  property,
  record,
  string,
  tuple,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldLines } from '../../src/core/fields.ts';
import { freshnessOf, initialAgeMs, standingOf } from '../../src/core/freshness.ts';
import type { CachePolicy } from '../../src/core/route.ts';
import {
  fieldsOf,
  freshnessWith,
  honourPolicy,
  HOUR,
  MINUTE,
  policyOf,
  SECOND,
  storedOf,
  T0,
} from '../support/policy.ts';

const keyed = { key: 'forecast|/forecast' };
const FRESH = 'Cache-Control: max-age=3600';
const DATE = 'Date: Mon, 23 Nov 2026 12:00:00 GMT';

function at(policy: CachePolicy, lines: readonly string[], status = 200) {
  return freshnessOf({ policy, status, fields: fieldsOf(...lines), requestTimeMs: T0, responseTimeMs: T0, keyed });
}

function ago(hours: number): string {
  return `Last-Modified: ${new Date(T0 - hours * HOUR).toUTCString()}`;
}

function ageOf(lines: readonly string[], delayMs = 0): number {
  return initialAgeMs({ fields: fieldsOf(...lines), requestTimeMs: T0 - delayMs, responseTimeMs: T0 });
}

/** Lifetime from the response on, in seconds. */
function lifetime(policy: CachePolicy, lines: readonly string[], status = 200): number {
  return (at(policy, lines, status).freshUntilMs - T0) / SECOND;
}

it('is the same whether Date is missing or the one that is written there on receipt (RFC 9110 §6.6.1)', () => {
  const policy = honourPolicy({ heuristicFraction: 0.1, heuristicMaxMs: HOUR });
  const times = { requestTimeMs: T0 + 999, responseTimeMs: T0 + 999, status: 200, policy, keyed };
  for (const line of ['Expires: Mon, 23 Nov 2026 12:10:00 GMT', ago(1)]) {
    expect(freshnessOf({ ...times, fields: fieldsOf(line) })).toEqual(
      freshnessOf({ ...times, fields: fieldsOf(line, DATE) }),
    );
  }
});

describe('freshness on honour routes (RFC 9111 §4.2)', () => {
  const policy = honourPolicy();

  it.each<[string, readonly string[], number, string]>([
    ['nothing said', [DATE], 0, 'none'],
    ['max-age', ['Cache-Control: max-age=60', DATE], 60, 'max-age'],
    ['max-age without Date', ['Cache-Control: max-age=60'], 60, 'max-age'],
    ['s-maxage before max-age', ['Cache-Control: max-age=60, s-maxage=600', DATE], 600, 's-maxage'],
    ['a shorter s-maxage too', ['Cache-Control: max-age=600, s-maxage=60', DATE], 60, 's-maxage'],
    ['s-maxage on another line', ['Cache-Control: max-age=600', 'Cache-Control: s-maxage=60', DATE], 60, 's-maxage'],
    ['an invalid s-maxage is stale', ['Cache-Control: max-age=600, s-maxage=x', DATE], 0, 's-maxage'],
    [
      'max-age before Expires',
      ['Cache-Control: max-age=60', 'Expires: Mon, 23 Nov 2026 13:00:00 GMT', DATE],
      60,
      'max-age',
    ],
    ['max-age before an Expires in the past', ['Cache-Control: max-age=60', 'Expires: 0', DATE], 60, 'max-age'],
    ['Expires minus Date', ['Expires: Mon, 23 Nov 2026 12:10:00 GMT', DATE], 600, 'expires'],
    ['Expires minus arrival without Date', ['Expires: Mon, 23 Nov 2026 12:10:00 GMT'], 600, 'expires'],
    ['Expires in RFC 850 form', ['Expires: Monday, 23-Nov-26 12:10:00 GMT', DATE], 600, 'expires'],
    ['Expires in the past', ['Expires: Mon, 23 Nov 2026 11:00:00 GMT', DATE], 0, 'expires'],
    ['Expires equal to Date', ['Expires: Mon, 23 Nov 2026 12:00:00 GMT', DATE], 0, 'expires'],
    ['Expires: 0', ['Expires: 0', DATE], 0, 'expires'],
    ['Expires in UTC', ['Expires: Mon, 23 Nov 2026 12:10:00 UTC', DATE], 0, 'expires'],
    [
      'several Expires lines',
      ['Expires: Mon, 23 Nov 2026 12:10:00 GMT', 'Expires: Mon, 23 Nov 2026 12:10:00 GMT', DATE],
      0,
      'expires',
    ],
    ['max-age=0', ['Cache-Control: max-age=0', DATE], 0, 'max-age'],
    ['a negative max-age', ['Cache-Control: max-age=-60', DATE], 0, 'max-age'],
    ['max-age in a quoted string', ['Cache-Control: extension="max-age=60"', DATE], 0, 'none'],
    ['names in any case', ['Cache-Control: MaX-aGe=60', DATE], 60, 'max-age'],
    ['Age takes away', ['Cache-Control: max-age=600', 'Age: 100', DATE], 500, 'max-age'],
    ['Age past the lifetime', ['Cache-Control: max-age=600', 'Age: 7200', DATE], -6600, 'max-age'],
    ['an old Date takes away', ['Cache-Control: max-age=600', 'Date: Mon, 23 Nov 2026 11:55:00 GMT'], 300, 'max-age'],
    ['Pragma means nothing', ['Cache-Control: max-age=60', 'Pragma: no-cache', DATE], 60, 'max-age'],
  ])('%s', (_case, lines, seconds, source) => {
    expect(lifetime(policy, lines)).toBe(seconds);
    expect(at(policy, lines).source).toBe(source);
  });

  it('is the rule where upstream says nothing, whatever Age says', () => {
    const ruled = honourPolicy({ ttlMs: 5 * MINUTE, statusTtlMs: new Map([[404, MINUTE]]) });
    expect(lifetime(ruled, [DATE, 'Age: 10'])).toBe(300);
    expect(at(ruled, [DATE]).source).toBe('rule ttl');
    expect(lifetime(ruled, [DATE], 404)).toBe(60);
    expect(at(ruled, [DATE], 404).source).toBe('rule statusTtl');
    expect(lifetime(ruled, [DATE], 500)).toBe(0);
    expect(lifetime(ruled, ['Cache-Control: max-age=1', DATE])).toBe(1);
  });

  it.each([
    ['must-revalidate', true, false],
    ['proxy-revalidate', true, false],
    ['s-maxage=60', true, false],
    ['no-cache', true, true],
    ['no-cache="set-cookie"', true, true],
    ['public', false, false],
    ['extension="must-revalidate"', false, false],
  ])('%s: must revalidate %s, always validate %s', (directive, mustRevalidate, alwaysValidate) => {
    const freshness = at(policy, [
      `Cache-Control: max-age=60, ${directive}, stale-while-revalidate=60, stale-if-error=60`,
    ]);
    expect(freshness).toMatchObject({ mustRevalidate, alwaysValidate });
    const windowMs = mustRevalidate ? 0 : MINUTE;
    expect(freshness.swrUntilMs - freshness.freshUntilMs).toBe(windowMs);
    expect(freshness.sieUntilMs - freshness.freshUntilMs).toBe(windowMs);
  });

  it("takes upstream's stale windows (RFC 5861), the rule's where it names none, and none where they are invalid", () => {
    const ruled = honourPolicy({ staleWhileRevalidateMs: 5 * SECOND, staleIfErrorMs: 7 * SECOND });
    const windows = (line: string): readonly number[] => {
      const { freshUntilMs, swrUntilMs, sieUntilMs } = at(ruled, [`Cache-Control: max-age=60${line}`]);
      return [(swrUntilMs - freshUntilMs) / SECOND, (sieUntilMs - freshUntilMs) / SECOND];
    };
    expect(windows('')).toEqual([5, 7]);
    expect(windows(', stale-while-revalidate=30')).toEqual([30, 7]);
    expect(windows(', stale-if-error=30')).toEqual([5, 30]);
    expect(windows(', stale-while-revalidate=x, stale-if-error')).toEqual([0, 0]);
  });
});

describe('CDN-Cache-Control (RFC 9213 §2.2)', () => {
  it.each<[string, readonly string[], number, string]>([
    ['is before s-maxage', ['CDN-Cache-Control: max-age=600', 'Cache-Control: s-maxage=60'], 600, 'cdn-cache-control'],
    [
      'is before a longer max-age',
      ['CDN-Cache-Control: max-age=6', 'Cache-Control: max-age=60'],
      6,
      'cdn-cache-control',
    ],
    ['is before Expires', ['CDN-Cache-Control: max-age=600', 'Expires: 0', DATE], 600, 'cdn-cache-control'],
    ['has an s-maxage of its own', ['CDN-Cache-Control: max-age=600, s-maxage=60'], 60, 'cdn-cache-control'],
    ['grows old by Age', ['CDN-Cache-Control: max-age=600', 'Age: 100'], 500, 'cdn-cache-control'],
    ['without a lifetime silences Cache-Control', ['CDN-Cache-Control: none', 'Cache-Control: max-age=60'], 0, 'none'],
    ['and Expires', ['CDN-Cache-Control: none', 'Expires: Mon, 23 Nov 2026 18:00:00 GMT', DATE], 0, 'none'],
    ['means nothing when invalid', ['CDN-Cache-Control: max-age="9"', 'Cache-Control: max-age=60'], 60, 'max-age'],
    ['means nothing when empty', ['CDN-Cache-Control:', 'Cache-Control: max-age=60'], 60, 'max-age'],
  ])('%s', (_case, lines, seconds, source) => {
    expect(lifetime(honourPolicy(), lines)).toBe(seconds);
    expect(at(honourPolicy(), lines).source).toBe(source);
  });

  it('caps and is capped on cap routes, and means nothing on ignore routes', () => {
    const capped = policyOf({ upstreamCacheControl: 'cap' });
    expect(lifetime(capped, ['CDN-Cache-Control: max-age=60', 'Cache-Control: max-age=6'])).toBe(60);
    expect(lifetime(capped, ['CDN-Cache-Control: max-age=86400', 'Cache-Control: max-age=6'])).toBe(3600);
    expect(lifetime(policyOf(), ['CDN-Cache-Control: max-age=60'])).toBe(3600);
  });

  it('alone says what may be served stale', () => {
    const lines = ['CDN-Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=40'];
    const own = 'Cache-Control: must-revalidate, no-cache, s-maxage=5';
    const { freshUntilMs, swrUntilMs, sieUntilMs, mustRevalidate } = at(honourPolicy(), [...lines, own]);
    expect([swrUntilMs - freshUntilMs, sieUntilMs - freshUntilMs, mustRevalidate]).toEqual([30_000, 40_000, false]);
    expect(at(honourPolicy(), ['CDN-Cache-Control: no-cache', FRESH]).alwaysValidate).toBe(true);
    expect(at(honourPolicy(), ['CDN-Cache-Control: must-revalidate, max-age=1']).mustRevalidate).toBe(true);
    expect(at(honourPolicy(), ['CDN-Cache-Control: s-maxage=1']).mustRevalidate).toBe(true);
  });
});

describe('heuristic freshness (RFC 9111 §4.2.2)', () => {
  const policy = honourPolicy({ heuristicFraction: 0.1, heuristicMaxMs: 24 * HOUR });

  it.each([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])(
    'is a tenth of Date less Last-Modified for a %i',
    (status) => {
      expect(lifetime(policy, [DATE, ago(10)], status)).toBe(3600);
      expect(at(policy, [DATE, ago(10)], status).source).toBe('heuristic');
    },
  );

  it.each([201, 202, 299, 302, 303, 307, 403, 429, 500, 502, 503, 504, 599, 999])(
    'is for a %i with public alone',
    (status) => {
      expect(at(policy, [DATE, ago(10)], status)).toMatchObject({ source: 'none', freshUntilMs: T0 });
      expect(lifetime(policy, [DATE, ago(10), 'Cache-Control: public'], status)).toBe(3600);
    },
  );

  it.each<[string, readonly string[], number, string]>([
    ['counts from arrival without Date', [ago(10)], 3600, 'heuristic'],
    ['is capped', [DATE, ago(2400)], 24 * 3600, 'heuristic'],
    ['is up to the cap', [DATE, ago(240)], 24 * 3600, 'heuristic'],
    ['grows old by Age', [DATE, ago(10), 'Age: 600'], 3000, 'heuristic'],
    ['is not there without Last-Modified', [DATE], 0, 'none'],
    ['is not there for an invalid Last-Modified', [DATE, 'Last-Modified: 2026-11-01'], 0, 'none'],
    ['is not there for two of them', [DATE, ago(10), ago(20)], 0, 'none'],
    ['is not there for one in the future', [DATE, ago(-10)], 0, 'none'],
    ['is not there for what has just changed', [DATE, ago(0)], 0, 'none'],
    ['gives way to max-age', [DATE, ago(10), 'Cache-Control: max-age=1'], 1, 'max-age'],
    ['gives way to an invalid max-age', [DATE, ago(10), 'Cache-Control: max-age=x'], 0, 'max-age'],
    ['gives way to an invalid Expires', [DATE, ago(10), 'Expires: 0'], 0, 'expires'],
    [
      'is there beside a CDN-Cache-Control without lifetime',
      [DATE, ago(10), 'CDN-Cache-Control: none'],
      3600,
      'heuristic',
    ],
  ])('%s', (_case, lines, seconds, source) => {
    expect(lifetime(policy, lines)).toBe(seconds);
    expect(at(policy, lines).source).toBe(source);
  });

  it('gives way to the rule, and is none where the route wants none or is ruled', () => {
    expect(at({ ...policy, ttlMs: MINUTE }, [DATE, ago(10)]).source).toBe('rule ttl');
    expect(at(honourPolicy(), [DATE, ago(10)]).source).toBe('none');
    const capped = policyOf({
      upstreamCacheControl: 'cap',
      ttlMs: undefined,
      heuristicFraction: 0.1,
      heuristicMaxMs: HOUR,
    });
    expect(at(capped, [DATE, ago(10)]).source).toBe('none');
  });
});

describe('expireAt', () => {
  const expireAt = { kind: 'every', everyMs: HOUR, offsetMs: 20 * MINUTE, jitterMs: 0 } as const;
  const bounded = (policy: Partial<CachePolicy>, lines: readonly string[] = [DATE], status = 200) =>
    at(policyOf({ expireAt, staleWhileRevalidateMs: MINUTE, staleIfErrorMs: HOUR, ...policy }), lines, status);
  const END = T0 + 20 * MINUTE;

  it('ends a lifetime that would reach past the next instant, the stale windows counted from there', () => {
    expect(bounded({})).toMatchObject({
      freshUntilMs: END,
      swrUntilMs: END + MINUTE,
      sieUntilMs: END + HOUR,
      retainUntilMs: T0 + 24 * HOUR,
      source: 'expireAt',
    });
    expect(bounded({ statusTtlMs: new Map([[404, HOUR]]) }, [DATE], 404).freshUntilMs).toBe(END);
  });

  it('leaves a shorter lifetime as it is, and one that ends just then', () => {
    expect(bounded({ ttlMs: MINUTE })).toMatchObject({ freshUntilMs: T0 + MINUTE, source: 'rule ttl' });
    expect(bounded({ ttlMs: 20 * MINUTE }).source).toBe('rule ttl');
  });

  it("bounds upstream's lifetime on cap routes, and none on honour routes", () => {
    const lines = ['Cache-Control: max-age=3000'];
    expect(bounded({ upstreamCacheControl: 'cap' }, lines)).toMatchObject({ freshUntilMs: END, source: 'expireAt' });
    expect(bounded({ upstreamCacheControl: 'cap' }, ['Cache-Control: max-age=60']).source).toBe('max-age');
    expect(bounded({ upstreamCacheControl: 'cap' }, ['Cache-Control: max-age=9000'])).toMatchObject({
      source: 'expireAt',
    });
    expect(bounded({ upstreamCacheControl: 'honour' }, lines).source).toBe('max-age');
  });

  it('ends at an instant that came while the answer did: it may be from before the change', () => {
    const policy = policyOf({ expireAt, staleIfErrorMs: HOUR });
    const input = { policy, status: 200, fields: [], keyed: { key: 'a', zone: undefined } };
    const spanning = freshnessOf({ ...input, requestTimeMs: END - 1, responseTimeMs: END + 2000 });
    expect(spanning).toMatchObject({ freshUntilMs: END, sieUntilMs: END + HOUR, source: 'expireAt' });
    const after = freshnessOf({ ...input, requestTimeMs: END, responseTimeMs: END + 2000 });
    expect(after).toMatchObject({ freshUntilMs: END + HOUR, source: 'expireAt' });
    // The clock was set back while upstream was asked.
    const back = freshnessOf({ ...input, requestTimeMs: END + 2000, responseTimeMs: END - 1 });
    expect(back.freshUntilMs).toBe(END);
  });

  it("is moved by the key's jitter, and told by the request's zone", () => {
    const jittered = { ...expireAt, jitterMs: 10 * MINUTE };
    const ends = Array.from({ length: 50 }, (_, index) => {
      const policy = policyOf({ expireAt: jittered });
      const input = { policy, status: 200, fields: [], requestTimeMs: T0, responseTimeMs: T0 };
      return freshnessOf({ ...input, keyed: { key: `forecast|/${index}` } }).freshUntilMs;
    });
    expect(new Set(ends).size).toBeGreaterThan(40);
    for (const endMs of ends) expect(endMs - END).toBeLessThanOrEqual(10 * MINUTE);
    const midnight = { kind: 'daily', atMinutes: 0, zone: '{tz}', fallbackZone: 'UTC', jitterMs: 0 } as const;
    const policy = policyOf({ expireAt: midnight, ttlMs: 24 * HOUR });
    const input = { policy, status: 200, fields: [], requestTimeMs: T0, responseTimeMs: T0 };
    expect(freshnessOf({ ...input, keyed: { key: 'a', zone: 'Asia/Kolkata' } }).freshUntilMs).toBe(T0 + 6.5 * HOUR);
    expect(freshnessOf({ ...input, keyed: { key: 'a', zone: 'auto' } }).freshUntilMs).toBe(T0 + 12 * HOUR);
    const unknown = policyOf({ expireAt: { ...midnight, fallbackZone: undefined }, ttlMs: 24 * HOUR });
    expect(freshnessOf({ ...input, policy: unknown, keyed: { key: 'a', zone: 'auto' } }).freshUntilMs).toBe(
      T0 + 15 * MINUTE,
    );
  });
});

describe('freshness on ruled routes', () => {
  const windows = { staleWhileRevalidateMs: 10 * MINUTE, staleIfErrorMs: 6 * HOUR };

  it('is the rule alone on ignore routes, whatever upstream says', () => {
    const lines = [
      'Cache-Control: max-age=0, no-cache, no-store, must-revalidate',
      'Cache-Control: private, s-maxage=1, stale-if-error=0',
      'Expires: 0',
      'Pragma: no-cache',
      'Age: 999999',
      'Date: Mon, 23 Nov 2020 12:00:00 GMT',
    ];
    expect(at(policyOf(windows), lines)).toEqual({
      freshUntilMs: T0 + HOUR,
      swrUntilMs: T0 + HOUR + 10 * MINUTE,
      sieUntilMs: T0 + 7 * HOUR,
      retainUntilMs: T0 + 24 * HOUR,
      mustRevalidate: false,
      alwaysValidate: false,
      source: 'rule ttl',
    });
  });

  it.each<[string, readonly string[], number, string]>([
    ['nothing said: the rule', [DATE], 3600, 'rule ttl'],
    ['upstream shorter', ['Cache-Control: max-age=60', DATE], 60, 'max-age'],
    ['upstream longer', ['Cache-Control: max-age=86400', DATE], 3600, 'cap'],
    ['s-maxage counts', ['Cache-Control: public, max-age=460, s-maxage=1800', DATE], 1800, 's-maxage'],
    ['Expires past', ['Expires: Mon, 23 Nov 2026 11:00:00 GMT', DATE], 0, 'expires'],
    ['Age of a CDN shortens what upstream allows', ['Cache-Control: max-age=180', 'Age: 100', DATE], 80, 'max-age'],
    ['Age does not shorten the rule', ['Cache-Control: max-age=86400', 'Age: 100', DATE], 3600, 'cap'],
    ['invalid is stale', ['Cache-Control: max-age=soon', DATE], 0, 'max-age'],
  ])('on cap routes: %s', (_case, lines, seconds, source) => {
    const policy = policyOf({ upstreamCacheControl: 'cap' });
    expect(lifetime(policy, lines)).toBe(seconds);
    expect(at(policy, lines).source).toBe(source);
  });

  it('keeps the stale windows of the rule on cap routes unless upstream forbids stale answers', () => {
    const policy = policyOf({ upstreamCacheControl: 'cap', ...windows });
    const windowMs = (line: string): number => {
      const { freshUntilMs, sieUntilMs } = at(policy, [`Cache-Control: ${line}`]);
      return sieUntilMs - freshUntilMs;
    };
    expect(windowMs('max-age=60, stale-if-error=1')).toBe(6 * HOUR);
    expect(windowMs('max-age=60, s-maxage=60')).toBe(6 * HOUR);
    expect(windowMs('max-age=60, must-revalidate')).toBe(0);
    expect(windowMs('max-age=60, proxy-revalidate')).toBe(0);
    expect(windowMs('max-age=60, no-cache')).toBe(0);
  });

  it('differs by status where statusTtl says so', () => {
    const policy = policyOf({
      statusTtlMs: new Map([
        [404, MINUTE],
        [200, 2 * MINUTE],
      ]),
    });
    expect(lifetime(policy, [], 404)).toBe(60);
    expect(lifetime(policy, [], 200)).toBe(120);
    expect(lifetime(policy, [], 203)).toBe(3600);
    expect(at(policy, [], 404).source).toBe('rule statusTtl');
  });

  it('never goes past retain, stale windows included', () => {
    const capped = at(policyOf({ ...windows, retainMs: 2 * HOUR }), []);
    expect(capped.swrUntilMs).toBe(T0 + HOUR + 10 * MINUTE);
    expect(capped.sieUntilMs).toBe(T0 + 2 * HOUR);
    const short = at(policyOf({ ...windows, retainMs: MINUTE }), []);
    expect([short.freshUntilMs, short.swrUntilMs, short.sieUntilMs, short.retainUntilMs]).toEqual(
      Array.from({ length: 4 }, () => T0 + MINUTE),
    );
  });
});

describe('the initial age (RFC 9111 §4.2.3)', () => {
  it.each<[string, readonly string[], number]>([
    ['nothing', [], 0],
    ['Age', ['Age: 7200', DATE], 7200],
    ['a list: its first member', ['Age: 7200, 0', DATE], 7200],
    ['a list: its first member, even 0', ['Age: 0, 7200', DATE], 0],
    ['several lines: the first', ['Age: 5', 'Age: 7200', DATE], 5],
    ['words', ['Age: abc', DATE], 0],
    ['a negative number', ['Age: -7200', DATE], 0],
    ['a decimal', ['Age: 7200.0', DATE], 0],
    ['more than 2^31', ['Age: 99999999999', DATE], 2 ** 31],
    ['an old Date', ['Date: Mon, 23 Nov 2026 11:59:00 GMT'], 60],
    ['the larger of both', ['Date: Mon, 23 Nov 2026 11:59:00 GMT', 'Age: 5'], 60],
    ['a Date in the future', ['Date: Mon, 23 Nov 2026 13:00:00 GMT', 'Age: 5'], 5],
    ['an invalid Date', ['Date: yesterday'], 0],
    ['several Dates', ['Date: Mon, 23 Nov 2026 11:59:00 GMT', DATE], 0],
  ])('from %s', (_case, lines, seconds) => {
    expect(ageOf(lines)).toBe(seconds * SECOND);
  });

  it('takes in how long the response was on its way', () => {
    expect(ageOf(['Age: 5', DATE], 1500)).toBe(6500);
    expect(ageOf([DATE], 1500)).toBe(1500);
  });

  it('is not made of the fraction of a second that Date cannot say', () => {
    expect(initialAgeMs({ fields: fieldsOf(DATE), requestTimeMs: T0 + 999, responseTimeMs: T0 + 999 })).toBe(0);
    expect(initialAgeMs({ fields: fieldsOf(DATE), requestTimeMs: T0 + 1001, responseTimeMs: T0 + 1001 })).toBe(1000);
  });

  it('is not negative when the clock was set back meanwhile', () => {
    expect(ageOf([DATE], -5000)).toBe(0);
  });
});

describe('the standing of a stored response', () => {
  it('is its age and the freshness left', () => {
    const stored = storedOf({ initialAgeMs: 1500 });
    expect(standingOf(stored, undefined, T0)).toMatchObject({ ageSeconds: 1, ttlSeconds: 3600 });
    expect(standingOf(stored, undefined, T0 + 60_500)).toMatchObject({ ageSeconds: 62, ttlSeconds: 3539 });
    expect(standingOf(stored, undefined, T0 + HOUR)).toMatchObject({ ttlMs: 0 });
    expect(standingOf(stored, undefined, T0 + HOUR + 1).ttlSeconds).toBe(-1);
  });

  it('is not younger than it came when the clock was set back', () => {
    expect(standingOf(storedOf({ initialAgeMs: 5000 }), undefined, T0 - HOUR).ageSeconds).toBe(5);
  });

  it('is stale since a soft purge, with the stale windows counted from there', () => {
    const freshness = freshnessWith({ swrUntilMs: T0 + HOUR + MINUTE, sieUntilMs: T0 + 2 * HOUR });
    const purged = standingOf(storedOf({ freshness }), T0 + MINUTE, T0 + 90 * SECOND);
    expect(purged).toMatchObject({ ttlSeconds: -30, swrUntilMs: T0 + 2 * MINUTE, sieUntilMs: T0 + HOUR + MINUTE });
  });

  it('is stale by a soft purge at once, though by a clock that was set back that is yet to come', () => {
    const freshness = freshnessWith({ swrUntilMs: T0 + HOUR + MINUTE, sieUntilMs: T0 + 2 * HOUR });
    const purged = standingOf(storedOf({ freshness }), T0 + 30 * MINUTE, T0 + 10 * MINUTE);
    expect(purged).toMatchObject({ ttlMs: 0, swrUntilMs: T0 + 11 * MINUTE, sieUntilMs: T0 + 70 * MINUTE });
    expect(standingOf(storedOf({ freshness }), T0 + MINUTE, T0 - MINUTE)).toMatchObject({ ageMs: 0, ttlMs: -MINUTE });
  });

  it('does not become fresher by a soft purge that came after it was stale', () => {
    const late = standingOf(storedOf(), T0 + 2 * HOUR, T0 + 3 * HOUR);
    expect(late).toEqual(standingOf(storedOf(), undefined, T0 + 3 * HOUR));
  });
});

describe('freshness as a whole', () => {
  const seconds = oneof(nat(100_000).map(String), string({ maxLength: 4 }));
  const directive = oneof(
    constantFrom('no-cache', 'must-revalidate', 'public', 'proxy-revalidate'),
    tuple(constantFrom('max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'), seconds).map(
      ([name, value]) => `${name}=${value}`,
    ),
  );
  const lines: Arbitrary<FieldLines> = tuple(
    array(directive, { maxLength: 4 }),
    option(seconds),
    option(constantFrom('0', 'Mon, 23 Nov 2026 18:00:00 GMT')),
  ).map(([directives, age, expires]) => [
    ['cache-control', directives.join(', ')],
    ...(age === null ? [] : [['age', age] as const]),
    ...(expires === null ? [] : [['expires', expires] as const]),
  ]);
  const policies = record({
    upstreamCacheControl: constantFrom('ignore' as const, 'cap' as const, 'honour' as const),
    ttlMs: nat(10 * HOUR),
    staleWhileRevalidateMs: nat(10 * HOUR),
    staleIfErrorMs: nat(10 * HOUR),
    retainMs: nat(20 * HOUR),
  }).map(policyOf);

  it('keeps its times in order: fresh, then stale windows, all within retention', () => {
    assertProperty(
      property(lines, policies, (fields, policy) => {
        const times = freshnessOf({ policy, status: 200, fields, requestTimeMs: T0, responseTimeMs: T0, keyed });
        expect(times.swrUntilMs).toBeGreaterThanOrEqual(times.freshUntilMs);
        expect(times.sieUntilMs).toBeGreaterThanOrEqual(times.freshUntilMs);
        for (const until of [times.freshUntilMs, times.swrUntilMs, times.sieUntilMs]) {
          expect(until).toBeLessThanOrEqual(times.retainUntilMs);
        }
        const hasWindow = Math.max(times.swrUntilMs, times.sieUntilMs) > times.freshUntilMs;
        expect(times.mustRevalidate && hasWindow).toBe(false);
        const ruled = policy.upstreamCacheControl !== 'honour';
        expect(ruled && times.freshUntilMs > T0 + (policy.ttlMs ?? 0)).toBe(false);
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});
