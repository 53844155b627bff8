import { describe, expect, test } from 'vitest';
import { formatIssue } from '../../src/config/issue.ts';
import { contractFile, issuesOf } from '../support/config-text.ts';

/** One route and one upstream, with further options of each. */
function file(parts: { readonly route?: string; readonly upstream?: string; readonly more?: string } = {}): string {
  return `upstreams:
  api:
    origin: http://127.0.0.1:9
${indented(parts.upstream, 4)}routes:
  - name: one
    match: /one
    upstream: api
${indented(parts.route ?? 'ttl: 1h', 4)}${parts.more ?? ''}`;
}

function indented(text: string | undefined, spaces: number): string {
  if (text === undefined) return '';
  return `${text
    .split('\n')
    .map((line) => ' '.repeat(spaces) + line)
    .join('\n')}\n`;
}

describe('a bad file', () => {
  test('has every issue told at once, each with its place, what is allowed and what was given', () => {
    const text = `server:
  listn: 127.0.0.1:8080
  listen: nowhere
  limits: []
  timeouts: { headers: 10, keepAlive: 99h }
admin: { listen: 0.0.0.0:9090 }
store: { memory: { maxBytes: 256MB }, redis: { url: "redis://x", sentinels: [] } }
upstreams:
  weather: { origin: "http://user:pw@x/", timeout: 10 s, credentials: { headers: { Host: x, "x-key": "a b " } }, quota: {} }
  events: { origin: "\${NOPE}", credentials: { query: { apikey: "s3cret" } } }
routes:
  - name: a
    match: /a/:city
    upstream: wether
    ttl: 1h
    query:
      days: { type: integr }
      n: { type: integer, min: 5, max: 1, default: x, folds: true }
    tags: ["l:{cty}"]
  - name: a
    match: b
    upstream: events
    cache: offf
    ttl: 1h
    ttl: 2h
    forward: /c/{x}
    statusTtl: { 404: 1m, 206: 1m, abc: 2m }
    headers: [range, "a b", x-ok]
warm:
  jobs:
    - { route: aa, every: 1h, zone: Europe/Berlinn }
purge:
  schedule:
    - { cron: "x", route: b, all: true }
    - { cron: "x" }
other:
`;
    expect(issuesOf(text)).toEqual([
      '2:3: server.listn: unknown key; did you mean listen?',
      '3:11: server.listen: expected host:port such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080 (all interfaces), given "nowhere"',
      '4:11: server.limits: expected a map, given a list',
      '5:24: server.timeouts.headers: expected a duration such as 500ms, 30s, 10m, 1h or 7d, given "10" (a number needs its unit: 10s?)',
      '5:39: server.timeouts.keepAlive: is at most 1h, given "99h"',
      '6:8: admin.token: a token is needed where the admin listener is not on loopback (it listens on 0.0.0.0); set it, or listen on 127.0.0.1',
      '7:30: store.memory.maxBytes: expected a size such as 512, 64KiB, 256MiB or 2GiB, given "256MB" (units are KiB, MiB and GiB, without a space)',
      '7:66: store.redis.sentinels: is beside url; exactly one of url, sentinels and cluster says where Redis is',
      '7:77: store.redis.sentinels: is empty; it needs at least one value, or the option is left out',
      '7:77: store.redis.sentinels: needs `name` beside it: the name by which the Sentinels know the master',
      '9:22: upstreams.weather.origin: expected http://host[:port] or https://host[:port], given one with user information; put secrets into credentials',
      '9:52: upstreams.weather.timeout: expected a duration such as 500ms, 30s, 10m, 1h or 7d, given "10 s"',
      '9:84: upstreams.weather.credentials.headers.Host: host frames the message or belongs to one connection; the proxy sets it itself',
      '9:102: upstreams.weather.credentials.headers.x-key: begins or ends with a space',
      '9:114: upstreams.weather.quota: quotas are not available in this version; remove the option',
      '10:22: upstreams.events.origin: environment variable NOPE is not set (${NOPE:-default} gives a default)',
      '14:15: routes[0].upstream: there is no upstream "wether"; did you mean weather?',
      '17:21: routes[0].query.days.type: expected one of text, integer, decimal, date, datetime, boolean, enum, set, list, point, given "integr"; did you mean integer?',
      '18:32: routes[0].query.n.min: min 5 is above max 1',
      '18:52: routes[0].query.n.default: the default must be an integer from 5 to 1, given "x"',
      '18:55: routes[0].query.n.folds: unknown key; valid: type, min, max, required, default, secret, alias',
      '19:12: routes[0].tags[0]: {cty} is no parameter or group; did you mean city?',
      '20:11: routes[1].name: "a" is the name of routes[0] already',
      '21:12: routes[1].match: must begin with /',
      '23:12: routes[1].cache: expected one of on, off, true, false, given "offf"; did you mean off?',
      '25:5: routes[1].ttl: is given twice; the first is at line 24',
      '27:27: routes[1].statusTtl["206"]: 206 answers one request\'s condition or range and is never stored',
      '27:36: routes[1].statusTtl.abc: "abc" is no final status code (200 to 599)',
      '28:15: routes[1].headers[0]: range is worked out by the proxy itself and never forwarded',
      '28:22: routes[1].headers[1]: "a b" is no field name (letters, digits and !#$%&\'*+-.^_`|~ only)',
      '31:16: warm.jobs[0].route: there is no route "aa"; valid: a',
      '31:37: warm.jobs[0].zone: "Europe/Berlinn" is no IANA time zone (such as UTC or Europe/Berlin)',
      '34:7: purge.schedule[0]: needs exactly one of route, tag, tags, prefix, url, key, all; given route and all',
      '34:27: purge.schedule[0].route: there is no route "b"; valid: a',
      '35:7: purge.schedule[1]: needs exactly one of route, tag, tags, prefix, url, key, all; given none',
      '36:1: other: unknown key; valid: server, admin, log, store, upstreams, routes, warm, purge',
    ]);
  });

  test('names the file in front, and no line of its text can forge another', () => {
    const issue = { file: 'a\nb.yaml', line: 1, column: 2, path: '(file)', message: 'x\u202ey\u2028z\u001b[0m' };
    expect(formatIssue(issue)).toBe('a\\u000ab.yaml:1:2: (file): x\\u202ey\\u2028z\\u001b[0m');
  });

  test.each([
    ['', '1:1: (file): expected a map, given nothing'],
    ['# nothing\n', '1:1: (file): expected a map, given nothing'],
    ['just text\n', '1:1: (file): expected a map, given "just text"'],
    ['- a\n', '1:1: (file): expected a map, given a list'],
  ])('without a map at its root is one issue: %j', (text, issue) => {
    expect(issuesOf(text)).toEqual([issue]);
  });

  test('lacking what it needs is told so', () => {
    expect(issuesOf('server: {}\n')).toEqual(['1:1: upstreams: is required', '1:1: routes: is required']);
    expect(issuesOf('upstreams: {}\nroutes: []\n')).toEqual([
      '1:12: upstreams: is empty',
      '2:9: routes: is empty; it needs at least one value',
    ]);
    expect(issuesOf(file({ route: 'ttl: 1h\ntags: []\nquery: { a: { type: enum, values: [] } }' }))).toEqual([
      '9:11: routes[0].tags: is empty; it needs at least one value, or the option is left out',
      '10:39: routes[0].query.a.values: is empty; it needs at least one value',
    ]);
    expect(issuesOf('upstreams:\nroutes: [{}]\n')).toEqual([
      '1:1: upstreams: expected a map, given nothing',
      '2:10: routes[0].name: is required',
      '2:10: routes[0].match: is required',
      '2:10: routes[0].upstream: is required',
      '2:10: routes[0].ttl: is required, unless upstreamCacheControl is honour or cache is off',
    ]);
  });
});

