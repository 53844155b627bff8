import { countedDirectives, seconds as deltaSeconds } from '../core/cache-control.ts';
import { expiryOf, nextInstant, zoneUsed } from '../core/expire-at.ts';
import { isFailureStatus } from '../core/failure-policy.ts';
import { fieldLineValues, type FieldLines, hasField } from '../core/fields.ts';
import { freshnessOf, type FreshnessSource, staleForbidders, standingOf, standingUnder } from '../core/freshness.ts';
import { parseHttpDate } from '../core/http-date.ts';
import { freshnessReason, staleForbidderReasons, storableReason } from '../core/reasons.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { CachePolicy, ExpireAt } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { instant } from './explain-parts.ts';
import { searchSource } from './explain-search.ts';
import type { ExplainedNote } from './explained-http.ts';

/** A response that is stored, or would be. */
export interface Lived {
  readonly item: Pick<
    StoredResponse,
    'status' | 'freshness' | 'initialAgeMs' | 'requestTimeMs' | 'responseTimeMs' | 'fields' | 'tags'
  >;
  /** Set by a soft purge. */
  readonly staleSinceMs: number | undefined;
  readonly policy: CachePolicy;
  /** The request that it answers. */
  readonly keyed: Pick<KeyedRequest, 'key' | 'zone' | 'tags' | 'search'>;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** Why it could be stored, how long it is fresh, how old it is, and what may be done with it when it is stale. */
export function lifetimeNotes(lived: Lived): readonly ExplainedNote[] {
  const { item } = lived;
  return [
    { topic: 'storage', text: `stored: ${storableReason(item.freshness.source)}` },
    ...leaveNotes(lived),
    { topic: 'lifetime', text: lifetimeText(lived) },
    ...voidNotes(lived),
    { topic: 'age', text: ageText(lived) },
    { topic: 'stale', text: staleText(lived) },
    ...tagNotes(lived),
  ];
}

/** The next instant of the route's `expireAt`, and the end that it gives to what would be asked for now. */
export function expireAtNotes({
  policy,
  keyed,
  nowMs,
}: Omit<Lived, 'item' | 'staleSinceMs'>): readonly ExplainedNote[] {
  const rule = policy.expireAt;
  if (rule === undefined || policy.upstreamCacheControl === 'honour') return [];
  const nextMs = nextInstant(rule, keyed.zone, nowMs);
  const jitter = seconds(expiryOf(rule, keyed, nowMs) - nextMs);
  const zone = rule.kind === 'daily' ? clockWords(rule, keyed.zone) : '';
  const text = `the data changes next at ${instant(nextMs)}${zone}; with this key's jitter of ${jitter} s what is asked for now is fresh until then at the latest (RFC 9111 §4.2)`;
  return [{ topic: 'expireAt', text }];
}

/** A value that is no zone is not shown: it may be of a secret parameter. */
function clockWords(rule: Extract<ExpireAt, { kind: 'daily' }>, given: string | undefined): string {
  const own = zoneUsed({ ...rule, fallbackZone: undefined }, given);
  if (own !== undefined) return `, by the clock of ${own}`;
  const why = given === undefined ? 'the request names no zone' : 'what the request names is no time zone';
  return rule.fallbackZone === undefined
    ? `, the next quarter of an hour at which it can be that time at the place: ${why}, and fallbackZone is not set`
    : `, by the clock of ${rule.fallbackZone}, which is fallbackZone: ${why}`;
}

/** What lets it be stored although something else forbids it. */
function leaveNotes({ item, policy }: Lived): readonly ExplainedNote[] {
  const { directives } = countedDirectives(item.fields);
  if (policy.upstreamCacheControl === 'ignore') return [];
  const understood = directives.has('must-understand') && directives.has('no-store');
  const text = 'must-understand outweighs no-store, since the status code is known here (RFC 9111 §5.2.2.3)';
  return understood ? [{ topic: 'storage', text }] : [];
}

const byUpstream: ReadonlySet<string> = new Set<FreshnessSource>([
  'cdn-cache-control',
  's-maxage',
  'max-age',
  'expires',
  'heuristic',
]);

/** A lifetime that upstream gives is counted from its own answer, so that the age on arrival is part of it (§4.2). */
function lifetimeText({ item, policy, keyed }: Lived): string {
  const { freshness, responseTimeMs, initialAgeMs } = item;
  const { source, freshUntilMs } = freshness;
  const ageMs = byUpstream.has(source) ? initialAgeMs : 0;
  // Had it been kept for as long as one likes.
  const wanted = freshnessOf({ ...item, keyed, policy: { ...policy, retainMs: Infinity } });
  const isCut = freshUntilMs === responseTimeMs + policy.retainMs && wanted.freshUntilMs > freshUntilMs;
  const cut = isCut ? ', cut to what retain allows' : '';
  const lifetime = `${seconds(freshUntilMs - responseTimeMs + ageMs)} s${cut}`;
  const heuristic = source === 'heuristic' ? `: ${heuristicWords(policy)}` : '';
  return `${lifetime}, by ${source}: ${freshnessReason(source)}${heuristic}`;
}

/** What upstream says of a lifetime and what does not count, since it cannot be read. */
function voidNotes({ item, policy }: Lived): readonly ExplainedNote[] {
  if (policy.upstreamCacheControl === 'ignore') return [];
  const { fields, freshness, responseTimeMs } = item;
  const { field, directives } = countedDirectives(fields);
  const texts: string[] = [];
  if (field === 'cache-control' && hasField(fields, 'cdn-cache-control')) {
    texts.push(
      'CDN-Cache-Control does not count: it is empty, no Dictionary, or its lifetime is no Integer of 0 or more (RFC 9213 §2.1, §2.2)',
    );
  }
  const { source } = freshness;
  const argument = directives.get(source);
  if ((source === 's-maxage' || source === 'max-age') && deltaSeconds(directives, source) === 'invalid') {
    const shown = typeof argument === 'string' ? `${source}=${argument}` : source;
    texts.push(`${shown} is no delta-seconds, so that it counts as stale (RFC 9111 §1.2.2, §4.2.1)`);
  }
  if (source === 'expires' && !isDated(fields, responseTimeMs)) {
    texts.push('Expires is no single HTTP-date, so that it is past already (RFC 9111 §5.3)');
  }
  return texts.map((text) => ({ topic: 'lifetime', text }));
}

function isDated(fields: FieldLines, nowMs: number): boolean {
  const lines = fieldLineValues(fields, 'expires');
  return lines.length === 1 && parseHttpDate(lines[0] ?? '', nowMs) !== undefined;
}

function heuristicWords({ heuristicFraction, heuristicMaxMs }: CachePolicy): string {
  return `heuristicFraction ${heuristicFraction} of that time, heuristicMax ${seconds(heuristicMaxMs)} s at most`;
}

function ageText({ item, staleSinceMs, nowMs }: Lived): string {
  const { ageSeconds } = standingOf(item, staleSinceMs, nowMs);
  const arrival = seconds(item.initialAgeMs);
  return `${ageSeconds} s: ${arrival} s on arrival (the larger of Age and the time since Date, RFC 9111 §4.2.3, §5.1), the rest in store`;
}

function staleText(lived: Lived): string {
  const { item, staleSinceMs, policy, nowMs } = lived;
  const { freshness } = item;
  const { directives } = countedDirectives(item.fields);
  if (freshness.alwaysValidate) return `never served without validation: ${staleForbidderReasons['no-cache']}`;
  if (freshness.mustRevalidate) {
    const why = staleForbidders(policy, directives).map((name) => staleForbidderReasons[name]);
    return `never served stale: ${why.join('; ')}`;
  }
  const { ttlMs, swrUntilMs, sieUntilMs } = standingUnder(policy, item, staleSinceMs, nowMs);
  const staleFromMs = Math.max(nowMs, item.responseTimeMs) + ttlMs;
  const isError = isFailureStatus(item.status);
  const windows = [
    windowText(
      swrUntilMs - staleFromMs,
      'while it is refreshed behind the answer (stale-while-revalidate, RFC 5861 §3)',
    ),
    // A stale error is no better than another.
    isError
      ? undefined
      : windowText(sieUntilMs - staleFromMs, 'after a failure of upstream (stale-if-error, RFC 5861 §4)'),
  ].filter((text) => text !== undefined);
  const unreachable =
    policy.upstreamCacheControl === 'honour' && !isError
      ? '; while upstream cannot be reached, until it is removed (RFC 9111 §4.2.4)'
      : '';
  const allowed = windows.length === 0 ? 'no stale window' : `served stale ${windows.join(', ')}`;
  return `${allowed}${unreachable}; removed at ${instant(freshness.retainUntilMs)}`;
}

function windowText(windowMs: number, when: string): string | undefined {
  return windowMs > 0 ? `for ${seconds(windowMs)} s ${when}` : undefined;
}

/** Upstream's tags are those that the request does not give. */
function tagNotes({ item, keyed }: Lived): readonly ExplainedNote[] {
  const ofRules = keyed.search?.tags() ?? [];
  const learnt = ofRules.filter((tag) => item.tags.includes(tag));
  const given = item.tags.filter((tag) => !ofRules.includes(tag) && !keyed.tags.includes(tag));
  const groups = given.filter((tag) => tag.startsWith('group:'));
  const others = given.filter((tag) => !tag.startsWith('group:'));
  return [
    ...(groups.length === 0
      ? []
      : [note(`groups of upstream's, which are tags of its origin: ${groups.join(', ')} (Cache-Groups, RFC 9875 §2)`)]),
    ...(others.length === 0
      ? []
      : [note(`by upstream's fields that the route's tagsFrom names: ${others.join(', ')}`)]),
    ...(learnt.length === 0 ? [] : [note(`${learnt.join(', ')} ${marksQueries}`)]),
  ];
}

const marksQueries = `mark what is keyed by what upstream says of the queries of its path: a purge of any URL or key of it takes that along (${searchSource})`;

function note(text: string): ExplainedNote {
  return { topic: 'tags', text };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
