import { describe, expect, it, onTestFinished } from 'vitest';

import type { ClientLink } from '../../src/cache/handled.ts';
import type { CachePolicy } from '../../src/core/route.ts';
import type { MemoryStore } from '../../src/store/memory-store.ts';
import { ExchangeRig, lateStore } from '../support/exchange-rig.ts';
import { fieldsOf, HOUR, MINUTE, routeOf } from '../support/policy.ts';

const SOFT = 200;
const policy = { ttlMs: HOUR, staleIfErrorMs: HOUR, softTimeoutMs: SOFT };

/** With a response that has been stale for a minute. */
async function staleRig(more: Partial<CachePolicy> = {}): Promise<ExchangeRig> {
  const rig = new ExchangeRig({ routes: [routeOf({ ...policy, ...more })] });
  onTestFinished(() => rig[Symbol.dispose]());
  const first = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'old');
  await first;
  await rig.pass(HOUR + MINUTE, HOUR + MINUTE);
  return rig;
}

/** A client whose answer is over when the test says so. */
class Leaving implements ClientLink {
  isOver = false;
  readonly #callbacks: (() => void)[] = [];

  interim(): void {
    // It hears none.
  }

  whenOver(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  whenGone(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  leave(): void {
    this.isOver = true;
    for (const callback of this.#callbacks) callback();
  }
}

/** Whether the answer is there, without waiting for it. */
async function isThere(rig: ExchangeRig, answer: Promise<unknown>): Promise<boolean> {
  let there = false;
  void answer.then(() => (there = true));
  await rig.settle();
  return there;
}

describe('softTimeout', () => {
  it('gives the stale response where upstream has not answered in time, and goes on behind', async () => {
    const rig = await staleRig();
    const asked = rig.get();
    await rig.pass(SOFT - 1, SOFT - 1);
    expect(await isThere(rig, asked)).toBe(false);
    await rig.pass(1);
    const seen = await asked;
    expect([seen.text, seen.outcome, seen.fwd]).toEqual(['old', 'stale', 'stale']);
    expect(seen.cacheStatus).toBe('forecache; fwd=stale; ttl=-61; detail=soft-timeout');
    rig.call(1).answer(200, 'new');
    await rig.settle();
    const next = await rig.get();
    expect([next.text, next.outcome]).toEqual(['new', 'hit']);
    expect(rig.calls).toHaveLength(2);
  });

  it('counts for nothing where upstream answers before', async () => {
    const rig = await staleRig();
    const pending = rig.clock.pending;
    const asked = rig.get();
    await rig.pass(SOFT - 1, SOFT - 1);
    expect(rig.clock.pending).toBe(pending + 1);
    rig.call(1).answer(200, 'new');
    const seen = await asked;
    expect([seen.text, seen.outcome]).toEqual(['new', 'miss']);
    expect(rig.clock.pending).toBe(pending);
  });

  it('counts for each request from when it came, and all of them make one call', async () => {
    const rig = await staleRig();
    const first = rig.get();
    await rig.pass(150, 150);
    const second = rig.get();
    await rig.pass(50, 50);
    expect((await first).text).toBe('old');
    expect(await isThere(rig, second)).toBe(false);
    const third = rig.get();
    await rig.pass(150, 150);
    expect((await second).cacheStatus).toContain('detail=soft-timeout');
    rig.call(1).answer(200, 'new');
    const seen = await third;
    expect([seen.text, seen.outcome]).toEqual(['new', 'collapsed']);
    expect(rig.calls).toHaveLength(2);
  });

  it('counts from when the request came, though its look-up took time', async () => {
    const gates: (() => void)[] = [];
    const between = (memory: MemoryStore) => lateStore(memory, gates);
    const rig = new ExchangeRig({ routes: [routeOf(policy)], between });
    onTestFinished(() => rig[Symbol.dispose]());
    rig.memory.put(rig.stored());
    await rig.pass(HOUR + MINUTE, HOUR + MINUTE);
    const asked = rig.get();
    await rig.pass(SOFT - 50, SOFT - 50);
    for (const open of gates.splice(0)) open();
    await rig.pass(49, 49);
    expect(await isThere(rig, asked)).toBe(false);
    await rig.pass(1);
    expect((await asked).cacheStatus).toContain('detail=soft-timeout');
  });

  it('never serves what was purged meanwhile', async () => {
    const rig = await staleRig();
    const asked = rig.get();
    await rig.pass(SOFT - 1, SOFT - 1);
    await rig.purge();
    await rig.pass(10 * SOFT, SOFT);
    expect(await isThere(rig, asked)).toBe(false);
    rig.call(1).answer(200, 'new');
    expect((await asked).text).toBe('new');
  });

  it('never serves anything once the lease is lost', async () => {
    const rig = await staleRig();
    const asked = rig.get();
    await rig.settle();
    rig.log.leased = false;
    await rig.pass(10 * SOFT, SOFT);
    expect(await isThere(rig, asked)).toBe(false);
    rig.call(1).answer(200, 'new');
    expect((await asked).text).toBe('new');
  });

  it('waits where what is stored is too old to be served stale, and where nothing is stored', async () => {
    const rig = await staleRig({ staleIfErrorMs: 30_000, keepForValidationMs: HOUR });
    const asked = rig.get();
    await rig.pass(10 * SOFT, SOFT);
    expect(await isThere(rig, asked)).toBe(false);
    rig.call(1).answer(200, 'new');
    expect((await asked).text).toBe('new');
    await rig.purge();
    const missed = rig.get();
    await rig.pass(10 * SOFT, SOFT);
    expect(await isThere(rig, missed)).toBe(false);
    rig.call(2).answer(200, 'newer');
    expect((await missed).text).toBe('newer');
  });

  it('holds for requests that go upstream side by side as well', async () => {
    const rig = await staleRig({ maxStoredBytes: 3 });
    const first = rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'too large');
    expect((await first).text).toBe('too large');
    const asked = [rig.get(), rig.get()];
    await rig.settle();
    expect(rig.calls).toHaveLength(4);
    await rig.pass(SOFT, SOFT);
    for (const seen of await Promise.all(asked)) expect(seen.cacheStatus).toContain('detail=soft-timeout');
    const before = rig.cancelled;
    rig.call(2).answer(200, 'too large');
    rig.call(3).answer(200, 'too large');
    await rig.settle();
    // Nobody reads them any more: the connections are let go.
    expect(rig.cancelled).toBe(before + 2);
  });

  it('leaves a call wanted though all who waited for it have been answered', async () => {
    const rig = await staleRig();
    const clients = [new Leaving(), new Leaving()];
    const asked = clients.map((client) => rig.ask({ client }));
    await rig.pass(SOFT, SOFT);
    for (const seen of await Promise.all(asked)) expect(seen.text).toBe('old');
    for (const client of clients) client.leave();
    expect(rig.call(1).isWanted?.()).toBe(true);
  });

  it('leaves a call that nobody shares wanted, and does not end it, though its client has been answered', async () => {
    const rig = await staleRig({ maxStoredBytes: 3 });
    const first = rig.get();
    await rig.settle();
    rig.call(1).answer(200, 'too large');
    await first;
    const client = new Leaving();
    const asked = rig.ask({ client });
    await rig.settle();
    let ended = 0;
    rig.call(2).whenGone?.(() => (ended += 1));
    await rig.pass(SOFT, SOFT);
    expect((await asked).text).toBe('old');
    client.leave();
    expect([rig.call(2).isWanted?.(), ended]).toEqual([true, 0]);
  });

  it('lets a call that ends in a timeout be known, so that the next are not kept waiting', async () => {
    const rig = await staleRig();
    const asked = rig.get();
    await rig.pass(SOFT, SOFT);
    await asked;
    rig.call(1).fail('timeout');
    await rig.settle();
    const seen = await rig.get();
    expect([seen.text, seen.outcome]).toEqual(['old', 'stale-error']);
  });

  it('is not for a request that wants a validated answer', async () => {
    const rig = await staleRig({ clientCacheControl: 'honour' });
    const asked = rig.get('/forecast', 'cache-control: no-cache');
    await rig.pass(10 * SOFT, SOFT);
    expect(await isThere(rig, asked)).toBe(false);
    rig.call(1).answer(200, 'new', fieldsOf('x-own: 1'));
    expect((await asked).text).toBe('new');
  });
});
