import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, MINUTE, routeOf } from '../support/policy.ts';

const windows = 'cache-control: max-age=60, stale-while-revalidate=600, stale-if-error=6000';

/** All fields go upstream, cookies too. */
const honoured = honourRoute({}, { forwardHeaders: ['*', 'cookie'] });
const ruled = { staleWhileRevalidateMs: 10 * MINUTE, staleIfErrorMs: 100 * MINUTE, ttlMs: MINUTE };

/** With a response stored, for a client that insists on a call of its own from then on. */
async function rigOf(route: Route, between?: ConstructorParameters<typeof ExchangeRig>[0]): Promise<ExchangeRig> {
  const rig = new ExchangeRig({ ...between, routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const stored = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'old', fieldsOf(windows, 'etag: "a"'));
  await stored;
  return rig;
}

/** What a request is answered that comes when the stored response is stale, and upstream then fails. */
async function afterFailure(rig: ExchangeRig): Promise<string> {
  const count = rig.calls.length;
  const asked = rig.get();
  await rig.settle();
  for (const call of rig.calls.slice(count)) call.fail('connect');
  return (await asked).text;
}

/** The answer comes to a request that finds the stored response stale. Its kind of stale use is a refresh behind it. */
async function refreshWith(rig: ExchangeRig, status: number, ...lines: readonly string[]): Promise<void> {
  await rig.pass(2 * MINUTE, 2 * MINUTE);
  expect((await rig.get()).text).toBe('old');
  await rig.settle();
  rig.call(1).answer(status, 'new', fieldsOf(...lines));
  await rig.pass(2000, 2000);
}

describe('an answer that may not be stored', () => {
  it.each<[string, Route, number, readonly string[]]>([
    ['no-store', honoured, 200, ['cache-control: no-store']],
    ['private', honoured, 200, ['cache-control: private, max-age=60']],
    ['Vary: *', honoured, 200, ['cache-control: max-age=60', 'vary: *']],
    ['no lifetime', honoured, 200, []],
    ['a redirect', honoured, 302, ['location: /x']],
    ['a 404', honoured, 404, ['cache-control: no-store']],
    ['a 410', honoured, 410, ['cache-control: no-store']],
    ['no-store, on a cap route', routeOf({ ...ruled, upstreamCacheControl: 'cap' }), 200, ['cache-control: no-store']],
    [
      'a 404 that the rule gives no lifetime, on a cap route',
      routeOf({ ...ruled, upstreamCacheControl: 'cap' }),
      404,
      [],
    ],
  ])('takes the place of what is stored all the same: %s', async (_case, route, status, lines) => {
    const rig = await rigOf(route);
    await refreshWith(rig, status, ...lines);
    expect(await afterFailure(rig)).not.toBe('old');
  });

  it.each<[string, Route, number, readonly string[]]>([
    ['a failure', honoured, 503, ['cache-control: no-store']],
    ['a failure that is told of the resource', honoured, 501, ['cache-control: no-store']],
    ['a quota that is used up', honoured, 429, ['cache-control: no-store']],
    ['an error that the request may have brought upon itself', honoured, 403, ['cache-control: no-store']],
    ['anything on a route that goes by its rule alone', routeOf(ruled), 404, ['cache-control: no-store']],
  ])('leaves what is stored where it is no news of it: %s', async (_case, route, status, lines) => {
    const rig = await rigOf(route);
    await refreshWith(rig, status, ...lines);
    expect(await afterFailure(rig)).toBe('old');
  });

  it('is news of it where the route takes each error for one of the resource', async () => {
    const rig = await rigOf(honourRoute({ storeErrors: 'all' }));
    await refreshWith(rig, 403, 'cache-control: no-store');
    expect(await afterFailure(rig)).not.toBe('old');
  });

  it.each([
    ['its no-store', 'cache-control: no-cache, no-store'],
    ['its Authorization', 'authorization: a', 'cache-control: no-cache'],
  ])('for a reason of one request leaves what is stored for others: %s', async (_case, ...lines) => {
    const rig = await rigOf(honoured);
    const own = rig.get('/forecast', ...lines);
    await rig.settle();
    rig.call(1).answer(200, 'own', fieldsOf('cache-control: max-age=60'));
    expect((await own).text).toBe('own');
    expect((await rig.get()).cacheStatus).toContain('hit');
  });

  it('for a reason of one request is not asked for behind a hit: the next request has that refreshed for all', async () => {
    const rig = await rigOf(honoured);
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    expect((await rig.get('/forecast', 'cache-control: no-store')).outcome).toBe('stale');
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    expect((await rig.get()).outcome).toBe('stale');
    await rig.settle();
    rig.call(1).answer(200, 'new', fieldsOf(windows));
    await rig.settle();
    expect((await rig.get()).text).toBe('new');
  });

  it('for a reason of one request and of upstream takes its place', async () => {
    const rig = await rigOf(honoured);
    const own = rig.get('/forecast', 'cache-control: no-cache, no-store');
    await rig.settle();
    rig.call(1).answer(200, 'own', fieldsOf('cache-control: private'));
    await own;
    void rig.get();
    await rig.settle();
    expect(rig.calls).toHaveLength(3);
  });

  it('is let go where it was fetched behind a hit: nobody reads it', async () => {
    const rig = await rigOf(honoured);
    await refreshWith(rig, 200, 'cache-control: private');
    expect(rig.cancelled).toBe(1);
  });

  it('since it is too large for the route takes its place', async () => {
    const rig = await rigOf(honourRoute({ maxStoredBytes: 5 }));
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    await rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'longer than that', fieldsOf('cache-control: max-age=60'));
    await rig.pass(2000, 2000);
    expect(await afterFailure(rig)).not.toBe('old');
  });

  it('since nothing proves that it is whole takes its place', async () => {
    const rig = await rigOf(honoured);
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    await rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'new', fieldsOf('cache-control: max-age=60'), false);
    await rig.pass(2000, 2000);
    expect(await afterFailure(rig)).not.toBe('old');
  });

  it.each<[string, Route, boolean]>([
    ['takes its place', honoured, false],
    ['leaves it where the route goes by its rule alone', routeOf(ruled), true],
  ])('since it is too large for the store %s', async (_case, route, isLeft) => {
    const rig = await rigOf(route, {
      between: (memory) => ({
        tier: 'memory',
        get: (key) => memory.get(key),
        peek: (key) => memory.peek(key),
        put: (item) => (item.kind === 'response' && item.body.length > 5 ? 'too-large' : memory.put(item)),
        invalidate: (key) => memory.invalidate(key),
      }),
    });
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    await rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'longer than that', fieldsOf('cache-control: max-age=60'));
    await rig.pass(2000, 2000);
    expect((await afterFailure(rig)) === 'old').toBe(isLeft);
  });

  it('since it fails the check of the route leaves what is stored: it is no better than a failure', async () => {
    const storeIf = { json: false, exists: ['$.data'], absent: [] };
    const rig = new ExchangeRig({ routes: [honourRoute({ storeIf })] });
    onTestFinished(() => rig[Symbol.dispose]());
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, '{"data":1}', fieldsOf(windows, 'etag: "a"'));
    await stored;
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    await rig.get();
    await rig.settle();
    rig.call(1).answer(200, '{"oops":1}', fieldsOf('cache-control: max-age=60'));
    await rig.pass(2000, 2000);
    expect(await afterFailure(rig)).toBe('{"data":1}');
  });
});

