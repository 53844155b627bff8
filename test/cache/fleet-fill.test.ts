import { describe, expect, onTestFinished, test } from 'vitest';

import type { FillAnswer } from '../../src/cache/fleet-ports.ts';
import type { StoreRead } from '../../src/cache/ports.ts';
import type { StoredItem } from '../../src/core/stored-response.ts';
import { ExchangeRig, type RigOptions, ScriptedLocks } from '../support/exchange-rig.ts';
import { keyedOf, tableOf } from '../support/operations.ts';
import { freshnessWith, honourRoute, HOUR, routeOf } from '../support/policy.ts';

const theirs: FillAnswer = { kind: 'theirs' };

function rigOf(options: RigOptions & { readonly locks: ScriptedLocks }): ExchangeRig {
  const rig = new ExchangeRig(options);
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

function readOf(item: StoredItem): StoreRead {
  return { item, staleSinceMs: undefined, tier: 'redis', tally: { hits: 0 } };
}

function storedAnswer(item: StoredItem): FillAnswer {
  return { kind: 'stored', read: readOf(item) };
}

/** Locks of which the first claim is answered with `ours`. */
function ourLocks(): ScriptedLocks {
  const locks = new ScriptedLocks();
  locks.answers = [locks.ours];
  return locks;
}

/** Whose looks at Redis each take until the test ends them, and what they and claims said that the request had waited. */
function slowRig(options: RigOptions) {
  const looks: (number | string | undefined)[] = [];
  const gates: PromiseWithResolvers<StoreRead | undefined>[] = [];
  const locks = new ScriptedLocks({ kind: 'unshared' }, { kind: 'unshared' });
  const rig = rigOf({
    ...options,
    locks,
    between: (memory) => ({
      tier: 'redis',
      get: (_, asked) => {
        looks.push(asked?.waitedMs);
        const gate = Promise.withResolvers<StoreRead | undefined>();
        gates.push(gate);
        return gate.promise;
      },
      peek: () => undefined,
      put: (item) => memory.put(item),
      invalidate: () => false,
    }),
  });
  const ended = async (afterMs: number, item: StoredItem | undefined): Promise<void> => {
    const claims = locks.claims.length;
    await rig.pass(afterMs, afterMs);
    gates.at(-1)?.resolve(item && readOf(item));
    await rig.settle();
    for (const { waitedMs } of locks.claims.slice(claims)) looks.push(`claimed after ${waitedMs}`);
  };
  return { rig, looks, ended };
}

describe('whose turn it is', () => {
  test('fetches, and lets go of the lock as stored once it is', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    expect(locks.claims).toMatchObject([{ known: undefined, asked: { route: { name: 'forecast' } } }]);
    expect(locks.claims[0]?.key).toBe(rig.stored().key);
    locks.onRelease = () => expect(rig.memory.stats().responses).toBe(1);
    expect(locks.released).toEqual([]);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=uri-miss; stored' });
    expect(locks.released).toEqual(['stored']);
  });

  test.each([
    ['upstream fails', (rig: ExchangeRig) => rig.call(0).fail()],
    ['it may not be stored', (rig: ExchangeRig) => rig.call(0).answer(404, 'nothing')],
    [
      'it is purged on the way',
      (rig: ExchangeRig) => {
        void rig.purge();
        rig.call(0).answer(200, 'old');
      },
    ],
  ])('lets go of it as unshared when %s', async (_, ends) => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    ends(rig);
    await asked;
    expect(locks.released).toEqual(['unshared']);
  });

  test('leaves it to one of those who wait when this process stops', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    void rig.background.stop();
    rig.call(0).fail('aborted');
    await asked;
    expect(locks.released).toEqual(['left']);
  });

  test('lets go of it as a timeout where upstream does not answer in time', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    rig.call(0).fail('timeout');
    expect((await asked).status).toBe(504);
    expect(locks.released).toEqual(['timeout']);
  });

  test('names what it wrote when it lets go, the variant too where upstream varies', async () => {
    const locks = ourLocks();
    const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })], locks });
    const asked = rig.get('/forecast', 'accept-language: de');
    await rig.settle();
    rig.call(0).answer(200, 'Wetter', [
      ['cache-control', 'max-age=60'],
      ['vary', 'accept-language'],
    ]);
    await asked;
    const { key } = rig.stored();
    expect(locks.written).toEqual([[key, `${key} accept-language=de`]]);
  });

  test('lets go of it when a bug ends the fetch', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    rig.call(0).crash();
    await expect(asked).rejects.toThrow('a bug');
    expect(locks.released).toEqual(['unshared']);
  });

  test.each(['unshared', 'unavailable'] as const)('fetches at once where the lock is %s', async (kind) => {
    const locks = new ScriptedLocks({ kind });
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'fetched');
    expect((await asked).text).toBe('fetched');
    expect(locks.claims).toHaveLength(1);
  });
});

