import { BoundedMemo } from './bounded-memo.ts';
import type { KeyedRequest } from './request.ts';
import type { ExpireAt } from './route.ts';

const MINUTE_MS = 60_000;
const QUARTER_MINUTES = 15;
const DAY_MS = 86_400_000;

/** An {@link ExpireAt} that goes by a clock on the wall. */
type Daily = Extract<ExpireAt, { kind: 'daily' }>;

/**
 * Zones by name in lower case: a zone has as many spellings as its letters have cases, and a client could send each of them.
 * Each formatter takes tens of kilobytes; there are some 450 zones under 600 names, of which one process rarely needs more
 * than this many.
 */
const zones = new BoundedMemo<Intl.DateTimeFormat>(128);

/** Names that are no zone, kept apart, so that a client that makes them up cannot push out zones. */
const noZones = new BoundedMemo<true>(256);

/**
 * When a response that was asked for at `askedMs` has to end at the latest: the first instant of the rule after that, moved by
 * the jitter of its key. Wall clock in milliseconds. The same key always has the same jitter, so that whoever works a
 * lifetime out anew (from Redis, in another process) comes to the same end.
 */
export function expiryOf(rule: ExpireAt, keyed: Pick<KeyedRequest, 'key' | 'zone'>, askedMs: number): number {
  return nextInstant(rule, keyed.zone, askedMs) + jitterOf(keyed.key, rule.jitterMs);
}

/**
 * The first instant of the rule after `afterMs`, without jitter. Where no zone is known ({@link zoneUsed}) it is the next at
 * which a clock somewhere can show the time: the offsets of all zones are whole quarters of an hour, so whatever zone was
 * meant, its own instant is none sooner.
 *
 * @param zone what the rule's template gives for a request
 */
export function nextInstant(rule: ExpireAt, zone: string | undefined, afterMs: number): number {
  switch (rule.kind) {
    case 'every':
      return nextMultiple(rule.everyMs, rule.offsetMs, afterMs);
    case 'daily': {
      const used = zoneUsed(rule, zone);
      const clock = used === undefined ? undefined : clockOf(used);
      return clock === undefined
        ? nextMultiple(QUARTER_MINUTES * MINUTE_MS, (rule.atMinutes % QUARTER_MINUTES) * MINUTE_MS, afterMs)
        : nextDaily(clock, rule.atMinutes * MINUTE_MS, afterMs);
    }
  }
}

/**
 * The zone whose clock counts, as it was named: that which the request gives, or the rule's own; where that is none, the
 * fallback; `undefined` where there is none either.
 *
 * @param given what the rule's template gives for a request; a list of one zone over and over names that zone, as where
 * several places are asked for at once
 */
export function zoneUsed(rule: Pick<Daily, 'zone' | 'fallbackZone'>, given: string | undefined): string | undefined {
  const named = oneName(given ?? rule.zone);
  if (named !== undefined && clockOf(named) !== undefined) return named;
  const { fallbackZone } = rule;
  return fallbackZone !== undefined && clockOf(fallbackZone) !== undefined ? fallbackZone : undefined;
}

function oneName(given: string): string | undefined {
  const [first = '', ...others] = given.split(',').map((member) => member.trim());
  const folded = first.toLowerCase();
  return others.every((other) => other.toLowerCase() === folded) ? first : undefined;
}

function nextMultiple(stepMs: number, offsetMs: number, afterMs: number): number {
  return (Math.floor((afterMs - offsetMs) / stepMs) + 1) * stepMs + offsetMs;
}

/** What a clock on the wall shows at an instant, as if it were UTC. Both in milliseconds. */
type WallClock = (instantMs: number) => number;

/** `undefined` where there is no such zone. Offsets are no zones: a client could name a thousand of them. */
function clockOf(zone: string): WallClock | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(zone)) return undefined;
  const folded = zone.toLowerCase();
  const format = zones.get(folded) ?? newFormatter(folded);
  return format && ((instantMs) => wallTime(format, instantMs));
}

function newFormatter(folded: string): Intl.DateTimeFormat | undefined {
  if (noZones.get(folded) !== undefined) return undefined;
  const format = formatterOf(folded);
  if (format === undefined) noZones.set(folded, true);
  else zones.set(folded, format);
  return format;
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
