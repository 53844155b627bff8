import { expect, test } from 'vitest';

import { LearnedSearch, MAX_SEARCH_BYTES } from '../../src/cache/learned-search.ts';
import { FakeClock } from '../support/clock.ts';
import { heapBytes } from '../support/heap.ts';
import { honourRoute } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

const table = tableOf(honourRoute({}, { match: '/*', rawQuery: true, noVarySearch: true }));

function setUp() {
  const hits: string[] = [];
  const learned = new LearnedSearch({ limit: (option) => hits.push(option) }, new FakeClock());
  const learn = (path: string, names: readonly string[]): void => {
    const params = names.map((name) => `"${name}"`).join(' ');
    learned.learn(keyed(table, `${path}?a=1`), {
      status: 200,
      fields: [['no-vary-search', `params=(${params})`]],
      requestTimeMs: 1,
    });
  };
  return { hits, learned, learn };
}

/** Names of which about as many as go into one field are some 11,000 characters. */
function namesFrom(first: number): readonly string[] {
  return Array.from({ length: 2000 }, (_none, index) => (first + index).toString(36));
}

test('rules of upstream, each with thousands of names, take 8 MiB with their paths and no more', () => {
  const { hits, learned, learn } = setUp();
  learn('/first', ['a']);
  const before = heapBytes();
  for (let path = 0; path < 200; path += 1) learn(`/${path}`, namesFrom(path * 2000));
  const grown = heapBytes() - before;
  expect(learned.bytes).toBeLessThanOrEqual(MAX_SEARCH_BYTES);
  expect(learned.bytes).toBeGreaterThan(0.9 * MAX_SEARCH_BYTES);
  expect(grown).toBeLessThan(1.25 * MAX_SEARCH_BYTES);
  expect(hits.length).toBe(201 - learned.size);
  // The latest are there.
  expect(learned.peek(keyed(table, '/199?a=1')).search?.rule).toBeDefined();
  expect(learned.peek(keyed(table, '/first?a=1')).search?.rule).toBeUndefined();
});

test('long paths of clients take no more either', () => {
  const { learned, learn } = setUp();
  const before = heapBytes();
  for (let path = 0; path < 3000; path += 1) learn(`/${path}/${'x'.repeat(8000)}`, ['a']);
  const grown = heapBytes() - before;
  expect(learned.bytes).toBeLessThanOrEqual(MAX_SEARCH_BYTES);
  expect(grown).toBeLessThan(1.25 * MAX_SEARCH_BYTES);
});

test('one rule of many paths is kept once, and given back with the last of them', () => {
  const { hits, learned, learn } = setUp();
  const before = heapBytes();
  for (let path = 0; path < 1000; path += 1) learn(`/${path}`, namesFrom(0));
  const grown = heapBytes() - before;
  expect([learned.size, hits]).toEqual([1000, []]);
  expect(grown).toBeLessThan(MAX_SEARCH_BYTES / 4);
  for (let path = 0; path < 1000; path += 1) {
    learned.learn(keyed(table, `/${path}?a=1`), { status: 200, fields: [], requestTimeMs: 1 });
  }
  expect([learned.size, learned.bytes]).toEqual([0, 0]);
});
