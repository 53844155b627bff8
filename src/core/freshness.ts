import type { CacheDirectives } from './cache-control.ts';
import {
  type CountedDirectives,
  countedDirectives,
  MAX_DELTA_SECONDS,
  parseCacheControl,
  parseDeltaSeconds,
  seconds,
} from './cache-control.ts';
import { expiryOf } from './expire-at.ts';
import type { FieldLines } from './fields.ts';
import { fieldLineValues, hasField } from './fields.ts';
import { parseHttpDate } from './http-date.ts';
import { splitList } from './list.ts';
import type { KeyedRequest } from './request.ts';
import type { CachePolicy } from './route.ts';
import type { Freshness, StoredResponse } from './stored-response.ts';

/** What freshness depends on: the route's rule and the response as upstream sent it. */
export interface FreshnessInput {
  readonly policy: CachePolicy;
  readonly status: number;
  readonly fields: FieldLines;
  /** Wall clock when the request was sent and when the response head came. */
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  /** {@link initialAgeMs} where that is known: what is stored has no Age among its fields. */
  readonly initialAgeMs?: number | undefined;
  /** The request, for `expireAt`: its zone, and the key that its jitter is told by. */
  readonly keyed: Pick<KeyedRequest, 'key' | 'zone'>;
}

/** How old and how fresh a stored response is at one moment. */
export interface Standing {
  /** `current_age` (RFC 9111 §4.2.3) in milliseconds. */
  readonly ageMs: number;
  /** Milliseconds of freshness left; 0 and less: stale. */
  readonly ttlMs: number;
  /** Whole seconds, as `Age` says them. */
  readonly ageSeconds: number;
  /** Whole seconds rounded down, as `Cache-Status` says them: negative exactly when stale (or at the very end: 0). */
  readonly ttlSeconds: number;
  /** The limits of {@link Freshness} with a soft purge taken in: the stale windows then begin at the purge. */
  readonly swrUntilMs: number;
  readonly sieUntilMs: number;
}

/**
 * Who gave a lifetime ({@link Freshness.source}). `cap`: the rule, where upstream's is longer. `expireAt`: the rule's next
 * instant, where the lifetime would reach past it. `none`: neither upstream nor the rule says anything.
 */
export type FreshnessSource =
  | 'rule ttl'
  | 'rule statusTtl'
  | 'cap'
  | 'expireAt'
  | 'cdn-cache-control'
  | 's-maxage'
  | 'max-age'
  | 'expires'
  | 'heuristic'
  | 'none';

/** A freshness lifetime as a point in time. */
interface Lifetime {
  readonly freshUntilMs: number;
  readonly source: FreshnessSource;
}

/** A lifetime that upstream states in its own fields, counted from the origin's answer. */
interface StatedLifetime {
  readonly lifetimeMs: number;
  readonly source: 'cdn-cache-control' | 's-maxage' | 'max-age' | 'expires';
}

/**
 * `corrected_initial_age` in milliseconds (RFC 9111 §4.2.3). Of Age the first member of the first line counts, and only
 * when it is digits (§5.1). Date has whole seconds, so the time of the response is cut to whole seconds before the
 * two are compared: else every answer would begin with up to a second of age that it does not have.
 */
export function initialAgeMs(input: Pick<FreshnessInput, 'fields' | 'requestTimeMs' | 'responseTimeMs'>): number {
  const dateMs = dateOf(input.fields, input.responseTimeMs);
  const receivedMs = Math.floor(input.responseTimeMs / 1000) * 1000;
  const apparentAgeMs = dateMs === undefined ? 0 : Math.max(0, receivedMs - dateMs);
  const [ageLine] = fieldLineValues(input.fields, 'age');
  const age = ageLine === undefined ? 0 : (parseDeltaSeconds(splitList(ageLine)[0] ?? '') ?? 0);
  const responseDelayMs = Math.max(0, input.responseTimeMs - input.requestTimeMs);
  return Math.max(apparentAgeMs, age * 1000 + responseDelayMs);
}

function ageOnArrivalMs(input: FreshnessInput): number {
  return input.initialAgeMs ?? initialAgeMs(input);
}

/** When the response was sent: its Date, or where it has none that is valid, the one that a cache writes there (RFC 9110 §6.6.1). */
function sentMs({ fields, responseTimeMs }: Pick<FreshnessInput, 'fields' | 'responseTimeMs'>): number {
  return dateOf(fields, responseTimeMs) ?? Math.floor(responseTimeMs / 1000) * 1000;
}

