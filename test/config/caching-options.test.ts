import { describe, expect, test } from 'vitest';
import type { Route } from '../../src/core/route.ts';
import { configOf, issuesOf } from '../support/config-text.ts';

/** One route, its options from line 8 on in column 5. */
function file(route: string, upstream = ''): string {
  const options = route.split('\n').map((line) => `    ${line}\n`);
  return `upstreams:
  api: { origin: "http://127.0.0.1:9"${upstream} }

routes:
  - name: one
    match: /one/:place
    upstream: api
${options.join('')}`;
}

function routeOf(route: string, upstream?: string): Route {
  const [first] = configOf(file(route, upstream)).routes;
  if (first === undefined) throw new Error('no route');
  return first;
}

const honour = 'upstreamCacheControl: honour';
const daily = 'ttl: 1h\nexpireAt:';

describe('how far an honour route goes', () => {
  test('is by default a tenth of the time since Last-Modified, a day at most, and nothing of one caller', () => {
    expect(routeOf(honour).policy).toMatchObject({
      heuristicFraction: 0.1,
      heuristicMaxMs: 86_400_000,
      storeErrors: 'resource',
      storeFields: 'safe',
      expireAt: undefined,
      softTimeoutMs: undefined,
    });
  });

  test('can be said', () => {
    const text = `${honour}\nheuristicFraction: 0.25\nheuristicMax: 2h\nstoreErrors: all\nstoreFields: all`;
    expect(routeOf(text).policy).toMatchObject({
      heuristicFraction: 0.25,
      heuristicMaxMs: 7_200_000,
      storeErrors: 'all',
      storeFields: 'all',
    });
  });

  test('is nowhere on other routes', () => {
    for (const mode of ['ignore', 'cap']) {
      expect(routeOf(`ttl: 1h\nupstreamCacheControl: ${mode}`).policy).toMatchObject({
        heuristicFraction: 0,
        heuristicMaxMs: 0,
        storeErrors: 'resource',
        storeFields: 'safe',
      });
    }
  });

  test.each([
    ['heuristicFraction: 0.1', 'heuristicFraction', 'since ttl decides elsewhere'],
    ['heuristicMax: 1h', 'heuristicMax', 'since ttl decides elsewhere'],
    ['storeErrors: all', 'storeErrors', 'since statusTtl names the stored ones elsewhere'],
    ['storeFields: safe', 'storeFields', 'since fields of one caller are not stored elsewhere'],
  ])('%s is refused where upstream is not in charge', (option, name, why) => {
    for (const mode of ['ignore', 'cap']) {
      expect(issuesOf(file(`ttl: 1h\nupstreamCacheControl: ${mode}\n${option}`))).toEqual([
        `10:5: routes[0].${name}: only works with upstreamCacheControl: honour, ${why}`,
      ]);
    }
  });

  test.each([
    ['heuristicFraction: 1.01', '9:24: routes[0].heuristicFraction: is at most 1, given 1.01'],
    ['heuristicFraction: -0.1', '9:24: routes[0].heuristicFraction: is at least 0, given -0.1'],
    ['heuristicMax: 366d', '9:19: routes[0].heuristicMax: is at most 365d, given "366d"'],
    [
      'storeErrors: resources',
      '9:18: routes[0].storeErrors: expected one of resource, all, given "resources"; did you mean resource?',
    ],
    ['storeFields: most', '9:18: routes[0].storeFields: expected one of safe, all, given "most"'],
  ])('%s is refused', (option, issue) => {
    expect(issuesOf(file(`${honour}\n${option}`))).toEqual([issue]);
  });

  test('always obeys a request, by the book: to ignore it there is refused at its place', () => {
    expect(routeOf(`${honour}\nclientCacheControl: honour`).policy.clientCacheControl).toBe('honour');
    expect(issuesOf(file(`${honour}\nclientCacheControl: ignore`))).toEqual([
      '9:5: routes[0].clientCacheControl: cannot be ignore with upstreamCacheControl: honour, where the directives of a request always count (RFC 9111 §5.2.1); leave it out',
    ]);
  });

  test('heuristicFraction has its bounds, both allowed', () => {
    const fractions = ['0', '1'].map(
      (text) => routeOf(`${honour}\nheuristicFraction: ${text}`).policy.heuristicFraction,
    );
    expect(fractions).toEqual([0, 1]);
  });
});

