/**
 * Slow and plain readers of field values for the oracle: character by character, after the grammar, sharing nothing with
 * `src/core`. What the RFCs leave open is a choice of this cache and stated at each function.
 */

/** A field line as the oracle has it: lower-cased name, value. */
export type Line = readonly [name: string, value: string];

/** Values of all lines with that name. */
export function linesOf(fields: readonly Line[], name: string): readonly string[] {
  const values: string[] = [];
  for (const [lineName, value] of fields) if (lineName === name) values.push(value);
  return values;
}

/** Present at all. */
export function isPresent(fields: readonly Line[], name: string): boolean {
  return linesOf(fields, name).length > 0;
}

const WHITE = [' ', '\t'];

function trimmed(text: string): string {
  const chars = text.split('');
  while (WHITE.includes(chars[0] ?? 'x')) chars.shift();
  while (WHITE.includes(chars.at(-1) ?? 'x')) chars.pop();
  return chars.join('');
}

/**
 * Members of `#element` (RFC 9110 §5.6.1), quoted strings (§5.6.4) kept whole. Choice: a quote that is never closed in its
 * line is an ordinary character and so is what follows, so that no directive hides behind it.
 */
export function literalList(line: string): readonly string[] {
  const members: string[] = [];
  let member = '';
  let position = 0;
  let broken = false;
  while (position < line.length) {
    const char = line.charAt(position);
    if (char === '"' && !broken) {
      const quoted = quotedFrom(line, position);
      if (quoted === undefined) {
        broken = true;
      } else {
        member += quoted;
        position += quoted.length;
        continue;
      }
    }
    if (char === ',') {
      members.push(trimmed(member));
      member = '';
    } else {
      member += char;
    }
    position += 1;
  }
  members.push(trimmed(member));
  return members;
}

/** The quoted-string that begins there, quotes included; `undefined` where it has no end. */
function quotedFrom(line: string, open: number): string | undefined {
  let position = open + 1;
  while (position < line.length) {
    const char = line.charAt(position);
    if (char === '"') return line.slice(open, position + 1);
    position += char === '\\' ? 2 : 1;
  }
  return undefined;
}

/** What a directive says: `undefined` argument where it has none. */
export interface Directive {
  readonly name: string;
  readonly argument: string | undefined;
}

/**
 * Cache-Control (RFC 9111 §5.2): all lines, in order. Choice: white space next to `=` makes the argument one that is no
 * delta-seconds (the grammar has none there).
 */
export function literalCacheControl(lines: readonly string[]): readonly Directive[] {
  return lines
    .flatMap((line) => literalList(line))
    .filter((member) => member !== '')
    .map((member) => {
      const position = member.indexOf('=');
      if (position === -1) return { name: member.toLowerCase(), argument: undefined };
      const left = member.slice(0, position);
      const name = trimmed(left);
      const right = member.slice(position + 1);
      return { name: name.toLowerCase(), argument: name === left ? unquoted(right) : ` ${right}` };
    });
}

function unquoted(text: string): string {
  if (!text.startsWith('"') || quotedFrom(text, 0) !== text) return text;
  let said = '';
  for (let position = 1; position < text.length - 1; position += 1) {
    if (text.charAt(position) === '\\') position += 1;
    said += text.charAt(position);
  }
  return said;
}

const DIGITS = '0123456789'.split('');

function areDigits(text: string): boolean {
  return text !== '' && text.split('').every((char) => DIGITS.includes(char));
}

/** delta-seconds (RFC 9111 §1.2.2): digits; what does not fit into 31 bits is 2^31. `undefined`: not that. */
export function literalDeltaSeconds(text: string): number | undefined {
  if (!areDigits(text)) return undefined;
  let seconds = 0;
  for (const digit of text.split('')) {
    seconds = seconds * 10 + DIGITS.indexOf(digit);
    if (seconds >= 2_147_483_648) seconds = 2_147_483_648;
  }
  return seconds;
}

const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const SHORT_DAYS = DAYS.map((day) => day.slice(0, 3));
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/**
 * HTTP-date (RFC 9110 §5.6.7), milliseconds since 1970. Choices: names and `GMT` in any case; the name of the day is not
 * checked against the date; second 60 is the second after.
 *
 * @param nowMs what a two-digit year is read against
 */
export function literalDate(text: string, nowMs: number): number | undefined {
  const lower = text.toLowerCase();
  return imfFixdate(lower) ?? rfc850(lower, nowMs) ?? asctime(lower);
}

/** `sun, 06 nov 1994 08:49:37 gmt` */
function imfFixdate(text: string): number | undefined {
  const [day = '', date = '', monthName = '', year = '', clock = '', zone, ...rest] = text.split(' ');
  if (rest.length > 0 || zone !== 'gmt' || !SHORT_DAYS.some((name) => `${name},` === day)) return undefined;
  if (!areSoMany(2, date) || !areSoMany(4, year)) return undefined;
  return instant(Number(year), monthName, Number(date), clock);
}