/** Value of a single valid Date line; `undefined` otherwise. */
function dateOf(fields: FieldLines, nowMs: number): number | undefined {
  const lines = fieldLineValues(fields, 'date');
  return lines.length === 1 ? parseHttpDate(lines[0] ?? '', nowMs) : undefined;
}

/**
 * The times of a response that is to be stored (RFC 9111 §4.2). `ignore`: the rule alone. `cap`: the rule is the most.
 * `honour`: upstream's fields, in the order CDN-Cache-Control (RFC 9213 §2.2), s-maxage, max-age, Expires (§4.2.1), then the
 * rule, then a heuristic (§4.2.2). Source `none` means that nobody gave a lifetime: stale from the start.
 *
 * @param counted {@link routedDirectives} of the input, for who has them already
 */
export function freshnessOf(
  input: FreshnessInput,
  counted: CountedDirectives = routedDirectives(input.policy, input.fields),
): Freshness & { readonly source: FreshnessSource } {
  const { policy, responseTimeMs } = input;
  const { directives } = counted;
  const usableUntilMs = responseTimeMs + policy.retainMs;
  const { freshUntilMs: wantedMs, source } = bounded(input, lifetimeOf(input, counted));
  const freshUntilMs = Math.min(wantedMs, usableUntilMs);
  const alwaysValidate = policy.upstreamCacheControl !== 'ignore' && directives.has('no-cache');
  const mustRevalidate = alwaysValidate || staleForbidders(policy, directives).length > 0;
  const until = (windowMs: number): number =>
    mustRevalidate ? freshUntilMs : Math.min(freshUntilMs + windowMs, usableUntilMs);
  return {
    freshUntilMs,
    swrUntilMs: until(staleWindowMs(policy, directives, 'stale-while-revalidate')),
    sieUntilMs: until(staleWindowMs(policy, directives, 'stale-if-error')),
    retainUntilMs: usableUntilMs + (isValidatable(input.fields) ? policy.keepForValidationMs : 0),
    mustRevalidate,
    alwaysValidate,
    source,
  };
}

/** The directives that a route goes by. An `ignore` route goes by none, so that they are not read: upstream decides how long that takes. */
export function routedDirectives(policy: CachePolicy, fields: FieldLines): CountedDirectives {
  return policy.upstreamCacheControl === 'ignore' ? ignored : countedDirectives(fields);
}

const ignored: CountedDirectives = { field: 'cache-control', directives: new Map() };

/**
 * The data changes upstream at the instants of `expireAt`: until the next one a lifetime lasts at most, whoever gave it. The next from
 * when the request was sent: an answer that was under way at an instant may be from before it.
 */
function bounded(input: FreshnessInput, lifetime: Lifetime): Lifetime {
  const { policy, keyed, requestTimeMs, responseTimeMs } = input;
  // On `honour` routes upstream decides, and knows itself when its data changes.
  if (policy.expireAt === undefined || policy.upstreamCacheControl === 'honour') return lifetime;
  const endMs = expiryOf(policy.expireAt, keyed, Math.min(requestTimeMs, responseTimeMs));
  return endMs < lifetime.freshUntilMs ? { freshUntilMs: endMs, source: 'expireAt' } : lifetime;
}

/** What has a validator is worth keeping although it may not be served: a 304 costs no body (RFC 9111 §4.3.1). */
function isValidatable(fields: FieldLines): boolean {
  return hasField(fields, 'etag') || hasField(fields, 'last-modified');
}

/** Age and freshness left at `nowMs`. `staleSinceMs`: a soft purge made it stale then, whatever its freshness says. */
export function standingOf(
  stored: Pick<StoredResponse, 'freshness' | 'initialAgeMs' | 'responseTimeMs'>,
  staleSinceMs: number | undefined,
  nowMs: number,
): Standing {
  const { freshUntilMs, swrUntilMs, sieUntilMs } = stored.freshness;
  // A wall clock that was set back must not make a response younger than it came, nor give it more than its lifetime.
  const atMs = Math.max(nowMs, stored.responseTimeMs);
  // Nor undo a soft purge, which by it is yet to come, as it may be by that of another process.
  const staleFromMs = staleSinceMs === undefined ? freshUntilMs : Math.min(freshUntilMs, staleSinceMs, nowMs);
  const earlierMs = freshUntilMs - staleFromMs;
  const ageMs = stored.initialAgeMs + atMs - stored.responseTimeMs;
  const ttlMs = staleFromMs - atMs;
  return {
    ageMs,
    ttlMs,
    ageSeconds: Math.min(Math.floor(ageMs / 1000), MAX_DELTA_SECONDS),
    ttlSeconds: Math.floor(ttlMs / 1000),
    swrUntilMs: swrUntilMs - earlierMs,
    sieUntilMs: sieUntilMs - earlierMs,
  };
}

