import { expect, test } from 'vitest';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { Dice } from '../support/spellings.ts';
import { storedResponse, varyMarker } from '../support/stored-items.ts';

function begin() {
  const clock = new FakeClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'epoch' });
  const store = createMemoryStore({ maxBytes: 1_000_000, routeLimits: new Map(), purgeLog, clock });
  const put = (route: string, key: string, url: string) =>
    store.put(storedResponse({ position: purgeLog.position(), nowMs: clock.nowMs(), route, key, url, tags: [] }));
  return { clock, purgeLog, store, put };
}

test('a URL covers what its key tells and what is under other keys, of every route, and nothing else', async () => {
  const { clock, purgeLog, store, put } = begin();
  const covered = ['a|/x', 'b|/x', 'a|/x accept=text/html', 'a|#digest', 'b|/x|field=1'];
  for (const key of covered) put(key.slice(0, 1), key, '/x');
  put('a', 'a|/x?y', '/x?y');
  put('a', 'a|/', '/');
  store.put(varyMarker({ position: purgeLog.position(), nowMs: clock.nowMs(), route: 'c', key: 'c|/x', url: '/x' }));

  expect(await store.count(['u:/x'])).toBe(5);
  expect(await store.count(['u:/x', 'u:/'])).toBe(6);
  expect(await store.count(['u:/none'])).toBe(0);

  await purgeLog.append({ scopes: ['u:/x'], soft: false });
  clock.advance(1000);
  expect(covered.filter((key) => store.get(key) !== undefined)).toEqual([]);
  expect([store.get('a|/x?y'), store.get('a|/'), store.get('c|/x')].map((read) => read !== undefined)).toEqual([
    true,
    true,
    false,
  ]);
  expect(store.sizes()).toMatchObject({ keys: 2, urls: 0 });
});

test('a key that another route and URL would also have counts for its own URL alone', async () => {
  const { purgeLog, store, put } = begin();
  put('a|/x', 'a|/x|/y', '/y');
  put('a', 'a|/z', '/z');

  expect(await store.count(['u:/x|/y'])).toBe(0);
  expect(await store.count(['u:/y'])).toBe(1);

  await purgeLog.append({ scopes: ['u:/x|/y'], soft: false });
  expect(store.get('a|/x|/y')).toBeDefined();
});

test('with 500 routes a URL covers what each of them has stored of it, whatever else came and went, and nothing else', async () => {
  const { clock, purgeLog, store, put } = begin();
  const dice = new Dice(26);
  // Some share all paths, some have a host, some a path of their own, so that what URLs of a route begin with differs in all ways.
  const urlOf = (route: number): string => {
    const path = ['/v1/forecast', `/v1/${route % 40}`, `//host${route % 7}/v1`, `/r${route}`][route % 4] ?? '/';
    return `${path}${dice.pick(['', '/x', '?a=1', '/é'])}`;
  };
  const stored = new Map<string, string>();
  for (let times = 0; times < 6000; times += 1) {
    const route = dice.roll(500);
    const url = urlOf(route);
    const key = `r${route}|${url}${dice.roll(10) === 0 ? ' accept=text/html' : ''}`;
    if (dice.roll(4) === 0) {
      if (store.invalidate(key)) stored.delete(key);
    } else {
      put(`r${route}`, key, url);
      stored.set(key, url);
    }
    if (times % 20 !== 0) continue;
    const [purged = ''] = times % 100 === 0 ? [urlOf(dice.roll(500))] : stored.values();
    const covered = [...stored].filter(([, one]) => one === purged).map(([name]) => name);
    expect(await store.count([`u:${purged}`])).toBe(covered.length);
    await purgeLog.append({ scopes: [`u:${purged}`], soft: false });
    for (const name of covered) stored.delete(name);
    expect(covered.filter((name) => store.get(name) !== undefined)).toEqual([]);
    clock.advance(1000);
  }
  expect(stored.size).toBeGreaterThan(500);
  expect([...stored.keys()].filter((key) => store.get(key) === undefined)).toEqual([]);
  expect(store.sizes()).toMatchObject({ keys: stored.size });
});

test('what is stored while a purge of its URL is carried out stays', async () => {
  const { clock, purgeLog, store, put } = begin();
  put('a', 'a|/x', '/x');
  put('b', 'b|/x', '/x');

  await purgeLog.append({ scopes: ['u:/x'], soft: false });
  put('a', 'a|/x', '/x');
  clock.advance(1000);

  expect(store.get('a|/x')).toBeDefined();
  expect(store.sizes()).toMatchObject({ keys: 1 });
});