describe('routes', () => {
  test.each<readonly [string, string, readonly string[]]>([
    ['no ttl', 'tags: [a]', ['5:5: routes[0].ttl: is required, unless upstreamCacheControl is honour or cache is off']],
    [
      'a name that would break a key',
      'ttl: 1h\nlistener: defualt',
      ['9:15: routes[0].listener: there is no listener "defualt"; did you mean default?'],
    ],
    [
      'a field that shows loops',
      'upstreamCacheControl: honour\nheaders: [CDN_Loop]\nforwardHeaders: [cdn-loop]',
      [
        '9:15: routes[0].headers[0]: cdn_loop is worked out by the proxy itself and never forwarded',
        '10:22: routes[0].forwardHeaders[0]: cdn-loop is worked out by the proxy itself and never forwarded',
      ],
    ],
    [
      'forwarded fields on a ruled route',
      'ttl: 1h\nforwardHeaders: [accept]',
      [
        '9:5: routes[0].forwardHeaders: only works with upstreamCacheControl: honour, where Vary keys the fields; list them under headers',
      ],
    ],
    [
      'a coding in the key',
      'ttl: 1h\nheaders: Accept-Encoding',
      [
        "9:14: routes[0].headers[0]: accept-encoding does not enter the key: one stored response serves every coding (see the upstream's acceptEncoding)",
      ],
    ],
    [
      'a host with a port',
      'ttl: 1h\nhost: api.test:80',
      ['9:11: routes[0].host: "api.test:80" has a port; bind the route to a listener instead'],
    ],
    [
      'a default that its own rule refuses',
      'ttl: 1h\nquery: { d: { type: date, default: today }, n: { type: integer, max: 3, default: 4 }, s: { type: enum, values: [a], default: hunter2, secret: true } }',
      [
        '9:40: routes[0].query.d.default: the default must be a date, YYYY-MM-DD, given "today"',
        '9:86: routes[0].query.n.default: the default must be an integer of at most 3, given "4"',
        '9:130: routes[0].query.s.default: the default must be one of a',
      ],
    ],
    [
      'rules that contradict themselves',
      'ttl: 1h\nquery: { a: { type: integer, min: 2, max: 1 }, b: { type: text, required: true, default: x }, c: { type: enum, values: [x, x] } }',
      [
        '9:39: routes[0].query.a.min: min 2 is above max 1',
        '9:79: routes[0].query.b.required: a parameter with a default is never missing; keep one of the two',
        '9:128: routes[0].query.c.values[1]: "x" is given twice',
      ],
    ],
    [
      'words of one meaning',
      'ttl: 1h\nquery: { a: { type: enum, values: [A, b, a], fold: true }, b: { type: enum, values: [A, a] } }',
      ['9:46: routes[0].query.a.values[2]: "a" is the same word as "A" where fold is true'],
    ],
    [
      'ranges that no value can meet',
      'ttl: 1h\nquery:\n  a: { type: decimal, places: 1, min: 0.01, max: 0.04 }\n  b: { type: decimal, places: 1, min: 0.01, max: 0.1 }\n  c: { type: point, lat: { min: 91 }, lon: { places: 0, min: 0.1, max: 0.9 } }\n  d: { type: decimal, places: 0, min: 0.1, max: 2.9 }',
      [
        '10:35: routes[0].query.a.places: no number of 1 places lies between 0.01 and 0.04',
        '12:37: routes[0].query.c.lat.min: min 91 is above max 90',
        '12:58: routes[0].query.c.lon.places: no number of 0 places lies between 0.1 and 0.9',
      ],
    ],
    [
      'an instant rounded both ways',
      'ttl: 1h\nquery: { a: { type: datetime, floor: 1h, ceil: 1h }, b: { type: datetime, ceil: 1h } }',
      ['9:52: routes[0].query.a.ceil: an instant is rounded down or up; keep one of floor and ceil'],
    ],
    [
      'options of a query in a path, where a name comes once',
      'ttl: 1h\npathParams: { id: { type: set, alias: x, repeat: true, fold: true } }',
      [
        '9:19: routes[0].pathParams.id: match has no group "id"',
        '9:36: routes[0].pathParams.id.alias: unknown key; valid: type, fold, required, default, secret',
        '9:46: routes[0].pathParams.id.repeat: unknown key; valid: type, fold, required, default, secret',
      ],
    ],
    [
      'one name for two parameters',
      'ttl: 1h\nignore: [c]\nquery: { a: { type: text, alias: b }, b: { type: text }, c: { type: text } }',
      [
        '10:38: routes[0].query.a.alias: "b" already names the parameter "b"',
        '10:62: routes[0].query.c: "c" is ignored by this route too',
      ],
    ],
    [
      'groups and parameters that are not there',
      'ttl: 1h\nforward: /x/{cty}/{\npathParams: { cit: { type: text } }\nquery: { key: { type: text, secret: true } }\ntags: ["a:{key}", "b}"]',
      [
        '9:14: routes[0].forward: {cty} is no group of match',
        '9:14: routes[0].forward: has a brace without its partner, given "/x/{cty}/{"',
        '10:19: routes[0].pathParams.cit: match has no group "cit"',
        '12:12: routes[0].tags[0]: {key} is a secret parameter and tags are shown; leave it out',
        '12:23: routes[0].tags[1]: has a brace without its partner, given "b}"',
      ],
    ],
    [
      'a body check that checks nothing',
      'ttl: 1h\nstoreIf: { json: false }',
      ['9:22: routes[0].storeIf.json: false checks nothing; leave storeIf out'],
    ],
    [
      'numbers past their limits',
      'ttl: 999d\nmaxKeyBytes: 64\nmaxKeys: 0\nmaxStoredBytes: 512MiB\nstatusTtl: { 404: 1x }',
      [
        '8:10: routes[0].ttl: is at most 365d, given "999d"',
        '9:18: routes[0].maxKeyBytes: is at least 128B, given "64"',
        '10:14: routes[0].maxKeys: is at least 1, given 0',
        '11:21: routes[0].maxStoredBytes: is larger than the whole memory tier (store.memory.maxBytes is 256MiB)',
        '12:23: routes[0].statusTtl["404"]: expected a duration such as 500ms, 30s, 10m, 1h or 7d, given "1x"',
      ],
    ],
    [
      'more stored bytes than there is memory',
      'ttl: 1h\nmaxStoredBytes: 512MiB',
      ['9:21: routes[0].maxStoredBytes: is larger than the whole memory tier (store.memory.maxBytes is 256MiB)'],
    ],
    [
      'an option of a later version',
      'ttl: 1h\nquota: 5',
      ['9:5: routes[0].quota: quotas are not available in this version; remove the option'],
    ],
  ])('with %s', (_name, route, issues) => {
    expect(issuesOf(file({ route }))).toEqual(issues);
  });

  test('may store more than a small memory tier holds by default, not by what is written', () => {
    const more = 'store: { memory: { maxBytes: 1MiB } }\n';
    expect(issuesOf(file({ more }))).toEqual([]);
    expect(issuesOf(file({ more, route: 'ttl: 1h\nmaxStoredBytes: 8MiB' }))).toEqual([
      '9:21: routes[0].maxStoredBytes: is larger than the whole memory tier (store.memory.maxBytes is 1MiB)',
    ]);
  });

  test.each<readonly [string, string, readonly string[]]>([
    [
      '/:a/:b',
      'forward: "/x/{b}{a}"',
      [
        '9:14: routes[0].forward: two paths on the proxy could become the same path upstream; put a / between the groups',
      ],
    ],
    ['/:a', 'forward: /x//../{a}', ['9:14: routes[0].forward: is no path: ']],
    [
      '/x/*',
      'pathParams: { "0": { type: text } }',
      ['9:17: routes[0].pathParams: group "0" can hold several segments, so it cannot have a rule'],
    ],
  ])('%s with %s are refused at the option that is wrong', (match, option, issues) => {
    const found = issuesOf(file({ route: `ttl: 1h\n${option}` }).replace('/one', match));
    expect(found).toHaveLength(issues.length);
    expect(found[0]?.startsWith(issues[0] ?? '-') ? [] : found).toEqual([]);
  });

  test('that could claim the same path are refused at the second of them', () => {
    const more =
      '  - { name: two, match: "/:x", upstream: api, ttl: 1h }\n  - { name: three, match: "/:y", upstream: api, ttl: 1h }\n';
    const issues = issuesOf(file({ more }));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(/^10:27: routes\[2\]\.match: match \/:y .*route two/);
  });

  test('with a pattern that is none are refused with it', () => {
    const issues = issuesOf(file().replace('/one', '"/one/:"'));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(/^6:12: routes\[0\]\.match: .*given "\/one\/:"$/);
  });

  test('whose rule or field the credentials of the upstream overrule are refused', () => {
    const upstream = 'credentials: { query: { apikey: a }, headers: { X-Key: b } }';
    const route = 'ttl: 1h\nheaders: [x-key]\nquery: { ApiKey: { type: text } }';
    expect(issuesOf(file({ upstream, route }))).toEqual([
      '10:15: routes[0].headers[0]: x-key is put on by the credentials of api; what clients send is dropped',
      '11:14: routes[0].query.ApiKey: "ApiKey" is secret here (by the route, or by the credentials of api): what clients send is dropped, so a rule has no effect',
    ]);
    const alike = 'ttl: 1h\nheaders: [x_key]';
    expect(issuesOf(file({ upstream, route: alike }))).toEqual([
      '10:15: routes[0].headers[0]: x_key is read as x-key by some servers, which is put on by the credentials of api; what clients send is dropped',
    ]);
    const spaced = 'ttl: 1h\nquery: { "apikey ": { type: text } }';
    expect(issuesOf(file({ upstream, route: spaced })).join()).toContain('"apikey " is secret here');
  });
});

