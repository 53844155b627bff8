import { describe, expect, test } from 'vitest';

import type { UpstreamConfig } from '../../../src/core/config.ts';
import type { Route } from '../../../src/core/route.ts';
import { fingerprintOf, fingerprintsOf } from '../../../src/store/redis/fingerprint.ts';
import { policyOf, routeOf } from '../../support/policy.ts';

const upstream: UpstreamConfig = {
  name: 'weather',
  origin: 'https://api.weather.example',
  connectTimeoutMs: 1000,
  headersTimeoutMs: 1000,
  bodyTimeoutMs: 1000,
  totalTimeoutMs: 5000,
  maxConnections: 10,
  maxHeaderBytes: 16_384,
  maxBodyBytes: 2 ** 20,
  acceptEncoding: 'gzip',
  framing: 'strict',
  credentials: { query: new Map([['appid', 'secret']]), headers: new Map([['x-key', 'secret']]) },
  fields: new Map([['user-agent', 'forecache (ops@example.org)']]),
  caFile: undefined,
};
const place = {
  name: 'q',
  kind: { type: 'text', fold: true },
  required: true,
  default: undefined,
  aliases: [],
  repeat: false,
  secret: false,
} as const;
const route = routeOf({}, { params: new Map([['q', place]]) });

interface Edit {
  readonly route?: Partial<Route>;
  readonly policy?: Partial<Route['policy']>;
  readonly upstream?: Partial<UpstreamConfig>;
}

function edited({ route: changes = {}, policy = {}, upstream: other = {} }: Edit): string {
  return fingerprintOf({ ...route, ...changes, policy: policyOf(policy) }, { ...upstream, ...other });
}

const same = edited({});

test('a route that uses no option of a later release has the fingerprint that it had before: an update leaves the cache warm', () => {
  // Computed by the release before `storeFields`, `tagsFrom`, `content`, `noVarySearch` and `framing`.
  expect(same).toBe('BgDwtjEqVNZCd-5P9TzEfT');
});

describe('what makes another response makes another fingerprint', () => {
  test.each<[string, Edit]>([
    ['match', { route: { match: '/forecast/:q' } }],
    ['host', { route: { host: 'weather.example' } }],
    ['forward', { route: { forward: '/v2/forecast' } }],
    ['the upstream’s name', { route: { upstream: 'other' } }],
    ['a parameter’s kind', { route: { params: new Map([['q', { ...place, kind: { type: 'text', fold: false } }]]) } }],
    ['a parameter’s default', { route: { params: new Map([['q', { ...place, default: 'berlin' }]]) } }],
    [
      'another parameter',
      {
        route: {
          params: new Map([
            ['q', place],
            ['lang', { ...place, name: 'lang' }],
          ]),
        },
      },
    ],
    ['a path parameter', { route: { pathParams: new Map([['q', place]]) } }],
    ['unknownQuery', { route: { unknownQuery: 'drop' } }],
    ['rawQuery', { route: { rawQuery: true } }],
    ['ignore', { route: { ignore: ['utm_source'] } }],
    ['secret', { route: { secret: ['token'] } }],
    ['headers', { route: { headers: ['accept-language'] } }],
    ['forwardHeaders', { route: { forwardHeaders: ['accept'] } }],
    ['upstreamCacheControl: cap', { policy: { upstreamCacheControl: 'cap' } }],
    ['upstreamCacheControl: honour', { policy: { upstreamCacheControl: 'honour' } }],
    ['storeFields', { policy: { storeFields: 'all' } }],
    ['tagsFrom', { route: { tagsFrom: ['surrogate-key'] } }],
    ['content', { route: { content: { methods: ['QUERY'], as: 'json', maxBytes: 1 } } }],
    // What was stored before may be in a coding, with a credential in it.
    ['asksPlain', { route: { asksPlain: true } }],
    ['noVarySearch', { route: { noVarySearch: true } }],
    ['storeIf', { policy: { storeIf: { json: true, exists: [], absent: [] } } }],
    ['the upstream’s origin', { upstream: { origin: 'https://api2.weather.example' } }],
    ['framing', { upstream: { framing: 'lenient' } }],
    ['acceptEncoding', { upstream: { acceptEncoding: 'identity' } }],
    ['a static field', { upstream: { fields: new Map([['user-agent', 'other']]) } }],
    [
      'the name of a credential',
      { upstream: { credentials: { query: new Map([['key', 'secret']]), headers: new Map() } } },
    ],
  ])('%s', (_, edit) => {
    expect(edited(edit)).not.toBe(same);
  });
});

