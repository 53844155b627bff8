import { assert as assertProperty, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluatePreconditions } from '../../src/core/preconditions.ts';
import { fieldsOf, storedOf, T0 } from '../support/policy.ts';

const MODIFIED = 'Sun, 22 Nov 2026 12:00:00 GMT';
const stored = storedOf({ etag: '"a"', lastModified: MODIFIED });

function evaluate(lines: readonly string[], given = stored): string {
  return evaluatePreconditions(fieldsOf(...lines), given);
}

describe('If-None-Match (RFC 9110 §13.1.2)', () => {
  it.each([
    ['"a"', 'not-modified'],
    ['W/"a"', 'not-modified'],
    ['*', 'not-modified'],
    ['"b", "a"', 'not-modified'],
    ['"b" , W/"a"', 'not-modified'],
    ['"b,"a"', 'proceed'],
    ['"b"', 'proceed'],
    ['"A"', 'proceed'],
    ['a', 'proceed'],
    ['w/"a"', 'not-modified'],
    ['', 'proceed'],
    ['"*"', 'proceed'],
  ])('%s: %s', (value, expected) => {
    expect(evaluate([`If-None-Match: ${value}`])).toBe(expected);
  });

  it('may come in several lines', () => {
    expect(evaluate(['If-None-Match: "b"', 'If-None-Match: "a"'])).toBe('not-modified');
  });

  it('compares weakly with a stored weak ETag too', () => {
    const weak = storedOf({ etag: 'W/"a"' });
    expect(evaluate(['If-None-Match: "a"'], weak)).toBe('not-modified');
    expect(evaluate(['If-None-Match: W/"a"'], weak)).toBe('not-modified');
  });

  it('finds tags with commas and backslashes in them, and tags without quotes', () => {
    expect(evaluate([String.raw`If-None-Match: "x", "a,\b"`], storedOf({ etag: String.raw`"a,\b"` }))).toBe(
      'not-modified',
    );
    expect(evaluate(['If-None-Match: abcdef'], storedOf({ etag: 'abcdef' }))).toBe('not-modified');
  });

  it('proceeds where nothing is known to compare with, except for *', () => {
    expect(evaluate(['If-None-Match: "a"'], storedOf())).toBe('proceed');
    expect(evaluate(['If-None-Match: *'], storedOf())).toBe('not-modified');
  });

  it('wins over If-Modified-Since', () => {
    expect(evaluate(['If-None-Match: "b"', `If-Modified-Since: ${MODIFIED}`])).toBe('proceed');
    expect(evaluate(['If-None-Match: "a"', 'If-Modified-Since: Sat, 21 Nov 2026 12:00:00 GMT'])).toBe('not-modified');
  });
});

describe('If-Modified-Since (RFC 9110 §13.1.3, RFC 9111 §4.3.2)', () => {
  it.each([
    [MODIFIED, 'not-modified'],
    ['Mon, 23 Nov 2026 12:00:00 GMT', 'not-modified'],
    ['Sunday, 22-Nov-26 12:00:00 GMT', 'not-modified'],
    ['Sun Nov 22 12:00:00 2026', 'not-modified'],
    ['Sun, 22 Nov 2026 11:59:59 GMT', 'proceed'],
    ['Sun, 22 Nov 2026 12:00:00 UTC', 'proceed'],
    ['0', 'proceed'],
    ['', 'proceed'],
  ])('%s: %s', (value, expected) => {
    expect(evaluate([`If-Modified-Since: ${value}`])).toBe(expected);
  });

  it('compares with Date, then with the arrival, where there is no Last-Modified', () => {
    const since = ['If-Modified-Since: Mon, 23 Nov 2026 12:00:00 GMT'];
    const earlier = ['If-Modified-Since: Mon, 23 Nov 2026 11:59:59 GMT'];
    for (const given of [storedOf(), storedOf({ fields: [] })]) {
      expect(evaluate(since, given)).toBe('not-modified');
      expect(evaluate(earlier, given)).toBe('proceed');
    }
  });

  it('compares with the arrival in whole seconds, as a date has them, and with no Date that comes twice', () => {
    const responseTimeMs = T0 + 999;
    const since = ['If-Modified-Since: Mon, 23 Nov 2026 12:00:00 GMT'];
    expect(evaluate(since, storedOf({ fields: [], responseTimeMs }))).toBe('not-modified');
    const twice = fieldsOf('Date: Sun, 22 Nov 2026 12:00:00 GMT', 'Date: Sun, 22 Nov 2026 12:00:00 GMT');
    const earlier = ['If-Modified-Since: Mon, 23 Nov 2026 11:59:59 GMT'];
    expect(evaluate(earlier, storedOf({ fields: twice }))).toBe('proceed');
  });

  it('does not confirm a response that says it was modified in the future to a client with an older one', () => {
    const future = storedOf({ lastModified: 'Sat, 28 Nov 2026 12:00:00 GMT' });
    expect(evaluate(['If-Modified-Since: Mon, 23 Nov 2026 12:00:00 GMT'], future)).toBe('proceed');
    expect(evaluate(['If-Modified-Since: Sat, 28 Nov 2026 12:00:00 GMT'], future)).toBe('not-modified');
  });

  it('counts in one line alone', () => {
    expect(evaluate([`If-Modified-Since: ${MODIFIED}`, `If-Modified-Since: ${MODIFIED}`])).toBe('proceed');
  });
});

describe('preconditions', () => {
  it.each([404, 301, 500, 410])('mean nothing to a stored %i (§13.2.1)', (status) => {
    const other = storedOf({ status, etag: '"a"' });
    expect(evaluate(['If-None-Match: "a"'], other)).toBe('proceed');
    expect(evaluate(['If-None-Match: *'], other)).toBe('proceed');
  });

  it('that are upstream’s to evaluate are left alone', () => {
    expect(evaluate(['If-Match: "b"', 'If-Unmodified-Since: Sat, 21 Nov 2026 12:00:00 GMT'])).toBe('proceed');
  });

  it('are read without throwing, whatever they hold', () => {
    assertProperty(
      property(string({ unit: 'binary' }), string(), (one, other) => {
        const fields = [
          ['if-none-match', one],
          ['if-modified-since', other],
        ] as const;
        expect(['proceed', 'not-modified']).toContain(evaluatePreconditions(fields, stored));
        expect(['proceed', 'not-modified']).toContain(evaluatePreconditions(fields.slice(1), stored));
      }),
      { seed: 8, numRuns: 1000 },
    );
  });
});