describe('fields of one caller', () => {
  const own = ['set-cookie: sid=1', 'x-ratelimit-remaining: 7'];
  const names = (fields: readonly (readonly [string, string])[]) =>
    fields.map(([name]) => name).filter((name) => own.some((line) => line.startsWith(name)));

  it('reach whoever asked on an honour route, nobody who waited with it, and none from store', async () => {
    const rig = new ExchangeRig({ routes: [honoured] });
    onTestFinished(() => rig[Symbol.dispose]());
    const [first, second] = [rig.get(), rig.get()];
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60', 'age: 5', 'etag: "a"', ...own));
    const [asked, waited, later] = [await first, await second, await rig.get()];
    expect(asked.cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    expect([names(asked.fields), names(waited.fields), names(later.fields)]).toEqual([
      ['set-cookie', 'x-ratelimit-remaining'],
      [],
      [],
    ]);
    // And all else is as it is for the others.
    const others = (fields: typeof asked.fields) =>
      new Set(fields.filter(([name]) => !names(fields).includes(name) && name !== 'cache-status').map(String));
    expect(others(asked.fields)).toEqual(others(waited.fields));
  });

  it('do not reach whoever asked where a 304 brought them: what they are about was for nobody yet', async () => {
    const rig = await rigOf(honoured);
    const asked = rig.get('/forecast', 'cache-control: no-cache');
    await rig.settle();
    rig.call(1).answer(304, '', fieldsOf('etag: "a"', windows, ...own));
    expect(names((await asked).fields)).toEqual([]);
  });

  it.each([routeOf(), routeOf({ upstreamCacheControl: 'cap' })])('reach nobody on a ruled route', async (route) => {
    const rig = new ExchangeRig({ routes: [route] });
    onTestFinished(() => rig[Symbol.dispose]());
    const first = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf('cache-control: max-age=60', ...own));
    expect(names((await first).fields)).toEqual([]);
  });
});
