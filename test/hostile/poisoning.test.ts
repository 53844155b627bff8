import { describe, expect, it } from 'vitest';
import { echo, get, head, plainRoutes, startStage, told } from '../support/hostile.ts';
import type { OriginScript } from '../support/origin.ts';

/** Unkeyed fields by which some servers let a request change host, scheme, path, method, language or error. */
const unkeyed = [
  'X-Forwarded-Host: evil.test',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Scheme: http',
  'X-Forwarded-Port: 1',
  'X-Forwarded-Prefix: /evil',
  'X-Forwarded-For: 127.0.0.1',
  'X-Forwarded-Server: evil.test',
  'X-Forwarded-SSL: off',
  'Forwarded: for=evil;host=evil.test',
  'X-Host: evil.test',
  'X-Original-Host: evil.test',
  'X-Original-URL: /evil',
  'X-Rewrite-URL: /evil',
  'X-HTTP-Method: POST',
  'X-HTTP-Method-Override: POST',
  'X-Method-Override: POST',
  'X-Real-IP: 127.0.0.1',
  'X-Forwarded: host=evil.test',
  'X-HTTP-Host-Override: evil.test',
  'X-Host-Override: evil.test',
  'X-Original-URI: /evil',
  'X-Original-Method: POST',
  'X-Override-URL: /evil',
  'X-Rewrite-Host: evil.test',
  'X-HTTP-Path-Override: /evil',
  'X-Envoy-Original-Path: /evil',
  'X-Method: POST',
  'X-Scheme: evil',
  'X-URL-Scheme: evil',
  'Proxy: http://evil.test',
  'X_Forwarded_Host: evil.test',
  'X-Forwarded_Host: evil.test',
  'X.Forwarded.Host: evil.test',
  'X_Original_URL: /evil',
  'X_HTTP_Method_Override: POST',
  'X-Api-Version: evil',
  'Accept: evil/evil',
  'Accept-Language: evil',
  'Accept-Encoding: br',
  'User-Agent: evil',
  'Origin: http://evil.test',
  'Referer: http://evil.test/',
  'Range: bytes=0-0',
  'If-Match: "evil"',
  'If-None-Match: *',
  'If-Modified-Since: Mon, 23 Nov 2026 12:00:00 GMT',
  'Cache-Control: no-store',
  'Pragma: evil',
  'Expect: 100-continue',
  'TE: trailers',
  'Via: 1.1 evil',
  'CDN-Loop: evil',
  'CDN-Loop: forecache; id=evil',
  'CDN_Loop: forecache;id=AAAAAAAAAAAA.0',
  'Max-Forwards: 0',
  'Content-Type: evil/evil',
  'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  '__proto__: evil',
  'Constructor: evil',
  'Connection: Host',
];