describe('fields that the upstream sets itself', () => {
  const upstream = 'fields: { Accept: text/csv }';

  test.each([
    ['ttl: 1h\nheaders: [x-a, accept]', '10:20: routes[0].headers[1]'],
    ['upstreamCacheControl: honour\nforwardHeaders: [Accept]', '10:22: routes[0].forwardHeaders[0]'],
  ])('cannot be those of a route with %s', (route, place) => {
    expect(issuesOf(file({ upstream, route }))).toEqual([
      `${place}: accept is set by the fields of api; what clients send never gets there`,
    ]);
  });

  test('may be among those that an honour route forwards by default', () => {
    expect(issuesOf(file({ upstream, route: 'upstreamCacheControl: honour' }))).toEqual([]);
  });
});

describe('upstreams', () => {
  test.each<readonly [string, readonly string[]]>([
    [
      'fields: { "a b": x }',
      ['4:15: upstreams.api.fields["a b"]: "a b" is no field name (letters, digits and !#$%&\'*+-.^_`|~ only)'],
    ],
    [
      'fields: { Connection: close }',
      [
        '4:15: upstreams.api.fields.Connection: connection frames the message or belongs to one connection; the proxy sets it itself',
      ],
    ],
    ['fields: { x: "a\\r\\nb: c" }', ['4:18: upstreams.api.fields.x: the value holds a control character (U+000D)']],
    [
      'fields: { x: "Grüße" }',
      ['4:18: upstreams.api.fields.x: holds characters that a field value cannot have (printable ASCII only)'],
    ],
    [
      'fields: { Range: x, accept-encoding: x, Via: x, if-none-match: x }\ncredentials: { headers: { x-forwarded-for: x } }',
      [
        '4:15: upstreams.api.fields.Range: range is worked out by the proxy itself and cannot be set',
        '4:25: upstreams.api.fields.accept-encoding: accept-encoding is worked out by the proxy itself and cannot be set (see acceptEncoding)',
        '4:45: upstreams.api.fields.Via: via is worked out by the proxy itself and cannot be set',
        '4:53: upstreams.api.fields.if-none-match: if-none-match is worked out by the proxy itself and cannot be set',
        '5:31: upstreams.api.credentials.headers.x-forwarded-for: x-forwarded-for is worked out by the proxy itself and cannot be set',
      ],
    ],
    [
      'fields: { CDN-Loop: x }',
      ['4:15: upstreams.api.fields.CDN-Loop: cdn-loop is worked out by the proxy itself and cannot be set'],
    ],
    [
      'fields: { CDN_Loop: x }\ncredentials: { headers: { if_none_match: y } }',
      [
        '4:15: upstreams.api.fields.CDN_Loop: cdn_loop is worked out by the proxy itself and cannot be set',
        '5:31: upstreams.api.credentials.headers.if_none_match: if_none_match is worked out by the proxy itself and cannot be set',
      ],
    ],
    ['fields: { A: x, a: y }', ['4:21: upstreams.api.fields.a: a is given twice (field names have no case)']],
    [
      'credentials: { headers: { A: x } }\nfields: { a: y }',
      ['5:15: upstreams.api.fields.a: is among the credentials of this upstream too'],
    ],
    [
      'credentials: { headers: { x-api-key: secret-1 } }\nfields: { X_Api_Key: y }',
      ['5:15: upstreams.api.fields.X_Api_Key: is among the credentials of this upstream too'],
    ],
    ['acceptEncoding: br', ['4:21: upstreams.api.acceptEncoding: expected one of gzip, identity, given "br"']],
    ['timeout: 2h', ['4:14: upstreams.api.timeout: is at most 1h, given "2h"']],
    ['maxConnections: many', ['4:21: upstreams.api.maxConnections: expected a whole number, given "many"']],
    ['maxConnections: {}', ['4:21: upstreams.api.maxConnections: expected a whole number, given a map']],
  ])('with %s', (upstream, issues) => {
    expect(issuesOf(file({ upstream }))).toEqual(issues);
  });

  test.each([
    'api.test',
    'ftp://x',
    'http://x/path',
    'http://x?q',
    'http://x#f',
    'http://x\\y',
    'http:///',
    'https://:0:0',
    '$ORIGIN',
    'https://$HOST',
  ])('need an origin, which %s is not', (origin) => {
    const issues = issuesOf(file().replace('http://127.0.0.1:9', JSON.stringify(origin)));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(
      /^3:13: upstreams\.api\.origin: expected http:\/\/host\[:port\] or https:\/\/host\[:port\]/,
    );
    expect(issues[0]?.endsWith('; variables are written ${NAME}')).toBe(origin.includes('$'));
  });
});