describe('who waits for another process', () => {
  test('has what it stored, as collapsed with it, and calls nobody', async () => {
    const locks = new ScriptedLocks(theirs, theirs);
    const rig = rigOf({ locks });
    const asked = [rig.get(), rig.get()];
    await rig.settle();
    await rig.pass(25);
    asked.push(rig.get());
    locks.answers = [storedAnswer(rig.stored())];
    await rig.pass(25);
    for (const reply of await Promise.all(asked)) {
      expect(reply).toMatchObject({
        status: 200,
        text: 'stored',
        cacheStatus: 'forecache; fwd=uri-miss; collapsed; detail=redis',
        outcome: 'collapsed',
        fwd: 'uri-miss',
      });
    }
    expect(rig.calls).toHaveLength(0);
    expect(locks.claims).toHaveLength(3);
  });

  test.each([
    [0, 18.75],
    [0.5, 25],
    [1, 31.25],
  ])('asks again after 25 ms give or take a quarter (at %d: %d ms)', async (chance, waitMs) => {
    const locks = new ScriptedLocks(theirs);
    const rig = rigOf({ locks, random: () => chance });
    const asked = rig.get();
    await rig.settle();
    await rig.pass(waitMs - 0.25, 100);
    expect(locks.claims).toHaveLength(1);
    await rig.pass(0.25);
    expect(locks.claims).toHaveLength(2);
    locks.answers = [{ kind: 'unshared' }];
    await rig.pass(waitMs, 100);
    rig.call(0).answer(200, 'x');
    await asked;
  });

  test('waits a little longer than a call may take at most, and then fetches without the lock', async () => {
    const locks = new ScriptedLocks(theirs);
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    await rig.pass(11_475, 25);
    expect(rig.calls).toHaveLength(0);
    await rig.pass(25);
    rig.call(0).answer(200, 'after all');
    expect((await asked).text).toBe('after all');
    expect(locks.released).toEqual([]);
    expect(locks.claims).toHaveLength(460);
  });

  test.each([
    ['is answered with the same failure and makes no call, where upstream did not answer the other in time', undefined],
    ['is served what is stale for it then, as after a call of its own', 'stale'],
  ])('%s', async (_, found) => {
    const locks = new ScriptedLocks(theirs, theirs, { kind: 'timeout' });
    const rig = rigOf({ routes: [routeOf({ staleIfErrorMs: HOUR })], locks });
    const { freshness } = rig.stored();
    const nowMs = rig.clock.nowMs();
    const stale = { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs };
    if (found !== undefined) rig.memory.put(rig.stored('/forecast', { freshness: stale }));
    const asked = rig.get();
    await rig.pass(50);
    expect(locks.claims.map(({ hasWaited }) => hasWaited)).toEqual([false, true, true]);
    const expected = { cacheStatus: 'forecache; fwd=uri-miss; detail=timeout', status: 504 };
    expect(await asked).toMatchObject(found === undefined ? expected : { text: 'stored', outcome: 'stale-error' });
    expect(rig.calls).toHaveLength(0);
  });

  test.each([
    [
      'asks upstream the next time, where its own fields go there',
      honourRoute({}, { forwardHeaders: ['*'] }),
      undefined,
    ],
    ['is served at once the next time, where the call is the same for all', routeOf(), 'stale-error'],
  ])('whose other was not answered in time %s', async (_, route, outcome) => {
    const locks = new ScriptedLocks(theirs, { kind: 'timeout' }, { kind: 'unavailable' });
    const rig = rigOf({ routes: [route], locks });
    const { freshness } = rig.stored();
    const nowMs = rig.clock.nowMs();
    rig.memory.put(rig.stored('/forecast', { freshness: { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs } }));
    const asked = rig.get('/forecast', 'accept: a/b');
    await rig.pass(50);
    expect(await asked).toMatchObject({ outcome: 'stale-error' });
    let next: string | undefined;
    void rig.get('/forecast', 'accept: a/b').then((seen) => (next = seen.outcome));
    await rig.settle();
    expect(next).toBe(outcome);
  });

  test('asks once more where Redis does not answer one look, and fetches alone at the second', async () => {
    const unavailable: FillAnswer = { kind: 'unavailable' };
    const locks = new ScriptedLocks(theirs, unavailable, theirs, unavailable);
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.pass(50);
    expect([locks.claims.length, rig.calls.length]).toEqual([3, 0]);
    await rig.pass(25);
    expect([locks.claims.length, rig.calls.length]).toEqual([4, 1]);
    rig.call(0).answer(200, 'alone');
    expect((await asked).text).toBe('alone');
  });

  test('stops waiting when the process stops', async () => {
    const locks = new ScriptedLocks(theirs);
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    await rig.background.stop();
    expect(await asked).toMatchObject({ status: 502 });
    expect(locks.claims).toHaveLength(1);
  });

  test.each([
    ['is purged', (rig: ExchangeRig) => void rig.purge()],
    [
      'cannot be judged any more, as the lease is lost',
      (rig: ExchangeRig) => {
        rig.log.leased = false;
      },
    ],
  ])('asks for the whole where what it would have validated %s meanwhile', async (_, happens) => {
    const locks = new ScriptedLocks(theirs, { kind: 'unshared' });
    const rig = rigOf({ routes: [honourRoute()], locks });
    const { freshness } = rig.stored();
    const nowMs = rig.clock.nowMs();
    const stale = { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs };
    rig.memory.put(rig.stored('/forecast', { etag: '"1"', freshness: stale }));
    const asked = rig.get();
    await rig.settle();
    happens(rig);
    await rig.settle();
    await rig.pass(25);
    expect(rig.call(0).fields).toEqual([]);
    rig.call(0).answer(200, 'whole', [['cache-control', 'max-age=60']]);
    expect((await asked).text).toBe('whole');
  });

  test('does not wait for a fetch from before a purge, which would end in nothing for it', async () => {
    const position = { epoch: 'e', seq: 0 };
    const locks = new ScriptedLocks({ kind: 'theirs', position });
    const rig = rigOf({ locks });
    await rig.purge('r:other');
    const asked = rig.get();
    await rig.pass(25);
    expect([locks.claims.length, rig.calls.length]).toEqual([2, 0]);
    await rig.purge();
    await rig.pass(25);
    expect([locks.claims.length, rig.calls.length]).toEqual([3, 1]);
    rig.call(0).answer(200, 'new');
    expect(await asked).toMatchObject({ text: 'new', cacheStatus: 'forecache; fwd=uri-miss; stored' });
  });

  test('waits for one that has heard of more purges than this process, and takes what it stored once they are known here', async () => {
    const locks = new ScriptedLocks({ kind: 'theirs', position: { epoch: 'e', seq: 1 } });
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.pass(25);
    expect([locks.claims.length, rig.calls.length]).toEqual([2, 0]);
    await rig.purge('r:other');
    locks.answers = [storedAnswer(rig.stored())];
    await rig.pass(25);
    expect(await asked).toMatchObject({ text: 'stored', outcome: 'collapsed' });
    expect(rig.calls).toHaveLength(0);
  });

  test('does not wait for one of another epoch, however far that had come', async () => {
    const locks = new ScriptedLocks({ kind: 'theirs', position: { epoch: 'another', seq: 9 } });
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'own');
    expect((await asked).text).toBe('own');
  });

  test('is not given what was purged before it is taken, but fetches', async () => {
    const locks = new ScriptedLocks(theirs, theirs);
    const rig = rigOf({ locks });
    const item = rig.stored();
    await rig.purge('r:forecast');
    const asked = rig.get();
    await rig.settle();
    locks.answers = [theirs, storedAnswer(item), locks.ours];
    await rig.pass(25);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=uri-miss; stored' });
    expect(rig.call(0).fields).toEqual([]);
    expect(locks.claims.at(-1)?.known).toBe(item);
  });

  test('goes on alone when the lease ends meanwhile, and says so', async () => {
    const locks = new ScriptedLocks();
    const rig = rigOf({ locks });
    locks.answers = [theirs, storedAnswer(rig.stored())];
    const asked = rig.get();
    await rig.settle();
    rig.log.leased = false;
    await rig.pass(25);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
  });
});