describe('Cache poisoning: fields that are not in the key', () => {
  it.each(unkeyed)('%s on a ruled route → upstream gets the very same bytes as without it', async (line) => {
    await using stage = await startStage();
    await stage.converse(get('/c/one'));
    await stage.converse(get('/c/two', line));
    const [one, two, ...more] = stage.origin.requests.map((request) => request.rawHead);
    expect(more).toEqual([]);
    expect(two?.replace('/c/two', '/c/one')).toBe(one);
    // The attacker's answer is whole and the one that everybody gets.
    const [victim] = (await stage.converse(get('/c/two'))).replies;
    expect(victim?.text).toBe(told('GET', '/c/two'));
    expect(victim?.field('cache-status')).toContain('forecache; hit');
    await stage.sound();
  });

  it('fields that change method, host or path on an honour route that forwards * → none upstream, or never stored', async () => {
    const dangerous = unkeyed.filter((line) =>
      /^(?:x[-_.](?:forwarded|h|o|r|m|e|s|u)|forwarded|via|cdn|proxy)/i.test(line),
    );
    await using stage = await startStage({
      routes:
        '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: "*", ttl: 10m }',
      script: (request, peer) =>
        peer.respond(200, { 'Cache-Control': 'max-age=600' }, /evil|: post/i.test(request.rawHead) ? 'evil' : 'good'),
    });
    for (const [index, line] of dangerous.entries()) {
      await stage.converse(get(`/h/${index}`, line));
      const [victim] = (await stage.converse(get(`/h/${index}`))).replies;
      expect([line, victim?.text]).toEqual([line, 'good']);
    }
    await stage.sound();
  });

  it('a field with _ for -, read as the other by upstream, on a route that forwards * → never stored for who sends neither', async () => {
    await using stage = await startStage({
      routes:
        '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: "*", ttl: 10m }',
      script: (request, peer) => {
        const lines = request.lines.map(([name, value]) => `${name.toLowerCase().replaceAll('_', '-')}: ${value}`);
        const said = lines.filter((line) => /^(?:x-|accept-language|user-agent)/.test(line)).join();
        return peer.respond(
          200,
          { 'Cache-Control': 'max-age=600', Vary: 'X-Tenant, Accept-Language, User-Agent' },
          said,
        );
      },
    });
    for (const [index, name] of ['X_Tenant', 'X-App_Host', 'Accept_Language', 'User_Agent', 'X_Any'].entries()) {
      await stage.converse(get(`/h/${index}`, `${name}: evil`));
      const [victim] = (await stage.converse(get(`/h/${index}`))).replies;
      expect([name, victim?.text.includes('evil')]).toEqual([name, false]);
    }
    await stage.sound();
  });

  it('an unkeyed field that upstream varies by → a response of its own for each value', async () => {
    await using stage = await startStage({
      script: (request, peer) =>
        peer.respond(
          200,
          { 'Cache-Control': 'max-age=600', Vary: 'Accept-Language' },
          request.field('accept-language') ?? 'none',
        ),
    });
    const ask = async (...lines: readonly string[]) =>
      (await stage.converse(get('/h/vary', ...lines))).replies[0]?.text;
    expect(await ask('Accept-Language: evil')).toBe('evil');
    expect(await ask()).toBe('none');
    expect(await ask('Accept-Language: de')).toBe('de');
    expect(await ask('Accept-Language: evil')).toBe('evil');
    expect(stage.asked()).toHaveLength(3);
  });

  it('a query that spells out a variant key → neither gets the other’s response', async () => {
    await using stage = await startStage({
      script: (request, peer) =>
        peer.respond(
          200,
          { 'Cache-Control': 'max-age=600', ...(request.target.endsWith('?a') ? { Vary: 'Accept' } : {}) },
          told(`accept ${request.field('accept') ?? 'none'}`, request.target),
        ),
    });
    const ask = async (target: string) =>
      (await stage.converse(get(target, 'Accept: x'))).replies.map((reply) => reply.text);
    for (const forged of ['/h/p?a|accept=x', '/h/p?a||accept=x', '/h/p?a%20accept=x']) {
      expect(await ask(forged)).toEqual([told('accept x', forged)]);
    }
    expect(await ask('/h/p?a')).toEqual([told('accept x', '/h/p?a')]);
    expect(await ask('/h/p?a||accept=x')).toEqual([told('accept x', '/h/p?a||accept=x')]);
  });

  it('Connection that nominates a keyed field or Cache-Control → keyed and forwarded all the same', async () => {
    await using stage = await startStage({
      routes: `${plainRoutes}
  - { name: keyed, match: /k/*, upstream: api, ttl: 10m, headers: [x-tenant] }`,
      script: (request, peer) => peer.respond(200, {}, request.field('x-tenant') ?? 'none'),
    });
    const one = await stage.converse(
      head('GET /k/x HTTP/1.1', 'Host: api.test', 'Connection: close, x-tenant', 'X-Tenant: one'),
    );
    const other = await stage.converse(get('/k/x'));
    expect([one, other].map(({ replies }) => replies[0]?.text)).toEqual(['one', 'none']);
  });
});