/**
 * As {@link standingOf}, where it is decided what is served. Of a window that retention had cut short, what a soft purge leaves has its
 * whole width before retention ends: counted from the end that it had there would be nothing left of it where `retain` is
 * no longer than the lifetime, and a soft purge is one that still lets things be served while upstream is down.
 */
export function standingUnder(
  policy: CachePolicy,
  stored: Pick<StoredResponse, 'freshness' | 'initialAgeMs' | 'responseTimeMs' | 'fields'>,
  staleSinceMs: number | undefined,
  nowMs: number,
): Standing {
  const standing = standingOf(stored, staleSinceMs, nowMs);
  const { freshness, responseTimeMs } = stored;
  const staleFromMs = Math.max(nowMs, responseTimeMs) + standing.ttlMs;
  if (freshness.mustRevalidate || staleFromMs === freshness.freshUntilMs) return standing;
  const { directives } = routedDirectives(policy, stored.fields);
  const usableUntilMs = Math.min(responseTimeMs + policy.retainMs, freshness.retainUntilMs);
  const until = (untilMs: number, name: 'stale-while-revalidate' | 'stale-if-error'): number =>
    Math.max(untilMs, Math.min(staleFromMs + staleWindowMs(policy, directives, name), usableUntilMs));
  return {
    ...standing,
    swrUntilMs: until(standing.swrUntilMs, 'stale-while-revalidate'),
    sieUntilMs: until(standing.sieUntilMs, 'stale-if-error'),
  };
}

/** Past the route's retention: what is still kept then may be validated, and nothing else ({@link CachePolicy.keepForValidationMs}). */
export function isOverdue(
  stored: Pick<StoredResponse, 'freshness' | 'responseTimeMs'>,
  policy: CachePolicy,
  nowMs: number,
): boolean {
  return nowMs >= Math.min(stored.freshness.retainUntilMs, stored.responseTimeMs + policy.retainMs);
}

/** Lifetime that the route's rule gives to a status: `statusTtl` names it, else `ttl` for 200 and 203. */
export function ruleTtlMs(policy: CachePolicy, status: number): number | undefined {
  const byStatus = policy.statusTtlMs.get(status);
  if (byStatus !== undefined) return byStatus;
  return status === 200 || status === 203 ? policy.ttlMs : undefined;
}

function lifetimeOf(input: FreshnessInput, counted: CountedDirectives): Lifetime {
  const { policy, responseTimeMs } = input;
  const rule = ruleLifetime(input);
  const none: Lifetime = { freshUntilMs: responseTimeMs, source: 'none' };
  if (policy.upstreamCacheControl === 'ignore') return rule ?? none;
  const stated = statedLifetime(input, counted);
  if (stated === undefined) return rule ?? heuristicLifetime(input, counted.directives) ?? none;
  const upstream: Lifetime = {
    freshUntilMs: responseTimeMs + stated.lifetimeMs - ageOnArrivalMs(input),
    source: stated.source,
  };
  if (policy.upstreamCacheControl === 'honour' || rule === undefined) return upstream;
  return upstream.freshUntilMs <= rule.freshUntilMs ? upstream : { ...rule, source: 'cap' };
}

/**
 * The longest lifetime that Cache-Control and Expires give to whoever reads them, shared or not: what CDN-Cache-Control says is for none
 * of these (RFC 9213 §2). `undefined`: they give none.
 */
export function lifetimeToldMs(fields: FieldLines, responseTimeMs: number): number | undefined {
  const directives = parseCacheControl(fieldLineValues(fields, 'cache-control'));
  const stated = (['max-age', 's-maxage'] as const).map((name) => seconds(directives, name));
  const ages = stated.filter((value) => typeof value === 'number');
  // Expires is for who is given no max-age (RFC 9111 §5.3), as with s-maxage alone a client is.
  const [maxAge] = stated;
  if (maxAge === undefined && hasField(fields, 'expires')) {
    ages.push(expiresLifetimeMs({ fields, responseTimeMs }) / 1000);
  }
  return ages.length === 0 ? undefined : Math.max(...ages) * 1000;
}

