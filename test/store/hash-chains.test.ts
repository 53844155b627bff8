import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HashChains } from '../../src/store/hash-chains.ts';
import { Rows } from '../../src/store/rows.ts';
import { ScopeIndex } from '../../src/store/scope-index.ts';
import { TextHash } from '../../src/store/text-hash.ts';

const words = { hash: 0, next: 1 } as const;

const facts = (record: number) => ({ record, isResponse: true });

function found(chains: HashChains, hash: number): readonly number[] {
  const rows: number[] = [];
  for (let row = chains.first(hash); row !== 0; row = chains.next(row)) rows.push(row);
  return rows;
}

test('a row is found by its hash after any coming and going of others', () => {
  const step = fc.record({ add: fc.boolean(), hash: fc.oneof(fc.nat(40), fc.integer({ min: 0, max: 2 ** 32 - 1 })) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const rows = new Rows(4);
      const chains = new HashChains(rows, words);
      const held: { readonly row: number; readonly hash: number }[] = [];
      for (const { add, hash } of steps) {
        const gone = add ? undefined : held.splice(hash % Math.max(1, held.length), 1)[0];
        if (gone !== undefined) {
          chains.remove(gone.row);
          rows.release(gone.row);
        } else {
          const row = rows.take();
          rows.set(row, words.hash, hash);
          chains.add(row);
          held.push({ row, hash });
        }
      }
      for (const { row, hash } of held) expect(found(chains, hash)).toContain(row);
      expect(rows.size).toBe(held.length);
      expect(chains.bytes === 0).toBe(held.length === 0);
    }),
    { numRuns: 300, seed: 20_261_126 },
  );
});

test('chains stay short at 100,000 rows and give their memory back', () => {
  const rows = new Rows(4);
  const chains = new HashChains(rows, words);
  const hash = new TextHash();
  const held = Array.from({ length: 100_000 }, (_, index) => {
    const row = rows.take();
    rows.set(row, words.hash, hash.take(`key ${index}`).low);
    chains.add(row);
    return row;
  });
  const longest = Math.max(...held.map((row) => found(chains, rows.get(row, words.hash)).length));
  expect(longest).toBeLessThan(20);
  const { bytes } = chains;
  for (const row of held.slice(100)) {
    chains.remove(row);
    rows.release(row);
  }
  expect(chains.bytes).toBeLessThan(bytes / 100);
  for (const row of held.slice(0, 100)) expect(found(chains, rows.get(row, words.hash))).toContain(row);
});

test('texts that differ have hashes that differ, whichever units they are made of', () => {
  const seen = new Set<string>();
  const texts = [
    ...Array.from({ length: 50_000 }, (_, index) => `weather|/v1/forecast?location=city-${index}`),
    '',
    '\0',
    '\0\0',
    '\0\0\0\0',
    '\0\0\0\0\0',
    'abcd',
    'abcd\0',
    '\u0100',
    '\u0200',
    '\u0100\u0200',
    'ab\u0163d',
    'ab\u0263d',
    '\u0161bcd',
    'a\u0162cd',
  ];
  for (const text of texts) {
    const { low, high } = new TextHash().take(text);
    seen.add(`${low} ${high}`);
    expect(new TextHash().take(text)).toEqual({ low, high });
    new TextHash().take('another');
    expect(new TextHash().take(text)).toEqual({ low, high });
  }
  expect(seen.size).toBe(texts.length);
});

test('texts in any script have hashes of their own', () => {
  const hash = new TextHash();
  const of = (text: string): string => {
    const { low, high } = hash.take(text);
    return `${low} ${high}`;
  };
  const han = Array.from({ length: 300 }, (_none, index) => String.fromCharCode(0x4e00 + index));
  expect(new Set(han.flatMap((one) => han.map((other) => of(`t:${one}${other}`)))).size).toBe(90_000);
  const alike = [
    '\uff61bcdabcd',
    'abcd\u61ff\u6200\u6300\u6400',
    '\uff61\uff62\uff63\uff64abcd',
    'a\xff\xff\xff\u61ff\u62ff\u63ff\u64ff',
    'BA',
    '\u4142\0',
    'ABCD',
    '\u4241\u4443\0\0',
    `${'a'.repeat(1020)}b`,
    `${'a'.repeat(1020)}c`,
  ];
  expect(new Set(alike.map(of)).size).toBe(alike.length);
});

test('a walk through a name that is paused visits each that was there and stayed, once, and none that went', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat(39), { maxLength: 40 }), (count, goings) => {
      const index = new ScopeIndex();
      const members = new Map(Array.from({ length: count }, (_, n) => [n + 1, index.add('name', facts(n + 1), 0)]));
      const stayed = new Set(members.keys());
      const visited: number[] = [];
      let turn = 0;
      const walk = index.walk('name');
      for (let record = walk.next(); record !== undefined; record = walk.next()) {
        visited.push(record);
        const leaving = ((goings[turn] ?? 0) % count) + 1;
        turn += 1;
        const member = members.get(leaving);
        if (member !== undefined && members.delete(leaving)) {
          index.remove(member, true);
          stayed.delete(leaving);
        }
        index.add('name', facts(1000 + turn), 0);
      }
      walk.end();
      expect(new Set(visited).size).toBe(visited.length);
      for (const record of stayed) expect(visited).toContain(record);
      expect(visited.every((record) => record <= count)).toBe(true);
      expect(index.members('name')?.records).toBe(members.size + turn);
    }),
    { numRuns: 500, seed: 20_261_126 },
  );
});

test('a name is told apart from others when its row was free meanwhile, or is another name’s', () => {
  const names = ['a', 'b', 'c', 'of-17-characters-'];
  const step = fc.record({ name: fc.constantFrom(...names), add: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const index = new ScopeIndex();
      const held = new Map<string, number[]>(names.map((name) => [name, []]));
      for (const [turn, { name, add }] of steps.entries()) {
        const members = held.get(name) ?? [];
        if (add) members.push(index.add(name, facts(turn + 1), 0));
        else if (members.length > 0) index.remove(members.pop() ?? 0, true);
        for (const one of names) expect(index.members(one)?.records ?? 0).toBe(held.get(one)?.length);
      }
    }),
    { numRuns: 300, seed: 20_261_126 },
  );
});
