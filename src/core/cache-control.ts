import { splitList, unquote } from './list.ts';

/** Directives of Cache-Control (RFC 9111 §5.2): lower-cased name to its argument, `true` where it has none. */
export type CacheDirectives = ReadonlyMap<string, string | true>;

/** Seconds past this mean the same as this (RFC 9111 §1.2.2). */
export const MAX_DELTA_SECONDS = 2 ** 31;

const noDirectives: CacheDirectives = new Map();

/**
 * Parses all lines of Cache-Control; never throws. The first occurrence of a directive counts (RFC 9111 §4.2.1).
 * White space next to the `=` stays in the argument, so that such a `max-age` is invalid instead of silently accepted.
 */
export function parseCacheControl(lines: readonly string[]): CacheDirectives {
  if (lines.length === 0) return noDirectives;
  const directives = new Map<string, string | true>();
  for (const line of lines) {
    for (const member of splitList(line)) {
      if (member === '') continue;
      const [name, argument] = parseDirective(member);
      if (!directives.has(name)) directives.set(name, argument);
    }
  }
  return directives;
}

/**
 * The delta-seconds argument of a directive (RFC 9111 §1.2.2), at most 2^31; `undefined` when the directive is absent,
 * `invalid` for anything but digits: such freshness information counts as stale (§4.2.1).
 */
export function seconds(directives: CacheDirectives, name: string): number | undefined | 'invalid' {
  const argument = directives.get(name);
  if (argument === undefined) return undefined;
  return (argument === true ? undefined : parseDeltaSeconds(argument)) ?? 'invalid';
}

/** Digits only, leading zeros allowed, at most 2^31; else `undefined` (RFC 9111 §1.2.2). */
export function parseDeltaSeconds(text: string): number | undefined {
  return /^[0-9]+$/.test(text) ? Math.min(Number(text), MAX_DELTA_SECONDS) : undefined;
}

function parseDirective(member: string): readonly [name: string, argument: string | true] {
  const equals = member.indexOf('=');
  if (equals === -1) return [member.toLowerCase(), true];
  const before = member.slice(0, equals);
  const name = before.trimEnd();
  const raw = member.slice(equals + 1);
  // Both forms of an argument are accepted, token and quoted-string (RFC 9111 §5.2).
  const argument = name === before ? (unquote(raw) ?? raw) : ` ${raw}`;
  return [name.toLowerCase(), argument];
}
