import { describe, expect, onTestFinished, test } from 'vitest';

import type { Handled, LateAnswer } from '../../src/cache/handled.ts';
import { type LateHearer, Later } from '../../src/cache/later.ts';
import type { ResponseStore, StoreRead } from '../../src/cache/ports.ts';
import { MAX_MADE_TEXT } from '../../src/cache/prepared.ts';
import type { ParamKind } from '../../src/core/params.ts';
import type { Route } from '../../src/core/route.ts';
import type { MemoryStore } from '../../src/store/memory-store.ts';
import { ExchangeRig, lateStore, type RigOptions, ScriptedLocks } from '../support/exchange-rig.ts';
import { param } from '../support/operations.ts';
import { honourRoute, requestOf, routeOf } from '../support/policy.ts';

/** Bytes that what is made of a target takes beside those of any, and whether it is kept. */
function grown(route: Route, target: string, hasRoom = true): readonly [number, boolean] {
  const rig = rigOf({ routes: [route] });
  let bytes = 0;
  const memo = { made: undefined, grow: (more: number) => hasRoom && (bytes += more) >= 0 };
  const [path = '', query] = target.split('?');
  void rig.exchange.handle(requestOf({ path, query, memo }));
  return [bytes, memo.made !== undefined];
}

/** A look-up that the test ends. */
class Look extends Later<StoreRead | undefined> {
  readonly hearers: LateHearer<StoreRead | undefined>[] = [];

  hear(hearer: LateHearer<StoreRead | undefined>): void {
    this.hearers.push(hearer);
  }

  came(read: StoreRead | undefined): void {
    for (const hearer of this.hearers) hearer.came(read);
  }

  failed(error: unknown): void {
    for (const hearer of this.hearers) hearer.failed(error);
  }
}

/** Its client's link, on which the answer comes. */
class Link implements LateAnswer {
  readonly late = this;
  readonly isOver = false;
  readonly answer = Promise.withResolvers<Handled>();
  readonly sinceMs: number;
  begun = 0;
  told = 0;

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  interim(): void {}

  whenOver(): void {}

  begin(): Promise<Handled> {
    this.begun += 1;
    return new Promise(() => {});
  }

  came(handled: Handled): void {
    this.told += 1;
    this.answer.resolve(handled);
  }

  failed(error: unknown): void {
    this.told += 1;
    this.answer.reject(error);
  }

  async seen() {
    const handled = await this.answer.promise;
    if (handled.kind !== 'response') throw new Error('no response');
    const { status, fields, body } = handled.response;
    const text = body.kind === 'bytes' ? body.bytes.toString() : body.kind;
    return { status, text, cacheStatus: fields.find(([name]) => name === 'cache-status')?.[1] };
  }
}

/** The shared tier: each look at it is ended by the test. */
function laterStore(memory: MemoryStore, looks: Look[]): ResponseStore {
  return {
    ...lateStore(memory, []),
    getLater: () => {
      const look = new Look();
      looks.push(look);
      return look;
    },
  };
}

function begin(options: RigOptions = {}) {
  const looks: Look[] = [];
  const rig = new ExchangeRig({ ...options, between: (memory) => laterStore(memory, looks) });
  onTestFinished(() => rig[Symbol.dispose]());
  const link = new Link(rig.clock.monotonicMs());
  void rig.exchange.handle(requestOf(), link);
  const [look] = looks;
  if (look === undefined) throw new Error('not looked up');
  const read = (): StoreRead => ({ item: rig.stored(), staleSinceMs: undefined, tier: 'redis', tally: { hits: 0 } });
  return { rig, link, look, read };
}

