import * as fc from 'fast-check';
import type { FailureKind } from '../../../src/core/failure.ts';
import type { CachePolicy, ExpireAt, Route } from '../../../src/core/route.ts';
import { HOUR, MINUTE, routeOf, SECOND, T0 } from '../../support/policy.ts';
import type { Case } from './facts.ts';
import type { Line } from './literal-fields.ts';

export const of = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** Present in so many of a hundred cases. */
export const some = <T>(percent: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: percent, arbitrary }, { weight: 100 - percent, arbitrary: fc.constant(undefined) });

const seconds = of('0', '1', '10', '60', '3600', '010', '2147483648', '99999999999999999999');
const oddSeconds = of('', '-1', '1.5', 'ten', ' 10', '"60"', "'60'", '"6\\0"', '+5', '10;a', '１０', '1e3');

const argument = fc.oneof({ weight: 8, arbitrary: seconds }, { weight: 1, arbitrary: oddSeconds });

const named = (...names: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(of(...names), argument).map(([name, value]) => `${name}=${value}`);

const withLifetime = named('max-age', 'max-age', 's-maxage', 'Max-Age', 'S-MAXAGE');
const withWindow = named('stale-while-revalidate', 'stale-if-error', 'Stale-If-Error');
const flag = of(
  'public',
  'must-revalidate',
  'proxy-revalidate',
  'no-cache',
  'no-store',
  'private',
  'must-understand',
  'immutable',
  'PUBLIC',
  'No-Cache="set-cookie"',
  'private="x-one, x-two"',
  'no-transform',
);
const broken = of(
  'max-age',
  's-maxage',
  'max-age =10',
  'max-age= 10',
  'x="max-age=60"',
  'x="no-store, private"',
  'x="never closed, no-store',
  'x="a\\", max-age=1"',
  'x="\\',
  '"',
  '=',
  '=10',
  'no-store=0',
  'stale-while-revalidate',
  'private ',
  'ext=1',
  '',
);

const responseDirective = fc.oneof(
  { weight: 5, arbitrary: withLifetime },
  { weight: 2, arbitrary: withWindow },
  { weight: 4, arbitrary: flag },
  { weight: 1, arbitrary: broken },
);

/** Directives on one line or two. */
function directiveLines(name: string, directives: readonly string[], cut: number, joint: string): readonly Line[] {
  if (directives.length === 0) return [];
  const first = directives.slice(0, cut);
  const second = directives.slice(cut);
  const lines = second.length === 0 || first.length === 0 ? [directives] : [first, second];
  // Field values come without white space around them (RFC 9110 §5.5).
  return lines.map((members) => [name, members.join(joint).trim()]);
}

export const cacheControl = fc
  .tuple(fc.array(responseDirective, { maxLength: 4 }), fc.nat(8), of(', ', ',', ' ,\t', ',,'))
  .map(([directives, cut, joint]) => directiveLines('cache-control', directives, cut, joint));

const targetedMember = of(
  'max-age=60',
  'max-age=60',
  'max-age=0',
  'max-age=3600;ext=1',
  's-maxage=10',
  'max-age="60"',
  'max-age=60.0',
  'max-age=-1',
  'max-age=?1',
  'max-age',
  'max-age=(60)',
  'Max-Age=60',
  'no-store',
  'no-store=?0',
  'no-cache',
  'private',
  'private="x-one"',
  'public',
  'must-revalidate',
  'must-revalidate=?0',
  'proxy-revalidate=abc',
  'must-understand',
  'no-cache=1.5',
  'stale-while-revalidate=60',
  'stale-if-error=60',
  'stale-if-error="60"',
  'stale-if-error=(1 2)',
  'stale-while-revalidate=abc',
  'ext=:YWJj:',
  'ext="a, b"',
  'none',
  '',
  '!',
);

const targeted = some(
  35,
  fc
    .tuple(fc.array(targetedMember, { maxLength: 3 }), fc.nat(6), of(', ', ',', ', ', ',,'))
    .map(([members, cut, joint]) => directiveLines('cdn-cache-control', members, cut, joint)),
);

type DateForm = 'imf' | 'rfc850' | 'asctime' | 'lower' | 'odd';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** A date as senders spell it, well or not. */
export function spellDate(ms: number, form: DateForm): string {
  const [day = '', date = '', month = '', year = '', clock = ''] = new Date(ms).toUTCString().split(' ');
  const imf = `${day} ${date} ${month} ${year} ${clock} GMT`;
  switch (form) {
    case 'imf':
      return imf;
    case 'lower':
      return imf.toLowerCase();
    case 'rfc850': {
      const name = DAYS.find((one) => one.startsWith(day.slice(0, 3))) ?? '';
      return `${name}, ${date}-${month}-${year.slice(2)} ${clock} GMT`;
    }
    case 'asctime':
      return `${day.slice(0, 3)} ${month} ${String(Number(date)).padStart(2, ' ')} ${clock} ${year}`;
    case 'odd':
      return imf.replace('GMT', 'UTC');
  }
}

const form = of<DateForm>('imf', 'imf', 'imf', 'imf', 'rfc850', 'asctime', 'lower', 'odd');

/** Seconds from the time of the response. */
export const dateNear = (...offsets: readonly number[]): fc.Arbitrary<(atMs: number) => string> =>
  fc.tuple(of(...offsets), form).map(
    ([offset, spelling]) =>
      (atMs) =>
        spellDate(Math.floor(atMs / 1000) * 1000 + offset * SECOND, spelling),
  );

export const noDate = of(
  '0',
  '-1',
  '',
  'Thu, 18 Aug 2050 02:01:18',
  'Mon, 23 Nov 2026 12:00:00 +0000',
  '23 Nov 2026',
).map((text) => () => text);

type LinesAt = (atMs: number) => readonly Line[];

/** One line, sometimes two, sometimes none. */
function dated(name: string, near: fc.Arbitrary<(atMs: number) => string>, percent: number): fc.Arbitrary<LinesAt> {
  const one = fc.oneof({ weight: 9, arbitrary: near }, { weight: 1, arbitrary: noDate });
  return fc.tuple(some(percent, one), some(3, one)).map(([first, second]) => (atMs: number): readonly Line[] => {
    const values = [first, second].filter((value) => value !== undefined);
    return values.map((value) => [name, value(atMs)]);
  });
}

const date = dated('date', dateNear(0, 0, 0, 0, -1, -10, -60, -3600, -90_000, 1, 60), 85);
const expires = dated('expires', dateNear(0, 1, 10, 60, 3600, -10, 864_000), 30);
const lastModified = dated('last-modified', dateNear(0, -10, -100, -600, -3600, -36_000, -8_640_000, 60), 40);

const age = some(
  30,
  of(
    '0',
    '1',
    '10',
    '60',
    '3600',
    '010',
    '0, 7200',
    '7200, 0',
    'abc',
    '-7200',
    '7200.0',
    '2147483648',
    '1;a',
    '"60"',
    '',
  ),
);

const etag = some(40, of('"a"', 'W/"a"', 'bare', '""', ''));

const vary = some(
  25,
  of('*', 'Accept', 'accept, ACCEPT', 'Accept-Language, , Origin', 'accept, *', ',', '"*"', 'cookie'),
);

const status = of(
  ...[
    [200, 200, 200, 200, 200, 200, 201, 202, 203, 204, 206, 226, 299, 300, 301, 302, 304, 307, 308],
    [400, 401, 403, 404, 405, 410, 412, 414, 416, 418, 429, 451, 499, 500, 501, 502, 503, 504, 599, 103],
  ].flat(),
);

const requestDirective = fc.oneof(
  { weight: 6, arbitrary: named('max-age', 'min-fresh', 'max-stale', 'Max-Stale', 'stale-if-error') },
  {
    weight: 2,
    arbitrary: of('no-cache', 'no-store', 'only-if-cached', 'max-stale', 'No-Cache', 'nothing-to-see-here'),
  },
  { weight: 1, arbitrary: of('max-age', 'min-fresh', 'max-stale=x', 'x="no-cache"', 'stale-if-error', '') },
);

const requestFields = fc
  .tuple(
    some(50, fc.array(requestDirective, { minLength: 1, maxLength: 2 })),
    some(15, of('Bearer secret')),
    some(10, of('a=b')),
    some(10, of('"a"', '*', 'W/"b"')),
    some(5, of('no-cache')),
  )
  .map(([directives = [], authorization, cookie, ifNoneMatch, pragma]): readonly Line[] => [
    ...directiveLines('cache-control', directives, 1, ', '),
    ...lineOf('authorization', authorization),
    ...lineOf('cookie', cookie),
    ...lineOf('if-none-match', ifNoneMatch),
    ...lineOf('pragma', pragma),
  ]);

export function lineOf(name: string, value: string | undefined): readonly Line[] {
  return value === undefined ? [] : [[name, value]];
}

const expireAt: fc.Arbitrary<ExpireAt> = fc.oneof(
  fc.record({
    kind: fc.constant('every' as const),
    everyMs: of(MINUTE, HOUR, 7 * HOUR),
    offsetMs: of(0, 17 * SECOND),
    jitterMs: fc.constant(0),
  }),
  fc.record({
    kind: fc.constant('daily' as const),
    atMinutes: of(0, 30, 150, 720, 1425),
    zone: of('{timezone}', 'UTC', 'Europe/Berlin'),
    fallbackZone: of(undefined, 'UTC', 'America/New_York'),
    jitterMs: fc.constant(0),
  }),
);

const zone = of(
  undefined,
  'Europe/Berlin',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/New_York',
  'Nowhere/City',
  'auto',
  ' europe/BERLIN ',
  'Asia/Kathmandu, asia/kathmandu',
  'Asia/Kathmandu,Europe/Berlin',
);

const windowMs = of(0, 10 * SECOND, MINUTE, HOUR);

const honourPolicy: fc.Arbitrary<Partial<CachePolicy>> = fc.record({
  upstreamCacheControl: fc.constant('honour' as const),
  clientCacheControl: of<'ignore' | 'honour'>('ignore', 'honour'),
  ttlMs: of(undefined, undefined, undefined, MINUTE, 0),
  statusTtlMs: of(
    new Map(),
    new Map(),
    new Map(),
    new Map([[404, 10 * SECOND]]),
    new Map([
      [200, 0],
      [500, MINUTE],
    ]),
  ),
  staleWhileRevalidateMs: windowMs,
  staleIfErrorMs: windowMs,
  retainMs: of(24 * HOUR, 24 * HOUR, 10 * SECOND, 400 * 24 * HOUR),
  keepForValidationMs: of(0, HOUR),
  heuristicFraction: of(0.1, 0.1, 0.5, 1, 0),
  heuristicMaxMs: of(24 * HOUR, MINUTE),
  storeErrors: of<'resource' | 'all'>('resource', 'all'),
  storeFields: of<'safe' | 'all'>('safe', 'all'),
});

const ruledPolicy: fc.Arbitrary<Partial<CachePolicy>> = fc.record({
  upstreamCacheControl: of<'ignore' | 'cap'>('ignore', 'cap', 'cap'),
  clientCacheControl: of<'ignore' | 'honour'>('ignore', 'honour', 'honour', 'honour'),
  ttlMs: of(10 * SECOND, MINUTE, HOUR),
  statusTtlMs: of(
    new Map(),
    new Map([
      [404, 10 * SECOND],
      [503, 0],
    ]),
    new Map([
      [200, 0],
      [500, MINUTE],
    ]),
  ),
  staleWhileRevalidateMs: windowMs,
  staleIfErrorMs: windowMs,
  retainMs: of(24 * HOUR, 24 * HOUR, 10 * SECOND),
  keepForValidationMs: of(0, HOUR),
  expireAt: some(50, expireAt),
  softTimeoutMs: of(undefined, 500, 500),
});

const route: fc.Arbitrary<Route> = fc
  .tuple(
    fc.oneof({ weight: 2, arbitrary: honourPolicy }, { weight: 1, arbitrary: ruledPolicy }),
    of<readonly string[]>(['*'], ['*', 'cookie'], ['accept', 'user-agent'], ['authorization', 'accept'], []),
    of<readonly string[]>([], [], ['authorization'], ['cookie']),
  )
  .map(([policy, forwardHeaders, headers]) => routeOf(policy, { forwardHeaders, headers }));

/** Wall clocks of responses: about noon, about changes of summer time, about a century's end. */
const responseTimeMs = fc
  .tuple(
    of(
      T0,
      T0,
      T0,
      Date.UTC(2026, 2, 29, 0, 59, 30),
      Date.UTC(2026, 9, 25, 0, 30),
      Date.UTC(2026, 3, 4, 15, 0),
      Date.UTC(2080, 1, 29),
    ),
    of(0, 1, 500, 999, 30_000),
  )
  .map(([base, more]) => base + more);

/** How long the call took: backwards too, where the clock was set. */
const delayMs = of(0, 0, 1, 250, 1000, 5000, -3000);

/** What is asked when: about the edges of the lifetimes above, and before the response came where the clock was set back. */
const laterMs = fc
  .tuple(
    of(0, 0, 1, 6, 10, 54, 60, 70, 110, 120, 3600, 3660, 36_000, 86_400, 90_000, -5),
    of(0, 0, 1, -1, 500, -500, 999),
  )
  .map(([whole, more]) => whole * SECOND + more);

const failure: fc.Arbitrary<Case['failure']> = fc.oneof(
  of<FailureKind>(
    'dns',
    'connect',
    'tls',
    'reset',
    'timeout',
    'truncated',
    'busy',
    'malformed',
    'too-large',
    'aborted',
  ),
  of(500, 502, 503, 504, 599, 429, 404, 200, 304),
);

const response = fc
  .tuple(
    cacheControl,
    targeted,
    date,
    expires,
    lastModified,
    fc.tuple(age, etag, vary, of<readonly Line[]>([], [], [], [['age', '5']])),
  )
  .map(
    ([control, cdn = [], dateAt, expiresAt, modifiedAt, [ageValue, etagValue, varyValue, ageAgain]]): LinesAt =>
      (atMs) => [
        ...control,
        ...cdn,
        ...dateAt(atMs),
        ...expiresAt(atMs),
        ...modifiedAt(atMs),
        ...lineOf('age', ageValue),
        ...(ageValue === undefined ? [] : ageAgain),
        ...lineOf('etag', etagValue),
        ...lineOf('vary', varyValue),
      ],
  );

/** Exchanges, routes and clocks at the edges of the rules; well-formed for the most part, odd in single places. */
export const cases: fc.Arbitrary<Case> = fc
  .tuple(
    route,
    fc.tuple(requestFields, requestFields),
    status,
    response,
    fc.tuple(responseTimeMs, delayMs, laterMs, some(15, of(0, 1, 5, 30, 3600))),
    fc.tuple(of<Case['method']>('GET', 'GET', 'GET', 'GET', 'QUERY', 'POST', 'HEAD'), fc.boolean(), failure, zone),
  )
  .map(
    ([
      on,
      [request, later],
      code,
      linesAt,
      [atMs, delay, laterBy, purgedAfter],
      [method, namesTarget, failed, place],
    ]) => ({
      route: on,
      request,
      status: code,
      response: linesAt(atMs),
      requestTimeMs: atMs - delay,
      responseTimeMs: atMs,
      method,
      namesTarget,
      zone: place,
      later,
      nowMs: atMs + laterBy,
      staleSinceMs: purgedAfter === undefined ? undefined : atMs + purgedAfter * SECOND,
      failure: failed,
    }),
  );
