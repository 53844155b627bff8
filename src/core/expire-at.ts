import type { KeyedRequest } from './request.ts';
import type { ExpireAt } from './route.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * Zones whose rules are kept at hand at most. Zones come from clients, and each formatter takes tens of kilobytes; there are
 * some 450 zones under 600 names, of which one process rarely needs more than this many.
 */
const MAX_KEPT_ZONES = 128;

/** By zone as named, the one that was made last at the end. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/**
 * When a response that came at `responseTimeMs` has to end at the latest: the first instant of the rule after it, moved by
 * the jitter of its key. Wall clock in milliseconds. The same key always has the same jitter, so that whoever works a
 * lifetime out anew (from Redis, in another process) comes to the same end.
 */
export function expiryOf(rule: ExpireAt, keyed: Pick<KeyedRequest, 'key' | 'zone'>, responseTimeMs: number): number {
  return nextInstant(rule, keyed.zone, responseTimeMs) + jitterOf(keyed.key, rule.jitterMs);
}

/**
 * The first instant of the rule after `afterMs`, without jitter.
 *
 * @param zone what the rule's template gives for a request; where it is `undefined` or no IANA zone the rule's own zone or
 * its fallback counts
 */
export function nextInstant(rule: ExpireAt, zone: string | undefined, afterMs: number): number {
  switch (rule.kind) {
    case 'every':
      return (Math.floor((afterMs - rule.offsetMs) / rule.everyMs) + 1) * rule.everyMs + rule.offsetMs;
    case 'daily': {
      const clock = clockOf(zone ?? rule.zone) ?? clockOf(rule.fallbackZone) ?? utc;
      return nextDaily(clock, rule.atMinutes * MINUTE_MS, afterMs);
    }
  }
}

/** What a clock on the wall shows at an instant, as if it were UTC. Both in milliseconds. */
type WallClock = (instantMs: number) => number;

const utc: WallClock = (instantMs) => instantMs;

/** `undefined` where there is no such zone. Offsets are no zones: a client could name a thousand of them. */
function clockOf(zone: string): WallClock | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(zone)) return undefined;
  const format = formatters.get(zone) ?? formatterOf(zone);
  if (format === undefined) return undefined;
  formatters.delete(zone);
  formatters.set(zone, format);
  for (const oldest of formatters.keys()) {
    if (formatters.size <= MAX_KEPT_ZONES) break;
    formatters.delete(oldest);
  }
  return (instantMs) => wallTime(format, instantMs);
}

function formatterOf(timeZone: string): Intl.DateTimeFormat | undefined {
  const numbers = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  try {
    const options = {
      ...numbers,
      second: 'numeric',
      era: 'short',
      hourCycle: 'h23',
      calendar: 'gregory',
      timeZone,
    } as const;
    return new Intl.DateTimeFormat('en-US', options);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function wallTime(format: Intl.DateTimeFormat, instantMs: number): number {
  const parts = new Map(format.formatToParts(instantMs).map(({ type, value }) => [type, value]));
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const date = new Date(0);
  // Not Date.UTC: it takes years below 100 for 19xx. The year before 1 AD is 1 BC.
  date.setUTCFullYear(
    parts.get('era') === 'BC' ? 1 - number('year') : number('year'),
    number('month') - 1,
    number('day'),
  );
  const wholeMs = date.setUTCHours(number('hour'), number('minute'), number('second'));
  return wholeMs + (((instantMs % 1000) + 1000) % 1000);
}

/** Today's instant may be past, or may be that which `afterMs` is; tomorrow's never is. */
function nextDaily(clock: WallClock, atMs: number, afterMs: number): number {
  const todayMs = Math.floor(clock(afterMs) / DAY_MS) * DAY_MS;
  for (let days = 0; ; days += 1) {
    const instantMs = firstAt(clock, todayMs + days * DAY_MS + atMs);
    if (instantMs > afterMs) return instantMs;
  }
}

/**
 * The first instant at which the clock shows `wallMs` or later. Where it shows it twice (summer time ends) that is the first
 * of the two; where it never does (summer time begins) the instant of the change: a day whose midnight does not exist
 * begins at one o'clock.
 */
function firstAt(clock: WallClock, wallMs: number): number {
  // No zone is further from UTC than 14 hours and none has two changes within two days, so one of these offsets is right.
  const candidates = [wallMs - DAY_MS, wallMs + DAY_MS]
    .map((nearMs) => wallMs - (clock(nearMs) - nearMs))
    .toSorted((one, other) => one - other);
  const exact = candidates.find((instantMs) => clock(instantMs) === wallMs);
  if (exact !== undefined) return exact;
  let beforeMs = candidates[0] ?? wallMs;
  let atOrAfterMs = candidates[1] ?? wallMs;
  // Changes are at whole seconds.
  while (atOrAfterMs - beforeMs > 1000) {
    const middleMs = Math.floor((beforeMs + atOrAfterMs) / 2000) * 1000;
    if (clock(middleMs) < wallMs) beforeMs = middleMs;
    else atOrAfterMs = middleMs;
  }
  return atOrAfterMs;
}

/** From 0 to `jitterMs`, both inclusive, told by the key alone. */
function jitterOf(key: string, jitterMs: number): number {
  if (jitterMs <= 0) return 0;
  return Math.floor((hash32(key) / 2 ** 32) * (jitterMs + 1));
}

/** FNV-1a, with the last mixing of MurmurHash3: keys that differ in their last character alone must be far from each other. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