describe('Cache poisoning: methods and content', () => {
  it.each<[input: string, bytes: string]>([
    ['GET with content', head('GET /c/x HTTP/1.1', 'Host: a', 'Content-Length: 4') + 'evil'],
    [
      'GET with chunked content',
      `${head('GET /c/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}4\r\nevil\r\n0\r\n\r\n`,
    ],
    [
      'GET with empty chunked content',
      `${head('GET /c/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ],
    [
      'GET with content and Expect',
      head('GET /c/x HTTP/1.1', 'Host: a', 'Content-Length: 4', 'Expect: 100-continue') + 'evil',
    ],
    ['GET with content on an honour route', head('GET /h/x HTTP/1.1', 'Host: a', 'Content-Length: 4') + 'evil'],
  ])('%s → 400, nothing upstream, nothing stored', async (_input, bytes) => {
    await using stage = await startStage();
    const { replies } = await stage.converse(bytes);
    expect(replies.map((reply) => reply.status)).toEqual([400]);
    expect(stage.asked()).toEqual([]);
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });

  it('a method override in the query → a parameter like any other, in the key', async () => {
    await using stage = await startStage();
    await stage.converse(get('/c/x?_method=DELETE'));
    const [victim] = (await stage.converse(get('/c/x'))).replies;
    expect(victim?.text).toBe(told('GET', '/c/x'));
    expect(stage.asked()).toEqual(['/c/x?_method=DELETE', '/c/x']);
  });

  it('HEAD before GET → the GET is answered whole', async () => {
    await using stage = await startStage();
    for (const target of ['/c/x', '/h/x']) {
      const probe = head(`HEAD ${target} HTTP/1.1`, 'Host: a', 'Connection: close');
      const { replies, rest } = await stage.converse(probe, { methods: ['HEAD'] });
      expect(replies.map((reply) => reply.status)).toEqual([200]);
      expect(rest).toHaveLength(0);
      expect((await stage.converse(get(target))).replies[0]?.text).toBe(told('GET', target));
    }
  });

  it('POST and QUERY to the path of a cached route → relayed, never stored, the GET unchanged', async () => {
    await using stage = await startStage();
    for (const method of ['POST', 'PUT', 'OPTIONS', 'QUERY', 'PROPFIND', 'SEARCH']) {
      const bytes = head(`${method} /c/x HTTP/1.1`, 'Host: a', 'Content-Length: 4', 'Connection: close');
      const { replies } = await stage.converse(`${bytes}evil`);
      expect(replies.map((reply) => reply.text)).toEqual([told(method, '/c/x')]);
    }
    expect(await stage.stored()).toEqual([]);
    expect((await stage.converse(get('/c/x'))).replies[0]?.text).toBe(told('GET', '/c/x'));
  });
});

const typed = `
  - name: typed
    match: /t
    upstream: api
    ttl: 10m
    ignore: [utm_source]
    secret: [token]
    query: { location: { type: text, fold: true, required: true, alias: [city] }, days: { type: integer, default: 7 } }
  - { name: dropping, match: /d, upstream: api, ttl: 10m, unknownQuery: drop, query: { q: { type: text } } }
  - { name: raw, match: /raw/*, upstream: api, upstreamCacheControl: honour, ttl: 10m }`;

describe('Cache poisoning: parameters that two readers read differently', () => {
  it.each<[input: string, query: string, upstream: string]>([
    ['; before a typed name', 'location=lima;days=9', 'days=7&location=lima%3Bdays%3D9'],
    ['; behind an ignored name', 'utm_source=x;location=evil&location=lima', 'days=7&location=lima'],
    ['an encoded & in a value', 'location=lima%26days%3D9', 'days=7&location=lima%26days%3D9'],
    ['an encoded = in a name', 'location=lima&days%3D9', 'days=7&days%3D9&location=lima'],
    ['an encoded name', '%6cocation=lima', 'days=7&location=lima'],
    ['a name in another case', 'location=lima&Days=9', 'Days=9&days=7&location=lima'],
    ['a name with brackets', 'location=lima&days[]=9', 'days=7&days%5B%5D=9&location=lima'],
    ['a name with a dot', 'location=lima&days.=9', 'days=7&days.=9&location=lima'],
    ['a name with a space', 'location=lima&+days=9', '%20days=9&days=7&location=lima'],
    ['NUL behind a name', 'location=lima&days%00=9', 'days=7&days%00=9&location=lima'],
    ['__proto__', 'location=lima&__proto__=1', '__proto__=1&days=7&location=lima'],
    ['__proto__ with brackets', 'location=lima&__proto__[days]=9', '__proto__%5Bdays%5D=9&days=7&location=lima'],
    ['constructor', 'location=lima&constructor=1', 'constructor=1&days=7&location=lima'],
    ['hasOwnProperty', 'location=lima&hasOwnProperty=1', 'days=7&hasOwnProperty=1&location=lima'],
    ['a repeated unknown name', 'location=lima&x=2&x=1', 'days=7&location=lima&x=2&x=1'],
    ['%FF', 'location=lima&x=%FF', 'days=7&location=lima&x=%FF'],
    ['%FE', 'location=lima&x=%FE', 'days=7&location=lima&x=%FE'],
    ['the replacement character itself', 'location=lima&x=%EF%BF%BD', 'days=7&location=lima&x=%EF%BF%BD'],
    ['an overlong slash', 'location=lima&x=%C0%AF', 'days=7&location=lima&x=%C0%AF'],
    ['a surrogate in UTF-8', 'location=lima&x=%ED%A0%80', 'days=7&location=lima&x=%ED%A0%80'],
    ['a line end in a value', 'location=lima%0D%0AX-Evil:1&x=%0d%0a', 'days=7&location=lima%20x-evil:1&x=%0D%0A'],
    ['a fragment, encoded', 'location=lima&x=%23y', 'days=7&location=lima&x=%23y'],
    ['a second ?', 'location=lima&x=1?days=9', 'days=7&location=lima&x=1%3Fdays%3D9'],
    ['an escape of an escape', 'location=lima&x=%2526days=9', 'days=7&location=lima&x=%2526days%3D9'],
    ['a secret in another case', 'location=lima&ToKeN=s3cret', 'days=7&location=lima'],
    ['an encoded secret', 'location=lima&%74oken=s3cret', 'days=7&location=lima'],
    ['empty pieces', '&&location=lima&&', 'days=7&location=lima'],
    ['a name without =', 'location=lima&flag', 'days=7&flag&location=lima'],
    ['a piece that begins with =', 'location=lima&=x', '=x&days=7&location=lima'],
  ])('%s → upstream gets one canonical spelling, and the key is made from it', async (_input, query, upstream) => {
    await using stage = await startStage({ routes: typed });
    const [attacker] = (await stage.converse(get(`/t?${query}`))).replies;
    expect(attacker?.status).toBe(200);
    expect(stage.asked()).toEqual([`/t?${upstream}`]);
    expect(await stage.stored()).toEqual([`typed|${stage.asked()[0]}`]);
    const [victim] = (await stage.converse(get('/t?location=lima'))).replies;
    expect(victim?.text).toBe(told('GET', '/t?days=7&location=lima'));
  });

  it.each<[input: string, query: string]>([
    ['a typed parameter twice, different', 'location=lima&location=evil'],
    ['a typed parameter under its name and its alias', 'location=lima&city=evil'],
    ['a typed parameter twice, once encoded', 'location=lima&%6cocation=evil'],
    ['%FF in a typed value', 'location=%FF'],
    ['a surrogate in a typed value', 'location=%ED%A0%80'],
    ['a broken escape', 'location=lima&x=%zz'],
    ['an escape cut off', 'location=lima&x=%'],
    ['a number that is none', 'location=lima&days=9e999999999'],
    ['a number with a unit', 'location=lima&days=7;'],
    ['the required parameter missing', 'Location=lima'],
  ])('%s → 400, nothing upstream, nothing stored', async (_input, query) => {
    await using stage = await startStage({ routes: typed });
    const { replies } = await stage.converse(get(`/t?${query}`));
    expect(replies.map((reply) => reply.status)).toEqual([400]);
    expect(stage.asked()).toEqual([]);
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });

  it('what stands between two groups of a path, encoded within the first → each group keeps its value, a response of its own', async () => {
    const pathParams = '{ city: { type: text, fold: true }, land: { type: text, fold: true } }';
    const route = `{ name: p, match: "/at/:city,:land", upstream: api, ttl: 10m, pathParams: ${pathParams}, tags: ["city:{city}"] }`;
    await using stage = await startStage({ routes: `  - ${route}` });
    for (const path of ['Washington%2CDC,US', 'washington,dc%2Cus', 'washington,DC,us']) {
      await stage.converse(get(`/at/${path}`));
    }
    expect(stage.asked()).toEqual(['/at/washington%2Cdc,us', '/at/washington,dc,us']);
    await stage.sound();
  });

  it('bytes that a lenient decoder folds together (%FF, %FE, U+FFFD, %C0%AF, /) → as many responses as spellings', async () => {
    await using stage = await startStage({ routes: typed });
    const values = ['%FF', '%FE', '%EF%BF%BD', '%C0%AF', '/', '%ED%A0%80', '%ED%A0%81', '%C3%A9', 'e%CC%81', '%E9'];
    for (const route of ['/t?location=lima&x=', '/raw/x?y=']) {
      for (const value of values) await stage.converse(get(`${route}${value}`));
      for (const value of values) {
        const [again] = (await stage.converse(get(`${route}${value}`))).replies;
        expect(again?.field('cache-status')).toContain('forecache; hit');
        expect(again?.text).toContain(`=${value}"`);
      }
    }
    expect(stage.asked()).toHaveLength(2 * values.length);
  });

  it('unknown parameters on a route that drops them, hidden in every way → none upstream, one response', async () => {
    await using stage = await startStage({ routes: typed });
    const spellings = [
      'q=a',
      'q=a&evil=1',
      'evil=1;q=b&q=a',
      '__proto__=1&q=a',
      'q=a&q%00=b',
      'Q=b&q=a',
      '%FF=1&q=a',
      'q=a&&',
    ];
    for (const spelling of spellings) await stage.converse(get(`/d?${spelling}`));
    expect(stage.asked()).toEqual(['/d?q=a']);
  });

  it('any query on an honour route → upstream and the key have it byte for byte', async () => {
    await using stage = await startStage({ routes: typed });
    const queries = [
      '',
      '&',
      'a;b',
      'a=1&a=2',
      'a=2&a=1',
      '%zz',
      'A=%2f',
      'A=%2F',
      '__proto__=1',
      'a|b',
      "a'b",
      'a=[]{}',
      '?',
      '%00',
    ];
    for (const query of queries) await stage.converse(get(`/raw/x?${query}`));
    expect(stage.asked()).toEqual(queries.map((query) => `/raw/x?${query}`));
    expect(new Set(await stage.stored()).size).toBe(queries.length);
  });
});

describe('Cache deception by the path', () => {
  const routes = `
  - { name: static, match: "/assets/*", upstream: api, ttl: 10m }
  - { name: page, match: "/page/:id", upstream: api, ttl: 10m }
  - { name: account, match: "/account/*", upstream: api, cache: off }
  - { name: account-root, match: "/account", upstream: api, cache: off }`;

  it.each([
    '/account/x.css',
    '/account/settings/logo.png',
    '/account;x.css',
    '/account%2Fx.css',
    '/account%3Fx.css',
    '/account%23x.css',
    '/account%00.css',
    '/account/..%2Fassets/x.css',
    '/account/%2e%2e/assets/x.css',
    '/account/../assets/x.css',
    '/assets/..%2faccount',
    '/assets/%2e%2e/account',
    '/assets/..;/account',
    '/assets/%2e%2e%2faccount',
    '/assets\\..\\account',
    '/account/x.css?cb=1',
    '/Account/x.css',
    '//account/x.css',
  ])('%s with a session → no private answer is ever stored', async (target) => {
    await using stage = await startStage({
      routes,
      // Private is whatever a lenient upstream makes the account page of.
      script: (request, peer) =>
        peer.respond(
          200,
          { 'Content-Type': 'text/css', 'Cache-Control': 'public, max-age=600' },
          `private ${request.target}`,
        ),
    });
    await stage.converse(get(target, 'Cookie: session=victim'));
    await stage.converse(get(target));
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });

  it('a session on a cached path → relayed for its owner, an answer without it for everybody else', async () => {
    await using stage = await startStage({
      routes,
      script: (request, peer) => peer.respond(200, {}, request.field('cookie') ?? 'public'),
    });
    const ask = async (...lines: readonly string[]) =>
      (await stage.converse(get('/page/1;a.css', ...lines))).replies[0]?.text;
    expect(await ask('Cookie: session=victim')).toBe('session=victim');
    expect(await ask()).toBe('public');
    expect(await ask('Cookie: session=other')).toBe('session=other');
    expect(await stage.stored()).toHaveLength(1);
  });
});

/** Refuses what real servers refuse, with an error that says it may be kept. */
const touchy: OriginScript = (request, peer) => {
  const odd = /^(?:accept|user-agent|accept-language|x-[a-z]+): (?:[^\r\n]*evil|[^\r\n]{2000,})/im.test(
    request.rawHead,
  );
  const keep = { 'Cache-Control': 'public, max-age=600', ETag: '"e"' };
  return odd ? peer.respond(400, keep, 'poisoned') : peer.respond(200, keep, 'good');
};
describe('Poisoned errors', () => {
  const oddities: readonly [input: string, line: string][] = [
    ['an oversize User-Agent', `User-Agent: ${'a'.repeat(4000)}`],
    ['an odd Accept', 'Accept: evil'],
    ['an odd Accept-Language', 'Accept-Language: ,,evil;q=9'],
    ['an oversize unknown field', `X-Big: ${'a'.repeat(4000)}`],
    ['a User-Agent that a firewall refuses', 'User-Agent: evil-scanner'],
  ];

  it.each(oddities)('%s on a ruled route → not sent upstream, no error to keep', async (_input, line) => {
    await using stage = await startStage({ script: touchy });
    expect((await stage.converse(get('/c/x', line))).replies[0]?.text).toBe('good');
    expect((await stage.converse(get('/c/x'))).replies[0]?.text).toBe('good');
    expect(stage.asked()).toHaveLength(1);
  });

  it.each(oddities)(
    '%s on an honour route, the error kept by upstream’s word → for nobody else',
    async (_input, line) => {
      for (const forward of ['', ', forwardHeaders: "*"']) {
        await using stage = await startStage({
          script: touchy,
          routes: `  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour${forward} }`,
        });
        const attacker = await stage.converse(get('/h/x', line));
        const victim = await stage.converse(get('/h/x', 'User-Agent: agent', 'Accept: application/json'));
        const other = await stage.converse(get('/h/x'));
        expect(['good', 'poisoned']).toContain(attacker.replies[0]?.text);
        expect([victim, other].map(({ replies }) => replies[0]?.text)).toEqual(['good', 'good']);
      }
    },
  );

  it('an error that upstream says may be kept → kept for requests with the very same fields', async () => {
    await using stage = await startStage({ script: touchy });
    const ask = get('/h/x', 'User-Agent: evil', 'Accept: a');
    expect((await stage.converse(ask)).replies[0]?.text).toBe('poisoned');
    expect((await stage.converse(ask)).replies[0]?.field('cache-status')).toContain('forecache; hit');
    expect(stage.asked()).toHaveLength(1);
    expect((await stage.converse(get('/h/x', 'User-Agent: evil2'))).replies[0]?.text).toBe('poisoned');
    expect(stage.asked()).toHaveLength(2);
  });

  it.each([400, 401, 403, 405, 406, 408, 413, 414, 415, 417, 429, 431, 500, 501, 502, 503])(
    'a %i of upstream on a ruled route → passed on, not stored',
    async (status) => {
      await using stage = await startStage({
        script: (_request, peer) => peer.respond(status, { 'Cache-Control': 'public, max-age=600' }, 'error'),
      });
      const { replies } = await stage.converse(get('/c/x'));
      expect(replies.map((reply) => reply.status)).toEqual([status]);
      expect(await stage.stored()).toEqual([]);
      stage.origin.script(echo);
      expect((await stage.converse(get('/c/x'))).replies[0]?.text).toBe(told('GET', '/c/x'));
    },
  );

  it('a 206, 304, 412 or 416 that nobody’s plain GET asked for → never stored, whatever it says of itself', async () => {
    for (const status of [206, 304, 412, 416]) {
      for (const target of ['/c/x', '/h/x']) {
        await using stage = await startStage({
          routes: `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, ttl: 10m }`,
          script: (_request, peer) =>
            peer.respond(
              status,
              { 'Cache-Control': 'public, max-age=600', ETag: '"a"', 'Content-Range': 'bytes 0-2/9' },
              status === 304 ? '' : 'bad',
            ),
        });
        await stage.converse(get(target, 'Range: bytes=0-2', 'If-Match: "x"', 'If-None-Match: "a"'));
        expect(await stage.stored()).toEqual([]);
        stage.origin.script(echo);
        expect((await stage.converse(get(target))).replies[0]?.text).toBe(told('GET', target));
        await stage.sound();
      }
    }
  });

  it('the proxy’s own 400, 404, 414, 417 and 431 → no-store, and the next request is served', async () => {
    await using stage = await startStage();
    for (const [bytes, status] of [
      [get('/c/x?%zz'), 400],
      [get('/nowhere'), 404],
      [get(`/c/${'x'.repeat(9000)}`), 414],
      [get('/c/x', 'Expect: evil'), 417],
      [get('/c/x', `X: ${'a'.repeat(20_000)}`), 431],
    ] as const) {
      const { replies } = await stage.converse(bytes);
      expect(replies.map((reply) => [reply.status, reply.field('cache-control')])).toEqual([[status, 'no-store']]);
    }
    expect((await stage.converse(get('/c/x'))).replies[0]?.status).toBe(200);
    await stage.sound();
  });
});
