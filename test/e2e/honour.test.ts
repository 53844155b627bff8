import { describe, expect, it, onTestFinished } from 'vitest';

import type { Reply } from '../support/http.ts';
import { answer, inTurn, type Origin, type OriginScript, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

const routes = `
  - { name: honoured, match: /honour/*, upstream: api, upstreamCacheControl: honour }
  - { name: filled, match: /filled, upstream: api, upstreamCacheControl: honour, ttl: 1m }
  - { name: capped, match: /capped, upstream: api, upstreamCacheControl: cap, ttl: 10m }
  - { name: obliging, match: /obliging, upstream: api, ttl: 1h, clientCacheControl: honour }
  - { name: firm, match: /firm, upstream: api, ttl: 1h }
`;

interface Scene {
  readonly origin: Origin;
  readonly clock: StillClock;
  /** Asks, with this `Cache-Control` or these fields where given. */
  readonly get: (target: string, fields?: string | Readonly<Record<string, string>>) => Promise<Reply>;
  /** The same, for the answer's `Cache-Status` alone. */
  readonly status: (target: string, fields?: string | Readonly<Record<string, string>>) => Promise<string>;
}

async function start(script: OriginScript): Promise<Scene> {
  const origin = await startOrigin(script);
  onTestFinished(() => origin.close());
  const clock = new StillClock();
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const get: Scene['get'] = (target, fields = {}) =>
    proxy.get(target, { headers: typeof fields === 'string' ? { 'cache-control': fields } : fields });
  return { origin, clock, get, status: async (target, fields) => (await get(target, fields)).cacheStatus };
}

function saying(fields: Readonly<Record<string, string>>): OriginScript {
  return answer(200, { 'Content-Type': 'text/plain', ...fields }, 'content');
}

const stored = 'forecache; fwd=uri-miss; stored';
const hit = (ttl: number): string => `forecache; hit; ttl=${ttl}; detail=memory`;
const date = (ms: number): string => new Date(ms).toUTCString();
const noon = Date.UTC(2026, 10, 23, 12);

describe('a route that honours upstream (RFC 9111)', () => {
  it.each([
    ['max-age', { 'Cache-Control': 'max-age=60' }, 60],
    ['s-maxage before max-age', { 'Cache-Control': 'max-age=10, s-maxage=60' }, 60],
    ['Expires', { Date: date(noon), Expires: date(noon + 60 * SECOND) }, 60],
    ['max-age before Expires', { Date: date(noon), Expires: date(noon + HOUR), 'Cache-Control': 'max-age=60' }, 60],
    ['max-age less the Age that it comes with', { 'Cache-Control': 'max-age=100', Age: '40' }, 60],
  ])('takes its lifetime from %s', async (_what, fields, lifetime) => {
    const { clock, origin, status } = await start(saying(fields));
    expect(await status('/honour/a')).toBe(stored);
    expect(await status('/honour/a')).toBe(hit(lifetime));
    clock.advance(lifetime * SECOND - 1);
    expect(await status('/honour/a')).toBe(hit(0));
    clock.advance(1);
    expect(await status('/honour/a')).toMatch(/^forecache; fwd=stale; /);
    expect(origin.requests).toHaveLength(2);
  });

  it('passes on what upstream says, and adds Age', async () => {
    const { clock, get } = await start(saying({ 'Cache-Control': 'public, max-age=60', 'X-Own': '1' }));
    await get('/honour/a');
    clock.advance(10 * SECOND);
    const { headers } = await get('/honour/a');
    expect(headers).toMatchObject({ 'cache-control': 'public, max-age=60', age: '10', 'x-own': '1' });
  });

  it.each([
    ['no-store', { 'Cache-Control': 'max-age=60, no-store' }, 'no-store'],
    ['private', { 'Cache-Control': 'private, max-age=60' }, 'private'],
    ['no-cache without a validator', { 'Cache-Control': 'max-age=60, no-cache' }, 'no-cache'],
    ['an Expires of 0', { Expires: '0' }, 'stale-on-arrival'],
    ['Vary: *', { 'Cache-Control': 'max-age=60', Vary: '*' }, 'vary-star'],
    ['no lifetime at all', {}, 'no-freshness'],
  ])('stores nothing for %s, and says why', async (_what, fields, reason) => {
    const { origin, status } = await start(saying(fields));
    const miss = `forecache; fwd=uri-miss; detail=${reason}`;
    expect([await status('/honour/a'), await status('/honour/a')]).toEqual([miss, miss]);
    expect(origin.requests).toHaveLength(2);
  });

  it('uses its own ttl where upstream says nothing, and only there', async () => {
    const { origin, status } = await start(
      inTurn(saying({}), saying({ 'Cache-Control': 'no-store' }), saying({ 'Cache-Control': 'max-age=3600' })),
    );
    expect([await status('/filled'), await status('/filled')]).toEqual([stored, hit(60)]);
    expect(await status('/filled?other')).toBe('forecache; fwd=uri-miss; detail=no-store');
    expect([await status('/filled?longer'), await status('/filled?longer')]).toEqual([stored, hit(3600)]);
    expect(origin.requests).toHaveLength(3);
  });

  it('keeps a variant that was stored while another request was under way, whose answer has no Vary', async () => {
    const gates = { de: Promise.withResolvers<void>(), en: Promise.withResolvers<void>() };
    const { get, origin } = await start(async (request, peer) => {
      const language = request.field('accept-language') === 'de' ? 'de' : 'en';
      await gates[language].promise;
      const vary = language === 'de' ? { Vary: 'Accept-Language' } : {};
      return peer.respond(200, { 'Cache-Control': 'max-age=60', ...vary }, language);
    });
    // It waits for nobody's answer, and nobody for its.
    const first = get('/honour/a', { 'accept-language': 'de', 'cache-control': 'no-cache' });
    const second = get('/honour/a', { 'accept-language': 'en' });
    await expect.poll(() => origin.requests).toHaveLength(2);
    gates.de.resolve();
    await first;
    gates.en.resolve();
    await second;
    expect((await get('/honour/a', { 'accept-language': 'de' })).text).toBe('de');
    expect((await get('/honour/a', { 'accept-language': 'en' })).text).toBe('en');
    expect(origin.requests).toHaveLength(2);
    await get('/honour/a', { 'accept-language': 'fr' });
    expect(origin.requests).toHaveLength(3);
  });

  it('keeps variants apart by what Vary names, side by side', async () => {
    const { origin, get, status } = await start((request, peer) =>
      peer.respond(
        200,
        { 'Cache-Control': 'max-age=60', Vary: 'Accept-Language' },
        `in ${request.field('accept-language')}`,
      ),
    );
    const [de, fr] = [{ 'accept-language': 'de' }, { 'accept-language': 'fr' }];
    expect(await status('/honour/a', de)).toBe(stored);
    expect(await status('/honour/a', fr)).toBe('forecache; fwd=vary-miss; stored');
    const replies = [await get('/honour/a', de), await get('/honour/a', fr), await get('/honour/a', de)];
    expect(replies.map(({ text, cacheStatus }) => [text, cacheStatus])).toEqual([
      ['in de', hit(60)],
      ['in fr', hit(60)],
      ['in de', hit(60)],
    ]);
    expect(origin.requests).toHaveLength(2);
  });
});

describe('validation (RFC 9111 §4.3)', () => {
  const validators = [
    ['ETag', { ETag: '"v1"' }, 'if-none-match', '"v1"'],
    ['a weak ETag', { ETag: 'W/"v1"' }, 'if-none-match', 'W/"v1"'],
    ['Last-Modified', { 'Last-Modified': date(noon - HOUR) }, 'if-modified-since', date(noon - HOUR)],
  ] as const;

  it.each(validators)('with %s: a 304 freshens what is stored', async (_what, validator, field, value) => {
    const fresh = { 'Cache-Control': 'max-age=60', ...validator, 'X-Version': '1' };
    const { origin, clock, get, status } = await start(
      inTurn(saying(fresh), answer(304, { 'Cache-Control': 'max-age=120', ...validator, 'X-Version': '2' })),
    );
    expect(await status('/honour/a')).toBe(stored);
    clock.advance(60 * SECOND);
    const freshened = await get('/honour/a');
    expect([freshened.status, freshened.text, freshened.cacheStatus]).toEqual([
      200,
      'content',
      'forecache; fwd=stale; fwd-status=304; stored',
    ]);
    expect(freshened.headers['x-version']).toBe('2');
    expect(origin.requests[1]?.field(field)).toBe(value);
    expect(await status('/honour/a')).toBe(hit(120));
    clock.advance(119 * SECOND);
    expect(await status('/honour/a')).toBe(hit(1));
    expect(origin.requests).toHaveLength(2);
  });

  it('with a 200: what is stored is replaced', async () => {
    const { clock, get } = await start(
      inTurn(saying({ 'Cache-Control': 'max-age=60', ETag: '"v1"' }), answer(200, { ETag: '"v2"' }, 'newer')),
    );
    await get('/filled');
    clock.advance(60 * SECOND);
    const newer = await get('/filled');
    expect([newer.text, newer.cacheStatus]).toEqual(['newer', 'forecache; fwd=stale; stored']);
    expect((await get('/filled')).text).toBe('newer');
  });

  it('comes with every use of what upstream calls no-cache', async () => {
    const script = inTurn(saying({ 'Cache-Control': 'no-cache', ETag: '"v1"' }), answer(304, { ETag: '"v1"' }));
    const { origin, status } = await start(script);
    const validated = 'forecache; fwd=stale; fwd-status=304; stored';
    expect([await status('/honour/a'), await status('/honour/a'), await status('/honour/a')]).toEqual([
      stored,
      validated,
      validated,
    ]);
    expect(origin.requests).toHaveLength(3);
  });

  it("answers a client's own condition from store", async () => {
    const { origin, get } = await start(saying({ 'Cache-Control': 'max-age=60', ETag: '"v1"' }));
    await get('/honour/a');
    const same = await get('/honour/a', { 'if-none-match': '"v1"' });
    expect([same.status, same.text, same.cacheStatus, same.headers.etag]).toEqual([304, '', hit(60), '"v1"']);
    expect((await get('/honour/a', { 'if-none-match': '"other"' })).status).toBe(200);
    expect(origin.requests).toHaveLength(1);
  });
});

describe('a route that caps upstream', () => {
  it.each([
    ['less than its ttl is what upstream says', { 'Cache-Control': 'max-age=60' }, 60],
    ['more is cut to its ttl', { 'Cache-Control': 'max-age=86400' }, 600],
    ['nothing said is its ttl', {}, 600],
  ])('%s', async (_what, fields, lifetime) => {
    const { status } = await start(saying(fields));
    expect([await status('/capped'), await status('/capped')]).toEqual([stored, hit(lifetime)]);
  });

  it('stores nothing that upstream forbids to', async () => {
    const { status } = await start(saying({ 'Cache-Control': 'private' }));
    expect(await status('/capped')).toBe('forecache; fwd=uri-miss; detail=private');
  });
});

describe.each(['/honour/a', '/obliging'])("a client's Cache-Control on %s", (target) => {
  /** Fresh for an hour on either route, ten minutes old. */
  async function aged(): Promise<Scene> {
    const scene = await start(saying({ 'Cache-Control': 'max-age=3600' }));
    await scene.get(target);
    scene.clock.advance(600 * SECOND);
    return scene;
  }

  it('no-cache, or a max-age or min-fresh that is not met, goes upstream', async () => {
    for (const directive of ['no-cache', 'max-age=599', 'max-age=0', 'min-fresh=3001']) {
      const { origin, status } = await aged();
      expect(await status(target, directive)).toBe('forecache; fwd=request; stored');
      expect(await status(target)).toBe(hit(3600));
      expect(origin.requests).toHaveLength(2);
    }
  });

  it('that is met is answered from store', async () => {
    const { origin, status } = await aged();
    for (const directive of ['max-age=600', 'min-fresh=3000', 'max-stale', 'only-if-cached']) {
      expect(await status(target, directive)).toBe(hit(3000));
    }
    expect(origin.requests).toHaveLength(1);
  });

  it('max-stale takes what is stale by no more than it says', async () => {
    const { clock, origin, status } = await start((request, peer) =>
      peer.respond(200, { 'Cache-Control': 'max-age=3600', ETag: '"v1"' }, request.target),
    );
    await status('/honour/a');
    clock.advance(HOUR + 60 * SECOND);
    expect(await status('/honour/a', 'max-stale=60')).toBe(hit(-60));
    expect(await status('/honour/a', 'max-stale')).toBe(hit(-60));
    expect(await status('/honour/a', 'max-stale=59')).toBe('forecache; fwd=stale; stored');
    expect(origin.requests).toHaveLength(2);
  });

  it('no-store is answered and not stored', async () => {
    const { origin, status } = await start(saying({ 'Cache-Control': 'max-age=3600' }));
    const passed = 'forecache; fwd=uri-miss; detail=request-no-store';
    expect([await status(target, 'no-store'), await status(target, 'no-store')]).toEqual([passed, passed]);
    expect(await status(target)).toBe(stored);
    expect(origin.requests).toHaveLength(3);
  });

  it('only-if-cached is 504 where nothing is stored, without a call', async () => {
    const { origin, get } = await start(saying({}));
    const reply = await get(target, 'only-if-cached');
    expect([reply.status, reply.headers['content-type']]).toEqual([504, 'application/problem+json']);
    expect(JSON.parse(reply.text)).toMatchObject({ status: 504, title: 'Not stored' });
    expect(reply.cacheStatus).toBe('forecache; detail=not-stored');
    expect(origin.requests).toEqual([]);
  });
});

it("does not heed a client's Cache-Control where the route does not say so", async () => {
  const { origin, status } = await start(saying({}));
  expect(await status('/firm', 'only-if-cached, no-store')).toBe(stored);
  for (const directive of ['no-cache', 'max-age=0', 'no-store'])
    expect(await status('/firm', directive)).toBe(hit(3600));
  expect(origin.requests).toHaveLength(1);
});