test.each([
  [honour, 'k3y-1', true],
  ['cache: off', 'k3y-1', true],
  ['ttl: 1h', 'k3y-1', false],
  ['ttl: 1h\nupstreamCacheControl: cap', 'k3y-1', false],
  [honour, 'k3y', false],
  [honour, '""', false],
])('a route with %s and the credential %s asks for the plain whole: %s', (options, value, expected) => {
  expect(routeOf(options, `, credentials: { query: { k: ${value} } }`).asksPlain).toBe(expected);
});

describe('what an honour route forwards', () => {
  test('may be cookies, which have to be named, and authorization, by name or with all', () => {
    expect(routeOf(`${honour}\nforwardHeaders: ["*", Cookie]`)).toMatchObject({
      forwardHeaders: ['*', 'cookie'],
      forwardsAuthorization: true,
    });
    expect(routeOf(`${honour}\nforwardHeaders: [Authorization]`)).toMatchObject({
      forwardHeaders: ['authorization'],
      forwardsAuthorization: true,
    });
    expect(routeOf(`${honour}\nforwardHeaders: [accept]`).forwardsAuthorization).toBe(false);
    expect(routeOf(honour).forwardsAuthorization).toBe(false);
  });

  test('is no Authorization of clients where the upstream has credentials or a field of that name', () => {
    const settings = [', credentials: { headers: { Authorization: x } }', ', fields: { authorization: x }'];
    for (const upstream of settings) {
      expect(routeOf(`${honour}\nforwardHeaders: "*"`, upstream).forwardsAuthorization).toBe(false);
      expect(issuesOf(file(`${honour}\nforwardHeaders: [authorization]`, upstream))).toHaveLength(1);
    }
  });

  test('is nothing that the upstream has a field or a credential of, in whatever spelling', () => {
    const upstream = ', fields: { User-Agent: ops }, credentials: { headers: { X_Key: k3y-1 } }';
    expect(routeOf(honour, upstream).putOn).toEqual(['x-key', 'user-agent']);
    expect(routeOf(honour).putOn).toEqual([]);
  });
});

