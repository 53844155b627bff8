import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PurgeLog, PurgeRequest, ResponseStore } from '../../src/cache/ports.ts';
import type { Position } from '../../src/core/stored-response.ts';
import type { ItemTraits } from '../support/stored-items.ts';
import type { FakeClock } from '../support/clock.ts';
import { ownBytes, storedResponse, varyMarker } from '../support/stored-items.ts';

/** A store and the log that judges it; both empty. */
export interface StoreUnderTest {
  readonly store: ResponseStore;
  readonly purgeLog: PurgeLog;
  readonly clock: FakeClock;
  close(): Promise<void>;
}

/** What the exchange and operators rely on in every tier. Everything is awaited, so that a tier may answer with promises. */
export function responseStoreContract(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a ResponseStore`, () => {
    let made: StoreUnderTest;
    let store: ResponseStore;
    let purgeLog: PurgeLog;
    let clock: FakeClock;

    beforeEach(async () => {
      made = await makeStore();
      ({ store, purgeLog, clock } = made);
    });

    afterEach(async () => {
      await made.close();
    });

    function position(): Position {
      const taken = purgeLog.position();
      if (taken === undefined) throw new Error('the log under test has no position');
      return taken;
    }

    function response(traits: Partial<ItemTraits> = {}) {
      return storedResponse({ position: position(), nowMs: clock.nowMs(), ...traits });
    }

    function marker(traits: Partial<ItemTraits> = {}) {
      return varyMarker({ position: position(), nowMs: clock.nowMs(), ...traits });
    }

    const append = async (request: PurgeRequest) => {
      const receipt = await purgeLog.append(request);
      if (!receipt.ok) throw new Error(receipt.error.detail);
      return receipt.value;
    };
    const hard = async (...scopes: readonly string[]) => append({ scopes, soft: false });
    const soft = async (...scopes: readonly string[]) => append({ scopes, soft: true });

    describe('reading what was stored', () => {
      test('a key that was never stored gives nothing', async () => {
        expect(await store.get('weather-forecast|/none')).toBeUndefined();
        expect(await store.peek('weather-forecast|/none')).toBeUndefined();
      });

      test('what was put comes back with all its parts, and names its tier', async () => {
        const item = response({ tags: ['location:berlin', 'route:weather-forecast'] });
        expect(await store.put(item)).toBe('stored');
        const read = await store.get(item.key);
        expect(read).toMatchObject({ item, staleSinceMs: undefined, tier: store.tier, tally: { hits: 0 } });
      });

      test('bytes of any value come back as they were', async () => {
        const body = Buffer.alloc(256 * 3);
        for (let index = 0; index < body.length; index += 1) body[index] = index % 256;
        const item = response({ body });
        await store.put(item);
        const read = await store.get(item.key);
        expect(read?.item.kind === 'response' && read.item.body.equals(body)).toBe(true);
      });

      test('an empty body is a body', async () => {
        const item = response({ body: Buffer.alloc(0) });
        await store.put(item);
        const read = await store.get(item.key);
        expect(read?.item.kind === 'response' && read.item.body.byteLength).toBe(0);
      });

      test('a view into a larger chunk is stored by value: later changes of the chunk do not reach it', async () => {
        const chunk = Buffer.alloc(65_536, 'x');
        chunk.write('{"a":1}', 100);
        const item = response({ body: chunk.subarray(100, 107) });
        await store.put(item);
        chunk.fill('y');
        const read = await store.get(item.key);
        expect(read?.item.kind === 'response' && read.item.body.toString()).toBe('{"a":1}');
      });

      test('field lines keep their order and their repetitions', async () => {
        const fields = [
          ['link', '<a>'],
          ['etag', '"1"'],
          ['link', '<b>'],
        ] as const;
        const item = response({ fields });
        await store.put(item);
        expect((await store.get(item.key))?.item).toMatchObject({ fields });
      });

      test('a second put under a key replaces the first', async () => {
        const first = response({ body: ownBytes('first') });
        const second = response({ body: ownBytes('second'), tags: ['location:paris'] });
        await store.put(first);
        expect(await store.put(second)).toBe('stored');
        expect((await store.get(first.key))?.item).toEqual(second);
      });

      test('what was asked for earlier does not replace what was asked for later', async () => {
        const later = response({ body: ownBytes('later') });
        const earlier = { ...later, body: ownBytes('earlier'), requestTimeMs: later.requestTimeMs - 1 };
        await store.put(later);
        expect(await store.put(earlier)).toBe('outdated');
        expect((await store.get(later.key))?.item).toEqual(later);
      });

      test('what is stored from the future, before the clock was set back, is replaced', async () => {
        const future = response({ body: ownBytes('future') });
        const ahead = { ...future, requestTimeMs: clock.nowMs() + 1 };
        await store.put(ahead);
        expect(await store.put(future)).toBe('stored');
        expect((await store.get(future.key))?.item).toEqual(future);
      });

      test('keys that differ only in case or in one escape are different', async () => {
        await store.put(response({ key: 'r|/a%2Fb' }));
        expect(await store.get('r|/a%2fb')).toBeUndefined();
        expect(await store.get('r|/a/b')).toBeUndefined();
      });

      test('keys that are names of object members are keys like others', async () => {
        expect(await store.get('__proto__')).toBeUndefined();
        expect(await store.get('constructor')).toBeUndefined();
        await store.put(response({ key: '__proto__', url: 'constructor', tags: ['__proto__'] }));
        expect((await store.get('__proto__'))?.item.key).toBe('__proto__');
        await hard('t:__proto__');
        expect(await store.get('__proto__')).toBeUndefined();
      });

      test('a Vary marker comes back as one', async () => {
        const item = marker();
        await store.put(item);
        expect((await store.get(item.key))?.item).toEqual(item);
      });

      test('a response takes no marker’s place: it hides the variants that this leads to', async () => {
        const item = marker({ key: 'r|/a', url: '/a' });
        await store.put(item);
        expect(await store.put(response({ key: 'r|/a', url: '/a' }))).toBe('outdated');
        expect((await store.get(item.key))?.item).toEqual(item);
      });

      test('a response takes the place of a marker that a purge covers, or that is past its retention', async () => {
        await store.put(marker({ key: 'r|/a', url: '/a' }));
        await store.put(marker({ key: 'r|/b', url: '/b', retainMs: 100 }));
        await hard('u:/a');
        clock.advance(100);
        for (const url of ['/a', '/b']) {
          const item = response({ key: `r|${url}`, url });
          expect(await store.put(item)).toBe('stored');
          expect((await store.get(item.key))?.item).toEqual(item);
        }
      });

      test('an item larger than the tier is refused', async () => {
        const item = response({ body: Buffer.alloc(64 * 1024 * 1024) });
        expect(await store.put(item)).toBe('too-large');
        expect(await store.get(item.key)).toBeUndefined();
      });
    });

    describe('retention', () => {
      test('a response is there until the millisecond before its retention ends, and not at its end', async () => {
        const item = response({ retainMs: 60_000 });
        await store.put(item);
        clock.advance(59_999);
        expect(await store.get(item.key)).toBeDefined();
        expect(await store.peek(item.key)).toBeDefined();
        clock.advance(1);
        expect(await store.peek(item.key)).toBeUndefined();
        expect(await store.get(item.key)).toBeUndefined();
      });

      test('a marker past its retention is gone too', async () => {
        const item = marker({ retainMs: 1000 });
        await store.put(item);
        clock.advance(1000);
        expect(await store.get(item.key)).toBeUndefined();
      });

      test('a response is kept past its freshness', async () => {
        const item = response({ retainMs: 86_400_000 });
        await store.put(item);
        clock.advance(item.freshness.freshUntilMs - clock.nowMs() + 1);
        expect(await store.get(item.key)).toBeDefined();
      });
    });

    describe('hard purge', () => {
      const traits = {
        key: 'event-search|/v2/search?location=lima|accept-language=de',
        route: 'event-search',
        url: '/events/search?location=lima',
        tags: ['location:lima', 'route:event-search', 'upstream:events'],
      };

      test.each([
        ['everything', 'all'],
        ['its route', 'r:event-search'],
        ['its key', 'k:event-search|/v2/search?location=lima|accept-language=de'],
        ['its URL', 'u:/events/search?location=lima'],
        ['one of its tags', 't:location:lima'],
        ['its last tag', 't:upstream:events'],
        ['a prefix of its URL', 'p:/events/'],
        ['the prefix that is its whole URL', 'p:/events/search?location=lima'],
        ['the empty prefix', 'p:'],
      ])('of %s takes effect at once', async (_, scope) => {
        const item = response(traits);
        await store.put(item);
        const receipt = await hard(scope);
        expect(receipt).toMatchObject({ complete: true, missing: [] });
        expect(await store.get(item.key)).toBeUndefined();
        expect(await store.peek(item.key)).toBeUndefined();
      });

      test.each([
        ['another route', 'r:event'],
        ['another key', 'k:event-search|/v2/search?location=lima'],
        ['another URL', 'u:/events/search?location=lima%20sur'],
        ['a tag that only starts alike', 't:location:lim'],
        ['a longer tag', 't:location:lima sur'],
        ['a longer prefix', 'p:/events/search?location=lima%20sur'],
        ['another prefix', 'p:/event/'],
        ['a tag that is its route', 't:event-search'],
      ])('of %s leaves it', async (_, scope) => {
        const item = response(traits);
        await store.put(item);
        await hard(scope);
        expect((await store.get(item.key))?.item).toEqual(item);
        expect((await store.get(item.key))?.staleSinceMs).toBeUndefined();
      });

      test('a response whose fetch began before the purge is refused, and what began after it is stored', async () => {
        const early = response(traits);
        await hard('t:location:lima');
        expect(await store.put(early)).toBe('purged');
        expect(await store.get(early.key)).toBeUndefined();
        const late = response(traits);
        expect(await store.put(late)).toBe('stored');
        expect((await store.get(late.key))?.item).toEqual(late);
      });

      test('a fetch that began before an unrelated purge is stored', async () => {
        const early = response(traits);
        await hard('t:location:berlin');
        expect(await store.put(early)).toBe('stored');
        expect(await store.get(early.key)).toBeDefined();
      });

      test('one of several scopes is enough', async () => {
        const item = response(traits);
        await store.put(item);
        await hard('t:location:paris', 't:location:lima');
        expect(await store.get(item.key)).toBeUndefined();
      });

      test('invariant 15: by URL covers the marker and all variants', async () => {
        await store.put(marker({ key: 'r|/a', url: '/a' }));
        await store.put(response({ key: 'r|/a|v:de', url: '/a' }));
        await store.put(response({ key: 'r|/a|v:en', url: '/a' }));
        await hard('u:/a');
        expect(await store.get('r|/a')).toBeUndefined();
        expect(await store.get('r|/a|v:de')).toBeUndefined();
        expect(await store.get('r|/a|v:en')).toBeUndefined();
      });

      test('invariant 15: by prefix covers exactly the URLs that begin with it', async () => {
        const urls = ['/a', '/a/b', '/a/b?c=1', '/a/bc', '/A/b', '/a%2Fb', '/ab', '/', '/a/b/c'];
        for (const url of urls) await store.put(response({ key: `r|${url}`, url }));
        await hard('p:/a/b');
        const left: string[] = [];
        for (const url of urls) if ((await store.get(`r|${url}`)) !== undefined) left.push(url);
        expect(left).toEqual(urls.filter((url) => !url.startsWith('/a/b')));
      });

      test('by the key that varies covers the marker and all variants, by that of a variant the one', async () => {
        const put = async () => {
          await store.put(marker({ key: 'r|/a', url: '/a' }));
          await store.put(response({ key: 'r|/a accept-language=de', url: '/a' }));
          await store.put(response({ key: 'r|/a accept-language=en', url: '/a' }));
          await store.put(response({ key: 'r|/ab accept-language=en', url: '/ab' }));
        };
        await put();
        await hard('k:r|/a accept-language=de');
        expect(await store.get('r|/a accept-language=de')).toBeUndefined();
        expect(await store.get('r|/a accept-language=en')).toBeDefined();
        await put();
        await hard('k:r|/a');
        await store.put(marker({ key: 'r|/a', url: '/a' }));
        expect(await store.get('r|/a')).toBeDefined();
        expect(await store.get('r|/a accept-language=de')).toBeUndefined();
        expect(await store.get('r|/a accept-language=en')).toBeUndefined();
        expect(await store.get('r|/ab accept-language=en')).toBeDefined();
      });

      test('does not bring back what it removed when time goes on', async () => {
        const item = response(traits);
        await store.put(item);
        await hard('all');
        clock.advance(3_600_000);
        expect(await store.get(item.key)).toBeUndefined();
        expect(await store.put(item)).toBe('purged');
      });

      test('the log itself judges items as the store does', async () => {
        const early = response(traits);
        expect(purgeLog.isValid(early)).toBe(true);
        await hard('t:location:lima');
        expect(purgeLog.isValid(early)).toBe(false);
        expect(purgeLog.isValid(response(traits))).toBe(true);
        expect(purgeLog.isValid({ ...early, tags: [] })).toBe(true);
      });

      test('a position of another epoch is valid never', async () => {
        const foreign = response({ position: { epoch: 'somebody-else', seq: 1_000_000 } });
        expect(purgeLog.isValid(foreign)).toBe(false);
        expect(await store.put(foreign)).toBe('purged');
      });

      test('receipts have different ids', async () => {
        expect((await hard('all')).id).not.toBe((await hard('all')).id);
      });
    });

    describe('soft purge', () => {
      test('keeps the response and says since when it is stale', async () => {
        const item = response();
        await store.put(item);
        expect((await store.get(item.key))?.staleSinceMs).toBeUndefined();
        clock.advance(5000);
        const purgedMs = clock.nowMs();
        await soft('r:weather-forecast');
        clock.advance(7000);
        expect(await store.get(item.key)).toMatchObject({ item, staleSinceMs: purgedMs, tier: store.tier });
        expect(purgeLog.softPurgedAtMs(item)).toBe(purgedMs);
      });

      test('still says so after its rows have been looked through', async () => {
        const item = response();
        await store.put(item);
        const purgedMs = clock.nowMs();
        await soft('p:/v1/');
        clock.advance(3_600_000);
        expect((await store.peek(item.key))?.staleSinceMs).toBe(purgedMs);
      });

      test('is over for what was fetched after it', async () => {
        await store.put(response());
        await soft('all');
        const again = response();
        await store.put(again);
        expect((await store.get(again.key))?.staleSinceMs).toBeUndefined();
      });

      test('makes stale what was being fetched when it came', async () => {
        const early = response();
        await soft('all');
        expect(await store.put(early)).toBe('stored');
        expect((await store.get(early.key))?.staleSinceMs).toBe(clock.nowMs());
      });

      test('leaves other items fresh', async () => {
        const item = response({ tags: ['location:berlin'] });
        await store.put(item);
        await soft('t:location:paris');
        expect((await store.get(item.key))?.staleSinceMs).toBeUndefined();
      });

      test('a hard purge takes what a soft one left', async () => {
        const item = response();
        await store.put(item);
        await soft('all');
        await hard(`k:${item.key}`);
        expect(await store.get(item.key)).toBeUndefined();
      });

      test('a soft purge does not bring back what a hard one took', async () => {
        const item = response();
        await store.put(item);
        await hard('all');
        await soft('all');
        expect(await store.get(item.key)).toBeUndefined();
        expect(await store.put(item)).toBe('purged');
      });
    });

    describe('invalidation by an unsafe method', () => {
      test('drops the one item and says whether there was one', async () => {
        const berlin = response({ key: 'r|/berlin' });
        const paris = response({ key: 'r|/paris' });
        await store.put(berlin);
        await store.put(paris);
        expect(await store.invalidate(berlin.key)).toBe(true);
        expect(await store.get(berlin.key)).toBeUndefined();
        expect(await store.get(paris.key)).toBeDefined();
        expect(await store.invalidate(berlin.key)).toBe(false);
      });

      test('of a marker takes its variants along', async () => {
        await store.put(marker({ key: 'r|/a', url: '/a' }));
        await store.put(response({ key: 'r|/a|v:de', url: '/a' }));
        await store.put(response({ key: 'r|/a|v:en', url: '/a' }));
        await store.put(response({ key: 'r|/b', url: '/b' }));
        expect(await store.invalidate('r|/a')).toBe(true);
        expect(await store.get('r|/a')).toBeUndefined();
        expect(await store.get('r|/a|v:de')).toBeUndefined();
        expect(await store.get('r|/a|v:en')).toBeUndefined();
        expect(await store.get('r|/b')).toBeDefined();
      });

      test('is no purge: the next answer is stored whenever its fetch began', async () => {
        const item = response();
        await store.put(item);
        await store.invalidate(item.key);
        expect(await store.put(item)).toBe('stored');
      });
    });
  });
}
