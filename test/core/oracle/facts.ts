import type { FailureKind } from '../../../src/core/failure.ts';
import type { ExpireAt, Route } from '../../../src/core/route.ts';
import {
  type Directive,
  type Line,
  linesOf,
  literalCacheControl,
  literalDeltaSeconds,
  literalList,
  onlyDate,
} from './literal-fields.ts';
import { literalDictionary, type LiteralMember } from './literal-structured.ts';

/** One exchange with upstream and what is asked afterwards: all that the policy is told. */
export interface Case {
  readonly route: Route;
  readonly request: readonly Line[];
  readonly status: number;
  readonly response: readonly Line[];
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  /** The method that the answer is stored under. */
  readonly method: 'GET' | 'HEAD' | 'POST' | 'QUERY';
  /** Of a relayed POST's answer: whether its Content-Location is the target URI. */
  readonly namesTarget: boolean;
  readonly zone: string | undefined;
  /** A later request for the same. */
  readonly later: readonly Line[];
  readonly nowMs: number;
  readonly staleSinceMs: number | undefined;
  /** How a call upstream failed then, or the status that came. */
  readonly failure: FailureKind | number;
}

/** A directive's argument as a number of seconds: absent, or there and not delta-seconds. */
export type Seconds = number | 'absent' | 'invalid';

/** The directives that this cache has to obey, and of which field they are. */
export interface Obeyed {
  readonly field: 'cdn-cache-control' | 'cache-control';
  readonly has: (name: string) => boolean;
  readonly seconds: (name: string) => Seconds;
}

/**
 * RFC 9213 §2.2: the targeted field where it is valid and not empty, else Cache-Control. Choices within §2.1: a `max-age` or
 * `s-maxage` that is no Integer of at least 0 makes the whole field void; `name=?0` is a directive that is not there; a
 * directive of a type that it cannot have is there, without an argument of any use.
 */
export function obeyed(response: readonly Line[]): Obeyed {
  const targeted = literalDictionary(linesOf(response, 'cdn-cache-control'));
  if (targeted !== undefined && isValidTarget(targeted)) {
    const said = (name: string): LiteralMember | undefined => {
      const member = targeted.get(name);
      return member?.type === 'boolean' && !member.value ? undefined : member;
    };
    return {
      field: 'cdn-cache-control',
      has: (name) => said(name) !== undefined,
      seconds: (name) => {
        const member = said(name);
        if (member === undefined) return 'absent';
        if (member.type === 'integer') return literalDeltaSeconds(String(member.value)) ?? 'invalid';
        // Text is read as the argument of Cache-Control would be: only extensions can be such.
        if (member.type === 'string' || member.type === 'token') return literalDeltaSeconds(member.value) ?? 'invalid';
        return 'invalid';
      },
    };
  }
  return { field: 'cache-control', ...directivesOf(literalCacheControl(linesOf(response, 'cache-control'))) };
}

function isValidTarget(members: ReadonlyMap<string, LiteralMember>): boolean {
  if (members.size === 0) return false;
  return ['max-age', 's-maxage'].every((name) => {
    const member = members.get(name);
    return member === undefined || (member.type === 'integer' && member.value >= 0);
  });
}

/** The first of a directive that comes twice (RFC 9111 §4.2.1). */
export function directivesOf(directives: readonly Directive[]): Pick<Obeyed, 'has' | 'seconds'> {
  const first = (name: string): Directive | undefined => directives.find((one) => one.name === name);
  return {
    has: (name) => first(name) !== undefined,
    seconds: (name) => {
      const directive = first(name);
      if (directive === undefined) return 'absent';
      return literalDeltaSeconds(directive.argument ?? '') ?? 'invalid';
    },
  };
}

/**
 * RFC 9111 §4.2.3, as its formulas. Choices: Date has whole seconds, so `response_time` is cut to whole ones for
 * `apparent_age`; a Date that is missing, repeated or invalid gives no apparent age (RFC 9110 §6.6.1 has a recipient write the
 * time of receipt there); of Age the first member of the first line counts, if it is delta-seconds (§5.1); a clock that was
 * set back makes no negative delay.
 */
export function correctedInitialAgeMs(one: Case): number {
  const dateValue = onlyDate(one.response, 'date', one.responseTimeMs);
  const responseTime = one.responseTimeMs - (((one.responseTimeMs % 1000) + 1000) % 1000);
  const apparentAge = dateValue === undefined ? 0 : Math.max(0, responseTime - dateValue);
  const firstLine = linesOf(one.response, 'age')[0];
  const ageValue = firstLine === undefined ? 0 : (literalDeltaSeconds(literalList(firstLine)[0] ?? '') ?? 0) * 1000;
  const responseDelay = Math.max(0, one.responseTimeMs - one.requestTimeMs);
  const correctedAgeValue = ageValue + responseDelay;
  return Math.max(apparentAge, correctedAgeValue);
}

/**
 * The next instant of `expireAt` after a request, a choice of this cache's alone. Daily: of each day the first moment at
 * which the clock of the zone shows that time or a later one, found by looking at it every quarter of an hour (no zone of
 * today changes its offset at any other time). Where nobody knows the zone, the next minute that is as far from a quarter of an
 * hour as that time is. Without jitter, which the cases do not have.
 */
export function literalNextInstant(rule: ExpireAt, zone: string | undefined, afterMs: number): number {
  if (rule.kind === 'every') {
    let instantMs = rule.offsetMs + Math.floor((afterMs - rule.offsetMs) / rule.everyMs) * rule.everyMs;
    while (instantMs <= afterMs) instantMs += rule.everyMs;
    return instantMs;
  }
  const asked = `${zone ?? rule.zone} ${rule.fallbackZone} ${rule.atMinutes} ${afterMs}`;
  const known = instants.get(asked) ?? literalDaily(rule, zone, afterMs);
  instants.set(asked, known);
  return known;
}

/** Kept: cases have few clocks and rules, and each takes a hundred looks at a wall. */
const instants = new Map<string, number>();

function literalDaily(rule: Extract<ExpireAt, { kind: 'daily' }>, zone: string | undefined, afterMs: number): number {
  const named = new Set((zone ?? rule.zone).split(',').map((one) => one.trim().toUpperCase()));
  const candidates = [
    ...(named.size === 1 ? named : []),
    ...(rule.fallbackZone === undefined ? [] : [rule.fallbackZone]),
  ];
  const shows = candidates.map(wallOf).find((one) => one !== undefined);
  if (shows === undefined) {
    let minute = Math.floor(afterMs / 60_000) + 1;
    while (((minute % 15) + 15) % 15 !== rule.atMinutes % 15) minute += 1;
    return minute * 60_000;
  }
  const at = `${two(Math.floor(rule.atMinutes / 60))}:${two(rule.atMinutes % 60)}`;
  let before = Math.floor(afterMs / QUARTER_MS) * QUARTER_MS - 30 * HOUR_MS;
  const wanted = new Set<string>();
  for (;;) {
    const shown = shows(before);
    const moment = before + QUARTER_MS;
    const now = shows(moment);
    // The days on which this quarter of an hour reaches the time, and on which none did before.
    for (const day of [shown.slice(0, 10), now.slice(0, 10)]) {
      const reached = `${day} ${at}`;
      if (shown < reached && now >= reached && !wanted.has(day)) {
        wanted.add(day);
        if (moment > afterMs) return moment;
      }
    }
    before = moment;
  }
}

const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** What the clock of a zone shows, `2026-11-23 12:00`; `undefined` where there is no such zone. */
function wallOf(zone: string): ((ms: number) => string) | undefined {
  try {
    const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
    return (ms) => format.format(ms);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
