import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { KnownHits } from '../../src/cache/known-hits.ts';
import type { ProxyResponse } from '../../src/cache/ports.ts';
import { hashOn } from '../../src/core/hash-on.ts';
import type { KeyValues } from '../../src/core/request.ts';
import { ExchangeRig, type RigOptions } from '../support/exchange-rig.ts';
import { param } from '../support/operations.ts';
import { fieldsOf, honourRoute, requestOf, routeOf, SECOND } from '../support/policy.ts';

const plan = {};

function asked(values: readonly (string | undefined)[], rest: Partial<KeyValues> = {}): KeyValues {
  return { plan, path: '/forecast', values, hash: hashOn(0, values.join('&')), ...rest };
}

describe('a hit that is known by what its key is made of', () => {
  it('is found by equal values, whatever objects they are in', () => {
    const hits = new KnownHits<object>();
    const given = {};
    expect(hits.find(asked(['berlin', undefined]), false)).toBeUndefined();
    hits.remember(asked(['berlin', undefined]), false, given);
    expect(hits.find(asked([['ber', 'lin'].join(''), undefined]), false)).toBe(given);
  });

  it.each<[string, KeyValues, boolean]>([
    ['another route', asked(['berlin', undefined], { plan: {} }), false],
    ['another path', asked(['berlin', undefined], { path: '/forecasts' }), false],
    ['another value', asked(['bermen', undefined]), false],
    ['an empty value where there is none', asked(['berlin', '']), false],
    ['the values at other places', asked([undefined, 'berlin']), false],
    ['the head alone', asked(['berlin', undefined]), true],
  ])('is not found by a request for %s', (_what, other, head) => {
    const hits = new KnownHits<object>();
    hits.remember(asked(['berlin', undefined]), false, {});
    expect(hits.find(other, head)).toBeUndefined();
  });

  it('is never taken for another one, however many share a place', () => {
    const hits = new KnownHits<object>();
    const all = Array.from({ length: 20_000 }, (_, number) => ({
      values: asked([String(number % 200), String(Math.floor(number / 200))]),
      given: {},
    }));
    for (const { values, given } of all) hits.remember(values, false, given);
    const found = all.map(({ values, given }) => ({ given, hit: hits.find(values, false) }));
    const there = found.filter(({ hit }) => hit !== undefined);
    for (const { given, hit } of there) expect(hit).toBe(given);
    // Two for each of 2,048 places, but for those that nothing fell to.
    expect(there.length).toBeGreaterThan(4000);
    expect(there.length).toBeLessThanOrEqual(4096);
  });

  it('is found of 200 that are asked for in turn, all but a few', () => {
    const hits = new KnownHits<object>();
    const all = Array.from({ length: 200 }, (_, number) => ({ values: asked([`city${number}`]), given: {} }));
    for (const { values, given } of all) hits.remember(values, false, given);
    const there = all.filter(({ values }) => hits.find(values, false) !== undefined);
    expect(there.length).toBeGreaterThan(195);
  });

  it('gives way to the one that comes in its place', () => {
    const hits = new KnownHits<object>();
    const [first, second] = [{}, {}];
    hits.remember(asked(['berlin']), false, first);
    hits.remember(asked(['berlin']), false, second);
    expect(hits.find(asked(['berlin']), false)).toBe(second);
  });

  it('is none of a request whose key is made of more than values', () => {
    const hits = new KnownHits<object>();
    hits.remember(undefined, false, {});
    expect(hits.find(asked([]), false)).toBeUndefined();
  });
});