describe('what another process has stored', () => {
  test('but is stale for the request is known, validated, and no answer', async () => {
    const locks = new ScriptedLocks();
    const rig = rigOf({ routes: [honourRoute()], locks });
    const { freshness } = rig.stored();
    const stale = { ...freshness, freshUntilMs: rig.clock.nowMs(), swrUntilMs: rig.clock.nowMs() };
    const item = rig.stored('/forecast', { etag: '"1"', freshness: stale });
    locks.answers = [storedAnswer(item), locks.ours];
    const asked = rig.get();
    await rig.settle();
    expect(locks.claims.map(({ known }) => known)).toEqual([undefined, item]);
    expect(rig.call(0).fields).toContainEqual(['if-none-match', '"1"']);
    rig.call(0).answer(304, '', [['cache-control', 'max-age=60']]);
    expect(await asked).toMatchObject({ text: 'stored', outcome: 'revalidated' });
    expect(locks.released).toEqual(['stored']);
  });

  test('and is answered with again and again is not asked for again and again', async () => {
    const locks = new ScriptedLocks();
    const rig = rigOf({ locks });
    const { freshness } = rig.stored();
    const nowMs = rig.clock.nowMs();
    const item = rig.stored('/forecast', { freshness: { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs } });
    locks.answers = [storedAnswer(item)];
    const asked = rig.get();
    await rig.settle();
    expect(locks.claims).toHaveLength(2);
    rig.call(0).answer(200, 'fetched');
    expect((await asked).text).toBe('fetched');
  });

  test('is too old for one who waits with more demands: that one fetches', async () => {
    const locks = new ScriptedLocks(theirs);
    const rig = rigOf({ routes: [honourRoute()], locks });
    const easy = rig.get();
    const demanding = rig.get('/forecast', 'cache-control: max-age=30');
    await rig.settle();
    locks.answers = [storedAnswer(rig.stored('/forecast', { initialAgeMs: 60_000 }))];
    await rig.pass(25);
    expect((await easy).text).toBe('stored');
    await rig.settle();
    rig.call(0).answer(200, 'fetched', [['cache-control', 'max-age=60']]);
    expect((await demanding).text).toBe('fetched');
  });

  test('leads to the request’s own variant where upstream varies', async () => {
    const locks = new ScriptedLocks();
    const route = honourRoute({}, { forwardHeaders: ['accept-language'] });
    const rig = rigOf({ routes: [route], locks });
    const { key, url, tags, position, upstream } = rig.stored();
    const marker: StoredItem = {
      kind: 'vary',
      key,
      route: 'forecast',
      upstream,
      url,
      tags,
      position,
      names: ['accept-language'],
      retainUntilMs: rig.clock.nowMs() + HOUR,
    };
    locks.answers = [
      storedAnswer(marker),
      theirs,
      (claim) => storedAnswer(rig.stored('/forecast', { key: claim.key, body: Buffer.from('Wetter') })),
      locks.ours,
    ];
    const german = rig.get('/forecast', 'accept-language: de');
    const french = rig.get('/forecast', 'accept-language: fr');
    await rig.settle();
    await rig.pass(25);
    expect(await german).toMatchObject({ text: 'Wetter', outcome: 'collapsed' });
    await rig.settle();
    // Of all variants, of the German one, and of the French one.
    expect(new Set(locks.claims.map((claim) => claim.key)).size).toBe(3);
    rig.call(0).answer(200, 'météo', [['cache-control', 'max-age=60']]);
    expect((await french).text).toBe('météo');
  });

  test('leads to other variants, which an answer without Vary does not hide', async () => {
    const locks = new ScriptedLocks();
    const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })], locks });
    const { key, url, tags, position, upstream } = rig.stored();
    const common = { route: 'forecast', upstream, url, tags, position, retainUntilMs: rig.clock.nowMs() + HOUR };
    const marker: StoredItem = { kind: 'vary', key, names: ['accept-language'], ...common };
    locks.answers = [storedAnswer(marker), locks.ours];
    const seen = rig.get('/forecast');
    // What another process has stored is in the shared tier by now.
    rig.memory.put(rig.stored('/forecast', { key: `${key} accept-language=de`, body: Buffer.from('Wetter') }));
    rig.memory.put(marker);
    await rig.settle();
    rig.call(0).answer(200, 'weather', [['cache-control', 'max-age=60']]);
    expect((await seen).text).toBe('weather');
    expect((await rig.get('/forecast', 'accept-language: de')).text).toBe('Wetter');
    expect((await rig.get('/forecast')).text).toBe('weather');
    expect(rig.calls).toHaveLength(1);
  });

  test('leads to another request’s variant only while that is in the language that is wanted', async () => {
    for (const [found, text] of [
      ['en', 'stored'],
      ['fr', 'fetched'],
    ] as const) {
      const locks = new ScriptedLocks();
      const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })], locks });
      const { key, url, tags, position, upstream } = rig.stored();
      const common = { route: 'forecast', upstream, url, tags, position, retainUntilMs: rig.clock.nowMs() + HOUR };
      const languages = [['en', 'en,fr']] as const;
      locks.answers = [
        storedAnswer({ kind: 'vary', key, names: ['accept-language'], languages, ...common }),
        { kind: 'unshared' },
      ];
      const seen = rig.get('/forecast', 'accept-language: en');
      const variant = rig.stored('/forecast', { key: `${key} accept-language=en,fr` });
      rig.memory.put({ ...variant, fields: [...variant.fields, ['content-language', found]] });
      await rig.settle();
      if (rig.calls.length > 0) rig.call(0).answer(200, 'fetched', [['cache-control', 'max-age=60']]);
      expect((await seen).text).toBe(text);
      expect(locks.claims.map((claim) => claim.key)).toEqual(
        found === 'en' ? [key] : [key, `${key} accept-language=en`],
      );
    }
  });

  test('invariant 2: keeps the position that it was stored with, and who joins later looks at that', async () => {
    const locks = new ScriptedLocks();
    const rig = rigOf({ locks });
    const item = rig.stored();
    await rig.purge('r:other');
    locks.answers = [storedAnswer(item)];
    expect(await rig.get()).toMatchObject({ text: 'stored', outcome: 'collapsed' });
    expect(item.position).toEqual({ epoch: 'e', seq: 0 });
  });
});