function ruleLifetime({ policy, status, responseTimeMs }: FreshnessInput): Lifetime | undefined {
  const ttlMs = ruleTtlMs(policy, status);
  if (ttlMs === undefined) return undefined;
  const source = policy.statusTtlMs.has(status) ? 'rule statusTtl' : 'rule ttl';
  return { freshUntilMs: responseTimeMs + ttlMs, source };
}

/**
 * RFC 9111 §4.2.1. What is there but invalid is a lifetime of 0; `undefined`: upstream says nothing. Beside a valid
 * CDN-Cache-Control Expires says nothing either (RFC 9213 §2.2).
 */
function statedLifetime(input: FreshnessInput, { field, directives }: CountedDirectives): StatedLifetime | undefined {
  const targeted = field === 'cdn-cache-control';
  for (const name of ['s-maxage', 'max-age'] as const) {
    const value = seconds(directives, name);
    if (value === undefined) continue;
    return { lifetimeMs: value === 'invalid' ? 0 : value * 1000, source: targeted ? field : name };
  }
  if (targeted || !hasField(input.fields, 'expires')) return undefined;
  return { lifetimeMs: expiresLifetimeMs(input), source: 'expires' };
}

/** Status codes that may be reused without explicit freshness (RFC 9110 §15.1), those bound to conditions left out. */
const heuristicallyCacheable: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Whether a response may be stored and reused without explicit freshness: by its status, or by `public` (RFC 9111 §4.2.2). */
export function allowsHeuristics(status: number, directives: CacheDirectives): boolean {
  return heuristicallyCacheable.has(status) || directives.has('public');
}

/**
 * A part of the time that the response had not changed for when it was sent (RFC 9111 §4.2.2). Only on `honour` routes. From
 * it, too, the age is taken off.
 */
function heuristicLifetime(input: FreshnessInput, directives: CacheDirectives): Lifetime | undefined {
  const { policy, status, fields, responseTimeMs } = input;
  if (policy.upstreamCacheControl !== 'honour' || !allowsHeuristics(status, directives)) return undefined;
  const lines = fieldLineValues(fields, 'last-modified');
  const modifiedMs = lines.length === 1 ? parseHttpDate(lines[0] ?? '', responseTimeMs) : undefined;
  if (modifiedMs === undefined) return undefined;
  const unchangedMs = sentMs(input) - modifiedMs;
  const lifetimeMs = Math.min(Math.floor(unchangedMs * policy.heuristicFraction), policy.heuristicMaxMs);
  if (lifetimeMs <= 0) return undefined;
  return { freshUntilMs: responseTimeMs + lifetimeMs - ageOnArrivalMs(input), source: 'heuristic' };
}

/** Expires minus Date (RFC 9111 §5.3): several lines or no HTTP-date, `0` above all, mean already expired. */
function expiresLifetimeMs(input: Pick<FreshnessInput, 'fields' | 'responseTimeMs'>): number {
  const lines = fieldLineValues(input.fields, 'expires');
  const expiresMs = lines.length === 1 ? parseHttpDate(lines[0] ?? '', input.responseTimeMs) : undefined;
  if (expiresMs === undefined) return 0;
  return Math.max(0, expiresMs - sentMs(input));
}

/**
 * Directives that prohibit stale answers (RFC 9111 §4.2.4). On `cap` routes s-maxage caps the lifetime and no more: the
 * stale windows there are the operator's explicit rule, and APIs that send s-maxage mean CDNs to keep the answer for long.
 */
export function staleForbidders(policy: CachePolicy, directives: CacheDirectives): readonly StaleForbidder[] {
  if (policy.upstreamCacheControl === 'ignore') return [];
  const counted = policy.upstreamCacheControl === 'honour' ? honouredForbidders : forbidders;
  return counted.filter((name) => directives.has(name));
}

export type StaleForbidder = (typeof honouredForbidders)[number];

const forbidders = ['must-revalidate', 'proxy-revalidate'] as const;
const honouredForbidders = [...forbidders, 's-maxage'] as const;

/** RFC 5861: on `honour` routes upstream's directive, invalid ones being 0; the rule where there is none and elsewhere. */
function staleWindowMs(
  policy: CachePolicy,
  directives: CacheDirectives,
  name: 'stale-while-revalidate' | 'stale-if-error',
): number {
  const ruleMs = name === 'stale-while-revalidate' ? policy.staleWhileRevalidateMs : policy.staleIfErrorMs;
  if (policy.upstreamCacheControl !== 'honour') return ruleMs;
  const stated = seconds(directives, name);
  if (stated === undefined) return ruleMs;
  return stated === 'invalid' ? 0 : stated * 1000;
}
