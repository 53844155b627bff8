import { describe, expect, onTestFinished, test } from 'vitest';

import { ExchangeRig, type RigOptions, type Seen, ScriptedLocks } from '../support/exchange-rig.ts';
import { honourRoute, routeOf } from '../support/policy.ts';

function rigOf(options: RigOptions = {}): ExchangeRig {
  const rig = new ExchangeRig(options);
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

function texts(replies: readonly Seen[]): readonly string[] {
  return replies.map(({ text }) => text);
}

describe('who joins a fetch', () => {
  test('invariant 6: gets another when a purge comes between its joining and the landing', async () => {
    const rig = rigOf();
    const leader = rig.get();
    await rig.settle();
    const joiners = [rig.get(), rig.get(), rig.get()];
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    await rig.purge('u:/forecast');
    rig.call(0).answer(200, 'old');
    await rig.settle();
    // One for all three, begun after each of them came.
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'new');
    expect(await leader).toMatchObject({ text: 'old', cacheStatus: 'forecache; fwd=uri-miss' });
    expect(texts(await Promise.all(joiners))).toEqual(['new', 'new', 'new']);
    expect(rig.calls).toHaveLength(2);
    expect(await rig.get()).toMatchObject({ text: 'new', outcome: 'hit' });
  });

  test('invariant 6: gets another when the variant that it waits for is purged by its key', async () => {
    const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    const fields = [
      ['vary', 'accept-language'],
      ['cache-control', 'max-age=60'],
    ] as const;
    const known = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'known', fields);
    await known;
    const variant = rig.memory.list({ limit: 1 })[0]?.item.key ?? 'none';
    await rig.purge();
    const asked = [rig.get()];
    await rig.settle();
    asked.push(rig.get());
    await rig.settle();
    await rig.purge(`k:${variant}`);
    rig.call(1).answer(200, 'old', fields);
    await rig.settle();
    rig.call(2).answer(200, 'new', fields);
    expect(texts(await Promise.all(asked))).toEqual(['old', 'new']);
  });

  test('invariant 6: gets its own when what is under way began before a purge', async () => {
    const rig = rigOf();
    const before = rig.get();
    await rig.settle();
    await rig.purge();
    const after = rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'new');
    expect((await after).text).toBe('new');
    rig.call(0).answer(200, 'old');
    expect((await before).text).toBe('old');
    expect(await rig.get()).toMatchObject({ text: 'new', outcome: 'hit' });
  });

  test('invariant 6: goes round once at most, however often is purged', async () => {
    const rig = rigOf();
    const leader = rig.get();
    await rig.settle();
    const joiners = [rig.get(), rig.get()];
    await rig.settle();
    for (let round = 0; round < 2; round += 1) {
      await rig.purge();
      rig.call(round).answer(200, `version ${round}`);
      await rig.settle();
    }
    expect(texts(await Promise.all([leader, ...joiners]))).toEqual(['version 0', 'version 1', 'version 1']);
    expect(rig.calls).toHaveLength(2);
    expect(rig.memory.stats().responses).toBe(0);
  });

  test('invariant 6: before it is sent may have it whatever is purged then, as it came before the fetch began', async () => {
    const locks = new ScriptedLocks({ kind: 'theirs' }, { kind: 'unshared' });
    const rig = rigOf({ locks });
    const early = [rig.get()];
    await rig.settle();
    await rig.purge();
    early.push(rig.get());
    await rig.pass(25);
    expect(rig.calls).toHaveLength(1);
    await rig.purge();
    rig.call(0).answer(200, 'fetched');
    expect(texts(await Promise.all(early))).toEqual(['fetched', 'fetched']);
    // Purged in the air: for those who asked before, and nobody after.
    expect(rig.memory.stats().responses).toBe(0);
  });

  test('keeps it when the lease ends on the way: no purge that was complete when it came is missing', async () => {
    const rig = rigOf();
    const asked = [rig.get()];
    await rig.settle();
    asked.push(rig.get());
    await rig.settle();
    rig.log.leased = false;
    rig.call(0).answer(200, 'fetched');
    expect(texts(await Promise.all(asked))).toEqual(['fetched', 'fetched']);
    expect(rig.calls).toHaveLength(1);
  });

  test('takes what is purged where the check is taken away: the check is what prevents it', async () => {
    const rig = rigOf({ rules: { earlyPosition: true, checkedJoiner: false } });
    const leader = rig.get();
    await rig.settle();
    await rig.purge();
    const after = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'old');
    expect(texts(await Promise.all([leader, after]))).toEqual(['old', 'old']);
  });
});

