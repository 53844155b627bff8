import { expect, test } from 'vitest';

import { PurgeTable } from '../../src/store/purge-table.ts';
import { maxNameLength } from '../../src/store/scope-rows.ts';
import { heapBytes } from '../support/heap.ts';

const position = { epoch: 'one', seq: 0 };

function applied(scopes: readonly string[], seq: number) {
  return { scopes, soft: false, seq, atMs: 0 };
}

function item(name: string) {
  return { key: `r|${name}`, route: 'r', url: name, tags: [`tag of ${name}`], position };
}

test('of a purge a name of up to 128 characters is kept as it is, and a longer one takes no more', () => {
  const table = new PurgeTable();
  const before = heapBytes();
  const rows = 4000;
  for (let row = 0; row < rows; row += 1) table.apply(applied([`u:/${row}/${'x'.repeat(8000)}`], row + 1));
  const grown = heapBytes() - before;
  expect(table.size).toBe(rows);
  expect(grown / rows).toBeLessThan(3 * maxNameLength);
});

test.each([maxNameLength, maxNameLength + 1, 8000])(
  'a name of %i characters covers what has it, and nothing else',
  (length) => {
    const name = '/'.padEnd(length, 'x');
    for (const kind of ['u', 'k', 't', 'r'] as const) {
      const table = new PurgeTable();
      const [same, other] = [item(name), item(`${name.slice(0, -1)}y`)].map((one) => ({
        u: one,
        k: { ...one, key: name, url: '/' },
        t: { ...one, tags: ['first', one.url], url: '/' },
        r: { ...one, route: one.url, url: '/' },
      }));
      table.apply(applied([`${kind}:${name}`], 1));
      expect(table.isPurged(same?.[kind] ?? item(''))).toBe(true);
      expect(table.isPurged({ ...(other?.[kind] ?? item('')), key: 'r|other' })).toBe(false);
    }
  },
);

test('a long prefix covers what begins with it, until it is forgotten, with its length', () => {
  const table = new PurgeTable();
  const prefix = '/'.padEnd(500, 'x');
  table.apply(applied([`p:${prefix}`], 1));
  expect(table.isPurged(item(`${prefix}/more`))).toBe(true);
  expect(table.isPurged(item(prefix))).toBe(true);
  expect(table.isPurged(item(prefix.slice(1)))).toBe(false);
  table.forget(1);
  expect(table.size).toBe(0);
  expect(table.isPurged(item(`${prefix}/more`))).toBe(false);
  // No length of it is left that others would have to be looked up by, or would be widened to.
  const shorter = Array.from({ length: 64 }, (_none, index) => `p:/${'y'.repeat(index + 600)}`);
  table.apply(applied(shorter, 2));
  expect(table.apply(applied(['p:/' + 'z'.repeat(900)], 3)).scopes).toEqual([`p:/${'z'.repeat(663)}`]);
});

test('a name that looks like what stands for a long one is none', () => {
  const table = new PurgeTable();
  table.apply(applied(['t:#5 1 2', 'p:#300 1 2'], 1));
  expect(table.isPurged({ ...item('/'), tags: ['#5 1 2'] })).toBe(true);
  expect(table.isPurged({ ...item('/'), tags: ['#5 1 3'] })).toBe(false);
  table.forget(1);
  expect(table.size).toBe(0);
});