describe('an answer that is told to the link of its client', () => {
  test('is the one that would be promised, once', async () => {
    const { rig, link, look, read } = begin();
    const found = read();
    await rig.purge('r:other');
    expect([link.begun, link.told]).toEqual([1, 0]);
    look.came(found);
    expect(link.told).toBe(1);
    expect(await link.seen()).toEqual({
      status: 200,
      text: 'stored',
      cacheStatus: 'forecache; hit; ttl=3600; detail=redis',
    });
    expect(found.tally.hits).toBe(1);
  });

  test('is fetched where nothing was found', async () => {
    const { rig, link, look } = begin();
    look.came(undefined);
    await rig.pass(3);
    rig.call(0).answer(200, 'fetched');
    expect(await link.seen()).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=uri-miss; stored' });
    expect(link.told).toBe(1);
  });

  test('that was waited for in vain leaves what is left of the budget to the claim of the fetch', async () => {
    const locks = new ScriptedLocks();
    locks.answers = [locks.ours];
    const { rig, link, look } = begin({ locks });
    rig.clock.advance(30);
    look.came(undefined);
    await rig.pass(3);
    rig.call(0).answer(200, 'fetched');
    await link.seen();
    expect(locks.claims.map(({ waitedMs }) => waitedMs)).toEqual([30]);
  });

  test('is not what was stored, where the lease ended while it was waited for', async () => {
    const { rig, link, look, read } = begin();
    const found = read();
    rig.log.leased = false;
    look.came(found);
    await rig.pass(3);
    rig.call(0).answer(200, 'fetched');
    expect(await link.seen()).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'lease' }]);
  });

  test.each(['all', 't:route:forecast', 't:older', 'u:/forecast', 'r:forecast'])(
    'is not what was stored, where %s was purged while it was waited for',
    async (scope) => {
      const { rig, link, look, read } = begin({ routes: [routeOf({}, { tags: [] })] });
      const found = { ...read(), item: rig.stored('/forecast', { tags: ['older'] }) };
      await rig.purge(scope);
      look.came(found);
      await rig.settle();
      rig.call(0).answer(200, 'fetched');
      expect(await link.seen()).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=uri-miss; stored' });
      expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'purged' }]);
    },
  );

  test('is the error of a look-up that failed', async () => {
    const { link, look } = begin();
    look.failed(new Error('a bug of the store'));
    await expect(link.seen()).rejects.toThrow('a bug of the store');
  });

  test('is the error of whoever judges it', async () => {
    const { rig, link, look, read } = begin();
    rig.log.isValid = () => {
      throw new Error('a bug of the log');
    };
    look.came(read());
    expect(link.told).toBe(1);
    await expect(link.seen()).rejects.toThrow('a bug of the log');
  });

  test('is the error of what goes on behind it', async () => {
    const { rig, link, look } = begin();
    look.came(undefined);
    await rig.pass(3);
    rig.call(0).crash();
    await expect(link.seen()).rejects.toThrow('a bug');
  });

  test('is not asked for without a lease', async () => {
    const looks: Look[] = [];
    const rig = new ExchangeRig({ between: (memory) => laterStore(memory, looks) });
    onTestFinished(() => rig[Symbol.dispose]());
    rig.log.leased = false;
    const asked = rig.ask({ client: new Link(rig.clock.monotonicMs()) });
    await rig.pass(3);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    expect(looks).toEqual([]);
  });
});

