import { type Result, ok, refused } from '../core/problem.ts';

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Inclusive bounds of an option, in milliseconds or bytes. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Milliseconds of `500ms`, `30s`, `10m`, `1h`, `7d` or `0`; otherwise a sentence that says what is wrong. */
export function parseDuration(text: string, bounds: Bounds): Result<number, string> {
  const found = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text);
  if (text !== '0' && !found) {
    const hint = /^\d{1,15}$/.test(text) ? ` (a number needs its unit: ${text}s?)` : '';
    return refused(`expected a duration such as 500ms, 30s, 10m, 1h or 7d, given ${quoted(text)}${hint}`);
  }
  const value = found ? Number(found[1]) * (durationUnits[found[2] ?? ''] ?? 0) : 0;
  return within(value, bounds, { text, show: formatDuration });
}

/** Bytes of `512`, `64KiB`, `256MiB`, `2GiB`; otherwise a sentence that says what is wrong. */
export function parseSize(text: string, bounds: Bounds): Result<number, string> {
  const found = /^(\d{1,15})(B|KiB|MiB|GiB)?$/.exec(text);
  if (!found) {
    const hint = /^\d+\s*[kmg]i?b?$/i.test(text) ? ' (units are KiB, MiB and GiB, without a space)' : '';
    return refused(`expected a size such as 512, 64KiB, 256MiB or 2GiB, given ${quoted(text)}${hint}`);
  }
  const value = Number(found[1]) * (sizeUnits[found[2] ?? 'B'] ?? 0);
  return within(value, bounds, { text, show: formatSize });
}

function within(
  value: number,
  bounds: Bounds,
  words: { readonly text: string; readonly show: (value: number) => string },
): Result<number, string> {
  if (value < bounds.min) return refused(`is at least ${words.show(bounds.min)}, given ${quoted(words.text)}`);
  if (value > bounds.max) return refused(`is at most ${words.show(bounds.max)}, given ${quoted(words.text)}`);
  return ok(value);
}

/** The shortest exact spelling of a duration in milliseconds, as it is written in the file. */
export function formatDuration(ms: number): string {
  return spelled(ms, durationUnits, 'ms');
}

/** The shortest exact spelling of a size in bytes, as it is written in the file. */
export function formatSize(bytes: number): string {
  return spelled(bytes, sizeUnits, 'B');
}

function spelled(value: number, units: Readonly<Record<string, number>>, smallest: string): string {
  if (value === 0) return '0';
  const fitting = Object.entries(units).findLast(([, factor]) => value % factor === 0);
  return fitting ? `${value / fitting[1]}${fitting[0]}` : `${value}${smallest}`;
}

/** What was given, quoted for a message: printable ASCII, cut at 60 characters, without the user and password of a URL. */
export function quoted(text: string): string {
  const shown = withoutUser(text);
  const cut = shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
  return JSON.stringify(cut).replaceAll(/[^\x20-\x7e]/g, escaped);
}

function withoutUser(text: string): string {
  return text.replace(/(^|:)\/\/.*@/s, '$1//***@');
}

/** A JSON escape for one UTF-16 code unit. */
export function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
