import { assert as assertProperty, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acceptsCoding, contentCodings } from '../../src/core/content-coding.ts';

describe('Accept-Encoding (RFC 9110 §12.5.3)', () => {
  it.each<[string | undefined, string, boolean]>([
    [undefined, 'identity', true],
    [undefined, 'gzip', true],
    [undefined, 'zzz-unnamed', true],
    ['', 'identity', true],
    ['', 'gzip', false],
    ['gzip', 'gzip', true],
    ['gzip', 'identity', true],
    ['gzip', 'br', false],
    ['GZip', 'gzip', true],
    ['x-gzip', 'gzip', true],
    ['gzip', 'x-gzip', true],
    ['gzip, compress, deflate, br', 'br', true],
    ['gzip,deflate', 'deflate', true],
    ['gzip;q=0', 'gzip', false],
    ['gzip;q=0.0', 'gzip', false],
    ['gzip;q=0.000', 'gzip', false],
    ['gzip;q=0.001', 'gzip', true],
    ['gzip ; q=1', 'gzip', true],
    ['gzip;Q=0', 'gzip', false],
    ['gzip;q=1.5', 'gzip', false],
    ['gzip;q=abc', 'gzip', false],
    ['gzip;q=', 'gzip', false],
    ['gzip;q=1.000', 'gzip', true],
    ['*', 'br', true],
    ['*;q=0', 'br', false],
    ['*;q=0', 'identity', false],
    ['*;q=0, identity', 'identity', true],
    ['identity;q=0', 'identity', false],
    ['identity;q=0, gzip', 'gzip', true],
    ['gzip;q=0, *', 'gzip', false],
    ['*, gzip;q=0', 'gzip', false],
    ['br', '', true],
  ])('%j takes %s: %s', (field, coding, expected) => {
    expect(acceptsCoding(field, coding)).toBe(expected);
  });

  it('is read without throwing, and codings that nobody names are not taken', () => {
    assertProperty(
      property(string({ unit: 'binary' }), (field) => {
        expect(acceptsCoding(field, 'zzz-unnamed')).toBe(field.includes('*') && acceptsCoding(field, 'yyy-unnamed'));
      }),
      { seed: 12, numRuns: 1000 },
    );
  });
});

describe('Content-Encoding (RFC 9110 §8.4)', () => {
  it.each<[string | undefined, readonly string[]]>([
    [undefined, []],
    ['', []],
    ['identity', []],
    ['GZIP', ['gzip']],
    ['x-gzip', ['gzip']],
    ['deflate, br', ['deflate', 'br']],
  ])('%j: %j', (field, expected) => {
    expect(contentCodings(field)).toEqual(expected);
  });
});
