import { describe, expect, test } from 'vitest';
import { formatIssue } from '../../src/config/issue.ts';
import { configOf, contractFile } from '../support/config-text.ts';

/** The notes of a text as they are printed, without the file's name. */
function notesOf(text: string, env: Readonly<Record<string, string>> = {}): readonly string[] {
  return configOf(text, env).notes.map((note) => formatIssue(note).slice('/etc/f.yaml:'.length));
}

function file(route: string, upstream = '', more = ''): string {
  return `upstreams: { api: { origin: "http://127.0.0.1:9"${upstream} } }
routes:
  - { name: one, match: "/one/:g", upstream: api, ${route} }
${more}`;
}

describe('what is allowed but hardly meant', () => {
  test('is nothing in the file of the contract', () => {
    expect(notesOf(contractFile)).toEqual([]);
  });

  test.each<readonly [string, readonly string[]]>([
    ['cache: off', []],
    ['cache: off, forward: "/{g}", secret: key, ignore: utm, tags: , headers: ~', []],
    [
      'tags: [a], cache: off, query: { q: { type: text } }, storeIf: { exists: $.a }, headers: accept, statusTtl: { 404: 1m }',
      [
        '3:69: routes[0].cache: requests are relayed as they come, so these options do nothing: statusTtl, storeIf, query, headers, tags',
      ],
    ],
    ['cache: off, pathParams: { g: { type: text, secret: true } }', []],
    [
      'cache: off, pathParams: { g: { type: text } }',
      ['3:58: routes[0].cache: requests are relayed as they come, so these options do nothing: pathParams'],
    ],
    ['ttl: 1h, retain: 1h', []],
    ['ttl: 2h, retain: 1h', ['3:68: routes[0].retain: is below ttl: answers are removed while they are still fresh']],
  ])('on a route with %s', (route, notes) => {
    expect(notesOf(file(route))).toEqual(notes);
  });

  test.each<readonly [string, readonly string[]]>([
    ['every: 1h', []],
    ['every: 1h, jitter: 1h', []],
    [
      'every: 1h, jitter: 2h',
      ['4:65: warm.jobs[0].jitter: is longer than every (1h), so that is not kept: two runs may be 3h apart'],
    ],
  ])('in a warming job with %s', (job, notes) => {
    expect(notesOf(file('ttl: 1h', '', `warm: { jobs: [{ route: one, with: { g: a }, ${job} }] }\n`))).toEqual(notes);
  });

  test.each<readonly [string, readonly string[]]>([
    ['ttl: 1h, staleWhileRevalidate: 10m, staleIfError: 6h', []],
    ['ttl: 1m, statusTtl: { 404: 1m }', []],
    ['ttl: 6d, staleIfError: 1d', []],
    ['upstreamCacheControl: honour, ttl: 1h, staleIfError: 6d, statusTtl: { 404: 7d }', []],
    [
      'ttl: 1m, statusTtl: { 404: 1h, 410: 30s }',
      ['statusTtl["404"]: is cut by retain, which is 1m by default: nothing is kept for longer after it came'],
    ],
    [
      'ttl: 7d, staleWhileRevalidate: 1h, staleIfError: 1d',
      [
        'staleWhileRevalidate: is cut by retain, which is 7d by default: nothing is kept for longer after it came',
        'staleIfError: is cut by retain, which is 7d by default: nothing is kept for longer after it came',
      ],
    ],
    [
      'ttl: 1h, staleIfError: 6h, retain: 2h',
      ['staleIfError: is cut by retain, which is 2h: nothing is kept for longer after it came'],
    ],
    [
      'upstreamCacheControl: honour, staleIfError: 30d',
      ['staleIfError: is cut by retain, which is 7d by default: nothing is kept for longer after it came'],
    ],
    // Told once: where not even the lifetime is left there are no windows.
    ['ttl: 2h, staleIfError: 6h, retain: 1h', ['retain: is below ttl: answers are removed while they are still fresh']],
  ])('is what retain takes from a route with %s', (route, notes) => {
    expect(notesOf(file(route)).map((one) => one.replace(/^\d+:\d+: routes\[0\]\./, ''))).toEqual(notes);
  });

  test.each<readonly [option: string, note: string | undefined]>([
    ['ttl: 1h, expireAt: { every: 6h }', undefined],
    ['ttl: 1h, expireAt: { every: 1d, offset: 20m }', undefined],
    [
      'ttl: 1h, expireAt: { every: 7h }',
      'expireAt.every: a day is no multiple of 7h, which is counted from 1970: the instants are at other times each day',
    ],
    ['ttl: 1h, expireAt: { daily: "00:00", zone: "{g}" }', undefined],
    ['ttl: 1h, expireAt: { daily: "00:00", zone: "{tz}" }, query: { tz: { type: text } }', undefined],
    ['ttl: 1h, expireAt: { daily: "00:00", zone: "{tz}" }, query: { tz: { type: enum, values: [UTC] } }', undefined],
    ['ttl: 1h, expireAt: { daily: "00:00", zone: "{tz}" }, query: { tz: { type: list } }', undefined],
    ['ttl: 1h, expireAt: { daily: "00:00", zone: "{tz}" }, query: { tz: { type: set } }', undefined],
    [
      'ttl: 1h, expireAt: { daily: "00:00", zone: "{tz}" }, query: { tz: { type: integer } }',
      'expireAt.zone: {tz} is of type integer, but a time zone is a text, so it names none',
    ],
    [
      'ttl: 1h, expireAt: { daily: "00:00", zone: "{g}" }, pathParams: { g: { type: date } }',
      'expireAt.zone: {g} is of type date, but a time zone is a text, so it names none',
    ],
    ['upstreamCacheControl: honour, heuristicMax: 1h', undefined],
    ['upstreamCacheControl: honour, heuristicFraction: 0', undefined],
    [
      'upstreamCacheControl: honour, heuristicMax: 1h, heuristicFraction: 0',
      'heuristicMax: does nothing with heuristicFraction: 0',
    ],
    ['upstreamCacheControl: honour, maxUpstreamTags: 9', undefined],
    ['ttl: 1h, upstreamCacheControl: cap, maxUpstreamTags: 9', undefined],
    ['ttl: 1h, tagsFrom: cache-tag, maxUpstreamTags: 9', undefined],
    [
      'ttl: 1h, maxUpstreamTags: 9',
      'maxUpstreamTags: does nothing: without tagsFrom, upstream gives tags (Cache-Groups) where upstreamCacheControl is honour or cap',
    ],
    [
      'ttl: 1h, headers: [accept, "*"]',
      'headers[1]: is the name of one field, its * included; each that enters the key is named',
    ],
    ['upstreamCacheControl: honour, forwardHeaders: ["*", cookie, x-a]', undefined],
    [
      'upstreamCacheControl: honour, forwardHeaders: [accept, "x-*"]',
      'forwardHeaders[1]: is the name of one field, its * included; only * alone stands for others',
    ],
    [
      'upstreamCacheControl: honour, forwardHeaders: [accept, x-original-lang]',
      'forwardHeaders[1]: goes upstream only where headers of the route keys it',
    ],
  ])('is what does nothing, or something else, of %s', (route, note) => {
    const notes = notesOf(file(route)).map((one) => one.replace(/^\d+:\d+: routes\[0\]\./, ''));
    expect(notes).toEqual(note === undefined ? [] : [note]);
  });

  const onlyName = 'is the name of one parameter, its * included; each is named by itself';
  const oneForAll =
    'is the same whatever * of match stands for, so all these paths have one stored response; {0} puts it in';
  test.each<readonly [match: string, route: string, note: string | undefined]>([
    ['/a/{city}', '', 'match: {city} matches the text city alone, since braces make no group; one is written :city'],
    ['/a/{city}/b', '', 'match: {city} matches the text city alone, since braces make no group; one is written :city'],
    ['/a/:g{city}', '', undefined],
    ['/a/{city}?', '', undefined],
    ['/a/{:city}', '', undefined],
    ['/a/([0-9]{2})', '', undefined],
    [
      '/a/:city',
      'forward: "/x/:city"',
      'forward: :city is sent as it stands; what :city of match stands for is written {city} here',
    ],
    ['/a/:city', 'forward: "/x/:town"', undefined],
    ['/a/:city', 'forward: "/x/{city}:city"', undefined],
    ['/a/:city', 'forward: "/x"', undefined],
    ['/a/*', 'forward: "/x/*"', 'forward: * is sent as it stands; what * of match stands for is written {0} here'],
    [
      '/a/*',
      'forward: "/x/*", cache: off',
      'forward: * is sent as it stands; what * of match stands for is written {0} here',
    ],
    ['/a/:city', 'forward: "/x/*/{city}"', undefined],
    ['/a/*', 'forward: "/x/{0}/*"', undefined],
    ['/a/*', 'forward: "/x"', `forward: ${oneForAll}`],
    ['/a/:b/*', 'forward: "/x"', `forward: ${oneForAll}`],
    ['/a/:b/*', 'forward: "/x/{b}"', undefined],
    ['/a/*', 'forward: "/x", cache: off', undefined],
    ['/a/*', 'forward: "/app/index.html"', undefined],
    ['/a{/*}?', 'forward: "/x"', undefined],
    ['/a', 'forward: "/x"', undefined],
    ['/a', 'ignore: [a, "utm_*"]', `ignore[1]: ${onlyName}`],
    ['/a', 'secret: "*_token"', `secret[0]: ${onlyName}`],
    ['/a', 'ignore: [a, utm_source]', undefined],
    [
      '/a/:city',
      'query: { city: { type: text } }',
      'query.city: is a rule for the query, and match has a group :city, to which it does not apply; rules for groups stand under pathParams',
    ],
    ['/a/:city', 'query: { city: { type: text } }, pathParams: { city: { type: text } }', undefined],
    ['/a/:city', 'query: { town: { type: text } }', undefined],
  ])('is what paths and names hardly mean: %s with %s', (match, route, note) => {
    const caching = route.includes('cache:') ? 'tags: ' : 'ttl: 1h';
    const text = file([caching, route].filter(Boolean).join(', ')).replace('/one/:g', match);
    const notes = notesOf(text).map((one) => one.replace(/^3:\d+: routes\[0\]\./, ''));
    expect(notes).toEqual(note === undefined ? [] : [note]);
  });

  test.each([
    ['locations: [berlin]', true],
    ['locations: [berlin], jobs: [{ route: one, with: { g: a }, every: 1h }]', true],
    ['locations: [berlin], jobs: [{ route: one, with: { g: "{location}" }, every: 1h }]', false],
    ['jobs: [{ route: one, with: { g: a }, every: 1h }]', false],
  ])('is a list of locations that nothing uses: %s', (warm, isNoted) => {
    const message = '4:9: warm.locations: does nothing: no job has {location} in its with';
    expect(notesOf(file('ttl: 1h', '', `warm: { ${warm} }\n`))).toEqual(isNoted ? [message] : []);
  });

  test('is told of a route that is relayed once, and at its place of others', () => {
    expect(notesOf(file('cache: off, ttl: 1h, expireAt: { every: 7h }, maxUpstreamTags: 9'))).toHaveLength(1);
    expect(notesOf(file('ttl: 1h, expireAt: { every: 7h }'))[0]).toMatch(/^3:79: /);
  });

  test.each<readonly [kind: 'query' | 'headers', value: string, begins: string | undefined]>([
    ['query', '', undefined],
    ['query', 'k3y', 'has fewer than 4 characters, so it is not looked for in answers'],
    ['query', 'k3y1', 'has fewer than 8 characters: answers in which it stands by chance are changed too'],
    ['query', 'k3y-123', 'has fewer than 8 characters: answers'],
    ['query', 'k3y-1234', undefined],
    ['query', '1234567', 'has fewer than 8 characters: answers'],
    ['query', '12345678', 'is a number: answers'],
    ['query', '1234567890123456', 'is a number: answers'],
    ['query', '12345678901234567', undefined],
    ['query', 'production', 'is a word: answers'],
    ['query', 'ANTICIPATIVELYX', 'is a word: answers'],
    ['query', 'anticipativelyxx', undefined],
    ['headers', 'Bearer k3y', 'has fewer than 4 characters'],
    ['headers', 'Bearer 12345678', 'is a number: answers'],
    ['headers', 'Bearer k3y-1234', undefined],
  ])('is a credential of %s that answers may hold by chance, which is not shown: %s', (kind, value, begins) => {
    const notes = notesOf(file('ttl: 1h', `, credentials: { ${kind}: { x: "\${K}" } }`), { K: value });
    const place = `1:${kind === 'query' ? 78 : 80}: upstreams.api.credentials.${kind}.x: `;
    const told = notes.map((note) => note.slice(0, begins === undefined ? undefined : place.length + begins.length));
    expect(told).toEqual(begins === undefined ? [] : [`${place}${begins}`]);
    expect(notes.filter((note) => value !== '' && note.includes(value))).toEqual([]);
  });

  test.each([
    ['url: "redis://a", password: $REDIS_PW', 'password'],
    ['sentinels: ["a:1"], name: m, sentinelPassword: $PW', 'sentinelPassword'],
    ['url: "redis://a", password: "${PW}"', undefined],
    ['url: "redis://a", password: "pa$$word"', undefined],
  ])('is a variable without braces as a password of Redis: %s', (section, option) => {
    const text = `${file('ttl: 1h')}store: { redis: { ${section}, purgeRetention: 30d } }\n`;
    const message = 'looks like a variable without braces, which is sent as it stands; variables are written ${NAME}';
    const notes = notesOf(text, { PW: 'k3y-0123456789' }).map((note) => note.replace(/^\d+:\d+: /, ''));
    expect(notes).toEqual(option === undefined ? [] : [`store.redis.${option}: ${message}`]);
  });

  const emptyPath = 'which is refused with 400 (The path begins with //.)';
  test.each([
    ['/one/:a?', '/{a}/x', '', `{a}, which may be left out, the path upstream is //x, ${emptyPath}`],
    ['/one/:a*', '/{a}/x', '', `{a}, which may be left out, the path upstream is //x, ${emptyPath}`],
    ['/one{/:a}?', '/v1/{a}/x', '', '{a}, which may be left out, the path upstream is /v1//x, with an empty segment'],
    [
      '/:a?/:b?/one',
      '/v1/.{a}/{b}',
      '',
      '{a} and {b}, which may be left out, the path upstream is /v1/./, which is refused with 400 (The path holds a dot segment.)',
    ],
    ['/one/:a?', '/v1/{a}', '', undefined],
    ['/one/:a?', '/v1/x{a}/y', '', undefined],
    ['/one/:a', '/{a}/x', '', undefined],
    ['/one/:a?', '/{a}/x', ', pathParams: { a: { type: text, default: en } }', undefined],
    ['/one/:a?', '/{a}/x', ', pathParams: { a: { type: text, required: true } }', undefined],
  ])('is a group that may be left out of match: %s in forward: %s%s', (match, forward, more, said) => {
    for (const caching of ['ttl: 1h', 'cache: off']) {
      if (more !== '' && caching === 'cache: off') continue;
      const text = file(`${caching}, forward: "${forward}"${more}`).replace('/one/:g', match);
      const notes = notesOf(text).map((note) => note.replace(/^\d+:\d+: /, ''));
      const message = `routes[0].forward: without ${said}; give paths without it a route of their own`;
      expect(notes).toEqual(said === undefined ? [] : [message]);
    }
  });

  test.each([
    ['redis://:$REDIS_PW@a', true],
    ['redis://$REDIS_USER:pw@a:6379/1', true],
    ['redis://:${PW}@a', false],
    ['redis://:pa$$word@a', false],
  ])('is a variable without braces in the URL of Redis: %s', (url, isNoted) => {
    const text = `${file('ttl: 1h')}store: { redis: { url: "${url}", purgeRetention: 30d } }\n`;
    const message =
      'its user or password looks like a variable without braces, which is sent as it stands; variables are written ${NAME}';
    const notes = notesOf(text, { PW: 'k3y-0123456789' }).map((note) => note.replace(/^\d+:\d+: /, ''));
    expect(notes).toEqual(isNoted ? [`store.redis.url: ${message}`] : []);
  });

  test('is a variable without braces as a credential, whose value is not shown', () => {
    const credentials =
      ', credentials: { query: { a: $API_KEY, b: "${API_KEY}", c: "pa$$word" }, headers: { authorization: Bearer $TOKEN } }';
    const notes = notesOf(file('ttl: 1h', credentials), { API_KEY: 'k3y-0123456789' });
    const message = 'looks like a variable without braces, which is sent as it stands; variables are written ${NAME}';
    expect(notes).toEqual([
      `1:78: upstreams.api.credentials.query.a: ${message}`,
      `1:148: upstreams.api.credentials.headers.authorization: ${message}`,
    ]);
  });

  test('is an address of Redis without a section for it', () => {
    const note =
      ': store.redis: REDIS_URL is set, but without a section store.redis this proxy keeps to memory; others do not share it';
    expect(notesOf(file('ttl: 1h'), { REDIS_URL: 'redis://:hunter2@x' })).toEqual([`1:1${note}`]);
    expect(notesOf(file('ttl: 1h', '', 'store: { memory: }\n'), { REDIS_URL: 'x' })).toEqual([`4:8${note}`]);
    expect(notesOf(file('ttl: 1h'), { REDIS_URL: '' })).toEqual([]);
  });

  test.each<readonly [section: string, env: Readonly<Record<string, string>>, said: string | undefined]>([
    ['', {}, undefined],
    ['{}', {}, undefined],
    ['{ url: "${REDIS_URL:-}", password: "${REDIS_PASSWORD:-}" }', {}, undefined],
    ['{}', { REDIS_PORT: '6379' }, 'REDIS_PORT'],
    ['{}', { REDIS_PORT: 'tcp://10.0.0.7:6379' }, undefined],
    ['{}', { REDIS_PORT: '6379', REDIS_HOST: 'cache' }, undefined],
    ['{}', { REDIS_DB: '3' }, 'REDIS_DB'],
    ['{}', { REDIS_PASSWORD: 'hunter2' }, 'REDIS_PASSWORD'],
    ['{}', { REDIS_PASSWORD: '' }, undefined],
    ['{ password: hunter2 }', {}, 'password'],
    ['{ password: hunter2, url: "redis://cache" }', {}, undefined],
    ['{ database: 3 }', {}, 'database'],
  ])('is half an address of Redis: %s with %o', (section, env, said) => {
    const message = `3:10: store.redis: ${said} is set, but nothing says where Redis is (url, sentinels, cluster, REDIS_URL, REDIS_HOST), so this proxy keeps to memory`;
    const text = file('ttl: 1h').replace(/^/, `store:\n  memory: {}\n  redis: ${section}\n`);
    expect(notesOf(text, env)).toEqual(said === undefined ? [] : [message]);
  });

  test.each([
    ['1d', 'ttl: 24h', undefined],
    ['1d', 'ttl: 24h, staleIfError: 1ms', '86400001ms'],
    ['1d', 'ttl: 1h, retain: 1d', undefined],
    ['1d', 'ttl: 1h, retain: 2d', '2d'],
    ['30d', 'ttl: 1h, retain: 90d', undefined],
    ['29d', 'ttl: 1h, retain: 90d', '90d'],
    // Upstream may give a long lifetime; that it must be kept for so long nobody has said.
    ['1d', 'upstreamCacheControl: honour', undefined],
    ['1d', 'upstreamCacheControl: honour, ttl: 2d', '2d'],
    ['1d', 'upstreamCacheControl: honour, retain: 3d', '3d'],
    ['1d', 'cache: off', undefined],
  ])('is a purgeRetention of %s with a route of %s', (retention, route, kept) => {
    const text = (url: string): string =>
      file(route, '', `store: { redis: { purgeRetention: ${retention}, url: "${url}" } }\n`);
    const message = `store.redis.purgeRetention: purges are kept for ${retention}, but route one keeps responses for ${kept}: what was stored before the oldest purge that is kept is not served`;
    const notes = notesOf(text('redis://cache')).map((note) => note.replace(/^\d+:\d+: /, ''));
    expect(notes).toEqual(kept === undefined ? [] : [message]);
    expect(notesOf(text(''))).toEqual([]);
  });

  test.each<readonly [string, readonly string[]]>([
    ['server: { listen: "0.0.0.0:8080", listeners: { b: { listen: "127.0.0.1:8081" } } }', []],
    ['server: { listen: "127.0.0.1:8080", listeners: { b: { listen: "127.0.0.2:8080" } } }', []],
    ['server: { listen: "0.0.0.0:0", listeners: { b: { listen: "127.0.0.1:0" } } }', []],
    [
      'server: { listen: "0.0.0.0:8080", listeners: { b: { listen: "127.0.0.1:8080" } } }',
      [
        '4:61: server.listeners.b.listen: shares port 8080 with server.listen (0.0.0.0), and one of them is on all addresses; most systems refuse the second',
      ],
    ],
    [
      'server: { listen: "[::]:9090" }',
      [
        '1:1: admin.listen: shares port 9090 with server.listen (::), and one of them is on all addresses; most systems refuse the second',
      ],
    ],
  ])('is one port on all addresses and on one: %s', (server, notes) => {
    expect(notesOf(file('ttl: 1h', '', `${server}\n`))).toEqual(notes);
  });
});
