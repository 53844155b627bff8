import { describe, expect, test } from 'vitest';

import { checkCron, nextCronRunMs } from '../src/cron.ts';

function next(expression: string, zone: string, after: string): string | undefined {
  const ms = nextCronRunMs(expression, zone, Date.parse(after));
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

describe('cron expressions', () => {
  test.each(['0 6 * * *', '*/15 * * * *', '0 6 * * MON-FRI', '0 0 29 2 *', '0 0 L * *', '@daily', ' 0 6 * * * '])(
    '%j is accepted',
    (expression) => {
      expect(checkCron(expression)).toBeUndefined();
    },
  );

  test.each([
    ['', 'needs five fields'],
    ['0 6 * *', 'needs five fields'],
    ['0 0 6 * * *', 'needs five fields'],
    ['2026-11-23T06:00:00', 'needs five fields'],
    ['61 * * * *', 'is not a cron expression'],
    ['a b c d e', 'is not a cron expression'],
    ['@reboot', 'is not a cron expression'],
    ['0 0 30 2 *', 'never comes due'],
  ])('%j is refused: %s', (expression, why) => {
    expect(checkCron(expression)).toContain(why);
  });

  test('the next instant is after the given one, never the same', () => {
    expect(next('0 6 * * *', 'UTC', '2026-11-23T05:59:59.999Z')).toBe('2026-11-23T06:00:00.000Z');
    expect(next('0 6 * * *', 'UTC', '2026-11-23T06:00:00Z')).toBe('2026-11-24T06:00:00.000Z');
    expect(next('0 6 * * *', 'UTC', '2026-11-23T06:00:00.500Z')).toBe('2026-11-24T06:00:00.000Z');
  });

  // 2026-11-23 is a Monday.
  test.each([
    ['0 0 1 * FRI', '2026-11-27T00:00:00.000Z', 'either, where both are restricted'],
    ['0 0 1-7 * FRI', '2026-11-27T00:00:00.000Z', 'either, where both are restricted'],
    ['0 0 */2 * MON', '2026-12-07T00:00:00.000Z', 'both, where the day of month begins with *'],
    ['0 0 1-7 * */7', '2026-12-06T00:00:00.000Z', 'both, where the weekday begins with *'],
    ['0 0 * * FRI', '2026-11-27T00:00:00.000Z', 'the weekday alone'],
    ['0 0 15 * *', '2026-12-15T00:00:00.000Z', 'the day of month alone'],
    ['\t0  0\t*/2  * MON ', '2026-12-07T00:00:00.000Z', 'both, however it is spaced'],
    ['@weekly', '2026-11-29T00:00:00.000Z', 'what its nickname says'],
  ])('%j comes on days of %s: %s', (expression, first) => {
    expect(next(expression, 'UTC', '2026-11-23T12:00:00Z')).toBe(first);
  });

  test('a time that a zone has twice comes once', () => {
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z')).toBe('2026-10-25T00:30:00.000Z');
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z')).toBe('2026-10-26T01:30:00.000Z');
  });
});
