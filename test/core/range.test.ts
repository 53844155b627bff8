import { assert as assertProperty, constant, nat, oneof, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideRange } from '../../src/core/range.ts';
import { fieldsOf, storedOf } from '../support/policy.ts';

const stored = storedOf({
  fields: fieldsOf('ETag: "a"', 'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT', 'Date: Mon, 23 Nov 2026 12:00:00 GMT'),
});

function decide(lines: readonly string[], length = 100, given = stored): string {
  const range = decideRange(fieldsOf(...lines), given, length);
  return range.kind === 'partial' ? `${range.start}-${range.end}` : range.kind;
}

describe('Range (RFC 9110 §14)', () => {
  it.each([
    ['bytes=0-0', '0-0'],
    ['bytes=0-9', '0-9'],
    ['bytes=10-', '10-99'],
    ['bytes=90-1000', '90-99'],
    ['bytes=99-', '99-99'],
    ['bytes=-1', '99-99'],
    ['bytes=-100', '0-99'],
    ['bytes=-1000', '0-99'],
    ['Bytes=0-9', '0-9'],
    ['bytes=0-99999999999999999999999999', '0-99'],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=100-200', 'unsatisfiable'],
    ['bytes=99999999999999999999999999-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=9-0', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=', 'whole'],
    ['bytes', 'whole'],
    ['bytes=a-b', 'whole'],
    ['bytes=0x0-9', 'whole'],
    ['bytes=0-9,20-29', 'whole'],
    ['bytes=0-9, ', 'whole'],
    ['bytes=1.5-9', 'whole'],
    ['bytes=--5', 'whole'],
    ['items=0-9', 'whole'],
    ['', 'whole'],
  ])('%s of 100 bytes: %s', (value, expected) => {
    expect(decide([`Range: ${value}`])).toBe(expected);
  });

  it('cuts nothing out of nothing', () => {
    expect(decide(['Range: bytes=0-'], 0)).toBe('unsatisfiable');
    expect(decide(['Range: bytes=-5'], 0)).toBe('whole');
  });

  it('counts in one line, and on a stored 200 alone', () => {
    expect(decide([])).toBe('whole');
    expect(decide(['Range: bytes=0-9', 'Range: bytes=0-9'])).toBe('whole');
    expect(decide(['Range: bytes=0-9'], 100, { ...stored, status: 203 })).toBe('whole');
    expect(decide(['Range: bytes=0-9'], 100, { ...stored, status: 404 })).toBe('whole');
  });

  it('is never outside of the body', () => {
    const number = oneof(nat(200).map(String), constant(''));
    assertProperty(
      property(number, number, nat(150), (first, last, length) => {
        const range = decideRange([['range', `bytes=${first}-${last}`]], stored, length);
        const inside = range.kind !== 'partial' || (range.start >= 0 && range.start <= range.end && range.end < length);
        expect(inside).toBe(true);
      }),
      { seed: 9, numRuns: 2000 },
    );
  });
});

describe('If-Range (RFC 9110 §13.1.5)', () => {
  it.each([
    ['"a"', '0-9'],
    ['"b"', 'whole'],
    ['W/"a"', 'whole'],
    ['a', 'whole'],
    ['Sun, 22 Nov 2026 12:00:00 GMT', '0-9'],
    ['Sunday, 22-Nov-26 12:00:00 GMT', '0-9'],
    ['Sun, 22 Nov 2026 12:00:01 GMT', 'whole'],
    ['Mon, 23 Nov 2026 12:00:00 GMT', 'whole'],
    ['nonsense', 'whole'],
    ['', 'whole'],
  ])('%s: %s', (value, expected) => {
    expect(decide(['Range: bytes=0-9', `If-Range: ${value}`])).toBe(expected);
  });

  it('never holds with what is no entity tag, not even where the stored one is as broken', () => {
    for (const value of ['"a', 'a', '"a", "b"']) {
      const broken = storedOf({ fields: fieldsOf(`ETag: ${value}`) });
      expect(decide(['Range: bytes=0-9', `If-Range: ${value}`], 100, broken)).toBe('whole');
    }
  });

  it('never holds with a weak ETag or a date that is not strong', () => {
    const weak = storedOf({ fields: fieldsOf('ETag: W/"a"') });
    expect(decide(['Range: bytes=0-9', 'If-Range: W/"a"'], 100, weak)).toBe('whole');
    const justModified = storedOf({
      fields: fieldsOf('Last-Modified: Mon, 23 Nov 2026 12:00:00 GMT', 'Date: Mon, 23 Nov 2026 12:00:00 GMT'),
    });
    expect(decide(['Range: bytes=0-9', 'If-Range: Mon, 23 Nov 2026 12:00:00 GMT'], 100, justModified)).toBe('whole');
  });
});
