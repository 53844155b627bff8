import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { createMemoryStore } from '../../src/store/memory-store.ts';
import { PurgeTable } from '../../src/store/purge-table.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import { mostLogged, scopesForLog } from '../../src/store/scope-names.ts';
import { systemClock } from '../../src/system-clock.ts';
import { joinFleet, settled, type LogMember } from '../support/purge-fleet.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import { storedResponse, varyMarker } from '../support/stored-items.ts';

const keys = redisKeys('forecache');
let redis: RedisProcess;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

const longUrl = `/p?q=${'x'.repeat(8000)}`;
const longPath = `/${'p'.repeat(8000)}`;

function named(url: string, length: number): string {
  return url.padEnd(length, 'x');
}

async function logged(): Promise<string> {
  return redis.cli('xrange', keys.log, '-', '+');
}

/** Of which memory holds what it is given, at the position of now. */
function memoryOf(member: LogMember) {
  const store = createMemoryStore({
    maxBytes: 64 * 2 ** 20,
    routeLimits: new Map(),
    purgeLog: member.log,
    clock: systemClock,
  });
  onTestFinished(() => store[Symbol.dispose]());
  const put = (key: string, url: string, tags: readonly string[] = []) =>
    store.put(storedResponse({ key, route: 'r', url, tags, position: member.position(), nowMs: Date.now() }));
  return { store, put };
}

describe('in the purge log in Redis', () => {
  test('a URL or tag of up to 256 characters stands as it is, a longer one by a digest', async () => {
    const ann = await joinFleet(redis);
    const [url, tag] = [named('/', mostLogged), named('group:', mostLogged)];
    await ann.purge(`u:${url}`, `t:${tag}`);
    expect(await logged()).toContain(JSON.stringify([`u:${url}`, `t:${tag}`]));
    await ann.purge(`u:${url}x`, `t:${tag}x`);
    expect((await logged()).split('\n').at(-1)).toMatch(/^\["U:[\w-]{22}","T:[\w-]{22}","T:[\w-]{22}"\]$/);
    await ann.purge(`u:${longUrl}`);
    expect((await logged()).split('\n').at(-1)).toMatch(/^\["U:[\w-]{22}","t:search:\/p"\]$/);
  });

  test.each([
    ['a long query', (number: number) => named(`/p?${number}=`, 8000)],
    ['a long path', (number: number) => named(`/${number}/`, 8000)],
    [
      'as long a path as stands as it is, and a query',
      (number: number) => named(`${named(`/${number}/`, 248)}?q=`, 8000),
    ],
    ['what just stands as it is', (number: number) => named(`/${number}/`, mostLogged)],
  ])('no URL makes it larger than by 400 bytes: %s', async (_what, urlOf) => {
    await redis.cli('flushall');
    // A call may take a part of the lease, and a busy machine takes its time.
    const ann = await joinFleet(redis, { config: { leaseMs: 2000 } });
    const [purges, atOnce] = [200, 20];
    for (let from = 0; from < purges; from += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, (_none, number) => ann.purge(`u:${urlOf(from + number)}`)));
    }
    expect(Number(await redis.cli('memory', 'usage', keys.log, 'samples', '0')) / purges).toBeLessThan(400);
  });

  test.each([
    ['an unsafe request', `u:${longUrl}`],
    ['a purge of several at once', 'u:/other'],
  ])('a long URL is purged in every process, and nothing else is: %s', async (_what, first) => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const of = (url: string) => ({ key: `r|#${url.length}`, route: 'r', url, tags: [], position: bob.position() });
    const [held, other] = [of(longUrl), of(`${longUrl}y`)];
    await ann.purge(first, `u:${longUrl}`);
    for (const one of [ann, bob]) {
      await settled(one);
      expect([one.log.isValid(held), one.log.isValid(other)]).toEqual([false, true]);
      expect(one.log.isValid({ ...held, position: one.position() })).toBe(true);
    }
    const late = await joinFleet(redis);
    expect(late.log.isValid(held)).toBe(false);
  });

  test.each([
    ['a short path', longUrl],
    ['a long path', longPath],
    ['a long path with a query', `${longPath}?a=1`],
  ])('so is what a rule for queries keys on its path, also where who purges knows of none: %s', async (_what, url) => {
    const [off, on] = [await joinFleet(redis), await joinFleet(redis, { searching: true })];
    const [path = ''] = url.split('?');
    const held = { key: 'r|#1', route: 'r', url: `${path}?other`, tags: [`search:${path}`], position: on.position() };
    await off.purge(`u:${url}`);
    await settled(on);
    expect(on.log.isValid(held)).toBe(false);
    expect(on.log.isValid({ ...held, tags: [`search:${path}/more`] })).toBe(true);
  });

  test('a soft purge of a long URL makes it stale in every process', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const held = { key: 'r|#1', route: 'r', url: longUrl, tags: [], position: bob.position() };
    await ann.log.append({ scopes: [`u:${longUrl}`], soft: true });
    await settled(bob);
    expect(bob.log.isValid(held)).toBe(true);
    expect(bob.log.softPurgedAtMs(held)).toBeDefined();
    expect(bob.log.softPurgedAtMs({ ...held, url: `${longUrl}y` })).toBeUndefined();
  });
});

