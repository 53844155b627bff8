import { array, assert as assertProperty, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CountedDirectives, countedDirectives, parseCacheControl, seconds } from '../../src/core/cache-control.ts';

describe('directives of Cache-Control (RFC 9111 §5.2)', () => {
  it.each<[readonly string[], Record<string, string | true>]>([
    [[], {}],
    [[''], {}],
    [['No-Store'], { 'no-store': true }],
    [['MAX-AGE=60, Public'], { 'max-age': '60', public: true }],
    [['public', 'max-age=60'], { public: true, 'max-age': '60' }],
    [['max-age=60,,s-maxage=5'], { 'max-age': '60', 's-maxage': '5' }],
    [['private="set-cookie, x"'], { private: 'set-cookie, x' }],
    [['max-age="60"'], { 'max-age': '60' }],
    [['max-age=60, max-age=10'], { 'max-age': '60' }],
    [['a=b=c'], { a: 'b=c' }],
  ])('%j are %j', (lines, expected) => {
    expect(Object.fromEntries(parseCacheControl(lines))).toEqual(expected);
  });

  it('are not found inside a quoted string', () => {
    expect(parseCacheControl(['extension="max-age=3600, no-store"']).has('max-age')).toBe(false);
    expect(parseCacheControl(['extension="max-age=3600, no-store"']).has('no-store')).toBe(false);
  });

  it('never make the parser throw', () => {
    assertProperty(
      property(array(string({ unit: 'binary' })), (lines) => {
        const directives = parseCacheControl(lines);
        for (const name of directives.keys()) expect(name).toBe(name.toLowerCase());
        const value = seconds(directives, 'max-age');
        expect(value === undefined || value === 'invalid' || Number.isSafeInteger(value)).toBe(true);
      }),
      { seed: 2, numRuns: 2000 },
    );
  });
});

describe('delta-seconds (RFC 9111 §1.2.2)', () => {
  it.each<[string, number | 'invalid' | undefined]>([
    ['public', undefined],
    ['max-age=0', 0],
    ['max-age=3600', 3600],
    ['max-age=003600', 3600],
    ['max-age=2147483648', 2 ** 31],
    ['max-age=99999999999', 2 ** 31],
    [`max-age=${'9'.repeat(400)}`, 2 ** 31],
    ['max-age="3600"', 3600],
    ["max-age='3600'", 'invalid'],
    ['max-age=-3600', 'invalid'],
    ['max-age=+3600', 'invalid'],
    ['max-age=3600.0', 'invalid'],
    ['max-age=3600s', 'invalid'],
    ['max-age=1e3', 'invalid'],
    ['max-age=0x10', 'invalid'],
    ['max-age=', 'invalid'],
    ['max-age', 'invalid'],
    ['max-age =3600', 'invalid'],
    ['max-age= 3600', 'invalid'],
    ['max-age="3600"0', 'invalid'],
    ['max-age=٣', 'invalid'],
  ])('%s is %s', (line, expected) => {
    expect(seconds(parseCacheControl([line]), 'max-age')).toBe(expected);
  });
});

function counted(...lines: readonly string[]): CountedDirectives {
  return countedDirectives([
    ['cache-control', 'max-age=1'],
    ...lines.map((line) => ['cdn-cache-control', line] as const),
  ]);
}

describe('the directives that count (RFC 9213 §2.2)', () => {
  it.each<[string, Record<string, string | true>]>([
    ['max-age=60', { 'max-age': '60' }],
    ['max-age=60;unknown=1, no-store', { 'max-age': '60', 'no-store': true }],
    ['none', { none: true }],
    ['max-age=60, max-age=10', { 'max-age': '10' }],
    ['max-age=99999999999', { 'max-age': '99999999999' }],
    ['no-cache="x, y"', { 'no-cache': 'x, y' }],
    ['no-store=?0, max-age=5', { 'max-age': '5' }],
    ['no-store=1, private=(a b)', { 'no-store': '1', private: '' }],
    ['stale-if-error=1.5', { 'stale-if-error': '' }],
    ['stale-if-error=tok', { 'stale-if-error': 'tok' }],
  ])('are those of CDN-Cache-Control: %s', (line, expected) => {
    const { field, directives } = counted(line);
    expect(field).toBe('cdn-cache-control');
    expect(Object.fromEntries(directives)).toEqual(expected);
  });

  it.each([
    '',
    'max-age="10000"',
    'max-age=-1',
    'max-age=60.0',
    'max-age=1.5',
    'max-age',
    'max-age=tok',
    'max-age=(1)',
    's-maxage="1", max-age=5',
    'Max-Age=60',
    'max-age=60,',
    'max-age = 60',
    'max-age=60; no store',
    "max-age='60'",
  ])('are those of Cache-Control beside CDN-Cache-Control: %s', (line) => {
    const { field, directives } = counted(line);
    expect(field).toBe('cache-control');
    expect(Object.fromEntries(directives)).toEqual({ 'max-age': '1' });
  });

  it('are those of all lines of CDN-Cache-Control, and of none where one is broken', () => {
    expect(Object.fromEntries(counted('max-age=60', 'no-cache').directives)).toEqual({
      'max-age': '60',
      'no-cache': true,
    });
    expect(counted('max-age=60', 'no-cache=').field).toBe('cache-control');
    expect(counted().field).toBe('cache-control');
  });
});
