import { describe, expect, it } from 'vitest';

import { retryAfterMs } from '../../src/core/retry-after.ts';
import { fieldsOf } from '../support/policy.ts';

const nowMs = Date.parse('2026-11-23T12:00:00Z');
const dayMs = 86_400_000;

describe('Retry-After', () => {
  it.each([
    ['7', 7000],
    ['007', 7000],
    ['Mon, 23 Nov 2026 12:01:00 GMT', 60_000],
    ['Monday, 23-Nov-26 12:01:00 GMT', 60_000],
  ])('%s of a 429 or 503 is so long', (value, ms) => {
    const fields = fieldsOf(`retry-after: ${value}`);
    expect([429, 503].map((status) => retryAfterMs(status, fields, nowMs))).toEqual([ms, ms]);
  });

  it.each([
    '0',
    '-1',
    '1.5',
    '1s',
    '0x10',
    '',
    'soon',
    'Mon, 23 Nov 2026 12:00:00 GMT',
    'Mon, 23 Nov 2026 11:00:00 GMT',
  ])('"%s" asks for nothing', (value) => {
    expect(retryAfterMs(429, fieldsOf(`retry-after: ${value}`), nowMs)).toBeUndefined();
  });

  it('is believed for up to a day', () => {
    const values = ['86401', '9'.repeat(400), 'Thu, 23 Nov 2028 12:00:00 GMT'];
    const times = values.map((value) => retryAfterMs(429, fieldsOf(`retry-after: ${value}`), nowMs));
    expect(times).toEqual([dayMs, dayMs, dayMs]);
  });

  it('asks for nothing where it is not there, or there twice', () => {
    expect(retryAfterMs(429, [], nowMs)).toBeUndefined();
    expect(retryAfterMs(429, fieldsOf('retry-after: 7', 'retry-after: 7'), nowMs)).toBeUndefined();
  });

  it.each([200, 301, 413, 500, 502])('of a %s means something else', (status) => {
    expect(retryAfterMs(status, fieldsOf('retry-after: 7'), nowMs)).toBeUndefined();
  });
});
