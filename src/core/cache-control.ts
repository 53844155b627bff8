import { type FieldLines, fieldLineValues } from './fields.ts';
import { splitList, unquote } from './list.ts';
import { type FieldMember, integerOf, readDictionary } from './structured-field.ts';

/** Directives of Cache-Control (RFC 9111 §5.2): lower-cased name to its argument, `true` where it has none. */
export type CacheDirectives = ReadonlyMap<string, string | true>;

/** Seconds past this mean the same as this (RFC 9111 §1.2.2). */
export const MAX_DELTA_SECONDS = 2 ** 31;

const noDirectives: CacheDirectives = new Map();

/** The response directives that count for this cache, and the field that they are of. */
export interface CountedDirectives {
  /** `cdn-cache-control`: Cache-Control and Expires mean nothing here (RFC 9213 §2.2). */
  readonly field: 'cdn-cache-control' | 'cache-control';
  readonly directives: CacheDirectives;
}

/**
 * The directives of a response that decide about storing, freshness and reuse: those of CDN-Cache-Control where it is
 * valid and not empty, else those of Cache-Control (RFC 9213 §2.2). Never throws.
 */
export function countedDirectives(fields: FieldLines): CountedDirectives {
  const targeted = targetedDirectives(fieldLineValues(fields, 'cdn-cache-control'));
  if (targeted !== undefined) return { field: 'cdn-cache-control', directives: targeted };
  return { field: 'cache-control', directives: parseCacheControl(fieldLineValues(fields, 'cache-control')) };
}

/**
 * Parses all lines of Cache-Control; never throws. The first occurrence of a directive counts (RFC 9111 §4.2.1).
 * White space next to the `=` stays in the argument, so that such a `max-age` is invalid instead of silently accepted.
 */
export function parseCacheControl(lines: readonly string[]): CacheDirectives {
  const [only] = lines;
  if (only === undefined) return noDirectives;
  if (lines.length > 1) return parseLines(lines);
  // Read twice of each answer that is stored, and the same in most answers of an upstream.
  if (only === latest.text) return latest.directives;
  const directives = parseLines(lines);
  if (only.length <= MAX_KEPT_LINE) latest = { text: only, directives };
  return directives;
}

/** The line that was read last, and what it says. */
let latest: { readonly text: string; readonly directives: CacheDirectives } = { text: '', directives: noDirectives };

/** Longer ones are read anew each time. */
const MAX_KEPT_LINE = 256;

function parseLines(lines: readonly string[]): CacheDirectives {
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

/**
 * Lifetimes of a targeted field have to be Integers and not negative (RFC 9213 §2.1). One that is not, such as
 * `max-age="60"`, makes the whole field void: without its lifetime the rest of it would say something else.
 */
const targetedLifetimes = ['max-age', 's-maxage'] as const;

/** A targeted field (RFC 9213 §2.1); `undefined` where it is absent, empty, no dictionary, or without a valid lifetime. */
function targetedDirectives(lines: readonly string[]): CacheDirectives | undefined {
  if (lines.length === 0) return undefined;
  const members = readDictionary(lines);
  if (members === undefined || members.size === 0) return undefined;
  for (const name of targetedLifetimes) {
    if (members.has(name) && !((integerOf(members.get(name)) ?? -1) >= 0)) return undefined;
  }
  const directives = new Map<string, string | true>();
  for (const [name, member] of members) {
    const argument = argumentOf(member);
    if (argument !== undefined) directives.set(name, argument);
  }
  return directives;
}

/** As Cache-Control would have it; `undefined` for `name=?0`, by which a directive is not there. */
function argumentOf(member: FieldMember): string | true | undefined {
  switch (member.type) {
    case 'boolean':
      return member.value ? true : undefined;
    case 'integer':
      return String(member.value);
    case 'string':
    case 'token':
      return member.value;
    // A directive of a type that it cannot have: present, lest a `no-store` be lost, but no delta-seconds.
    case 'inner-list':
    case 'other':
      return '';
  }
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