describe('secrets', () => {
  test.each([
    'https://h/v1?key=hunter2',
    'https://h/hunter2',
    'hunter2@h',
    'https://h#hunter2',
    'h?hunter2',
    'ftp://h/hunter2',
  ])('in an origin such as %s are not shown', (origin) => {
    const issues = issuesOf(file().replace('http://127.0.0.1:9', JSON.stringify(origin)));
    expect(issues).toHaveLength(1);
    expect(issues[0]).not.toContain('hunter2');
  });

  test('are in no message, whatever is wrong with them', () => {
    const env = { SECRET: 'hunter2\nhunter2', ORIGIN: 'http://user:hunter2@x' };
    const text = file({
      upstream: 'credentials: { query: { a: "${SECRET}", b: [hunter2] }, headers: { X: " hunter2 ", y: "hünter2" } }',
      more: 'admin: { token: "hunter2 !" }\nstore: { redis: { url: "http://:hunter2@x" } }\n',
    }).replace('http://127.0.0.1:9', '${ORIGIN}');
    const issues = issuesOf(text, env);
    expect(issues).toHaveLength(7);
    expect(issues.join('\n')).not.toContain('nter2');
  });

  test.each([
    'credentials: hunter2',
    'credentials: { query: "apikey=hunter2" }',
    'credentials: { headers: "authorization: Bearer hunter2" }',
    'fields: "x-api-key: hunter2"',
  ])('are not shown where a map is expected: %s', (upstream) => {
    expect(issuesOf(file({ upstream })).map((issue) => issue.replace(/^.*: expected/, 'expected'))).toEqual([
      'expected a map, given text',
    ]);
  });

  test.each([
    'admin: hunter2',
    'store: "redis://:hunter2@cache"',
    'store: { redis: "redis://:hunter2@cache" }',
    'store: { redis: ":hunter2@cache:6379" }',
    'store: { redis: { cluster: "redis://:hunter2@cache" } }',
    'store: { redis: { cluster: ["redis://:hunter2@cache:6379"] } }',
    'store: { redis: { cluster: [":hunter2@cache:6379"] } }',
    'store: { redis: { sentinels: ["redis://ann:hun/ter2@cache:26379"], name: m } }',
    'store: { redis: { url: "redis://cache", keyPrefix: "redis://:hunter2@cache" } }',
  ])('are not shown where they stand in the place of something else: %s', (more) => {
    const issues = issuesOf(file({ more: `${more}\n` }));
    expect(issues).toHaveLength(1);
    expect(issues[0]).not.toContain('ter2');
  });

  test('are not shown where the environment has a URL in the place of a host', () => {
    const more = 'store: { redis: { keyPrefix: x } }\n';
    for (const host of ['redis://ann:hunter2@cache:6379', 'ann:hunter2@cache']) {
      const [issue, ...others] = issuesOf(file({ more }), { REDIS_HOST: host });
      expect(others).toEqual([]);
      expect(issue).toContain('a URL into REDIS_URL');
      expect(issue).not.toContain('hunter2');
    }
  });

  test.each(['*hunter2', '!hunter2', '!!hunter2', '!<hunter2>', '!a!hunter2', '|hunter2', '>hunter2', '| hunter2'])(
    'are not shown where YAML takes them for something else, and quotes are named: token: %s',
    (token) => {
      const issues = issuesOf(file({ more: `admin:\n  token: ${token}\n` }));
      expect(issues).toHaveLength(1);
      expect(issues[0]).toContain('needs quotes');
      expect(issues[0]).not.toContain('hunter2');
    },
  );

  test.each(['"\\Uhunter2x"', '"a" hunter2', '"a"\nhunter2', '- hunter2'])(
    'are not shown where they are no YAML: token: %s',
    (token) => {
      const issues = issuesOf(file({ more: `admin:\n  token: ${token}\n` }));
      expect(issues.length).toBeGreaterThan(0);
      expect(issues.join('\n')).not.toContain('unter2');
    },
  );
});

