import { describe, expect, it, onTestFinished } from 'vitest';

import type { Ask } from '../support/http.ts';
import { answer, type Origin, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';

const routes = `
  - { name: plain, match: /plain, upstream: api, ttl: 1h }
  - { name: language, match: /language, upstream: api, ttl: 1h, headers: [accept-language, x-tenant] }
  - { name: personal, match: /personal, upstream: api, ttl: 1h, headers: [authorization] }
  - { name: session, match: /session, upstream: api, ttl: 1h, headers: [cookie] }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour, ttl: 1h }
  - { name: everything, match: /everything, upstream: api, upstreamCacheControl: honour, ttl: 1h, forwardHeaders: ["*"] }
`;

interface Scene {
  readonly origin: Origin;
  readonly proxy: TestProxy;
  /** Asks once for each of the requests; whether each was a hit. */
  readonly hits: (target: string, ...asks: readonly Ask[]) => Promise<readonly boolean[]>;
  readonly keys: () => Promise<readonly string[]>;
}

async function start(): Promise<Scene> {
  const origin = await startOrigin(answer(200, { 'Content-Type': 'application/json' }, '{"v":1}'));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return {
    origin,
    proxy,
    hits: async (target, ...asks) => {
      const seen: boolean[] = [];
      for (const options of asks) seen.push((await proxy.get(target, options)).cacheStatus.includes('; hit;'));
      return seen;
    },
    keys: async () => {
      const { body } = await proxy.call('GET', '/api/stored');
      return [...JSON.stringify(body).matchAll(/"key":"([^"]*)"/g)].map(([, key = '']) => key).toSorted();
    },
  };
}

function withFields(headers: Readonly<Record<string, string>>): Ask {
  return { headers };
}

/** Names of the fields that came upstream, in alphabetical order. */
function namesAt(origin: Origin, index = 0): readonly string[] {
  return (origin.requests[index]?.lines ?? []).map(([name]) => name.toLowerCase()).toSorted();
}

const hostile = {
  'x-forwarded-for': '10.0.0.1',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  forwarded: 'for=10.0.0.1;host=evil.example',
  'x-real-ip': '10.0.0.1',
  'x-original-url': '/admin',
  'x-rewrite-url': '/admin',
  'x-http-method-override': 'DELETE',
  'x-own': '1',
  origin: 'https://evil.example',
  referer: 'https://evil.example/',
  'if-none-match': '"mine"',
  range: 'bytes=0-1',
  host: 'evil.example',
};

describe('request fields on a ruled route', () => {
  it('go upstream only where the route keys them, with the upstream as Host', async () => {
    const { origin, proxy } = await start();
    await proxy.get('/plain', withFields({ ...hostile, 'accept-language': 'de', 'user-agent': 'agent/1' }));
    expect(namesAt(origin)).toEqual([
      'accept',
      'accept-encoding',
      'cdn-loop',
      'connection',
      'host',
      'user-agent',
      'via',
    ]);
    const [request] = origin.requests;
    expect(request?.field('host')).toBe(`127.0.0.1:${origin.port}`);
    expect(request?.field('user-agent')).toMatch(/^forecache\//);
  });

  it('do not tell requests apart that differ in unkeyed fields alone', async () => {
    const { origin, hits } = await start();
    expect(await hits('/plain', {}, withFields({ 'x-own': '2', accept: 'text/plain' }), withFields(hostile))).toEqual([
      false,
      true,
      true,
    ]);
    expect(origin.requests).toHaveLength(1);
  });

  it('that are keyed tell them apart, absent from empty too, whatever the case of their names', async () => {
    const { origin, hits, keys } = await start();
    const german = withFields({ 'Accept-Language': 'de' });
    const tenant = withFields({ 'accept-language': 'de', 'X-TENANT': 'a' });
    const empty = withFields({ 'accept-language': 'de', 'x-tenant': '' });
    expect(await hits('/language', {}, german, tenant, empty)).toEqual([false, false, false, false]);
    expect(await hits('/language', {}, german, tenant, empty)).toEqual([true, true, true, true]);
    expect(origin.requests.map((request) => [request.field('accept-language'), request.field('x-tenant')])).toEqual([
      [undefined, undefined],
      ['de', undefined],
      ['de', 'a'],
      ['de', ''],
    ]);
    expect(await keys()).toEqual([
      'language|/language',
      'language|/language|accept-language=de',
      'language|/language|accept-language=de|x-tenant=',
      'language|/language|accept-language=de|x-tenant=a',
    ]);
  });
});

describe('a request with Authorization or a Cookie', () => {
  it.each([
    ['authorization', 'Bearer alice-token'],
    ['cookie', 'session=alice'],
  ])('(%s) is relayed with it and never shared where the route does not key it', async (name, value) => {
    const { origin, proxy, hits, keys } = await start();
    let visit = 0;
    origin.script((_request, peer) => peer.respond(200, { 'Cache-Control': 'public, max-age=60' }, `visit ${++visit}`));
    for (const target of ['/plain', '/honoured']) {
      const replies = [];
      for (let time = 0; time < 2; time++) replies.push(await proxy.get(target, withFields({ [name]: value })));
      expect(replies.map(({ cacheStatus }) => cacheStatus)).toEqual(['forecache; fwd=bypass', 'forecache; fwd=bypass']);
    }
    expect(origin.requests.map((request) => request.field(name))).toEqual([value, value, value, value]);
    expect(await keys()).toEqual([]);
    // What others get was fetched without it; nor is theirs given to whoever sends it.
    expect((await proxy.get('/plain')).text).toBe('visit 5');
    expect(origin.requests.at(-1)?.field(name)).toBeUndefined();
    expect((await proxy.get('/plain', withFields({ [name]: value }))).text).toBe('visit 6');
    expect(await hits('/plain', {})).toEqual([true]);
  });

  it.each([
    ['/personal', 'authorization', 'Bearer alice-token', 'Bearer bob-token'],
    ['/session', 'cookie', 'session=alice', 'session=bob'],
  ])(
    'on a route that keys it (%s) has a stored answer of its own, under a digest',
    async (target, name, alice, bob) => {
      const { origin, hits, keys, proxy } = await start();
      const [asAlice, asBob] = [withFields({ [name]: alice }), withFields({ [name]: bob })];
      expect(await hits(target, asAlice, asBob, {}, asAlice, asBob, {})).toEqual([
        false,
        false,
        false,
        true,
        true,
        true,
      ]);
      expect(origin.requests.map((request) => request.field(name))).toEqual([alice, bob, undefined]);
      const found = await keys();
      expect(found).toHaveLength(3);
      const digest = new RegExp(`^\\w+\\|${target}(?:\\|${name}=sha256-[0-9a-f]{32})?$`);
      for (const key of found) expect(key).toMatch(digest);
      const explained = await proxy.call('POST', '/api/explain', { url: target, headers: { [name]: alice } });
      expect(JSON.stringify([explained, found])).not.toMatch(/alice|bob/);
      expect(explained.body).toMatchObject({ decision: { would: 'hit' } });
    },
  );
});

describe('request fields on an honour route', () => {
  it('are those that upstream may vary by, and no others', async () => {
    const { origin, proxy } = await start();
    const fields = { ...hostile, accept: 'text/x', 'accept-language': 'de', 'user-agent': 'agent/1' };
    await proxy.get('/honoured', withFields(fields));
    // Conditions and ranges go upstream where nothing stored answers them; what comes is for that request alone.
    const own = ['if-none-match', 'range'];
    const names = ['accept', 'accept-language', 'cdn-loop', 'connection', 'host', ...own, 'user-agent', 'via'];
    expect(namesAt(origin)).toEqual(names);
    expect(origin.requests[0]?.field('accept')).toBe('text/x');
    expect(origin.requests[0]?.field('user-agent')).toBe('agent/1');
    expect(origin.requests[0]?.field('host')).toBe(`127.0.0.1:${origin.port}`);
  });

  it('are all with forwardHeaders *, but what could change whose answer it is', async () => {
    const { origin, proxy } = await start();
    const { 'x-http-method-override': _override, ...fields } = hostile;
    await proxy.get('/everything', withFields({ ...fields, 'x-tenant': 'a' }));
    expect(namesAt(origin)).toEqual([
      'accept',
      'cdn-loop',
      'connection',
      'host',
      'if-none-match',
      'origin',
      'range',
      'referer',
      'user-agent',
      'via',
      'x-own',
      'x-tenant',
    ]);
  });
});
