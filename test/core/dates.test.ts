import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalDate, canonicalDateTime } from '../../src/core/dates.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('a date', () => {
  test.for([
    ['2026-11-23', '2026-11-23'],
    ['2021-1-1', '2021-01-01'],
    ['2024-02-29', '2024-02-29'],
    ['2000-2-29', '2000-02-29'],
    ['0001-01-01', '0001-01-01'],
    ['9999-12-31', '9999-12-31'],
  ] as const)('%s is %s', ([text, expected]) => {
    expect(canonicalDate(text)).toBe(expected);
  });

  test.for([
    '2026-02-30',
    '2025-02-29',
    '1900-02-29',
    '2026-04-31',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-32',
    '0000-01-01',
    '26-01-01',
    '2026/01/01',
    '20260101',
    '2026-01-01T00:00',
    'today',
    '',
  ])('%j is none', (text) => {
    expect(canonicalDate(text)).toBeUndefined();
  });

  test('is what the calendar of the platform has', () => {
    const years = fc.integer({ min: 1, max: 9999 });
    fc.assert(
      fc.property(years, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 31 }), (year, month, day) => {
        const date = new Date(0);
        date.setUTCFullYear(year, month - 1, day);
        const exists = date.getUTCDate() === day;
        const text = `${String(year).padStart(4, '0')}-${month}-${day}`;
        expect(canonicalDate(text)).toBe(exists ? date.toISOString().slice(0, 10) : undefined);
      }),
      { seed: 3, numRuns: 5000 },
    );
  });
});

describe('a date and time', () => {
  test.for([
    ['2026-11-23T01:02', '2026-11-23T01:02:00'],
    ['2026-11-23 01:02:03', '2026-11-23T01:02:03'],
    ['2026-11-23T01:02:03Z', '2026-11-23T01:02:03Z'],
    ['2026-11-23t01:02:03z', '2026-11-23T01:02:03Z'],
    ['2026-11-23T01:02:03.500Z', '2026-11-23T01:02:03.5Z'],
    ['2026-11-23T01:02:03.000Z', '2026-11-23T01:02:03Z'],
    ['2026-11-23T01:02:03.123456789Z', '2026-11-23T01:02:03.123456789Z'],
    ['2026-11-23T01:02:03+02:00', '2026-11-22T23:02:03Z'],
    ['2026-11-23T01:02:03 02:00', '2026-11-22T23:02:03Z'],
    ['2026-11-23T01:02-0330', '2026-11-23T04:32:00Z'],
    ['2026-11-23T01:02+01', '2026-11-23T00:02:00Z'],
    ['2026-11-23T01:02-00:00', '2026-11-23T01:02:00Z'],
    ['2026-11-23T01:02-23:59', '2026-11-24T01:01:00Z'],
    ['2024-2-29T1:05Z', '2024-02-29T01:05:00Z'],
  ] as const)('%s is %s', ([text, expected]) => {
    expect(canonicalDateTime(text)).toBe(expected);
  });

  test.for([
    '2026-11-23',
    '2026-11-23T24:00',
    '2026-11-23T23:60',
    '2026-11-23T23:59:60',
    '2026-02-30T00:00',
    '2026-11-23T00:00+24:00',
    '2026-11-23T00:00+01:60',
    '2026-11-23T00:00:00.1234567890Z',
    '2026-11-23T00:00 UTC',
    '0001-01-01T00:00+01:00',
    '9999-12-31T23:59-01:00',
    '1795176000',
    '',
  ])('%j is none', (text) => {
    expect(canonicalDateTime(text)).toBeUndefined();
  });

  test.for([
    ['2026-11-23T01:02:03.999Z', 5 * MINUTE, '2026-11-23T01:00:00Z'],
    ['2026-11-23T01:59:59+05:45', HOUR, '2026-11-22T20:00:00Z'],
    ['2026-11-23T01:02:03', 24 * HOUR, '2026-11-23T00:00:00'],
    ['1969-12-31T23:59:59Z', HOUR, '1969-12-31T23:00:00Z'],
    ['2026-11-23T00:00:00Z', 24 * HOUR, '2026-11-23T00:00:00Z'],
    ['2026-11-23T01:02:03.123456Z', 1, '2026-11-23T01:02:03.123Z'],
  ] as const)('%s is rounded down to a step of %d ms', ([text, floorMs, expected]) => {
    expect(canonicalDateTime(text, { floorMs })).toBe(expected);
  });

  test.for([
    ['2026-11-23T23:59:59Z', HOUR, '2026-11-24T00:00:00Z'],
    ['2026-11-23T23:00:00Z', HOUR, '2026-11-23T23:00:00Z'],
    ['2026-11-23T23:00:00.0001Z', HOUR, '2026-11-24T00:00:00Z'],
    ['2026-11-23T23:00:00.0000Z', HOUR, '2026-11-23T23:00:00Z'],
    ['2026-11-23T22:59:59.9999Z', HOUR, '2026-11-23T23:00:00Z'],
    ['2026-11-23T01:30:00+05:45', HOUR, '2026-11-22T20:00:00Z'],
    ['2026-11-23T01:02:03', 24 * HOUR, '2026-11-24T00:00:00'],
    ['1969-12-31T23:59:59Z', HOUR, '1970-01-01T00:00:00Z'],
    ['9999-12-31T23:59:59Z', HOUR, '9999-12-31T23:59:59Z'],
  ] as const)('%s is rounded up to a step of %d ms', ([text, ceilMs, expected]) => {
    expect(canonicalDateTime(text, { ceilMs })).toBe(expected);
    expect(canonicalDateTime(expected, { ceilMs })).toBe(expected);
  });

  test('is the same instant as the platform reads', () => {
    const instants = fc.date({
      min: new Date('0002-01-01T00:00:00Z'),
      max: new Date('9998-12-31T00:00:00Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(instants, fc.integer({ min: -14 * 60, max: 14 * 60 }), (instant, offset) => {
        const local = new Date(instant.getTime() + offset * MINUTE).toISOString().slice(0, -1);
        const size = Math.abs(offset);
        const zone = `${offset < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}:${String(size % 60).padStart(2, '0')}`;
        const canonical = canonicalDateTime(local + zone);
        expect(new Date(canonical ?? '').getTime()).toBe(instant.getTime());
        expect(canonicalDateTime(canonical ?? '')).toBe(canonical);
      }),
      { seed: 4, numRuns: 3000 },
    );
  });
});
