import type { ReadFor } from '../../cache/fleet-ports.ts';
import { freshnessOf, ruleTtlMs } from '../../core/freshness.ts';
import type { CachePolicy, Route } from '../../core/route.ts';
import { isConditionBound, selectingFields } from '../../core/storage-policy.ts';
import type { Freshness, StoredItem, StoredResponse } from '../../core/stored-response.ts';
import { without } from '../../core/tags.ts';
import { isFieldValue } from './value-meta.ts';

/**
 * A stored item by the rules of today: its tags are those that were stored and those that the rules give now, its lifetimes
 * what the rules say now, though never past the retention that it was stored with (invariants 13 and 20). `undefined` where
 * the rules would not store such a response any more.
 */
export function asAsked(item: StoredItem, { route, keyed }: ReadFor): StoredItem | undefined {
  const tags = united(keyed.tags, item.tags);
  if (item.kind === 'vary') return { ...item, tags };
  if (!isStorable(route, item)) return undefined;
  return responseWith(item, tags, item.body, freshnessToday(item, route.policy, keyed));
}

/**
 * The response with other parts. Written out: what is made by spreading lives in a shape of its own for each way to it, and all are to be of that
 * which `responseOf` gives them.
 */
export function responseWith(
  item: StoredResponse,
  tags: readonly string[],
  body: Buffer,
  freshness: Freshness,
): StoredResponse {
  return {
    kind: 'response',
    key: item.key,
    route: item.route,
    upstream: item.upstream,
    url: item.url,
    tags,
    position: item.position,
    status: item.status,
    fields: item.fields,
    body,
    requestTimeMs: item.requestTimeMs,
    responseTimeMs: item.responseTimeMs,
    initialAgeMs: item.initialAgeMs,
    freshness,
    etag: item.etag,
    lastModified: item.lastModified,
  };
}

function isStorable(route: Route, item: StoredResponse): boolean {
  const { policy } = route;
  // Nobody stores these; others may write to the same Redis.
  if (isConditionBound(item.status) || !canBeAskedBy(item)) return false;
  if (policy.statusTtlMs.get(item.status) === 0) return false;
  if (policy.upstreamCacheControl !== 'honour') return ruleTtlMs(policy, item.status) !== undefined;
  return isToldApart(route, item);
}

/** They are sent upstream as field values, and are no part of the fields that are looked through when they are read. */
function canBeAskedBy({ etag = '', lastModified = '' }: StoredResponse): boolean {
  return isFieldValue(etag) && isFieldValue(lastModified);
}

/**
 * `storeErrors` may have been `all` when it was stored: an error that a field of one request may have caused must by now be
 * told apart by more fields than its key may have. What Vary names beside them was in the key then as well.
 */
function isToldApart(route: Route, item: StoredResponse): boolean {
  const wanted = selectingFields(route, item.status, []);
  if (wanted === undefined) return false;
  if (wanted.length === 0) return true;
  const space = item.key.indexOf(' ');
  const named = space === -1 ? [] : item.key.slice(space + 1).split('|');
  const names = new Set(named.map((part) => part.split('=', 1)[0]));
  return wanted.every((name) => names.has(name));
}

function freshnessToday(item: StoredResponse, policy: CachePolicy, keyed: ReadFor['keyed']): Freshness {
  const { status, fields, requestTimeMs, responseTimeMs, initialAgeMs } = item;
  const today = freshnessOf({ policy, status, fields, requestTimeMs, responseTimeMs, initialAgeMs, keyed });
  const { retainUntilMs } = item.freshness;
  return {
    freshUntilMs: Math.min(today.freshUntilMs, retainUntilMs),
    swrUntilMs: Math.min(today.swrUntilMs, retainUntilMs),
    sieUntilMs: Math.min(today.sieUntilMs, retainUntilMs),
    retainUntilMs: Math.min(today.retainUntilMs, retainUntilMs),
    mustRevalidate: today.mustRevalidate,
    alwaysValidate: today.alwaysValidate,
    source: today.source,
  };
}

/** The tags of today, as the same array where nothing else was stored: thousands of responses share it. */
function united(today: readonly string[], stored: readonly string[]): readonly string[] {
  // Nearly always they are the same ones, told by one comparison each.
  let same = 0;
  while (same < stored.length && stored[same] === today[same]) same += 1;
  if (same === stored.length) return today;
  const more = without(stored, today);
  return more.length === 0 ? today : [...today, ...more];
}
