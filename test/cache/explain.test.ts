import { METHODS } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createExplainer } from '../../src/cache/explain.ts';
import { scopesOfUrl } from '../../src/cache/locate.ts';
import { variantKeyOf } from '../../src/cache/store-fill.ts';
import type { Explanation, ExplainRequest } from '../../src/cache/operations.ts';
import type { UpstreamConfig } from '../../src/core/config.ts';
import type { Route } from '../../src/core/route.ts';
import { createAnswerReader } from '../../src/upstream/answer-reader.ts';
import { param, sha256, someRoutes, StoreSetUp } from '../support/operations.ts';
import { freshnessWith, HOUR, honourRoute, MINUTE, routeOf } from '../support/policy.ts';

const secret = 's3cret-value';

function upstream(name: string): readonly [string, UpstreamConfig] {
  return [
    name,
    {
      name,
      origin: `https://${name}.test`,
      connectTimeoutMs: 1000,
      headersTimeoutMs: 1000,
      bodyTimeoutMs: 1000,
      totalTimeoutMs: 1000,
      maxConnections: 1,
      maxHeaderBytes: 1000,
      maxBodyBytes: 1000,
      acceptEncoding: 'identity',
      framing: 'strict',
      credentials: { query: new Map([['apikey', secret]]), headers: new Map([['x-key', secret]]) },
      fields: new Map(),
      caFile: undefined,
    },
  ];
}

const honour: readonly Route[] = [
  honourRoute(
    { clientCacheControl: 'honour' },
    { name: 'honoured', match: '/honour/*', rawQuery: true, forwardHeaders: ['*'] },
  ),
];

const listeners = [
  { name: 'default', host: '127.0.0.1', port: 8080 },
  { name: 'tides', host: '0.0.0.0', port: 8081 },
];

function setUp(routes: readonly Route[] = someRoutes) {
  const at = new StoreSetUp(routes);
  onTestFinished(() => at[Symbol.dispose]());
  const upstreams = new Map([upstream('weather'), upstream('events')]);
  const { table, store, clock } = at;
  const methods = new Set(METHODS);
  const answers = createAnswerReader(upstreams);
  const ground = { table, upstreams, answers, listeners: () => listeners, clock, sha256, methods, graphql: undefined };
  const explainer = createExplainer({ ...ground, store });
  const offline = createExplainer({ ...ground, store: undefined });
  const explained = async (request: string | ExplainRequest, by = explainer): Promise<Explanation> => {
    const answer = await by.explain(typeof request === 'string' ? { url: request } : request);
    if (!answer.ok) throw new Error(answer.error.detail);
    return answer.value;
  };
  return { at, explainer, offline, explained };
}