describe('the memory of another process', () => {
  test.each(['under its own key', 'under another'])(
    'lets go of a long URL and its variants, and of nothing else: %s',
    async (how) => {
      const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
      const { store, put } = memoryOf(bob);
      const key = how === 'under another' ? 'r|#digest' : `r|${longUrl}`;
      put(key, longUrl);
      put(`${key} accept=x`, longUrl);
      for (let other = 0; other < 50; other += 1) put(`r|/${other}`, `/${other}`);
      expect(await store.count([`u:${longUrl}`])).toBe(2);
      await ann.purge(`u:${longUrl}`);
      await settled(bob);
      await expect.poll(() => store.sizes()['keys']).toBe(50);
      expect(await store.count([`u:${longUrl}`])).toBe(0);
      expect(await store.count(['r:r'])).toBe(50);
    },
  );

  test('lets go of what has a long tag', async () => {
    const [ann, bob] = [await joinFleet(redis), await joinFleet(redis)];
    const { store, put } = memoryOf(bob);
    const tag = named('group:', 700);
    put('r|/a', '/a', [tag]);
    put('r|/b', '/b', [`${tag}x`]);
    await ann.purge(`t:${tag}`);
    await settled(bob);
    await expect.poll(() => store.sizes()['keys']).toBe(1);
    expect(store.get('r|/b')).toBeDefined();
  });

  test('drops variants of a long URL with their marker', async () => {
    const ann = await joinFleet(redis);
    const { store, put } = memoryOf(ann);
    const facts = { key: `r|${longUrl}`, route: 'r', url: longUrl, position: ann.position(), nowMs: Date.now() };
    store.put(varyMarker(facts));
    put(`r|${longUrl} accept-language=de`, longUrl);
    expect(store.invalidate(`r|${longUrl}`)).toBe(true);
    expect(store.sizes()['keys']).toBe(0);
    expect(store.sizes()).toMatchObject({ keys: 0, urls: 0, routes: 0, tags: 0 });
  });
});

function run(scopes: readonly string[], searching: boolean): PurgeTable {
  const table = new PurgeTable({ searching });
  table.apply({ scopes, soft: false, seq: 1, atMs: 0 });
  return table;
}

test('what stands in the log covers what the scopes cover, and all of what they do in a process that keys by rules', () => {
  const part = fc.constantFrom('/a', '/b', '?x', '&y', 'z'.repeat(mostLogged), 'z');
  const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => `/${parts.join('')}`);
  const scope = fc.tuple(fc.constantFrom('u', 't', 'k', 'p', 'r'), name).map(([kind, of]) => `${kind}:${of}`);
  const item = fc.record({ key: name, route: name, url: name, tag: name });
  fc.assert(
    fc.property(fc.array(scope, { minLength: 1, maxLength: 4 }), item, fc.boolean(), (scopes, made, searching) => {
      const { tag, ...rest } = made;
      const path = rest.url.split('?')[0] ?? '';
      const items = [[tag], [tag, `search:${path}`]].map((tags) => ({
        ...rest,
        tags,
        position: { epoch: '', seq: 0 },
      }));
      for (const one of items) {
        const asked = run(scopes, searching).isPurged(one);
        const read = run(scopesForLog(scopes), searching).isPurged(one);
        // What brings a rule is purged with its path by who knows of none too.
        const isWider = !searching && one.tags.length > 1;
        expect([asked, isWider]).toContainEqual(read);
        expect(read || !asked).toBe(true);
      }
    }),
    { numRuns: 2000 },
  );
});