describe('a lock is claimed', () => {
  test('invariant 18: with the time that the request has waited already, so that nobody waits the budget twice', async () => {
    const locks = new ScriptedLocks(theirs, { kind: 'unshared' });
    const gate = Promise.withResolvers<void>();
    const rig = rigOf({
      locks,
      between: (memory) => ({
        tier: 'redis',
        get: () => gate.promise.then(() => undefined),
        peek: () => undefined,
        put: (item) => memory.put(item),
        invalidate: () => false,
      }),
    });
    const asked = rig.get();
    await rig.pass(50, 50);
    gate.resolve();
    await rig.settle();
    await rig.pass(25);
    expect(locks.claims.map(({ waitedMs }) => waitedMs)).toEqual([50, 0]);
    rig.call(0).answer(200, 'fetched');
    await asked;
  });

  test('invariant 18: for a variant with the time of both look-ups, the second of which has what the first has left', async () => {
    const locks = new ScriptedLocks({ kind: 'unshared' });
    const looks: (number | undefined)[] = [];
    const gates = [Promise.withResolvers<StoreRead | undefined>(), Promise.withResolvers<StoreRead | undefined>()];
    const rig = rigOf({
      routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })],
      locks,
      between: (memory) => ({
        tier: 'redis',
        get: (_, asked) => {
          looks.push(asked?.waitedMs);
          return gates[looks.length - 1]?.promise;
        },
        peek: () => undefined,
        put: (item) => memory.put(item),
        invalidate: () => false,
      }),
    });
    const { key, url, tags, position, upstream } = rig.stored();
    const retainUntilMs = rig.clock.nowMs() + HOUR;
    const common = { route: 'forecast', upstream, url, tags, position, retainUntilMs };
    const asked = rig.get('/forecast', 'accept-language: de');
    await rig.pass(30, 30);
    gates[0]?.resolve(readOf({ kind: 'vary', key, names: ['accept-language'], ...common }));
    await rig.pass(20, 20);
    gates[1]?.resolve(undefined);
    await rig.settle();
    expect(looks).toEqual([undefined, 30]);
    expect(locks.claims.map(({ waitedMs }) => waitedMs)).toEqual([50]);
    rig.call(0).answer(200, 'Wetter', [['cache-control', 'max-age=60']]);
    expect((await asked).text).toBe('Wetter');
  });

  test('invariant 18: for what is stale with the time that it took to find it', async () => {
    const { rig, looks, ended } = slowRig({ routes: [routeOf()] });
    const past = freshnessWith({ freshUntilMs: 0, swrUntilMs: 0, retainUntilMs: rig.clock.nowMs() + HOUR });
    const asked = rig.get();
    await ended(30, rig.stored('/forecast', { freshness: past, etag: '"1"' }));
    rig.call(0).answer(200, 'fetched');
    expect((await asked).text).toBe('fetched');
    expect(looks).toEqual([undefined, 'claimed after 30']);
  });

  test('invariant 18: for a language that was promised in vain with the time of all three look-ups', async () => {
    const { rig, looks, ended } = slowRig({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    const { key, url, tags, position, upstream } = rig.stored();
    const common = { route: 'forecast', upstream, url, tags, position, retainUntilMs: rig.clock.nowMs() + HOUR };
    const languages = [['en', 'en,fr']] as const;
    const asked = rig.get('/forecast', 'accept-language: en');
    await ended(30, { kind: 'vary', key, names: ['accept-language'], languages, ...common });
    await ended(15, undefined);
    await ended(3, undefined);
    rig.call(0).answer(200, 'weather', [['cache-control', 'max-age=60']]);
    expect((await asked).text).toBe('weather');
    expect(looks).toEqual([undefined, 30, 45, 'claimed after 48']);
  });

  test('invariant 18: for a query with the time of the look-ups by the rule of upstream and without it', async () => {
    const { rig, looks, ended } = slowRig({
      routes: [honourRoute({}, { noVarySearch: true, unknownQuery: 'keep' })],
    });
    const fields = [
      ['cache-control', 'max-age=60'],
      ['no-vary-search', 'params=("utm")'],
    ] as const;
    const taught = rig.get('/forecast?a=1&utm=2');
    await ended(0, undefined);
    rig.call(0).answer(200, 'first', fields);
    await taught;
    looks.length = 0;
    const asked = rig.get('/forecast?a=2&utm=2');
    await ended(30, undefined);
    await ended(15, undefined);
    rig.call(1).answer(200, 'second', fields);
    expect((await asked).text).toBe('second');
    expect(looks).toEqual([undefined, 30, 'claimed after 45']);
  });

  test('once for all who wait in this process', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    const asked = Array.from({ length: 200 }, () => rig.get());
    await rig.settle();
    rig.call(0).answer(200, 'once');
    expect(new Set((await Promise.all(asked)).map(({ text }) => text))).toEqual(new Set(['once']));
    expect([locks.claims.length, rig.calls.length]).toEqual([1, 1]);
  });

  test('for a refresh behind an answer, with what is stored as known', async () => {
    const locks = ourLocks();
    const rig = rigOf({ routes: [routeOf({ staleWhileRevalidateMs: HOUR })], locks });
    const { freshness } = rig.stored();
    const item = rig.stored('/forecast', { freshness: { ...freshness, freshUntilMs: rig.clock.nowMs() } });
    rig.memory.put(item);
    expect(await rig.get()).toMatchObject({ text: 'stored', outcome: 'stale' });
    await rig.settle();
    expect(locks.claims).toMatchObject([{ known: { key: item.key } }]);
    expect(rig.call(0).purpose).toBe('revalidate');
    rig.call(0).answer(200, 'renewed');
    await rig.background.idle();
    expect(locks.released).toEqual(['stored']);
  });

  test('for warming, which takes what another process has fetched for its own', async () => {
    const locks = new ScriptedLocks(theirs);
    const rig = rigOf({ locks });
    const route = routeOf();
    const keyed = keyedOf(tableOf([route]), '/forecast');
    const warmed = rig.refresher.refresh(
      { route, keyed, purpose: 'warm', reuseAbove: 0.5 },
      new AbortController().signal,
    );
    await rig.settle();
    locks.answers = [storedAnswer(rig.stored())];
    await rig.pass(25);
    expect(await warmed).toEqual({ result: 'reused', status: 200, detail: undefined });
    expect(rig.calls).toHaveLength(0);
  });

  test('not for a request that insists on an answer of its own', async () => {
    const locks = ourLocks();
    const rig = rigOf({ routes: [honourRoute()], locks });
    const asked = rig.get('/forecast', 'cache-control: no-cache');
    await rig.settle();
    rig.call(0).answer(200, 'own', [['cache-control', 'max-age=60']]);
    expect((await asked).text).toBe('own');
    expect(locks.claims).toHaveLength(0);
  });

  test('not without a lease: nothing could be had by it', async () => {
    const locks = ourLocks();
    const rig = rigOf({ locks });
    rig.log.leased = false;
    const asked = rig.get();
    await rig.pass(2);
    rig.call(0).answer(200, 'fetched');
    expect((await asked).text).toBe('fetched');
    expect(locks.claims).toHaveLength(0);
  });
});
