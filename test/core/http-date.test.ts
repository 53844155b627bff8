import { array, assert as assertProperty, constantFrom, integer, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatHttpDate, parseHttpDate } from '../../src/core/http-date.ts';
import { T0 } from '../support/policy.ts';

const rfcExample = Date.UTC(1994, 10, 6, 8, 49, 37);

describe('an HTTP-date (RFC 9110 §5.6.7)', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', rfcExample],
    ['Sunday, 06-Nov-94 08:49:37 GMT', rfcExample],
    ['Sun Nov  6 08:49:37 1994', rfcExample],
    ['Wed Nov 16 08:49:37 1994', Date.UTC(1994, 10, 16, 8, 49, 37)],
    ['sun, 06 nov 1994 08:49:37 gmt', rfcExample],
    ['SUN, 06 NOV 1994 08:49:37 GMT', rfcExample],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Thu, 29 Feb 2024 00:00:00 GMT', Date.UTC(2024, 1, 29)],
    ['Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2017, 0, 1)],
  ])('is read from %s', (text, expected) => {
    expect(parseHttpDate(text, T0)).toBe(expected);
  });

  it('means by two digits of a year what they mean now, however often it is read', () => {
    const text = 'Sunday, 06-Nov-94 08:49:37 GMT';
    const read = (nowMs: number): readonly unknown[] => [parseHttpDate(text, nowMs), parseHttpDate(text, nowMs)];
    expect(read(T0)).toEqual([rfcExample, rfcExample]);
    const in2094 = Date.UTC(2094, 10, 6, 8, 49, 37);
    expect(read(Date.UTC(2090, 0, 1))).toEqual([in2094, in2094]);
    expect(read(T0)).toEqual([rfcExample, rfcExample]);
  });

  it.each([
    '',
    '0',
    '-1',
    'now',
    '1795176000',
    '2026-11-23T12:00:00Z',
    '05/30/2024 21:04:55',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 AEST',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun, 06 Nov 94 08:49:37 GMT',
    'Sun 06 Nov 1994 08:49:37 GMT',
    'Sun,06 Nov 1994 08:49:37 GMT',
    'Sun,  06 Nov 1994 08:49:37 GMT',
    'Sun, 06  Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994  08:49:37 GMT',
    'Sun, 06-Nov-1994 08:49:37 GMT',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 8:49:37 GMT',
    'Sun, 06 Nov 1994 08.49.37 GMT',
    'Sun, 06 Nov 1994 08:49 GMT',
    'Sun, 06 November 1994 08:49:37 GMT',
    'Sun, 30 Feb 2024 00:00:00 GMT',
    'Sun, 29 Feb 2023 00:00:00 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Xxx, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06-Nov-94 08:49:37 GMT',
    'Sun Nov 6 08:49:37 1994',
    'Sun Nov 06 08:49:37 94',
    ' Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Mon, 07 Nov 1994 08:49:37 GMT',
  ])('is nothing that looks like %j', (text) => {
    expect(parseHttpDate(text, T0)).toBeUndefined();
  });

  it.each([
    ['Sunday, 06-Nov-94 08:49:37 GMT', Date.UTC(2026, 0, 1), 1994],
    ['Sunday, 06-Nov-26 08:49:37 GMT', Date.UTC(2026, 0, 1), 2026],
    ['Sunday, 06-Nov-75 08:49:37 GMT', Date.UTC(2026, 0, 1), 2075],
    ['Sunday, 06-Nov-76 08:49:37 GMT', Date.UTC(2026, 0, 1), 1976],
    ['Sunday, 06-Nov-05 08:49:37 GMT', Date.UTC(2099, 0, 1), 2105],
    ['Tuesday, 29-Feb-00 08:49:37 GMT', Date.UTC(2060, 0, 1), 2000],
  ])('with two digits of the year, %s, lies at most 50 years ahead', (text, nowMs, year) => {
    expect(new Date(parseHttpDate(text, nowMs) ?? Number.NaN).getUTCFullYear()).toBe(year);
  });

  it('is read back as it was written, to the second', () => {
    const anyTime = integer({ min: Date.UTC(1970, 0, 1), max: Date.UTC(9999, 11, 31) });
    assertProperty(
      property(anyTime, (ms) => {
        expect(formatHttpDate(ms)).toBe(new Date(ms).toUTCString());
        expect(parseHttpDate(formatHttpDate(ms), T0)).toBe(Math.floor(ms / 1000) * 1000);
      }),
      { seed: 3, numRuns: 2000 },
    );
  });

  it('never makes the parser throw', () => {
    const pieces = [
      'Sun',
      'Sunday',
      ',',
      ' ',
      '-',
      'Nov',
      'Feb',
      '06',
      '30',
      '94',
      '1994',
      '08:49:37',
      'GMT',
      '"',
      '\0',
    ];
    assertProperty(
      property(array(oneof(constantFrom(...pieces), string()), { maxLength: 12 }), (parts) => {
        const read = parseHttpDate(parts.join(''), T0);
        expect(read === undefined || Number.isFinite(read)).toBe(true);
      }),
      { seed: 4, numRuns: 2000 },
    );
  });
});