/** `sunday, 06-nov-94 08:49:37 gmt` */
function rfc850(text: string, nowMs: number): number | undefined {
  const words = text.split(' ');
  const [day, date = '', clock = '', zone] = words;
  if (words.length !== 4 || zone !== 'gmt' || !DAYS.some((name) => `${name},` === day)) return undefined;
  const parts = date.split('-');
  const [dayOfMonth = '', monthName = '', shortYear = ''] = parts;
  if (parts.length !== 3 || ![dayOfMonth, shortYear].every((part) => areSoMany(2, part))) return undefined;
  return withShortYear(Number(shortYear), nowMs, (year) => instant(year, monthName, Number(dayOfMonth), clock));
}

/** "more than 50 years in the future" is the past: the last year with these two digits that is not. */
function withShortYear(shortYear: number, nowMs: number, at: (year: number) => number | undefined): number | undefined {
  const now = civil(nowMs);
  const last = Math.floor((now.year + 50) / 100) * 100 + shortYear;
  const later = at(last);
  return later !== undefined && later <= inFiftyYears(now, nowMs) ? later : at(last - 100);
}

function areSoMany(digits: number, text: string): boolean {
  return text.length === digits && areDigits(text);
}

/** `sun nov  6 08:49:37 1994`: the day of the month of one digit has a space more in front. */
function asctime(text: string): number | undefined {
  if (text.length !== 24) return undefined;
  const spaces = [3, 7, 10, 19];
  if (spaces.some((position) => text.charAt(position) !== ' ')) return undefined;
  const date = text.slice(8, 10);
  const dayOfMonth = date.startsWith(' ') ? date.slice(1) : date;
  const year = text.slice(20);
  if (!SHORT_DAYS.includes(text.slice(0, 3)) || !areDigits(dayOfMonth) || !areDigits(year)) return undefined;
  return instant(Number(year), text.slice(4, 7), Number(dayOfMonth), text.slice(11, 19));
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function daysOfMonth(year: number, month: number): number {
  return [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month] ?? 0;
}

/** Days from 1 January of year 0 (which is a leap year) to 1 January of that year. */
function daysBefore(year: number): number {
  if (year <= 0) return 365 * year;
  const past = year - 1;
  return 365 * year + 1 + Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400);
}

function instant(year: number, monthName: string, dayOfMonth: number, clock: string): number | undefined {
  const month = MONTHS.indexOf(monthName);
  const seconds = secondsOf(clock);
  if (month === -1 || seconds === undefined) return undefined;
  if (dayOfMonth < 1 || dayOfMonth > daysOfMonth(year, month)) return undefined;
  let days = daysBefore(year) - daysBefore(1970) + dayOfMonth - 1;
  for (let before = 0; before < month; before += 1) days += daysOfMonth(year, before);
  return (days * 86_400 + seconds) * 1000;
}

/** `08:49:37` */
function secondsOf(clock: string): number | undefined {
  const parts = clock.split(':');
  if (parts.length !== 3 || !parts.every((part) => areSoMany(2, part))) return undefined;
  const [hour = 0, minute = 0, second = 0] = parts.map(Number);
  return hour > 23 || minute > 59 || second > 60 ? undefined : (hour * 60 + minute) * 60 + second;
}

interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

function civil(ms: number): Civil {
  let days = Math.floor(ms / 86_400_000) + daysBefore(1970);
  let year = Math.floor(days / 365.2425);
  while (daysBefore(year) > days) year -= 1;
  while (daysBefore(year + 1) <= days) year += 1;
  days -= daysBefore(year);
  let month = 0;
  while (days >= daysOfMonth(year, month)) {
    days -= daysOfMonth(year, month);
    month += 1;
  }
  return { year, month, day: days + 1 };
}

/** The same day and time in 50 years; of 29 February, 1 March. */
function inFiftyYears({ year, month, day }: Civil, ms: number): number {
  let days = daysBefore(year + 50) - daysBefore(1970) + day - 1;
  for (let before = 0; before < month; before += 1) days += daysOfMonth(year + 50, before);
  return days * 86_400_000 + (ms - Math.floor(ms / 86_400_000) * 86_400_000);
}

/** The only valid date among the lines of a field that may have one line (RFC 9110 §5.3, §6.6.1). */
export function onlyDate(fields: readonly Line[], name: string, nowMs: number): number | undefined {
  const lines = linesOf(fields, name);
  return lines.length === 1 ? literalDate(lines[0] ?? '', nowMs) : undefined;
}
