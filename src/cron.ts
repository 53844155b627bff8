import { Cron } from 'croner';

/**
 * Instants of a cron expression of five fields (minute, hour, day of month, month, day of week; `L`, `W`, `#` and names
 * too) or a nickname such as `@daily`. Only the calendar is the library's: the waiting is done with the `Clock` port.
 */
function parse(expression: string, zone: string): Cron {
  // Five fields only: with seconds allowed, a stray field would turn "daily" into "each second of that minute".
  // UTC is no offset at any time; as a zone it would have Intl read its database, 20 ms and several MiB of a start.
  const where = zone === 'UTC' ? { utcOffset: 0 } : { timezone: zone };
  return new Cron(expression, { paused: true, mode: '5-part', domAndDow: needsBothDays(expression), ...where });
}

/** As crontab reads days of month and of week: a day in either will do where both are restricted, and what begins with `*` is not, be it `*,15`. */
function needsBothDays(expression: string): boolean {
  const [, , ofMonth, , ofWeek] = expression.trim().split(/\s+/u);
  return ofMonth?.startsWith('*') === true || ofWeek?.startsWith('*') === true;
}

/** The first instant of the expression after `afterMs`, in Unix milliseconds; `undefined` when there is none. Throws on an expression that {@link checkCron} refuses and on an unknown zone. */
export function nextCronRunMs(expression: string, zone: string, afterMs: number): number | undefined {
  return parse(expression, zone).nextRun(new Date(afterMs))?.getTime();
}

/** Why the expression cannot be used, as a sentence; `undefined` when it can. */
export function checkCron(expression: string): string | undefined {
  const fields = expression.trim().split(/\s+/u).length;
  // Counted here because the library also takes six or seven fields, and a single date that would purge only once.
  if (fields !== 5 && !expression.trim().startsWith('@')) {
    return 'needs five fields: minute, hour, day of month, month, day of week';
  }
  try {
    return parse(expression, 'UTC').nextRun() === null ? 'never comes due' : undefined;
  } catch (error) {
    return `is not a cron expression: ${error instanceof Error ? error.message.replace(/^CronPattern: /u, '') : String(error)}`;
  }
}
