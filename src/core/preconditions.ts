import type { FieldLines } from './fields.ts';
import { fieldLineValues, fieldValue } from './fields.ts';
import { parseHttpDate } from './http-date.ts';
import type { StoredResponse } from './stored-response.ts';

/**
 * Whether the client's copy is still the stored response (RFC 9110 §13.2.2, RFC 9111 §4.3.2). If-None-Match wins over
 * If-Modified-Since. Conditions count only where the answer would else be 2xx (§13.2.1). If-Match and
 * If-Unmodified-Since are upstream's to evaluate.
 */
export function evaluatePreconditions(
  requestFields: FieldLines,
  stored: Pick<StoredResponse, 'status' | 'etag' | 'lastModified' | 'fields' | 'responseTimeMs'>,
): 'proceed' | 'not-modified' {
  if (stored.status < 200 || stored.status > 299) return 'proceed';
  const ifNoneMatch = fieldValue(requestFields, 'if-none-match');
  if (ifNoneMatch !== undefined) return noneMatch(ifNoneMatch, stored.etag) ? 'proceed' : 'not-modified';
  const since = fieldLineValues(requestFields, 'if-modified-since');
  if (since.length !== 1) return 'proceed';
  return modifiedSince(since[0] ?? '', stored) ? 'proceed' : 'not-modified';
}

/** Weak comparison (RFC 9110 §8.8.3.2): the opaque tags are equal, whatever their weakness. */
export function weaklyEqual(one: string, other: string): boolean {
  return opaqueTag(one) === opaqueTag(other);
}

/** Strong comparison (RFC 9110 §8.8.3.2): equal, and neither is weak. What is no entity tag is nobody's. */
export function stronglyEqual(one: string, other: string): boolean {
  return one === other && /^"[^"]*"$/.test(one);
}

/** True where none of the listed tags is the stored one: the request goes on. */
function noneMatch(list: string, etag: string | undefined): boolean {
  // `*` matches any current representation, and a stored 2xx is one (RFC 9110 §13.1.2).
  if (list === '*') return false;
  return etag === undefined || !entityTags(list).some((tag) => weaklyEqual(tag, etag));
}

/**
 * The members of a list of entity tags. Commas and backslashes inside quotes belong to the tag (RFC 9110 §8.8.3), so
 * this is no list of quoted-strings. Tags without quotes are taken as they are: some upstreams send such ETags.
 */
function entityTags(list: string): readonly string[] {
  return list.match(/(?:W\/)?"[^"]*"|[^\s,"]+/g) ?? [];
}

function opaqueTag(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** Invalid conditions are ignored. */
function modifiedSince(
  since: string,
  stored: Pick<StoredResponse, 'lastModified' | 'fields' | 'responseTimeMs'>,
): boolean {
  const sinceMs = parseHttpDate(since, stored.responseTimeMs);
  return sinceMs === undefined || modifiedMs(stored) > sinceMs;
}

/** Without Last-Modified its Date, then its arrival stand in (RFC 9111 §4.3.2). What comes twice is no date. */
function modifiedMs(stored: Pick<StoredResponse, 'lastModified' | 'fields' | 'responseTimeMs'>): number {
  const timeOf = (value: string | undefined): number | undefined => parseHttpDate(value ?? '', stored.responseTimeMs);
  // In whole seconds, as the Date that stands for the arrival in what clients get has them: else it would never match.
  const arrivedMs = Math.floor(stored.responseTimeMs / 1000) * 1000;
  return timeOf(stored.lastModified) ?? timeOf(fieldValue(stored.fields, 'date')) ?? arrivedMs;
}
