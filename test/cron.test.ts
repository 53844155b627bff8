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

  test('a time that a zone has twice comes once', () => {
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z')).toBe('2026-10-25T00:30:00.000Z');
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z')).toBe('2026-10-26T01:30:00.000Z');
  });
});
