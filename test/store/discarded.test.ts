import { expect, test } from 'vitest';
import { Discarded } from '../../src/store/discarded.ts';
import { Rows } from '../../src/store/rows.ts';

function piecesOf(count: number): Uint32Array<ArrayBuffer>[] {
  return Array.from({ length: count }, () => new Uint32Array(25));
}

test('discarded tables count until they are given back, a piece at a time, and what had gone before is passed over', () => {
  const discarded = new Discarded();
  const [some, others] = [piecesOf(3), piecesOf(2)];
  discarded.add(450, [some, [undefined, ...others, undefined], []]);
  const left: number[] = [];
  const whole = () => [...some, ...others].filter(({ byteLength }) => byteLength > 0).length;
  for (let pieces = 5; pieces > 0; pieces -= 1) {
    expect([discarded.isThere, whole()]).toEqual([true, pieces]);
    discarded.giveBack();
    left.push(discarded.bytes);
  }
  expect(left).toEqual([350, 250, 150, 50, 0]);
  discarded.giveBack();
  expect([discarded.isThere, discarded.bytes, whole()]).toEqual([false, 0, 0]);
});

test('more that is discarded meanwhile counts beside what is left', () => {
  const discarded = new Discarded();
  discarded.add(300, [piecesOf(3)]);
  discarded.giveBack();
  discarded.add(200, [piecesOf(2)]);
  expect(discarded.bytes).toBe(400);
  const { length: steps } = [...discarded.steps()];
  expect([discarded.isThere, discarded.bytes, steps]).toEqual([false, 0, 4 * 4 + 4]);
});

test('tables in which there was nothing are left to V8', () => {
  const discarded = new Discarded();
  discarded.add(0, [piecesOf(1)]);
  expect(discarded.isThere).toBe(false);
});

test('rows that were discarded read as zeros, before their memory is given back and afterwards, and new ones are others', () => {
  const rows = new Rows(4);
  const before = Array.from({ length: 3000 }, () => rows.take());
  for (const row of before) rows.set(row, 1, 7);
  const discarded = new Discarded();
  discarded.add(rows.bytes, [rows.clear()]);
  const row = rows.take();
  rows.set(row, 1, 8);
  const others = before.filter((one) => one !== row);
  expect(new Set(others.map((one) => rows.get(one, 1)))).toEqual(new Set([0]));
  expect([...discarded.steps()].length).toBeGreaterThan(0);
  expect([rows.get(row, 1), rows.size, rows.bytes]).toEqual([8, 1, 16]);
});
