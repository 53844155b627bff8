import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { ProxyResponse, Repeat, StoreRead } from '../../src/cache/ports.ts';
import { type Found, ReadyAnswers } from '../../src/cache/ready-answers.ts';
import { type Ask, respondStored } from '../../src/cache/respond.ts';
import { decideReuse } from '../../src/core/reuse-policy.ts';
import type { Route } from '../../src/core/route.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
import { decodedContents } from '../support/decoded.ts';
import { ExchangeRig, lateStore, type RigOptions } from '../support/exchange-rig.ts';
import { keyedOf, param, tableOf } from '../support/operations.ts';
import { fieldsOf, freshnessWith, honourRoute, HOUR, requestOf, routeOf, SECOND } from '../support/policy.ts';

function newRig(options: RigOptions = {}): ExchangeRig {
  const rig = new ExchangeRig(options);
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

/** A request that is answered at once. */
function answered(
  rig: ExchangeRig,
  target = '/forecast',
  fields: readonly string[] = [],
  method = 'GET',
): ProxyResponse {
  const [path = '', query] = target.split('?');
  const handled = rig.exchange.handle(requestOf({ method, path, query, fields: fieldsOf(...fields) }));
  if (handled instanceof Promise || handled.kind !== 'response') throw new Error('not answered at once');
  return handled.response;
}

function repeatOf(response: ProxyResponse): Repeat {
  if (response.repeat === undefined) throw new Error('not to be repeated');
  return response.repeat;
}

/** Age and `ttl` of what its request gets now, which is counted. */
function toldOf(rig: ExchangeRig, repeat: Repeat): readonly number[] | undefined {
  const nowMs = rig.clock.nowMs();
  const said = repeat.at(nowMs);
  return said !== undefined && repeat.again(nowMs) ? [said.ageSeconds, said.ttlSeconds] : undefined;
}

function valueOf(response: ProxyResponse | undefined, name: string): string | undefined {
  return response?.fields.find((line) => line[0] === name)?.[1];
}

function hitsOf(rig: ExchangeRig): readonly number[] {
  return rig.memory.list({ limit: 10 }).map(({ hits }) => hits);
}

/** An answer from a memory that has one. */
function repeated(options: RigOptions = {}, traits: Partial<StoredResponse> = {}) {
  const rig = newRig(options);
  rig.memory.put(rig.stored('/forecast', traits));
  const response = answered(rig);
  return { rig, response, repeat: repeatOf(response) };
}

describe('a fresh answer from memory', () => {
  const spelt = routeOf(
    {},
    { params: new Map([param('days', { type: 'integer', min: 1, max: 16 }, { default: '7' })]), unknownQuery: 'drop' },
  );

  it('is made anew for what is read once, says the same, and may be repeated as well', () => {
    const rig = newRig();
    const item = rig.stored('/forecast');
    rig.memory.put(item);
    const kept = answered(rig);
    const read = rig.memory.get(item.key);
    if (read === undefined) throw new Error('it is stored');
    const { staleSinceMs, tier, tally, place } = read;
    // One and the same object, of which nothing is kept all the same.
    vi.spyOn(rig.memory, 'get').mockReturnValue({ item, staleSinceMs, tier, tally, place, once: true });
    const [first, second] = ['', 'x'].map((value) =>
      answered(rig, '/forecast', [`x-other: ${value}`, 'cache-control: max-age=9999']),
    );
    expect(first).not.toBe(second);
    for (const once of [first, second]) expect(once?.fields).toEqual(kept.fields);
    const [third, fourth] = [answered(rig), answered(rig)];
    expect([third, fourth].map(({ status, fields, body, meta }) => ({ status, fields, body, meta }))).toEqual(
      [kept, kept].map(({ status, fields, body, meta }) => ({ status, fields, body, meta })),
    );
    expect(third === fourth || third === kept).toBe(false);
    expect(toldOf(rig, repeatOf(third))).toEqual(toldOf(rig, repeatOf(kept)));
  });

  it('is one object for all spellings of its request, until a second has passed', () => {
    const rig = newRig({ routes: [spelt] });
    const freshness = freshnessWith({ freshUntilMs: rig.clock.nowMs() + HOUR - 1 });
    rig.memory.put(rig.stored('/forecast?days=7', { freshness }));
    const first = answered(rig, '/forecast?days=7');
    expect(answered(rig, '/forecast?stray=1&days=07', ['accept: */*'])).toBe(first);
    rig.clock.advance(999);
    expect(answered(rig)).toBe(first);
    rig.clock.advance(1);
    const second = answered(rig);
    expect(second).not.toBe(first);
    expect([valueOf(first, 'age'), valueOf(second, 'age')]).toEqual(['0', '1']);
    expect(hitsOf(rig)).toEqual([4]);
  });

  it('is another one for HEAD, without the content', () => {
    const { rig, response } = repeated();
    const head = answered(rig, '/forecast', [], 'HEAD');
    expect(head.body).toEqual({ kind: 'none' });
    expect(head.fields).toEqual(response.fields);
    expect(answered(rig).body).toEqual(response.body);
  });

  it.each([
    ['with a condition', ['if-none-match: "a"'], 304],
    ['for a part', ['range: bytes=0-0'], 206],
    ['that rules the stored coding out', ['accept-encoding: identity'], undefined],
  ])('is no answer to a request %s', async (_what, fields, status) => {
    const rig = newRig();
    const coded = status === undefined ? ['content-encoding: br'] : [];
    // `stored` in brotli, without compression.
    const body = Buffer.from([0x8b, 0x02, 0x80, ...Buffer.from('stored'), 0x03]);
    rig.memory.put(rig.stored('/forecast', { etag: '"a"', body, fields: fieldsOf('etag: "a"', ...coded) }));
    const whole = answered(rig);
    expect(answered(rig)).toBe(whole);
    const special = await rig.exchange.handle(requestOf({ fields: fieldsOf(...fields) }));
    if (special.kind !== 'response') throw new Error('relayed');
    expect(special.response.repeat).toBeUndefined();
    expect(special.response.status).toBe(status ?? 200);
    expect(special.response.body).not.toEqual(whole.body);
    expect(answered(rig)).toBe(whole);
  });

  it('is not given to a client whose own directives count', async () => {
    const rig = newRig({ routes: [honourRoute()] });
    rig.memory.put(rig.stored());
    const plain = answered(rig);
    expect(answered(rig, '/forecast', ['cache-control: max-age=100']).repeat).toBeUndefined();
    const asked = rig.get('/forecast', 'cache-control: no-cache');
    await rig.settle();
    rig.call(0).answer(200, 'new');
    expect((await asked).text).toBe('new');
    expect(plain.body).toEqual({ kind: 'bytes', bytes: Buffer.from('stored') });
  });
});

describe('a request that is repeated', () => {
  it('gets the Age and the ttl of now, and is the same one in every second', () => {
    const { rig, repeat } = repeated();
    expect(toldOf(rig, repeat)).toEqual([0, 3600]);
    rig.clock.advance(SECOND);
    expect(toldOf(rig, repeat)).toEqual([1, 3599]);
    expect(toldOf(rig, repeat)).toEqual([1, 3599]);
    const next = answered(rig);
    expect([valueOf(next, 'age'), valueOf(next, 'cache-status')]).toEqual([
      '1',
      'forecache; hit; ttl=3599; detail=memory',
    ]);
    expect(next.repeat).toBe(repeat);
  });

  it('says where Age and ttl are in its answer, also where a key is shown that looks like one', () => {
    const rig = newRig({ routes: [routeOf({}, { showKey: true, unknownQuery: 'keep' })] });
    const target = '/forecast?a=;%20ttl=7;%20forecache';
    rig.memory.put(rig.stored(target, { fields: fieldsOf('cache-status: "other; ttl=5"; hit; ttl=4', 'age: 9') }));
    const { fields, repeat } = answered(rig, target);
    expect(fields[repeat?.ageLine ?? -1]).toEqual(['age', '0']);
    expect(fields.at(-1)?.[0]).toBe('cache-status');
    expect(fields.at(-1)?.[1].slice(repeat?.ttlFrom)).toMatch(/^3600; key=/);
  });

  it('is counted as a hit each time, and as none where it gets nothing', async () => {
    const { rig, repeat } = repeated();
    toldOf(rig, repeat);
    toldOf(rig, repeat);
    expect(hitsOf(rig)).toEqual([3]);
    rig.log.leased = false;
    expect(toldOf(rig, repeat)).toBeUndefined();
    rig.log.leased = true;
    expect(hitsOf(rig)).toEqual([3]);
  });

  it('gets nothing without a lease, and the answer again with it', () => {
    const { rig, repeat } = repeated();
    rig.log.leased = false;
    expect(toldOf(rig, repeat)).toBeUndefined();
    rig.log.leased = true;
    expect(toldOf(rig, repeat)).toEqual([0, 3600]);
  });

  it('gets nothing from the millisecond on in which it is stale', () => {
    const { rig, repeat } = repeated();
    rig.clock.advance(HOUR - 1);
    expect(toldOf(rig, repeat)).toEqual([3599, 0]);
    rig.clock.advance(1);
    expect(toldOf(rig, repeat)).toBeUndefined();
  });

  it('gets nothing past retention, where that comes first', () => {
    const nowMs = newRig().clock.nowMs();
    const { rig, repeat } = repeated({}, { freshness: freshnessWith({ retainUntilMs: nowMs + 1500 }) });
    rig.clock.advance(1499);
    expect(toldOf(rig, repeat)?.[0]).toBe(1);
    rig.clock.advance(1);
    expect(toldOf(rig, repeat)).toBeUndefined();
  });

  it.each(['all', 'r:forecast', 'k:forecast|/forecast'])('gets nothing after a purge of %s', async (scope) => {
    const { rig, repeat } = repeated();
    await rig.purge(scope);
    expect(toldOf(rig, repeat)).toBeUndefined();
  });

  it('gets nothing after a soft purge', async () => {
    const { rig, repeat } = repeated();
    await rig.local.append({ scopes: ['all'], soft: true });
    expect(toldOf(rig, repeat)).toBeUndefined();
  });

  it('gets nothing that a soft purge covers, though that is yet to come by a clock that was set back', async () => {
    const { rig, repeat } = repeated();
    rig.clock.advance(10 * SECOND);
    expect(toldOf(rig, repeat)).toEqual([10, 3590]);
    await rig.local.append({ scopes: ['all'], soft: true });
    rig.clock.advance(-5 * SECOND);
    expect(toldOf(rig, repeat)).toBeUndefined();
    const asked = rig.get('/forecast');
    await rig.settle();
    rig.call(0).answer(200, 'newer', fieldsOf('cache-control: max-age=60'));
    expect((await asked).text).toBe('newer');
  });

  it('gets nothing once something else is stored, nor once nothing is', () => {
    const { rig, repeat } = repeated();
    rig.memory.put(rig.stored('/forecast', { body: Buffer.from('newer') }));
    expect(toldOf(rig, repeat)).toBeUndefined();
    const newer = answered(rig);
    expect(newer.body).toEqual({ kind: 'bytes', bytes: Buffer.from('newer') });
    rig.memory.invalidate('forecast|/forecast');
    expect(toldOf(rig, repeatOf(newer))).toBeUndefined();
  });

  it('gets its variant as long as the marker still leads to it', async () => {
    const rig = newRig({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    const fields = ['accept-language: de'];
    const asked = rig.get('/forecast', ...fields);
    await rig.settle();
    rig.call(0).answer(200, 'deutsch', fieldsOf('cache-control: max-age=60', 'vary: accept-language'));
    await asked;
    const repeat = repeatOf(answered(rig, '/forecast', fields));
    expect(toldOf(rig, repeat)).toBeDefined();
    const marker = rig.memory.peek('forecast|/forecast')?.item;
    if (marker?.kind !== 'vary') throw new Error('no marker');
    rig.memory.put({ ...marker, names: ['accept-encoding', 'accept-language'] });
    expect(toldOf(rig, repeat)).toBeUndefined();
    rig.memory.put(marker);
    expect(toldOf(rig, repeat)).toBeUndefined();
    expect(toldOf(rig, repeatOf(answered(rig, '/forecast', fields)))).toBeDefined();
  });

  it('is given to the requests of its variant alone, however often it was', async () => {
    const rig = newRig({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    const said = fieldsOf('cache-control: max-age=60', 'vary: accept-language');
    const texts: string[] = [];
    for (const language of ['de', 'de', 'de', 'fr', 'fr', 'fr', 'de']) {
      const asked = rig.get('/forecast', `accept-language: ${language}`);
      await rig.settle();
      // Where there is no new call, the one before was answered already.
      rig.calls.at(-1)?.answer(200, `in ${language}`, said);
      texts.push((await asked).text);
    }
    expect(texts).toEqual(['in de', 'in de', 'in de', 'in fr', 'in fr', 'in fr', 'in de']);
    expect(rig.calls).toHaveLength(2);
  });

  it.each(['marker', 'variant'])('counts uses of both while both are there, and none once its %s is not', (gone) => {
    const rig = newRig();
    const [marker, read] = ['/forecast?a=1', '/forecast?a=2'].map((target) => {
      const item = rig.stored(target);
      rig.memory.put(item);
      const found = rig.memory.get(item.key);
      if (found === undefined || found instanceof Promise) throw new Error('not in memory');
      return found;
    });
    if (marker === undefined || read?.item.kind !== 'response') throw new Error('not stored');
    const places = [marker, read].map(({ place }) => place);
    const uses = places.flatMap((place) => (place === undefined ? [] : [vi.spyOn(place, 'again')]));
    const counted = (): number[] => uses.map(({ mock }) => mock.results.filter(({ value }) => value === true).length);
    const route = routeOf();
    const ask: Ask = { route, keyed: keyedOf(tableOf([route]), '/forecast?a=2'), requestFields: [], head: false };
    const ready = new ReadyAnswers({ purgeLog: rig.log });
    const response = ready.make(ask, { read, item: read.item, marker, isSettled: true }, rig.clock.nowMs());
    const again = () => response?.repeat?.again(rig.clock.nowMs());
    expect([again(), counted(), read.tally.hits]).toEqual([true, [1, 1], 1]);
    rig.memory.invalidate((gone === 'marker' ? marker : read).item.key);
    expect([again(), counted()]).toEqual([false, [1, 1]]);
  });
});

describe('no repeat goes with', () => {
  const learning: Route = honourRoute({}, { rawQuery: true, noVarySearch: true });

  it('a key that was cut, which is counted each time', () => {
    const rig = newRig({ routes: [routeOf({}, { maxKeyBytes: 96 })] });
    const target = `/forecast?a=${'x'.repeat(200)}`;
    rig.memory.put(rig.stored(target));
    const given = [answered(rig, target), answered(rig, target)];
    expect(given.map(({ repeat, meta }) => [repeat, meta.outcome])).toEqual([
      [undefined, 'hit'],
      [undefined, 'hit'],
    ]);
    expect(rig.limits).toEqual(['routes.maxKeyBytes', 'routes.maxKeyBytes']);
  });

  it('what is keyed by a rule of upstream, nor with anything that such a rule may key once there is one', () => {
    const rig = newRig({ routes: [learning] });
    rig.memory.put(rig.stored('/forecast?a=1'));
    const repeat = repeatOf(answered(rig, '/forecast?a=1'));
    expect(toldOf(rig, repeat)).toBeDefined();
    const keyed = keyedOf(tableOf([learning]), '/forecast?b=1');
    rig.search.learn(keyed, { status: 200, fields: fieldsOf('no-vary-search: params'), requestTimeMs: 1 });
    expect(toldOf(rig, repeat)).toBeUndefined();
    const ruled = rig.search.keyed(keyed);
    rig.memory.put(rig.stored('/forecast?b=1', { key: ruled.key, tags: ruled.tags, url: ruled.url }));
    const urls = ['b=1', 'b=2', 'b=1'].map((query) => answered(rig, `/forecast?${query}`));
    expect(urls.map(({ meta, repeat: again }) => [meta.outcome, meta.url, again])).toEqual([
      ['hit', '/forecast?b=1', undefined],
      ['hit', '/forecast?b=2', undefined],
      ['hit', '/forecast?b=1', undefined],
    ]);
  });

  it('what is stale', () => {
    const rig = newRig();
    const freshness = freshnessWith({ freshUntilMs: rig.clock.nowMs() - 1 });
    rig.memory.put(rig.stored('/forecast', { freshness }));
    expect(answered(rig).meta.outcome).toBe('stale');
    expect(answered(rig).repeat).toBeUndefined();
  });

  it('what was waited for', async () => {
    const gates: (() => void)[] = [];
    const rig = newRig({ between: (memory) => lateStore(memory, gates) });
    rig.memory.put(rig.stored());
    const handled = rig.exchange.handle(requestOf());
    gates.pop()?.();
    const late = await handled;
    expect(late).toMatchObject({ kind: 'response', response: { meta: { outcome: 'hit', tier: 'redis' } } });
    expect(late).not.toHaveProperty('response.repeat');
  });
});

describe('what is ready-made', () => {
  const route = routeOf();

  it('is what would be composed anew, at any time', () => {
    const rig = newRig();
    const random = seeded(7);
    const routes = [route, honourRoute(), routeOf({}, { showKey: true })];
    for (let round = 0; round < 300; round += 1) {
      const asked = routes[round % routes.length] ?? route;
      const responseTimeMs = rig.clock.nowMs() + random(5000);
      const lines = ['content-length: 6', 'cache-control: max-age=9', 'accept-ranges: none', 'age: 3'];
      const item = rig.stored('/forecast', {
        status: [200, 204, 404][random(3)] ?? 200,
        fields: fieldsOf(...lines.slice(random(5))),
        responseTimeMs,
        initialAgeMs: random(2) === 0 ? 0 : random(90_000),
        freshness: freshnessWith({ freshUntilMs: responseTimeMs + random(9000), source: 'cap' }),
      });
      const keyed = keyedOf(tableOf([route]), '/forecast');
      const ask: Ask = { route: asked, keyed, requestFields: [], head: random(4) === 0 };
      const staleSinceMs = random(4) === 0 ? responseTimeMs + random(9000) : undefined;
      const read: StoreRead = { item, staleSinceMs, tier: 'memory', tally: { hits: 0 } };
      const ready = new ReadyAnswers({ purgeLog: rig.log });
      const found: Found = { read, item, marker: undefined, isSettled: true };
      for (let look = 0; look < 60; look += 1) {
        // Mostly on, sometimes back: a wall clock is set. But to before it came, where time stands still.
        const nowMs = responseTimeMs + Math.max(0, look * 150 + random(1000) - (random(10) === 0 ? 3000 : 0));
        const anew = composed(ask, read, nowMs);
        const there = ready.find(ask, found, nowMs);
        const given = there === undefined && anew !== undefined ? ready.make(ask, found, nowMs) : there;
        expect(given && { ...given, repeat: undefined }).toEqual(anew);
      }
    }
  });

  it('is kept of as many as are said, and of no more than twice that', () => {
    const rig = newRig();
    const ready = new ReadyAnswers({ purgeLog: rig.log }, 3);
    const nowMs = rig.clock.nowMs();
    const asked = Array.from({ length: 10 }, (_, number) => {
      const target = `/forecast?a=${number}`;
      const item = rig.stored(target);
      const read = { item, staleSinceMs: undefined, tier: 'memory' as const, tally: { hits: 0 } };
      const ask: Ask = { route, keyed: keyedOf(tableOf([route]), target), requestFields: [], head: false };
      return { ask, found: { read, item, marker: undefined, isSettled: true } };
    });
    const kept = () => asked.flatMap(({ ask, found }, at) => (ready.find(ask, found, nowMs) === undefined ? [] : [at]));
    for (const { ask, found } of asked.slice(0, 3)) ready.make(ask, found, nowMs);
    expect([kept(), kept()]).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    for (const { ask, found } of asked.slice(3)) ready.make(ask, found, nowMs);
    expect(kept()).toEqual([6, 7, 8, 9]);
  });
});

/** What is decided and composed without anything that is ready; `undefined`: no fresh answer. */
function composed(ask: Ask, { item, staleSinceMs }: StoreRead, nowMs: number): ProxyResponse | undefined {
  if (item.kind !== 'response') throw new Error('a marker');
  const { policy } = ask.route;
  const decision = decideReuse({ stored: item, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
  if (decision.kind !== 'reuse') return undefined;
  const status = { hit: true, ttl: decision.ttlSeconds, detail: 'memory' };
  const reply = { item, staleSinceMs, nowMs, status, outcome: 'hit', tier: 'memory' } as const;
  const answer = respondStored({ decoded: decodedContents() }, ask, reply);
  if (answer instanceof Promise) throw new Error('decoded');
  return { ...answer, raw: answer.fields.flat() };
}

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