describe('expireAt', () => {
  test.each([
    ['{ every: 1h }', { kind: 'every', everyMs: 3_600_000, offsetMs: 0, jitterMs: 30_000 }],
    ['{ every: 6h, offset: 20m, jitter: 0 }', { kind: 'every', everyMs: 21_600_000, offsetMs: 1_200_000, jitterMs: 0 }],
    ['{ daily: "00:00" }', { kind: 'daily', atMinutes: 0, zone: 'UTC', fallbackZone: undefined, jitterMs: 30_000 }],
    [
      '{ daily: "23:59", zone: Europe/Berlin }',
      { kind: 'daily', atMinutes: 1439, zone: 'Europe/Berlin', fallbackZone: undefined, jitterMs: 30_000 },
    ],
    [
      '{ daily: "06:30", zone: "{place}", fallbackZone: Asia/Tokyo, jitter: 1m }',
      { kind: 'daily', atMinutes: 390, zone: '{place}', fallbackZone: 'Asia/Tokyo', jitterMs: 60_000 },
    ],
  ])('%s says when data changes upstream', (text, expected) => {
    expect(routeOf(`${daily} ${text}`).policy.expireAt).toEqual(expected);
  });

  test('takes its zone from a parameter of the query too', () => {
    const text = `${daily} { daily: "00:00", zone: "{tz}" }\nquery: { tz: { type: text } }`;
    expect(routeOf(text).policy.expireAt).toMatchObject({ zone: '{tz}' });
  });

  test.each([
    ['{}', ['9:15: routes[0].expireAt: needs one of every and daily']],
    ['{ every: 1h, daily: "00:00" }', ['9:15: routes[0].expireAt: has both every and daily; keep one of the two']],
    ['{ every: 59s }', ['9:24: routes[0].expireAt.every: is at least 1m, given "59s"']],
    ['{ every: 25h }', ['9:24: routes[0].expireAt.every: is at most 1d, given "25h"']],
    ['{ every: 1h, offset: 1h }', ['9:36: routes[0].expireAt.offset: is below every, which is 1h']],
    ['{ every: 1m, jitter: 1m }', ['9:36: routes[0].expireAt.jitter: is below every, which is 1m']],
    ['{ every: 1h, zone: UTC }', ['9:28: routes[0].expireAt.zone: is of daily; every counts in UTC']],
    ['{ every: 1h, fallbackZone: UTC }', ['9:28: routes[0].expireAt.fallbackZone: is of daily; every counts in UTC']],
    [
      '{ daily: "24:00" }',
      ['9:24: routes[0].expireAt.daily: expected a time of day from 00:00 to 23:59, given "24:00"'],
    ],
    ['{ daily: "6:30" }', ['9:24: routes[0].expireAt.daily: expected a time of day from 00:00 to 23:59, given "6:30"']],
    ['{ daily: "06:30", offset: 1h }', ['9:33: routes[0].expireAt.offset: is of every; daily has its time']],
    ['{ daily: "06:30", jitter: 2h }', ['9:41: routes[0].expireAt.jitter: is at most 1h, given "2h"']],
    [
      '{ daily: "06:30", zone: Europe/Berlinn }',
      ['9:39: routes[0].expireAt.zone: "Europe/Berlinn" is no IANA time zone (such as UTC or Europe/Berlin)'],
    ],
    [
      '{ daily: "06:30", zone: "+02:00" }',
      ['9:39: routes[0].expireAt.zone: "+02:00" is no IANA time zone (such as UTC or Europe/Berlin)'],
    ],
    [
      '{ daily: "06:30", zone: "Europe/{place}" }',
      ['9:39: routes[0].expireAt.zone: is one parameter or group alone, such as {timezone}, or an IANA time zone'],
    ],
    [
      '{ daily: "06:30", zone: "{plaice}" }',
      ['9:39: routes[0].expireAt.zone: {plaice} is no parameter or group; did you mean place?'],
    ],
    [
      '{ daily: "06:30", zone: UTC, fallbackZone: UTC }',
      ['9:44: routes[0].expireAt.fallbackZone: is for a zone that a parameter or group names, such as {timezone}'],
    ],
    [
      '{ daily: "06:30", zone: "{place}", fallbackZone: Mars/Olympus }',
      ['9:64: routes[0].expireAt.fallbackZone: "Mars/Olympus" is no IANA time zone (such as UTC or Europe/Berlin)'],
    ],
    ['{ evry: 1h }', ['9:17: routes[0].expireAt.evry: unknown key; did you mean every?']],
  ])('%s is refused', (text, issues) => {
    expect(issuesOf(file(`${daily} ${text}`))).toEqual(issues);
  });

  test('is refused on honour routes, and with a zone that is secret or of two meanings', () => {
    expect(issuesOf(file(`${honour}\nexpireAt: { every: 1h }`))).toEqual([
      '9:5: routes[0].expireAt: bounds lifetimes by rule, and on honour routes upstream is in charge of them; use ignore or cap',
    ]);
    const zoned = `${daily} { daily: "00:00", zone: "{place}" }`;
    expect(issuesOf(file(`${zoned}\npathParams: { place: { type: text, secret: true } }`))).toEqual([
      '9:39: routes[0].expireAt.zone: {place} is a secret parameter, of which only a digest is known here; leave it out',
    ]);
    expect(issuesOf(file(`${zoned}\nquery: { place: { type: text } }`))).toEqual([
      '9:15: routes[0].expireAt: {place} is a query parameter and a group of match; rename the group',
    ]);
  });
});