describe('the name none', () => {
  test('is refused for routes and upstreams: by it is counted what has neither', () => {
    const yaml = `upstreams:
  none: { origin: "https://a.test" }
routes:
  - { name: none, match: /a, upstream: none, ttl: 1h }
  - { name: none-such, match: /b, upstream: none, ttl: 1h }
`;
    expect(issuesOf(yaml)).toEqual([
      '2:3: upstreams.none: the name none is reserved: metrics count by it what has no upstream',
      '4:13: routes[0].name: the name none is reserved: metrics count by it what has no route',
    ]);
  });

  test('is free for what is never left out: listeners and jobs', () => {
    const more = `server: { listeners: { none: { listen: 127.0.0.1:0 } } }
warm: { jobs: [{ name: none, route: one, every: 1h }] }
`;
    expect(issuesOf(file({ more }))).toEqual([]);
  });
});

describe('listeners', () => {
  test('must not share an address, and the name default is taken', () => {
    const more = `server:
  listen: 127.0.0.1:9090
  listeners: { default: { listen: 127.0.0.1:0 }, b: { listen: 127.0.0.1:9090 }, "a b": { listen: x } }
`;
    expect(issuesOf(file({ more }))).toEqual([
      '1:1: admin.listen: 127.0.0.1:9090 is already taken by server.listen',
      '11:16: server.listeners.default: the name default belongs to server.listen',
      '11:63: server.listeners.b.listen: 127.0.0.1:9090 is already taken by server.listen',
      '11:81: server.listeners["a b"]: a name is 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit; given "a b"',
      '11:98: server.listeners["a b"].listen: expected host:port such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080 (all interfaces), given "x"',
    ]);
    expect(issuesOf(file({ more: more.replace(', "a b": { listen: x }', '') }))).toEqual([
      '1:1: admin.listen: 127.0.0.1:9090 is already taken by server.listen',
      '11:16: server.listeners.default: the name default belongs to server.listen',
      '11:63: server.listeners.b.listen: 127.0.0.1:9090 is already taken by server.listen',
    ]);
  });

  test.each(['127.0.0.1', '127.0.0.1:', '300.0.0.1:80', '[::g]:80', '::1:80', 'host:99999', 'a b:80', ':80'])(
    'need an address, which %s is not',
    (listen) => {
      expect(issuesOf(file({ more: `server: { listen: "${listen}" }\n` }))).toHaveLength(1);
    },
  );
});