describe('without a lease', () => {
  test('invariant 7: nobody joins a fetch that has been sent', async () => {
    const rig = rigOf();
    const leased = rig.get();
    await rig.settle();
    rig.log.leased = false;
    const lost = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'sent before');
    expect((await leased).text).toBe('sent before');
    await rig.settle();
    rig.call(1).answer(200, 'sent after');
    expect((await lost).text).toBe('sent after');
  });

  test('invariant 19: a burst is one call, sent when nobody has come for 2 ms', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const asked = Array.from({ length: 100 }, () => rig.get());
    await rig.pass(2);
    asked.push(rig.get());
    await rig.pass(1);
    expect(rig.calls).toHaveLength(0);
    await rig.pass(3);
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'once');
    const replies = await Promise.all(asked);
    expect(new Set(texts(replies))).toEqual(new Set(['once']));
    expect(replies.map(({ cacheStatus }) => cacheStatus).toSorted()).toEqual([
      ...Array.from({ length: 100 }, () => 'forecache; fwd=bypass; collapsed; detail=lease'),
      'forecache; fwd=bypass; detail=lease',
    ]);
    expect(rig.calls).toHaveLength(1);
  });

  test('a burst without end is sent 25 ms after its first request', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const asked = [rig.get()];
    for (let ms = 0; ms < 24; ms += 1) {
      await rig.pass(1);
      asked.push(rig.get());
    }
    expect(rig.calls).toHaveLength(0);
    await rig.pass(1);
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'once');
    expect(new Set(texts(await Promise.all(asked)))).toEqual(new Set(['once']));
  });

  test('invariant 19: at most one call runs and one waits for a key, and each answer is from after its request', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const asked: Promise<void>[] = [];
    let version = 0;
    // A request each 10 ms for a second; upstream takes 100 ms, and changes with each request.
    for (let count = 0; count < 100; count += 1) {
      const least = version;
      version += 1;
      asked.push(rig.get().then(({ text }) => expect(Number(text)).toBeGreaterThan(least)));
      await rig.pass(10, 5);
      if (count % 10 === 9) for (const call of rig.calls.slice(-1)) call.answer(200, String(version));
      await rig.settle();
    }
    await rig.settle();
    rig.calls.at(-1)?.answer(200, String(version));
    await Promise.all(asked);
    expect(rig.peak).toBe(1);
    expect(rig.calls).toHaveLength(11);
    expect(rig.memory.stats().responses).toBe(0);
  });

  test('what waits is sent with the lease that has come back meanwhile, and stored', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const running = rig.get();
    await rig.pass(2);
    const waiting = rig.get();
    await rig.settle();
    rig.log.leased = true;
    rig.call(0).answer(200, 'first');
    await rig.settle();
    rig.call(1).answer(200, 'second');
    expect(await running).toMatchObject({ text: 'first', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    expect(await waiting).toMatchObject({ text: 'second', cacheStatus: 'forecache; fwd=bypass; stored; detail=lease' });
    expect(await rig.get()).toMatchObject({ text: 'second', outcome: 'hit' });
  });

  test('the call that waits goes on although the running one ends in a bug', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const running = rig.get();
    await rig.pass(2);
    const waiting = rig.get();
    await rig.settle();
    rig.call(0).crash();
    await expect(running).rejects.toThrow('a bug');
    await rig.settle();
    rig.call(1).answer(200, 'second');
    expect((await waiting).text).toBe('second');
  });
});