describe('a request whose like was just answered', () => {
  const route = routeOf({}, { params: new Map([param('city', { type: 'text', fold: true })]), unknownQuery: 'drop' });

  function newRig(options: RigOptions = { routes: [route] }) {
    const rig = new ExchangeRig(options);
    onTestFinished(() => rig[Symbol.dispose]());
    const looks = vi.spyOn(rig.memory, 'get');
    const get = (query: string | undefined, ...fields: readonly string[]): ProxyResponse | undefined => {
      const handled = rig.exchange.handle(requestOf({ path: '/forecast', query, fields: fieldsOf(...fields) }));
      return handled instanceof Promise || handled.kind !== 'response' ? undefined : handled.response;
    };
    return { rig, looks, get };
  }

  it('is not looked up, and counted as a hit all the same', () => {
    const { rig, looks, get } = newRig();
    rig.memory.put(rig.stored('/forecast?city=berlin'));
    const first = get('city=berlin');
    expect(get('city=berlin')).toBe(first);
    looks.mockClear();
    for (const query of ['city=BERLIN', 'stray=1&c%69ty=berlin', 'city=+berlin%20', '&city=berl%69n&']) {
      expect(get(query, 'accept: */*', 'user-agent: test')).toBe(first);
    }
    expect(looks).not.toHaveBeenCalled();
    expect(rig.memory.list({ limit: 10 }).map(({ hits }) => hits)).toEqual([6]);
  });

  it('gets what is stored for it, not what is for another one', () => {
    const { rig, get } = newRig();
    for (const city of ['berlin', 'paris']) {
      rig.memory.put(rig.stored(`/forecast?city=${city}`, { body: Buffer.from(city) }));
    }
    for (const city of ['berlin', 'paris', 'Paris', 'Berlin', 'PARIS', 'BERLIN']) {
      expect(get(`city=${city}`)?.body).toEqual({ kind: 'bytes', bytes: Buffer.from(city.toLowerCase()) });
    }
  });

  it('is looked up where it asks for less than the whole, or has directives', () => {
    const { rig, looks, get } = newRig();
    rig.memory.put(rig.stored('/forecast?city=berlin', { etag: '"a"', fields: fieldsOf('etag: "a"') }));
    get('city=berlin');
    get('city=berlin');
    looks.mockClear();
    expect(get('city=berlin', 'if-none-match: "a"')?.status).toBe(304);
    expect(get('city=berlin', 'range: bytes=0-0')?.status).toBe(206);
    expect(get('city=berlin', 'cache-control: no-cache')?.status).toBe(200);
    expect(looks).toHaveBeenCalledTimes(3);
  });

  it('is looked up where the content has a coding, which it may not take', async () => {
    const { rig, looks, get } = newRig();
    // `stored` in brotli, without compression.
    const body = Buffer.from([0x8b, 0x02, 0x80, ...Buffer.from('stored'), 0x03]);
    rig.memory.put(rig.stored('/forecast?city=berlin', { body, fields: fieldsOf('content-encoding: br') }));
    for (let times = 0; times < 2; times += 1) {
      expect(get('city=berlin')?.body).toEqual({ kind: 'bytes', bytes: body });
    }
    looks.mockClear();
    const decoded = await rig.exchange.handle(
      requestOf({ path: '/forecast', query: 'city=berlin', fields: fieldsOf('accept-encoding: identity') }),
    );
    expect(decoded.kind === 'response' && decoded.response.body).toEqual({
      kind: 'bytes',
      bytes: Buffer.from('stored'),
    });
    expect(looks).toHaveBeenCalledTimes(1);
  });

  it.each([
    [1024, false],
    [1025, true],
  ])('is looked up where its target has %i characters: %s', (characters, isLookedUp) => {
    const { rig, looks, get } = newRig();
    rig.memory.put(rig.stored('/forecast?city=berlin'));
    const query = 'city=berlin&x='.padEnd(characters - '/forecast'.length, 'y');
    get(query);
    get(query);
    looks.mockClear();
    expect(get(query)?.status).toBe(200);
    expect(looks.mock.calls.length > 0).toBe(isLookedUp);
  });

  it('gets nothing that was purged, that is stale, or that no lease covers', async () => {
    const { rig, get } = newRig();
    const put = () => rig.memory.put(rig.stored('/forecast?city=berlin'));
    put();
    const first = get('city=berlin');
    for (let times = 0; times < 2; times += 1) expect(get('city=Berlin')).toBe(first);
    rig.log.leased = false;
    expect(get('city=Berlin')).not.toBe(first);
    rig.log.leased = true;
    expect(get('city=Berlin')).toBe(first);
    rig.clock.advance(SECOND);
    expect(get('city=Berlin')?.fields).toContainEqual(['age', '1']);
    await rig.purge('all');
    expect(get('city=Berlin')).toBeUndefined();
  });

  it('gets no variant that another request has selected', async () => {
    const { rig, get } = newRig({
      routes: [honourRoute({}, { forwardHeaders: ['accept-language'], params: route.params })],
    });
    const asking = rig.get('/forecast?city=berlin', 'accept-language: de');
    await rig.settle();
    rig.call(0).answer(200, 'deutsch', fieldsOf('cache-control: max-age=60', 'vary: accept-language'));
    await asking;
    for (let times = 0; times < 3; times += 1) {
      expect(get('city=berlin', 'accept-language: de')?.body).toEqual({ kind: 'bytes', bytes: Buffer.from('deutsch') });
    }
    expect(get('city=berlin', 'accept-language: en')).toBeUndefined();
  });
});