describe('invariant 20: what does not, leaves the cache warm', () => {
  test.each<[string, Edit]>([
    ['ttl', { policy: { ttlMs: 1 } }],
    ['stale windows', { policy: { staleWhileRevalidateMs: 1, staleIfErrorMs: 1 } }],
    ['retain', { policy: { retainMs: 1, keepForValidationMs: 1 } }],
    ['statusTtl', { policy: { statusTtlMs: new Map([[404, 1]]) } }],
    ['clientCacheControl', { policy: { clientCacheControl: 'honour' } }],
    ['heuristics', { policy: { heuristicFraction: 0.5, heuristicMaxMs: 1 } }],
    // What a proxy would not have stored it does not serve either: it judges the status when it reads.
    ['storeErrors', { policy: { storeErrors: 'all' } }],
    ['expireAt', { policy: { expireAt: { kind: 'every', everyMs: 1, offsetMs: 0, jitterMs: 0 } } }],
    ['softTimeout', { policy: { softTimeoutMs: 1 } }],
    ['maxUpstreamTags', { route: { maxUpstreamTags: 1 } }],
    ['showKey', { route: { showKey: true } }],
    ['maxStoredBytes', { policy: { maxStoredBytes: 1 } }],
    ['tags', { route: { tags: ['location:{q}'] } }],
    ['maxKeys and maxKeyBytes', { route: { maxKeys: 1, maxKeyBytes: 300 } }],
    ['onLeaseLost', { route: { onLeaseLost: 'error' } }],
    ['listener', { route: { listener: 'public' } }],
    ['timeouts and limits upstream', { upstream: { totalTimeoutMs: 1, maxConnections: 1, maxBodyBytes: 1 } }],
    [
      'a credential’s value',
      { upstream: { credentials: { query: new Map([['appid', 'new']]), headers: new Map([['x-key', 'new']]) } } },
    ],
  ])('%s', (_, edit) => {
    expect(edited(edit)).toBe(same);
  });

  test('nor does how much content is taken, and in which order methods and fields of tags are named', () => {
    const one = edited({
      route: {
        content: { methods: ['QUERY', 'POST'], as: 'auto', maxBytes: 1 },
        tagsFrom: ['surrogate-key', 'cache-tag'],
      },
    });
    const other = edited({
      route: {
        content: { methods: ['POST', 'QUERY'], as: 'auto', maxBytes: 2 },
        tagsFrom: ['cache-tag', 'surrogate-key'],
      },
    });
    expect(one).toBe(other);
    expect(one).not.toBe(same);
  });

  test('nor does the order in which options are named', () => {
    const other = { ...place, name: 'lang' };
    const one = edited({
      route: {
        params: new Map([
          ['q', place],
          ['lang', other],
        ]),
        ignore: ['a', 'b'],
      },
    });
    expect(
      edited({
        route: {
          params: new Map([
            ['lang', other],
            ['q', place],
          ]),
          ignore: ['b', 'a'],
        },
      }),
    ).toBe(one);
  });
});

test('a fingerprint holds no secret, and routes that are not configured have none', () => {
  const of = fingerprintsOf([route], new Map([['weather', upstream]]));
  expect(of('forecast')).toMatch(/^[\w-]{22}$/);
  expect(of('forecast')).toBe(same);
  expect(of('other')).toBeUndefined();
  expect(of('__proto__')).toBeUndefined();
});