describe('explaining a request', () => {
  test('shows the way from the spelling to the key, and a first request as a miss', async () => {
    const { explained, at } = setUp();
    const explanation = await explained('/weather/forecast?city=New%20YORK&utm=1&token=s3cret-value');
    expect(explanation).toMatchObject({
      method: 'GET',
      route: 'weather-forecast',
      key: at.put('/weather/forecast?token=s3cret-value&location=new+york').key,
      tags: ['route:weather-forecast', 'upstream:weather', 'location:new york'],
      stored: null,
      decision: { would: 'miss', fwd: 'uri-miss', reason: 'nothing stored under this key' },
      problem: null,
    });
    expect(explanation.upstream).toEqual({
      name: 'weather',
      method: 'GET',
      target: 'https://weather.test/v1/forecast?days=7&location=new%20york&token=***&apikey=***',
    });
    const steps = explanation.steps.map(({ name, before, after }) => [name, before, after]);
    expect(steps).toContainEqual(['location', 'New YORK', 'new york']);
    expect(steps).toContainEqual(['days', undefined, '7']);
    expect(steps).toContainEqual(['token', '***', '***']);
    expect(JSON.stringify(explanation)).not.toContain(secret);
  });

  test('shows what is stored, and a fresh response as a hit, without using it', async () => {
    const { explained, at } = setUp();
    const { key } = at.put('/events/search?location=lima');
    const read = at.store.get(key);
    if (read !== undefined) read.tally.hits += 1;
    at.clock.advance(10 * MINUTE);
    for (let times = 0; times < 3; times += 1) await explained('/events/search?location=LIMA');
    expect(await explained('/events/search?location=LIMA')).toMatchObject({
      decision: { would: 'hit', fwd: null, reason: 'fresh (RFC 9111 §4.2)' },
      stored: {
        key,
        tier: 'memory',
        status: 200,
        ageSeconds: 600,
        ttlSeconds: 3000,
        sizeBytes: 11,
        hits: 1,
        position: { epoch: 'one', seq: 0 },
        staleSince: null,
        storedAt: '2026-11-23T12:00:00.000Z',
        freshUntil: '2026-11-23T13:00:00.000Z',
        retainUntil: '2026-11-24T12:00:00.000Z',
        source: 'rule ttl',
      },
    });
  });

  test('a stale response is one to fetch, to validate, or to serve meanwhile', async () => {
    const { explained, at } = setUp();
    const nowMs = at.clock.nowMs();
    at.put('/events/search?location=a');
    at.put('/events/search?location=b', { etag: '"1"' });
    const swr = freshnessWith({
      freshUntilMs: nowMs + HOUR,
      swrUntilMs: nowMs + 2 * HOUR,
      retainUntilMs: nowMs + 24 * HOUR,
    });
    at.put('/events/search?location=c', { freshness: swr });
    at.clock.advance(HOUR + MINUTE);
    const decisions = await Promise.all(
      ['a', 'b', 'c'].map(async (location) => (await explained(`/events/search?location=${location}`)).decision),
    );
    expect(decisions).toEqual([
      { would: 'miss', fwd: 'stale', reason: expect.stringContaining('stale') },
      { would: 'revalidated', fwd: 'stale', reason: expect.stringContaining('stored validators') },
      { would: 'stale', fwd: null, reason: expect.stringContaining('RFC 5861 §3') },
    ]);
    expect((await explained('/events/search?location=a')).stored?.ttlSeconds).toBe(-60);
  });

  test('a soft-purged response is said to be stale since then, a purged one is gone', async () => {
    const { explained, at } = setUp();
    at.put('/events/search?location=lima');
    at.clock.advance(MINUTE);
    await at.purgeLog.append({ scopes: ['t:location:lima'], soft: true });
    at.clock.advance(MINUTE);
    expect(await explained('/events/search?location=lima')).toMatchObject({
      stored: { staleSince: '2026-11-23T12:01:00.000Z', ttlSeconds: -60 },
      decision: { would: 'miss', fwd: 'stale' },
    });
    await at.purgeLog.append({ scopes: ['all'], soft: false });
    expect(await explained('/events/search?location=lima')).toMatchObject({
      stored: null,
      decision: { fwd: 'uri-miss' },
    });
  });

  test('the variant that the request selects is found through the Vary marker', async () => {
    const { explained, at } = setUp(honour);
    const [route] = honour;
    if (route === undefined) throw new Error('no route');
    const keyed = at.put('/honour/a');
    const names = ['accept-language'];
    const keyFor = (language: string): string =>
      variantKeyOf(sha256, { route, keyed, requestFields: [['accept-language', language]] }, { names });
    at.store.put({
      kind: 'vary',
      key: keyed.key,
      route: 'honoured',
      upstream: 'weather',
      url: keyed.url,
      tags: keyed.tags,
      position: at.purgeLog.position(),
      names,
      retainUntilMs: at.clock.nowMs() + HOUR,
    });
    at.put('/honour/a', { key: keyFor('de') });
    expect(await explained({ url: '/honour/a', headers: { 'Accept-Language': 'de' } })).toMatchObject({
      key: keyed.key,
      stored: { key: keyFor('de') },
      decision: { would: 'hit' },
    });
    expect(await explained({ url: '/honour/a', headers: { 'accept-language': 'fr' } })).toMatchObject({
      stored: null,
      decision: { would: 'miss', fwd: 'vary-miss' },
    });
  });

  test('the request’s own directives count where the route honours them', async () => {
    const { explained, at } = setUp(honour);
    at.put('/honour/a', { etag: '"1"' });
    const decided = async (value: string, url = '/honour/a') =>
      (await explained({ url, headers: { 'Cache-Control': value } })).decision;
    expect(await decided('no-cache')).toMatchObject({ would: 'revalidated', fwd: 'request' });
    expect(await decided('only-if-cached')).toMatchObject({ would: 'hit' });
    expect(await decided('only-if-cached', '/honour/b')).toMatchObject({ would: 'error', fwd: null });
    const refused = await explained({ url: '/honour/b', headers: { 'cache-control': 'only-if-cached' } });
    expect(refused.problem).toMatchObject({ status: 504 });
  });

  test.each<[string, ExplainRequest, object]>([
    ['another method', { url: '/events/search?location=x', method: 'POST' }, { would: 'relayed', fwd: 'method' }],
    [
      'a route that is not cached',
      { url: '/live/x' },
      { would: 'relayed', fwd: 'bypass', reason: 'the route is not cached' },
    ],
    [
      'credentials that the route does not key',
      { url: '/events/search?location=x', headers: { authorization: `Bearer ${secret}` } },
      { would: 'relayed', fwd: 'bypass', reason: expect.stringContaining('Authorization') },
    ],
    ['a required parameter that is missing', { url: '/events/search' }, { would: 'rejected', fwd: null }],
    ['no route', { url: '/nowhere' }, { would: 'rejected', reason: 'No route matches this path and host.' }],
    [
      'a path that leaves its route',
      { url: '/events/%2e%2e/x' },
      { would: 'rejected', reason: expect.stringContaining('dot segment') },
    ],
    [
      'content on a cached route',
      { url: '/events/search?location=x', headers: { 'content-length': '5' } },
      { would: 'rejected', reason: expect.stringContaining('content') },
    ],
  ])('%s is explained, not refused', async (_what, request, decision) => {
    const { explained } = setUp();
    const explanation = await explained(request);
    expect(explanation.decision).toMatchObject(decision);
    expect(explanation.stored).toBeNull();
    expect(explanation.problem === null).toBe(explanation.decision.would === 'relayed');
    expect(JSON.stringify(explanation)).not.toContain(secret);
  });

  test.each(['/live/x', '/events/search?location=x'])(
    'OPTIONS of %s that may go no further is answered',
    async (url) => {
      const { explained } = setUp();
      const asked = (left: string): Promise<Explanation> =>
        explained({ url, method: 'OPTIONS', headers: { 'Max-Forwards': left } });
      expect(await asked('0')).toMatchObject({
        decision: { would: 'rejected', fwd: null, reason: expect.stringContaining('Max-Forwards') },
        upstream: null,
        problem: null,
        sent: { status: 200, cacheStatus: 'forecache; detail=max-forwards' },
      });
      expect((await asked('1')).decision.would).toBe('relayed');
    },
  );

  test('HEAD shares the key and the stored response of GET', async () => {
    const { explained, at } = setUp();
    const { key } = at.put('/events/search?location=lima');
    expect(await explained({ url: '/events/search?location=lima', method: 'HEAD' })).toMatchObject({
      method: 'HEAD',
      key,
      decision: { would: 'hit' },
    });
  });

  test('the host of an absolute URL or of a Host field chooses the route, and a bare path finds it as well', async () => {
    const { explained } = setUp();
    const requests: readonly ExplainRequest[] = [
      { url: 'http://news.test/v1/news' },
      { url: '/v1/news', headers: { Host: 'NEWS.test:8080' } },
      { url: '/v1/news' },
    ];
    for (const request of requests) expect(await explained(request)).toMatchObject({ route: 'by-host' });
    expect(await explained({ url: 'http://other.test/v1/news' })).toMatchObject({ route: null });
  });

  test('the listener is the default one, unless it is named or the URL has its address', async () => {
    const { explained, explainer } = setUp();
    const requests: readonly ExplainRequest[] = [
      { url: '/v1/tides', listener: 'tides' },
      { url: 'http://localhost:8081/v1/tides' },
      { url: 'http://[::1]:8081/v1/tides' },
      { url: 'http://10.1.2.3:8081/v1/tides' },
      { url: 'http://127.0.0.1:8080/v1/tides', listener: 'tides' },
    ];
    for (const request of requests) expect(await explained(request)).toMatchObject({ route: 'by-listener' });
    for (const url of ['/v1/tides', 'http://localhost:8080/v1/tides', 'http://10.1.2.3:8080/v1/tides']) {
      expect(await explained(url)).toMatchObject({
        route: null,
        problem: { status: 404, detail: 'No route matches this path and host.' },
        decision: {
          would: 'rejected',
          reason: 'No route matches this path and host. Route by-listener governs it on listener tides.',
        },
      });
    }
    expect(await explainer.explain({ url: '/v1/tides', listener: 'tide' })).toMatchObject({
      ok: false,
      error: { status: 400, code: 'listener-unknown', detail: 'There is no listener "tide"; did you mean "tides"?' },
    });
  });

  test('a URL with the address of a listener is asked for the host of the Host field', async () => {
    const { explained } = setUp();
    const url = 'http://127.0.0.1:8080/v1/news?a=1';
    expect(await explained({ url })).toMatchObject({ route: null });
    expect(await explained({ url, headers: { host: 'news.test' } })).toMatchObject({
      route: 'by-host',
      url: '//news.test/v1/news?a=1',
    });
  });

  test('the canonical URL of a route with a host can be explained and purged', async () => {
    const { explained, at } = setUp();
    at.put('/v1/news?b=2&a=1', {}, { host: 'news.test' });
    const { url, key } = await explained('http://news.test/v1/news?b=2&a=1');
    expect(url).toBe('//news.test/v1/news?a=1&b=2');
    expect(await explained(url ?? '')).toMatchObject({ url, key, decision: { would: 'hit' } });
    expect(scopesOfUrl(at.table, url ?? '', sha256)).toEqual({ ok: true, value: [`u:${url}`] });
    expect(await explained('//other.test/v1/news')).toMatchObject({ route: null });
    expect(await explained('///v1/news')).toMatchObject({ problem: { status: 400 } });
  });

  test('what is refused shows each parameter as far as it is known', async () => {
    const { explained } = setUp();
    const rows = async (request: string | ExplainRequest) =>
      (await explained(request)).steps.map(({ name, before, after, rule }) => [name, before, after, rule]);
    expect(await rows('/weather/forecast?days=99&token=s3cret-value&x=%zz')).toEqual([
      ['path', '/weather/forecast', '/v1/forecast', 'forward /v1/forecast'],
      ['days', '99', undefined, 'integer, refused: must be an integer from 1 to 16'],
      ['location', undefined, undefined, 'text, refused: is required'],
      ['token', '***', '***', 'text, secret, keyed as a digest'],
      ['x', '%zz', undefined, 'unknown, dropped'],
    ]);
    expect(await rows('/weather/forecast?location=a&city=b&days=%FF')).toEqual([
      ['path', '/weather/forecast', '/v1/forecast', 'forward /v1/forecast'],
      ['days', '%FF', undefined, 'integer, refused: is not UTF-8 text'],
      [
        'location',
        'a & b',
        undefined,
        'text, as city, given 2 times, refused: is given more than once with different values',
      ],
    ]);
    expect(await rows('/places/%FF/x')).toEqual([
      ['path', '/places/%FF/x', undefined, 'match /places/:place/:day?'],
      ['place', '%FF', undefined, 'text, refused: is not UTF-8 text'],
      ['day', 'x', 'x', 'group, byte for byte'],
    ]);
    const withContent = { url: '/events/search?location=LIMA', headers: { 'content-length': '1' } };
    expect(await rows(withContent)).toContainEqual(['location', 'LIMA', 'lima', 'text']);
  });

  test('what is relayed shows what goes upstream: by the rules where they hold, else as it came', async () => {
    const { explained } = setUp();
    const cookie = { cookie: 'a=1' };
    const url = '/weather/forecast?city=LIMA&token=s3cret-value&x=1&APIKEY=s3cret-value';
    const byRules = await explained({ url, headers: cookie });
    expect(byRules).toMatchObject({
      key: null,
      decision: { would: 'relayed', fwd: 'bypass' },
      upstream: {
        name: 'weather',
        target: 'https://weather.test/v1/forecast?days=7&location=lima&token=***&apikey=***',
      },
    });
    expect(byRules.steps).toContainEqual(expect.objectContaining({ name: 'location', before: 'LIMA', after: 'lima' }));
    expect(await explained({ url, method: 'POST' })).toMatchObject({
      decision: { would: 'relayed', fwd: 'method' },
      upstream: { target: 'https://weather.test/v1/forecast?city=LIMA&token=***&x=1&apikey=***' },
      steps: [],
    });
    expect(await explained('/live/a?b=%7e')).toMatchObject({
      upstream: { name: 'weather', target: 'https://weather.test/live/a?b=%7e&apikey=***' },
    });
    const refused = await explained({ url: '/weather/forecast?days=x', headers: cookie });
    expect(refused).toMatchObject({ decision: { would: 'rejected' }, problem: { code: 'parameter-invalid' } });
    expect(JSON.stringify([byRules, refused])).not.toContain(secret);
  });

  test('a secret in the path is shown nowhere', async () => {
    const { explained } = setUp([
      routeOf(
        {},
        {
          name: 'by-token',
          match: '/t/:token/data',
          forward: '/data/{token}',
          pathParams: new Map([param('token', { type: 'text', fold: false }, { secret: true })]),
        },
      ),
    ]);
    const explanation = await explained(`/t/${secret}/data?a=1`);
    expect(explanation.upstream?.target).toBe('https://weather.test/data/{token}?a=1&apikey=***');
    expect(JSON.stringify(explanation)).not.toContain(secret);
  });

  test('offline it is explained as if nothing were stored', async () => {
    const { explained, offline, at } = setUp();
    const { key } = at.put('/events/search?location=lima');
    expect(await explained('/events/search?location=lima', offline)).toMatchObject({
      key,
      stored: null,
      decision: { would: 'miss', fwd: 'uri-miss' },
    });
  });

  test.each<[string, ExplainRequest]>([
    ['a method', { url: '/', method: 'GET /' }],
    ['a field name', { url: '/', headers: { 'a b': 'x' } }],
    ['a field value', { url: '/', headers: { a: 'x\r\ny: z' } }],
  ])('%s that no request can have is refused', async (_what, request) => {
    const { explainer } = setUp();
    expect(await explainer.explain(request)).toMatchObject({
      ok: false,
      error: { status: 400, code: 'explain-invalid' },
    });
  });
});
