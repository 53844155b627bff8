import { isDeepStrictEqual } from 'node:util';

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StoreRead } from '../../src/cache/ports.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import type { MemoryStore } from '../../src/store/memory-store.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { storedResponse } from '../support/stored-items.ts';

/** A body that tells which put it is of, so that bytes of another are seen. */
function bodyOf(put: number, bytes: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 1) body[at] = (put * 31 + at) % 251;
  return body;
}

interface Handed {
  readonly read: StoreRead;
  readonly item: StoredResponse;
}

const step = fc.oneof(
  { weight: 60, arbitrary: fc.record({ do: fc.constant('put' as const), key: fc.nat(400), bytes: fc.nat(900) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      key: fc.nat(400),
      bytes: fc.integer({ min: 2000, max: 9000 }),
    }),
  },
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constantFrom('get' as const, 'peek' as const),
      key: fc.nat(400),
      bytes: fc.constant(0),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('invalidate' as const, 'tick' as const),
      key: fc.nat(400),
      bytes: fc.constant(0),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('purge tag' as const, 'purge all' as const),
      key: fc.nat(400),
      bytes: fc.constant(0),
    }),
  },
);

type What = 'put' | 'get' | 'peek' | 'invalidate' | 'tick' | 'purge tag' | 'purge all';

/** A store beside a Map, with all that it ever gave. */
class PackingTrial {
  readonly disagreements: string[] = [];
  readonly #maxBytes: number;
  readonly #clock = new FakeClock();
  readonly #log = createLocalPurgeLog({ clock: this.#clock, instanceId: 'packing' });
  readonly #store: MemoryStore;
  readonly #model = new Map<string, StoredResponse>();
  readonly #handed: Handed[] = [];
  #puts = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#store = createMemoryStore({ maxBytes, routeLimits: new Map(), purgeLog: this.#log, clock: this.#clock });
  }

  async run(what: What, number: number, bytes: number): Promise<void> {
    const key = `r|/${number}`;
    switch (what) {
      case 'put':
        this.#put(key, number, bytes);
        break;
      case 'get':
      case 'peek':
        this.#read(key, what);
        break;
      case 'invalidate':
        this.#store.invalidate(key);
        this.#model.delete(key);
        break;
      case 'tick':
        this.#clock.advance(5);
        break;
      case 'purge tag':
      case 'purge all':
        await this.#purge(what === 'purge all' ? 'all' : `t:t:${number % 5}`);
        break;
    }
    this.#check(this.#store.stats().bytes <= this.#maxBytes, 'more is taken than allowed');
  }

  end(): void {
    for (const { item } of this.#store.list({ limit: 1000 })) this.#same(item, this.#model.get(item.key));
    for (const { read, item } of this.#handed) this.#same(read.item, item);
    this.#store[Symbol.dispose]();
    for (const { read, item } of this.#handed) this.#same(read.item, item);
    this.#check(this.#store.stats().bytes === 0, 'something is kept of a closed tier');
  }

  #put(key: string, number: number, bytes: number): void {
    this.#puts += 1;
    const traits = { position: this.#log.position(), nowMs: this.#clock.nowMs(), body: bodyOf(this.#puts, bytes) };
    const item = storedResponse({ ...traits, key, tags: [`t:${number % 5}`, 'all of them'] });
    this.#check(this.#store.put(item) === 'stored', `${key} was refused`);
    this.#model.set(key, item);
  }

  /** It may have been evicted; what there is, is what was put last. */
  #read(key: string, how: 'get' | 'peek'): void {
    const read = this.#store[how](key);
    const item = this.#model.get(key);
    if (read === undefined) return;
    this.#same(read.item, item);
    if (item !== undefined) this.#handed.push({ read, item });
  }

  async #purge(scope: string): Promise<void> {
    await this.#log.append({ scopes: [scope], soft: false });
    for (const [key, item] of this.#model) if (!this.#log.isValid(item)) this.#model.delete(key);
  }

  #same(given: unknown, put: StoredResponse | undefined): void {
    this.#check(isDeepStrictEqual(given, put), `${put?.key} is not what was put`);
  }

  #check(holds: boolean, sentence: string): void {
    if (!holds) this.disagreements.push(sentence);
  }
}

