const DAY_MS = 86_400_000;

const DATE = /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})$/;

/** The zone's plus may have come as a space: an unencoded `+` in a query is one. */
const DATE_TIME =
  /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[Tt ]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?([Zz]|[ +-][0-9]{2}(?::?[0-9]{2})?)?$/;

interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar. Own arithmetic, since `Date.UTC` moves the years 0 to 99 to 1900. */
function daysOf({ year, month, day }: Civil): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** The inverse of {@link daysOf}. */
function civilOf(days: number): Civil {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1,
  };
}

function padded(value: number, width = 2): string {
  return value.toString().padStart(width, '0');
}

function formatDays(days: number): string | undefined {
  const { year, month, day } = civilOf(days);
  return year >= 1 && year <= 9999 ? `${padded(year, 4)}-${padded(month)}-${padded(day)}` : undefined;
}

function daysFromParts(parts: RegExpExecArray): number | undefined {
  const civil = { year: Number(parts[1]), month: Number(parts[2]), day: Number(parts[3]) };
  if (civil.year < 1 || civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.day > 31) return undefined;
  const days = daysOf(civil);
  // The 31st of a short month would be the 1st of the next.
  return civilOf(days).day === civil.day ? days : undefined;
}

/** `YYYY-MM-DD` of a date that the calendar has (`2021-1-1` too); `undefined` for all else. */
export function canonicalDate(text: string): string | undefined {
  const parts = DATE.exec(text);
  const days = parts === null ? undefined : daysFromParts(parts);
  return days === undefined ? undefined : formatDays(days);
}

/** To what instants are rounded: down (`floorMs`) or up (`ceilMs`) to a multiple of whole milliseconds. */
export interface DateTimeStep {
  readonly floorMs?: number | undefined;
  readonly ceilMs?: number | undefined;
}

/**
 * ISO 8601 with optional seconds, fraction and zone. A time with a zone becomes UTC and ends in `Z`; one without stays
 * without, since only upstream knows which is meant. A step rounds to a multiple of it since the Unix epoch (a time
 * without a zone as if it were UTC). Seconds are always written, a fraction only where it is not zero.
 */
export function canonicalDateTime(text: string, step: DateTimeStep = {}): string | undefined {
  const parts = DATE_TIME.exec(text);
  const days = parts === null ? undefined : daysFromParts(parts);
  if (parts === null || days === undefined) return undefined;
  const hour = Number(parts[4]);
  const minute = Number(parts[5]);
  const second = Number(parts[6] ?? '0');
  const offset = offsetMinutes(parts[8]);
  if (hour > 23 || minute > 59 || second > 59 || offset === undefined) return undefined;
  const fraction = (parts[7] ?? '').padEnd(3, '0');
  const whole = ((hour * 60 + minute - offset) * 60 + second) * 1000 + Number(fraction.slice(0, 3));
  const instantMs = days * DAY_MS + whole;
  const zone = parts[8] === undefined ? '' : 'Z';
  return formatRounded(instantMs, fraction.slice(3), zone, step);
}

/** `belowMs` are the digits of a part of a millisecond. */
function formatRounded(instantMs: number, belowMs: string, zone: string, step: DateTimeStep): string | undefined {
  const { floorMs, ceilMs } = step;
  if (floorMs !== undefined) return formatInstant(Math.floor(instantMs / floorMs) * floorMs, '', zone);
  if (ceilMs === undefined) return formatInstant(instantMs, belowMs, zone);
  // A part of a millisecond is past the step too.
  const atLeastMs = /[1-9]/.test(belowMs) ? instantMs + 1 : instantMs;
  // The last instants of 9999 stand for "never ends"; the year 10000 cannot be written.
  return formatInstant(Math.ceil(atLeastMs / ceilMs) * ceilMs, '', zone) ?? formatInstant(instantMs, belowMs, zone);
}

function offsetMinutes(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === 'Z' || zone === 'z') return 0;
  const digits = zone.slice(1).replace(':', '').padEnd(4, '0');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

function formatInstant(instantMs: number, belowMs: string, zone: string): string | undefined {
  const days = Math.floor(instantMs / DAY_MS);
  const date = formatDays(days);
  if (date === undefined) return undefined;
  const ms = instantMs - days * DAY_MS;
  const seconds = Math.floor(ms / 1000);
  const time = `${padded(Math.floor(seconds / 3600))}:${padded(Math.floor(seconds / 60) % 60)}:${padded(seconds % 60)}`;
  const fraction = (padded(ms % 1000, 3) + belowMs).replace(/0+$/, '');
  return `${date}T${time}${fraction === '' ? '' : `.${fraction}`}${zone}`;
}