function warming(job: string): string {
  return `warm:\n  jobs:\n    - { route: one, every: 1h, ${job} }\n`;
}

describe('warming', () => {
  const route = 'ttl: 1h\nunknownQuery: drop\nignore: utm\nquery: { q: { type: text, required: true, alias: place } }';

  test.each<readonly [string, readonly string[]]>([
    ['with: { place: x }', []],
    [
      'with: { q: "{location}" }',
      ['14:43: warm.jobs[0].with.q: {location} stands for each of warm.locations, but there are none'],
    ],
    [
      'with: { q: "{tomorrow}" }',
      ['14:43: warm.jobs[0].with.q: {tomorrow} is no placeholder; valid: {location}, {today}, {today+7d}, {today-1d}'],
    ],
    [
      'with: { utm: x, qq: y }',
      [
        '14:38: warm.jobs[0].with: route one needs the parameter "q"',
        '14:40: warm.jobs[0].with.utm: route one has no parameter "utm"; valid: q, place',
        '14:48: warm.jobs[0].with.qq: route one has no parameter "qq"; valid: q, place',
      ],
    ],
  ])('with %s', (job, issues) => {
    expect(issuesOf(file({ route, more: warming(job) }))).toEqual(issues);
  });

  test('of a route that is never cached is refused', () => {
    expect(issuesOf(file({ route: 'cache: off', more: warming('name: x') }))).toEqual([
      '11:16: warm.jobs[0].route: route one has cache: off, so there is nothing to warm',
    ]);
  });
});

