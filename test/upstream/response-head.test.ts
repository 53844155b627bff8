import { describe, expect, it } from 'vitest';

import { fieldLinesOf } from '../../src/upstream/response-head.ts';
import type { NamedFields } from '../../src/upstream/response-head.ts';

function rawOf(...lines: readonly (readonly [name: string, value: string])[]): Buffer[] {
  return lines.flat().map((text) => Buffer.from(text, 'latin1'));
}

describe('the field lines of an answer', () => {
  it('are the same from what the parser has made text already as from its bytes', () => {
    const raw = rawOf(['Content-Type', ' text/plain\t'], ['ETAG', '"\u00e4"'], ['x-empty', '']);
    const named: NamedFields = { 'content-type': ' text/plain\t', etag: '"\u00e4"', 'x-empty': '' };
    const lines = [
      ['content-type', 'text/plain'],
      ['etag', '"\u00e4"'],
      ['x-empty', ''],
    ];
    expect(fieldLinesOf(raw)).toEqual(lines);
    expect(fieldLinesOf(raw, named)).toEqual(lines);
  });

  it('keep the order of several lines of one name among the others', () => {
    const raw = rawOf(['x-a', '1'], ['x-b', '2'], ['X-A', '3']);
    expect(fieldLinesOf(raw, { 'x-a': ['1', '3'], 'x-b': '2' })).toEqual([
      ['x-a', '1'],
      ['x-b', '2'],
      ['x-a', '3'],
    ]);
  });

  it('keep the order of names that are numbers', () => {
    const raw = rawOf(['x-a', '1'], ['12', '2'], ['7', '3']);
    expect(fieldLinesOf(raw, { 'x-a': '1', '12': '2', '7': '3' })).toEqual([
      ['x-a', '1'],
      ['12', '2'],
      ['7', '3'],
    ]);
  });

  it('are read anew where a value is another than the one before, and have the latest each time', () => {
    for (const value of ['one', 'two', 'two', 'one', 'x'.repeat(100), 'one']) {
      expect(fieldLinesOf(rawOf(['x-turn', value]), { 'x-turn': value })).toEqual([['x-turn', value]]);
    }
  });

  it.each(['bad name', 'n\u00e4me', ''])('are refused with the name %j, each time that it comes', (name) => {
    for (let time = 0; time < 2; time += 1) {
      expect(fieldLinesOf(rawOf([name, 'x']))).toBeUndefined();
      expect(fieldLinesOf(rawOf([name, 'x']), { [name]: 'x' })).toBeUndefined();
    }
  });

  it('are refused with a value that cannot be sent on, whatever came under the name before', () => {
    expect(fieldLinesOf(rawOf(['x-bad', 'good']))).toEqual([['x-bad', 'good']]);
    expect(fieldLinesOf(rawOf(['x-bad', 'a\u0001b']))).toBeUndefined();
    expect(fieldLinesOf(rawOf(['x-bad', 'a\u0001b']), { 'x-bad': 'a\u0001b' })).toBeUndefined();
    expect(fieldLinesOf(rawOf(['x-bad', 'good']))).toEqual([['x-bad', 'good']]);
  });
});
