import { type CacheDirectives, parseCacheControl } from './cache-control.ts';
import type { FieldLine, FieldLines } from './fields.ts';
import { fieldLineValues, hasField, withoutFields } from './fields.ts';
import { lifetimeToldMs, ruleTtlMs, standingOf } from './freshness.ts';
import { formatHttpDate } from './http-date.ts';
import type { CachePolicy } from './route.ts';
import type { StoredResponse } from './stored-response.ts';

/** How a stored response is being used: any of the decisions that serve one fits. */
export interface Served {
  /** Milliseconds of freshness left, negative when stale, a soft purge taken in; `undefined`: as its own freshness says. */
  readonly ttlMs: number | undefined;
  /** True for an answer that was just fetched or validated: Age then only where it already has one. */
  readonly forwarded?: boolean;
}

/** Upstream's own caching fields, without meaning on `ignore` routes. */
const overruled: ReadonlySet<string> = new Set([
  'cache-control',
  'cdn-cache-control',
  'expires',
  'pragma',
  'surrogate-control',
]);

/** Metadata of a body that a 304 does not have (RFC 9110 §15.4.5). */
const bodyMetadata: ReadonlySet<string> = new Set([
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'repr-digest',
  'transfer-encoding',
]);

/** They describe the whole content and are wrong for a part of it (RFC 9110 §14.4, RFC 9530 §2). */
const wholeContentOnly: ReadonlySet<string> = new Set([
  'content-digest',
  'content-length',
  'content-md5',
  'content-range',
  'digest',
]);

/**
 * All fields of an answer made from a stored response but Content-Length, Cache-Status and Via. Age is the current age
 * (RFC 9111 §4.2.3, §5.1); Date stays upstream's. Where the rule gave the lifetime (on `ignore` routes always, on `cap` routes
 * where it was the shorter one, or where what upstream tells clients is longer than it) Cache-Control says what the rule means: the
 * `max-age` of which, after subtracting Age, just the freshness is left that the rule leaves, so that a client's own
 * cache neither keeps the answer for longer nor drops it earlier. On other routes upstream's fields stay.
 */
export function replyFields(stored: StoredResponse, served: Served, policy: CachePolicy, nowMs: number): FieldLine[] {
  const standing = standingOf(stored, undefined, nowMs);
  const { ageMs, ageSeconds } = standing;
  const ttlMs = served.ttlMs ?? standing.ttlMs;
  const ruled = isByRule(stored, policy);
  const fields: FieldLine[] = [];
  for (const line of stored.fields) {
    if (line[0] === 'content-length' || line[0] === 'age' || (ruled && overruled.has(line[0]))) continue;
    fields.push(line);
  }
  if (!hasField(fields, 'date')) fields.push(['date', formatHttpDate(stored.responseTimeMs)]);
  // Added up before they are cut to seconds: else `ttl: 1h` would read 3599 on every hit between two whole seconds.
  if (ruled) fields.push(['cache-control', ruledCacheControl(stored, policy, ageMs + ttlMs)]);
  if (served.forwarded !== true || ageSeconds > 0) fields.push(['age', String(ageSeconds)]);
  return fields;
}

function ruledCacheControl({ freshness, fields }: StoredResponse, policy: CachePolicy, lifetimeMs: number): string {
  // What upstream wants validated on each use no rule makes fresh for a client.
  if (freshness.alwaysValidate) return 'no-cache';
  const maxAge = `max-age=${Math.max(0, Math.floor(lifetimeMs / 1000))}`;
  const strict = freshness.mustRevalidate ? `${maxAge}, must-revalidate` : maxAge;
  // Beside CDN-Cache-Control it may have been for single clients only.
  const isPrivate = policy.upstreamCacheControl === 'cap' && cacheControlOf(fields).has('private');
  return isPrivate ? `private, ${strict}` : strict;
}