function withLevel(value: string): string {
  return file({ more: `log: { level: ${value} }\n` });
}

describe('variables', () => {
  test('are put into plain and quoted values and take the type of the option', () => {
    expect(issuesOf(withLevel('"${LEVEL}"'), { LEVEL: 'warn' })).toEqual([]);
    expect(issuesOf(file({ route: 'ttl: ${TTL}\nmaxKeys: ${N:-7}' }), { TTL: '5m' })).toEqual([]);
    expect(issuesOf(file({ route: 'ttl: ${TTL}' }), { TTL: 'soon' })).toEqual([
      '8:10: routes[0].ttl: expected a duration such as 500ms, 30s, 10m, 1h or 7d, given "soon"',
    ]);
  });

  test.each<readonly [string, readonly string[]]>([
    ['"${NOPE}"', ['9:16: log.level: environment variable NOPE is not set (${NOPE:-default} gives a default)']],
    [
      '${NOPE}',
      [
        '9:16: (file): is not valid YAML: Unexpected flow-map-start at node end (a variable inside { } or [ ] needs quotes: "${NAME}")',
      ],
    ],
    ["'in${NOPE}fo'", ['9:18: log.level: environment variable NOPE is not set (${NOPE:-default} gives a default)']],
    ['"${A:-${B}}"', ['9:16: log.level: ${...} cannot be nested in a default']],
    ['"${A"', ['9:16: log.level: ${ without its } (write $${ for a literal ${)']],
    [
      '"${1A}"',
      [
        '9:16: log.level: expected ${NAME} or ${NAME:-default}, NAME made of letters, digits and _ (write $${ for a literal ${)',
      ],
    ],
    [
      '"${toString}"',
      ['9:16: log.level: environment variable toString is not set (${toString:-default} gives a default)'],
    ],
    ['"$${A}"', ['9:15: log.level: expected one of debug, info, warn, error, silent, given "${A}"']],
    ['"${EMPTY:-info}"', []],
    ['"${EMPTY}info"', []],
  ])('in %s', (value, issues) => {
    expect(issuesOf(withLevel(value), { EMPTY: '' })).toEqual(issues);
  });

  test('cannot add structure, keys, aliases or further variables', () => {
    const env = { EVIL: 'info }\nroutes: []', MAP: '{ level: info }', ALIAS: '*x', OTHER: '${LEVEL}', LEVEL: 'info' };
    expect(issuesOf(withLevel('"${EVIL}"'), env)).toEqual([
      '9:15: log.level: the value, once its variables are put in, holds a control character (U+000A)',
    ]);
    expect(issuesOf(file({ more: 'log: ${MAP}\n' }), env)).toEqual([
      '9:6: log: expected a map, given "{ level: info }"',
    ]);
    expect(issuesOf(withLevel('"${ALIAS}"'), env)).toHaveLength(1);
    expect(issuesOf(withLevel('"${OTHER}"'), env)).toEqual([
      '9:15: log.level: expected one of debug, info, warn, error, silent, given "${LEVEL}"',
    ]);
    expect(issuesOf(file({ more: '"${LEVEL}": {}\n' }), env)).toEqual([
      '9:1: (file): variables are put into values, not into keys',
    ]);
  });

  test('that are unset are each told, in the file of the contract too', () => {
    const text = contractFile.replaceAll(/\$\{([A-Z_]+):-[^}]*\}/g, '${$1}');
    expect(issuesOf(text).map((issue) => issue.replace(/ is not set.*/, ''))).toEqual([
      '5:11: server.listen: environment variable FORECACHE_LISTEN',
      '7:11: admin.listen: environment variable FORECACHE_ADMIN_LISTEN',
      '8:10: admin.token: environment variable FORECACHE_ADMIN_TOKEN',
      '14:10: store.redis.url: environment variable REDIS_URL',
      '20:13: upstreams.weather.origin: environment variable WEATHER_ORIGIN',
      '23:13: upstreams.events.origin: environment variable EVENTS_ORIGIN',
      '26:25: upstreams.events.credentials.query.apikey: environment variable EVENTS_API_KEY',
    ]);
  });
});

describe('a misspelt option', () => {
  test('is not told of as left out', () => {
    expect(issuesOf(file({ route: 'tll: 1h', more: 'admin: { listen: "0.0.0.0:9", tokn: x }\n' }))).toEqual([
      '8:5: routes[0].tll: unknown key; did you mean ttl?',
      '9:31: admin.tokn: unknown key; did you mean token?',
    ]);
  });
});

describe('a long list', () => {
  test('is so with a bad member too', () => {
    const tags = [...Array.from({ length: 50 }, (_, at) => `t${at}`), '""'].join(', ');
    expect(
      issuesOf(file({ route: `ttl: 1h\ntags: [${tags}]` })).map((issue) => issue.replace(/^\d+:\d+: /, '')),
    ).toEqual([
      'routes[0].tags: has at most 50 values, given 51',
      'routes[0].tags[50]: expected a tag, given empty text',
    ]);
  });
});