function rigOf(options: RigOptions = {}): ExchangeRig {
  const rig = new ExchangeRig(options);
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

async function textOf(rig: ExchangeRig, request: ReturnType<typeof requestOf>): Promise<string> {
  const handled = await rig.exchange.handle(request);
  if (handled.kind !== 'response' || handled.response.body.kind !== 'bytes') throw new Error('no content');
  return handled.response.body.bytes.toString();
}

/** Whether what is made of a request with a tag so long is kept. */
async function isKept(length: number): Promise<boolean> {
  const rig = rigOf({ routes: [routeOf({}, { tags: ['x'.repeat(length)] })] });
  rig.memory.put(rig.stored());
  const request = requestOf({ memo: { made: undefined, grow: () => true } });
  await rig.exchange.handle(request);
  return request.memo?.made !== undefined;
}

describe('a request with a memo', () => {
  test('gets what it gets without one, each time, until that is purged', async () => {
    const rig = rigOf();
    rig.memory.put(rig.stored());
    const request = requestOf({ memo: { made: undefined, grow: () => true } });
    expect(await textOf(rig, request)).toBe('stored');
    expect(request.memo?.made).toBeDefined();
    expect(await textOf(rig, request)).toBe('stored');
    expect(rig.calls).toHaveLength(0);
    await rig.purge('u:/forecast');
    const asked = textOf(rig, request);
    await rig.settle();
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toBe('fetched');
    expect(await textOf(rig, request)).toBe('fetched');
  });

  test('that another exchange has left is keyed by the rules of this one', async () => {
    const [one, other] = [rigOf(), rigOf({ routes: [routeOf({}, { name: 'other' })] })];
    const request = requestOf({ memo: { made: undefined, grow: () => true } });
    one.memory.put(one.stored());
    expect(await textOf(one, request)).toBe('stored');
    const asked = other.exchange.handle(request);
    await other.settle();
    expect(other.calls).toHaveLength(1);
    other.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ response: { meta: { route: 'other' } } });
  });

  test('keeps nothing where its fields, its method or a key that is cut have a part in it', async () => {
    const keyless = [
      [rigOf({ routes: [routeOf({}, { headers: ['accept-language'] })] }), {}],
      [rigOf(), { method: 'HEAD' }],
      [rigOf({ routes: [routeOf({}, { maxKeyBytes: 128 })] }), { query: `location=${'x'.repeat(300)}` }],
    ] as const;
    for (const [rig, traits] of keyless) {
      const request = requestOf({ ...traits, memo: { made: undefined, grow: () => true } });
      void rig.exchange.handle(request);
      await rig.settle();
      expect(rig.calls).toHaveLength(1);
      rig.call(0).answer(200, 'fetched');
      expect(request.memo?.made).toBeUndefined();
    }
  });

  test('keeps what is made of it up to the text that its bound reckons with, and no longer one', async () => {
    // Key, URL twice, both tags of the house with 24 for each, and 24 for the one of the route, less twice the path.
    const rest = 18 + 2 * 9 + (14 + 24) + (16 + 24) + 24 - 2 * 9;
    expect(await Promise.all([isKept(MAX_MADE_TEXT - rest), isKept(MAX_MADE_TEXT - rest + 1)])).toEqual([true, false]);
  });

  test('takes room for its parameters and the groups of its path where these are many, and is not kept where there is none', () => {
    const text: ParamKind = { type: 'text', fold: false };
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const few = routeOf({}, { match: '/w/:a', pathParams: new Map([param('a', text)]) });
    const many = routeOf(
      {},
      { match: `/w/:${names.join('/:')}`, pathParams: new Map(names.map((name) => param(name, text))) },
    );
    const params = routeOf({}, { params: new Map(names.map((name) => param(name, text))) });
    expect(grown(few, '/w/1')).toEqual([0, true]);
    expect(grown(many, '/w/1/2/3/4/5/6')).toEqual([6 * 170 - 400, true]);
    expect(grown(many, '/w/1/2/3/4/5/6', false)).toEqual([0, false]);
    expect(grown(params, '/forecast?a=1&b=2&c=3&d=4&e=5&f=6')).toEqual([6 * 110 - 400, true]);
  });

  test('is keyed by what upstream has taught since', async () => {
    const rig = rigOf({ routes: [honourRoute({}, { noVarySearch: true, unknownQuery: 'keep' })] });
    const memo = { made: undefined, grow: () => true };
    const ask = async (answer?: string): Promise<string> => {
      const asked = textOf(rig, requestOf({ query: 'a=1&utm=2', memo }));
      await rig.settle();
      const fields = [
        ['cache-control', 'max-age=60'],
        ['no-vary-search', 'params=("utm")'],
      ] as const;
      if (answer !== undefined) rig.calls.at(-1)?.answer(200, answer, fields);
      return asked;
    };
    expect(await ask('first')).toBe('first');
    expect(memo.made).toBeDefined();
    expect(await ask()).toBe('first');
    // By the rule that was learnt another query gets the same, and so does the memo's.
    expect(await textOf(rig, requestOf({ query: 'a=1&utm=3' }))).toBe('first');
    expect(rig.calls).toHaveLength(1);
  });

  test('finds what another one has brought by a rule of upstream since', async () => {
    const rig = rigOf({ routes: [honourRoute({}, { noVarySearch: true, unknownQuery: 'keep' })] });
    const memo = { made: undefined, grow: () => true };
    const asked = rig.exchange.handle(requestOf({ query: 'a=1&utm=2', memo }));
    await rig.settle();
    rig.call(0).fail();
    await asked;
    expect(memo.made).toBeDefined();
    const taught = textOf(rig, requestOf({ query: 'a=1&utm=3' }));
    await rig.settle();
    rig.call(1).answer(200, 'kept', [
      ['cache-control', 'max-age=60'],
      ['no-vary-search', 'params=("utm")'],
    ]);
    expect(await taught).toBe('kept');
    const again = textOf(rig, requestOf({ query: 'a=1&utm=2', memo }));
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    expect(await again).toBe('kept');
  });
});
