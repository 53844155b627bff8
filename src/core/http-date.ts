const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

const shortDay = '(?:mon|tue|wed|thu|fri|sat|sun)';
const longDay = '(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)';
const month = '(?<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)';
const time = '(?<hour>[0-9]{2}):(?<minute>[0-9]{2}):(?<second>[0-9]{2})';

/** RFC 9110 §5.6.7; names and `GMT` in any case, since senders differ there and nothing can be misread by it. */
const imfFixdate = new RegExp(`^${shortDay}, (?<day>[0-9]{2}) ${month} (?<year>[0-9]{4}) ${time} GMT$`, 'i');
const rfc850Date = new RegExp(`^${longDay}, (?<day>[0-9]{2})-${month}-(?<shortYear>[0-9]{2}) ${time} GMT$`, 'i');
const asctimeDate = new RegExp(`^${shortDay} ${month} (?<day>[0-9]{2}| [0-9]) ${time} (?<year>[0-9]{4})$`, 'i');

/** The latest date that was read, of those whose meaning is the same at any time. */
let latest: { readonly text: string; readonly ms: number | undefined } = { text: '', ms: undefined };

/**
 * Milliseconds since the Unix epoch of an HTTP-date in one of its three forms (RFC 9110 §5.6.7), `undefined` for
 * anything else. `Date.parse` is no help: it takes `UTC`, missing commas, dashes and one-digit hours, and reads RFC 850
 * years as 19xx.
 *
 * @param nowMs for the two-digit year of RFC 850: more than 50 years ahead means the century before.
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  // All answers of a second have one Date.
  if (text === latest.text) return latest.ms;
  // The longest form has 33 characters; nothing longer is worth a regular expression.
  if (text.length > 40) return undefined;
  const groups = (imfFixdate.exec(text) ?? rfc850Date.exec(text) ?? asctimeDate.exec(text))?.groups;
  if (groups === undefined) return undefined;
  const date = {
    month: monthNames.findIndex((name) => name.toLowerCase() === groups['month']?.toLowerCase()),
    day: Number(groups['day']),
    hour: Number(groups['hour']),
    minute: Number(groups['minute']),
    second: Number(groups['second']),
  };
  const shortYear = groups['shortYear'];
  if (shortYear === undefined) {
    const ms = toTime(Number(groups['year']), date);
    latest = { text, ms };
    return ms;
  }
  return nearestCentury(Number(shortYear), date, nowMs);
}

/** IMF-fixdate, the one form that is sent (RFC 9110 §5.6.7). Fractions of a second are cut off. */
export function formatHttpDate(ms: number): string {
  const date = new Date(ms);
  const day = `${dayNames[date.getUTCDay()]}, ${twoDigits(date.getUTCDate())} ${monthNames[date.getUTCMonth()]}`;
  const clock = `${twoDigits(date.getUTCHours())}:${twoDigits(date.getUTCMinutes())}:${twoDigits(date.getUTCSeconds())}`;
  return `${day} ${String(date.getUTCFullYear()).padStart(4, '0')} ${clock} GMT`;
}

interface DayAndTime {
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/** `undefined` for days and times that do not exist. Second 60 is a leap second and is read as the one after it. */
function toTime(year: number, at: DayAndTime): number | undefined {
  if (at.hour > 23 || at.minute > 59 || at.second > 60) return undefined;
  const date = new Date(0);
  // Not Date.UTC: it takes years below 100 for 19xx.
  date.setUTCFullYear(year, at.month, at.day);
  if (date.getUTCMonth() !== at.month || date.getUTCDate() !== at.day) return undefined;
  return date.setUTCHours(at.hour, at.minute, at.second);
}

function nearestCentury(shortYear: number, at: DayAndTime, nowMs: number): number | undefined {
  const limit = new Date(nowMs);
  limit.setUTCFullYear(limit.getUTCFullYear() + 50);
  const century = Math.floor(limit.getUTCFullYear() / 100) * 100;
  const candidate = toTime(century + shortYear, at);
  if (candidate !== undefined && candidate <= limit.getTime()) return candidate;
  return toTime(century - 100 + shortYear, at);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