function cacheControlOf(fields: FieldLines): CacheDirectives {
  return parseCacheControl(fieldLineValues(fields, 'cache-control'));
}

/** Whether the rule and not upstream says how long it is fresh: it decided, or else a client would keep it for longer than it allows. */
function isByRule(stored: StoredResponse, policy: CachePolicy): boolean {
  if (policy.upstreamCacheControl === 'honour') return false;
  if (policy.upstreamCacheControl === 'ignore') return true;
  const { source, alwaysValidate } = stored.freshness;
  // Beside CDN-Cache-Control these are for clients, and no rule makes less of them.
  const told = cacheControlOf(stored.fields);
  if (!alwaysValidate && (told.has('no-store') || told.has('no-cache'))) return false;
  return RULE_SOURCES.has(source) || (OF_SHARED_CACHES.has(source) && outlastsRule(stored, policy));
}

/** Whether what upstream tells other caches than this one is longer than the rule. Where that has instants, than what is here. */
function outlastsRule(stored: StoredResponse, policy: CachePolicy): boolean {
  const { status, fields, responseTimeMs, initialAgeMs, freshness } = stored;
  const ruleMs = policy.expireAt === undefined ? ruleTtlMs(policy, status) : freshness.freshUntilMs - responseTimeMs;
  const toldMs = lifetimeToldMs(fields, responseTimeMs);
  return ruleMs !== undefined && toldMs !== undefined && toldMs - initialAgeMs > ruleMs;
}

/** Lifetimes that a client does not read as its own. */
const OF_SHARED_CACHES: ReadonlySet<string> = new Set(['s-maxage', 'cdn-cache-control']);

const RULE_SOURCES: ReadonlySet<string> = new Set(['cap', 'expireAt', 'rule ttl', 'rule statusTtl']);

/**
 * The fields of the 304 that stands for the response with these fields (RFC 9110 §15.4.5): without metadata of the
 * body, and without Last-Modified where there is an ETag. What does not describe the body stays: Cache-Control,
 * Content-Location, Date, ETag, Expires and Vary have to, others such as Age or CORS fields are of use.
 */
export function notModifiedFields(fields: FieldLines): FieldLine[] {
  const hasEtag = hasField(fields, 'etag');
  return fields.filter(([name]) => !bodyMetadata.has(name) && !(hasEtag && name === 'last-modified'));
}

/**
 * The fields of a 206 with the bytes from `start` to `end`, both inclusive, of `length` (RFC 9110 §14.4, §15.3.7).
 *
 * @param fields those of the whole response
 */
export function partialFields(
  fields: FieldLines,
  range: { readonly start: number; readonly end: number },
  length: number,
): FieldLine[] {
  const contentRange = `bytes ${range.start}-${range.end}/${length}`;
  return [...withoutFields(fields, wholeContentOnly), ['content-range', contentRange]];
}

/** What a 416 says of the whole (RFC 9110 §15.5.17). */
export function unsatisfiableFields(length: number): FieldLines {
  return [['content-range', `bytes */${length}`]];
}

/** The tag as a weak one (RFC 9110 §8.8.3): a body whose coding was removed is not the same byte for byte. */
export function weakEtag(etag: string): string {
  return etag.startsWith('W/') ? etag : `W/${etag}`;
}

/** The lines with a weak ETag, for answers whose content coding was removed. */
export function weakenEtag(fields: FieldLines): FieldLine[] {
  return fields.map((line) => (line[0] === 'etag' ? (['etag', weakEtag(line[1])] as const) : line));
}

/** They say something of the coded bytes, or of which parts of them can be had. */
const ofCodedBytes: ReadonlySet<string> = new Set([
  'accept-ranges',
  'content-digest',
  'content-encoding',
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
]);

/** The lines of an answer whose content codings were taken off (RFC 9110 §8.4, §8.8.3). */
export function decodedFields(fields: FieldLines): FieldLine[] {
  return weakenEtag(withoutFields(fields, ofCodedBytes));
}