describe('the position of what is stored', () => {
  test('invariant 2: is from before the request, so that what was purged on the way is not stored', async () => {
    const rig = rigOf();
    const asked = rig.get();
    await rig.settle();
    await rig.purge();
    rig.call(0).answer(200, 'old');
    expect(await asked).toMatchObject({ text: 'old', cacheStatus: 'forecache; fwd=uri-miss' });
    expect(rig.storage).toEqual(['purged']);
  });

  test('invariant 2: taken after the answer it would let what was purged on the way be stored', async () => {
    const rig = rigOf({ rules: { earlyPosition: false, checkedJoiner: true } });
    const asked = rig.get();
    await rig.settle();
    await rig.purge();
    rig.call(0).answer(200, 'old');
    expect(await asked).toMatchObject({ text: 'old', cacheStatus: 'forecache; fwd=uri-miss; stored' });
  });

  test('invariant 2: is taken after a wait for another process, right before the request', async () => {
    const locks = new ScriptedLocks({ kind: 'theirs' }, { kind: 'unshared' });
    const rig = rigOf({ locks });
    const asked = rig.get();
    await rig.settle();
    await rig.purge();
    await rig.pass(25);
    rig.call(0).answer(200, 'new');
    expect(await asked).toMatchObject({ cacheStatus: 'forecache; fwd=uri-miss; stored' });
    expect((await rig.get()).outcome).toBe('hit');
  });

  test('invariant 2: is taken anew before a conditional request, and what was purged is not asked for by one', async () => {
    const rig = rigOf({ routes: [honourRoute()] });
    const store = (): void => {
      const { freshness } = rig.stored();
      const nowMs = rig.clock.nowMs();
      const stale = { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs };
      rig.memory.put(rig.stored('/forecast', { etag: '"1"', freshness: stale }));
    };
    store();
    await rig.purge('r:other');
    const validated = rig.get();
    await rig.settle();
    expect(rig.call(0).fields).toContainEqual(['if-none-match', '"1"']);
    rig.call(0).answer(304, '', [
      ['etag', '"1"'],
      ['cache-control', 'max-age=60'],
    ]);
    expect((await validated).outcome).toBe('revalidated');
    const { key } = rig.stored();
    expect(rig.memory.peek(key)?.item.position).toEqual({ epoch: 'e', seq: 1 });
  });

  test('invariant 2: a purge during a validation makes it a whole fetch, with a position of its own', async () => {
    const rig = rigOf({ routes: [honourRoute()] });
    const { freshness, key } = rig.stored();
    const nowMs = rig.clock.nowMs();
    const stale = { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs };
    rig.memory.put(rig.stored('/forecast', { etag: '"1"', freshness: stale }));
    const asked = rig.get();
    await rig.settle();
    await rig.purge();
    rig.call(0).answer(304, '', [['cache-control', 'max-age=60']]);
    await rig.settle();
    expect(rig.call(1).fields.map(([name]) => name)).not.toContain('if-none-match');
    rig.call(1).answer(200, 'whole', [['cache-control', 'max-age=60']]);
    expect(await asked).toMatchObject({ text: 'whole', cacheStatus: 'forecache; fwd=stale; stored' });
    expect(rig.memory.peek(key)?.item.position).toEqual({ epoch: 'e', seq: 1 });
  });

  test('a route of its own key is not held up by another key’s wait', async () => {
    const rig = rigOf({ routes: [routeOf(), routeOf({}, { name: 'other', match: '/other' })] });
    rig.log.leased = false;
    const [first, second] = [rig.get(), rig.get('/other')];
    await rig.pass(2);
    expect(rig.calls).toHaveLength(2);
    rig.call(0).answer(200, 'a');
    rig.call(1).answer(200, 'b');
    expect(texts(await Promise.all([first, second])).toSorted()).toEqual(['a', 'b']);
  });
});
