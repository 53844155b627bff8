import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { expandTemplate, usesLocation } from '../../src/cache/template.ts';

const noonUtc = Date.UTC(2026, 10, 23, 12);

function expand(template: string, at: { nowMs?: number; zone?: string; location?: string | undefined } = {}): unknown {
  const values = { location: 'lima', nowMs: noonUtc, zone: 'UTC', ...at };
  const result = expandTemplate(template, values);
  return result.ok ? result.value : { refused: result.error };
}

describe('expanding a template of a warming job', () => {
  test.each([
    ['{location}', 'lima'],
    ['in {location}, from {today} to {today+7d}', 'in lima, from 2026-11-23 to 2026-11-30'],
    ['{today-1d}', '2026-11-22'],
    ['{today+0d}', '2026-11-23'],
    ['{today+9999d}', '2054-04-09'],
    ['plain text', 'plain text'],
    ['', ''],
  ])('%j gives %j', (template, expected) => {
    expect(expand(template)).toBe(expected);
  });

  test('the date is that of the job’s zone, not of UTC', () => {
    const lateEvening = Date.UTC(2026, 10, 23, 23, 30);
    expect(expand('{today}', { nowMs: lateEvening })).toBe('2026-11-23');
    expect(expand('{today}', { nowMs: lateEvening, zone: 'Europe/Berlin' })).toBe('2026-11-24');
    expect(expand('{today}', { nowMs: lateEvening, zone: 'America/Los_Angeles' })).toBe('2026-11-23');
  });

  test('days are calendar days where the clocks change and where a year ends', () => {
    // 2026-10-24 23:30 in Berlin; the next day has 25 hours.
    expect(expand('{today+1d}', { nowMs: Date.UTC(2026, 9, 24, 21, 30), zone: 'Europe/Berlin' })).toBe('2026-10-25');
    expect(expand('{today+2d}', { nowMs: Date.UTC(2026, 9, 24, 21, 30), zone: 'Europe/Berlin' })).toBe('2026-10-26');
    expect(expand('{today+1d}', { nowMs: Date.UTC(2027, 11, 31, 5) })).toBe('2028-01-01');
    expect(expand('{today+59d}', { nowMs: Date.UTC(2028, 0, 1) })).toBe('2028-02-29');
  });

  test('a location is put in as it is and not expanded again', () => {
    expect(expand('{location}', { location: '{today} $& são' })).toBe('{today} $& são');
  });

  test.each(['{tomorrow}', '{today+7}', '{today+10000d}', '{today +7d}', '{}', '{Location}', '{__proto__}'])(
    '%s is refused by name',
    (template) => {
      expect(expand(template)).toEqual({ refused: expect.stringContaining(`${template} is not a placeholder`) });
    },
  );

  test('a location that is not there is said to be missing', () => {
    expect(expand('{location}', { location: undefined })).toEqual({ refused: 'there is no location for {location}' });
  });

  test('whatever the text, every placeholder is expanded, or it is refused', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      'location',
      'today',
      '+7d',
      '-1d',
      '+',
      'd',
      ' ',
      'x',
      '{location}',
      '{today}',
    );
    const template = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(template, (text) => {
        const expanded = expandTemplate(text, { location: 'lima', nowMs: noonUtc, zone: 'UTC' });
        // Either nothing that is a placeholder is left, or the text says which one is none.
        expect(expanded.ok ? expanded.value : expanded.error).toMatch(
          expanded.ok ? /^(?!.*\{(?:location|today(?:[+-]\d+d)?)\})/u : / is not a placeholder; /u,
        );
      }),
      { seed: 20261123, numRuns: 2000 },
    );
  });

  test('only {location} makes a job one of locations', () => {
    expect(usesLocation(['{today}', 'in {location}'])).toBe(true);
    expect(usesLocation(['{today}', 'location'])).toBe(false);
  });
});