test.each([
  ['of which most goes into pages of 1 KiB', 40_000],
  ['of pages of 4 KiB', 270_000],
])('a tier %s gives what was put, and what it gave stays as it was', async (_what, maxBytes) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 300, maxLength: 1500, size: 'max' }), async (steps) => {
      const trial = new PackingTrial(maxBytes);
      for (const { do: what, key, bytes } of steps) await trial.run(what, key, bytes);
      trial.end();
      expect(trial.disagreements).toEqual([]);
    }),
    { numRuns: 25, seed: 20_261_126, endOnFailure: true },
  );
});

test('what a flood leaves in sparse pages is moved together: most of the tier holds responses', () => {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'packing' });
  const store = createMemoryStore({ maxBytes: 4_000_000, routeLimits: new Map(), purgeLog, clock });
  const putOne = (key: string, put: number) =>
    store.put(
      storedResponse({ key, position: purgeLog.position(), nowMs: clock.nowMs(), body: bodyOf(put, put % 1500) }),
    );
  for (let index = 0; index < 30_000; index += 1) {
    putOne(`r|/${index}`, index);
    // Some are used, so that holes are left between what goes and what stays.
    if (index % 7 === 0) for (let uses = 0; uses < 3; uses += 1) store.get(`r|/${index}`);
  }
  const { bytes, responses } = store.stats();
  const held = store.list({ limit: responses }).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(bytes).toBeLessThanOrEqual(4_000_000);
  expect(held / 4_000_000).toBeGreaterThan(0.7);
});

/** How many responses of 1 KB a tier holds that was flooded with so many empty ones before, and how many of those it held. */
function filledAfterFlood(empty: number) {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'packing' });
  const store = createMemoryStore({ maxBytes: 8_000_000, routeLimits: new Map(), purgeLog, clock });
  const traits = { position: purgeLog.position(), nowMs: clock.nowMs(), fields: [] };
  for (let index = 0; index < empty; index += 1) {
    store.put(storedResponse({ ...traits, tags: [`of:${index}`], key: `r|/${index}`, body: bodyOf(0, 0) }));
    // Some are in use and stay for long, wherever in the flood they came.
    if (index % 10_000 === 0) for (let uses = 0; uses < 3; uses += 1) store.get(`r|/${index}`);
  }
  const held = store.stats().responses;
  let mostBytes = 0;
  for (let index = 0; index < 30_000; index += 1) {
    store.put(storedResponse({ ...traits, tags: [], key: `then|/${index}`, body: bodyOf(1, 1000) }));
    mostBytes = Math.max(mostBytes, store.stats().bytes);
  }
  return { held, left: store.stats().responses, mostBytes };
}

test('after a flood of empty responses there is nearly as much room for others as before it', () => {
  const { left: usual } = filledAfterFlood(0);
  const { held, left, mostBytes } = filledAfterFlood(60_000);
  expect(held).toBeGreaterThan(3 * usual);
  expect(left).toBeGreaterThan(0.8 * usual);
  expect(mostBytes).toBeLessThanOrEqual(8_000_000);
});

test('memory of what a purge covered is given back behind it', async () => {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'packing' });
  const store = createMemoryStore({ maxBytes: 64_000_000, routeLimits: new Map(), purgeLog, clock });
  const traits = { position: purgeLog.position(), nowMs: clock.nowMs(), body: bodyOf(1, 1000) };
  for (let index = 0; index < 10_000; index += 1) {
    store.put(storedResponse({ ...traits, key: `r|/${index}`, tags: [index % 10 === 0 ? 'kept' : 'gone'] }));
  }
  const full = store.stats().bytes;
  await purgeLog.append({ scopes: ['t:gone'], soft: false });
  clock.advance(1000);
  expect(store.stats().responses).toBe(1000);
  expect(store.stats().bytes).toBeLessThan(full / 2);
});