describe('softTimeout', () => {
  test('is a time after which what is stale is given', () => {
    const route = routeOf('ttl: 1h\nstaleIfError: 1d\nsoftTimeout: 800ms');
    expect(route.policy.softTimeoutMs).toBe(800);
  });

  test.each([
    [
      'ttl: 1h\nstaleWhileRevalidate: 1h\nsoftTimeout: 1s',
      '',
      '10:5: routes[0].softTimeout: needs staleIfError: what may be given after a failure is given',
    ],
    [
      `${honour}\nstaleIfError: 1h\nsoftTimeout: 1s`,
      '',
      '10:5: routes[0].softTimeout: works by rule, and on honour routes upstream is in charge of what is served stale; use ignore or cap',
    ],
    [
      'ttl: 1h\nstaleIfError: 1h\nsoftTimeout: 10s',
      '',
      '10:18: routes[0].softTimeout: is below the totalTimeout of api, which is 10s',
    ],
    [
      'ttl: 1h\nstaleIfError: 1h\nsoftTimeout: 2s',
      ', totalTimeout: 1500ms',
      '10:18: routes[0].softTimeout: is below the totalTimeout of api, which is 1500ms',
    ],
    ['ttl: 1h\nstaleIfError: 1h\nsoftTimeout: 0', '', '10:18: routes[0].softTimeout: is at least 1ms, given "0"'],
  ])('of %j is refused (upstream %j)', (route, upstream, issue) => {
    expect(issuesOf(file(route, upstream))).toEqual([issue]);
  });
});

function storeIfOf(route: string): unknown {
  return routeOf(route).policy.storeIf;
}

describe('content', () => {
  test('names methods, how it is keyed, and how much of it there may be', () => {
    expect(routeOf('ttl: 1h').content).toBeUndefined();
    expect(routeOf('ttl: 1h\ncontent: { methods: QUERY }').content).toEqual({
      methods: ['QUERY'],
      as: 'auto',
      maxBytes: 65_536,
    });
    const text = `${honour}\ncontent: { methods: [POST, QUERY], as: graphql, maxBytes: 1MiB }`;
    expect(routeOf(text).content).toEqual({ methods: ['POST', 'QUERY'], as: 'graphql', maxBytes: 1_048_576 });
    expect(routeOf('ttl: 1h\ncontent: { methods: [POST, POST] }').content?.methods).toEqual(['POST']);
  });

  test.each([
    ['{}', '9:14: routes[0].content.methods: is required'],
    [
      '{ methods: [] }',
      '9:25: routes[0].content.methods: is empty; it needs at least one value, or the option is left out',
    ],
    ['{ methods: PUT }', '9:25: routes[0].content.methods[0]: expected one of QUERY, POST, given "PUT"'],
    [
      '{ methods: POST, as: grapql }',
      '9:35: routes[0].content.as: expected one of auto, json, form, graphql, bytes, given "grapql"; did you mean graphql?',
    ],
    ['{ methods: POST, maxBytes: 2MiB }', '9:41: routes[0].content.maxBytes: is at most 1MiB, given "2MiB"'],
  ])('%s is refused', (text, issue) => {
    expect(issuesOf(file(`ttl: 1h\ncontent: ${text}`))).toEqual([issue]);
  });

  test.each(['maxBodyBytes', 'maxContentBytes'])('is by default no more than the listener takes: %s', (option) => {
    const small = `server: { limits: { ${option}: 1KiB } }\n`;
    const route = file('ttl: 1h\ncontent: { methods: QUERY }');
    expect(configOf(`${route}${small}`).routes[0]?.content?.maxBytes).toBe(1024);
    // What was written down does not give way.
    const written = file('ttl: 1h\ncontent: { methods: QUERY, maxBytes: 64KiB }');
    expect(issuesOf(`${written}${small}`)).toEqual([
      `9:42: routes[0].content.maxBytes: is larger than the listener takes (server.limits.${option} is 1KiB)`,
    ]);
  });

  test('as graphql never stores an answer with errors, whatever else storeIf says', () => {
    const graphql = 'content: { methods: POST, as: graphql }';
    const absent = ['$.errors[*]'];
    expect(storeIfOf(`ttl: 1h\n${graphql}`)).toEqual({ json: true, exists: [], absent });
    expect(storeIfOf(`${honour}\n${graphql}`)).toEqual({ json: true, exists: [], absent });
    const written = `ttl: 1h\n${graphql}\nstoreIf: { exists: $.data, absent: $.data.stale }`;
    expect(storeIfOf(written)).toEqual({ json: true, exists: ['$.data'], absent: ['$.data.stale', ...absent] });
    expect(storeIfOf('ttl: 1h\ncontent: { methods: POST, as: json }')).toBeUndefined();
  });
});

describe('noVarySearch', () => {
  test.each([
    [honour, true],
    [`${honour}\nnoVarySearch: false`, false],
    [`${honour}\nnoVarySearch: true`, true],
    [`${honour}\nignore: utm_source`, false],
    ['ttl: 1h', false],
    ['ttl: 1h\nnoVarySearch: false', false],
  ])('with %j is %s', (route, expected) => {
    expect(routeOf(route).noVarySearch).toBe(expected);
  });

  test.each(['ttl: 1h', `${honour}\nquery: { a: { type: text } }`, `${honour}\nsecret: token`])(
    'cannot be wanted with %j',
    (route) => {
      const line = 8 + route.split('\n').length;
      expect(issuesOf(file(`${route}\nnoVarySearch: true`))).toEqual([
        `${line}:19: routes[0].noVarySearch: only works with upstreamCacheControl: honour and without a rule for the query: rules say already what counts`,
      ]);
    },
  );

  test('is off where credentials of the upstream take a parameter out of the query, and cannot be wanted', () => {
    const upstream = ', credentials: { query: { apikey: x } }';
    expect(routeOf(honour, upstream).noVarySearch).toBe(false);
    expect(issuesOf(file(`${honour}\nnoVarySearch: true`, upstream))).toEqual([
      '9:19: routes[0].noVarySearch: does not work with the credentials of api in the query: what clients send by these names is dropped, so the query is not keyed as it comes',
    ]);
  });
});

describe('tags of upstream, and the key', () => {
  test('are not read or shown unless a route says so', () => {
    expect(routeOf('ttl: 1h')).toMatchObject({ tagsFrom: [], maxUpstreamTags: 64, showKey: false });
    const text = 'ttl: 1h\ntagsFrom: [cache-tag, surrogate-key]\nmaxUpstreamTags: 1000\nshowKey: true';
    expect(routeOf(text)).toMatchObject({
      tagsFrom: ['cache-tag', 'surrogate-key'],
      maxUpstreamTags: 1000,
      showKey: true,
    });
    expect(routeOf('ttl: 1h\ntagsFrom: [cache-tag, cache-tag]').tagsFrom).toEqual(['cache-tag']);
    expect(routeOf('ttl: 1h\nmaxUpstreamTags: 0').maxUpstreamTags).toBe(0);
  });

  test.each([
    [
      'tagsFrom: surrogate-keys',
      '9:15: routes[0].tagsFrom[0]: expected one of surrogate-key, cache-tag, given "surrogate-keys"; did you mean surrogate-key?',
    ],
    ['maxUpstreamTags: 1001', '9:22: routes[0].maxUpstreamTags: is at most 1000, given 1001'],
    ['showKey: yes', '9:14: routes[0].showKey: expected true or false, given "yes"'],
  ])('%s is refused', (option, issue) => {
    expect(issuesOf(file(`ttl: 1h\n${option}`))).toEqual([issue]);
  });
});

test('of a route that is relayed these options do nothing, and check says so', () => {
  const text = `${honour}
cache: off
heuristicFraction: 0.5
heuristicMax: 1h
storeErrors: all
storeFields: all
tagsFrom: cache-tag
maxUpstreamTags: 1
content: { methods: QUERY }
noVarySearch: true
showKey: true`;
  const [note] = configOf(file(text)).notes;
  expect(note?.message).toBe(
    'requests are relayed as they come, so these options do nothing: upstreamCacheControl, heuristicFraction, heuristicMax, storeErrors, storeFields, tagsFrom, maxUpstreamTags, content, noVarySearch, showKey',
  );
});
