import { createHash } from 'node:crypto';

import type { UpstreamConfig } from '../../core/config.ts';
import type { Route } from '../../core/route.ts';

/** Route by name → fingerprint; `undefined` for what is no route. */
export type FingerprintOf = (route: string) => string | undefined;

/**
 * Of each route a digest of what makes its responses what they are: the recipe of the key, what goes upstream, and what of
 * the answer is kept. Proxies that differ in it do not share responses. Lifetimes, windows, tags, and limits are no part of
 * it, since they are worked out anew whenever a response is read: editing them leaves the cache warm (invariant 20). Nor are
 * the values of credentials, lest a changed key make the cache cold.
 */
export function fingerprintsOf(
  routes: readonly Route[],
  upstreams: ReadonlyMap<string, UpstreamConfig>,
): FingerprintOf {
  const known = new Map(routes.map((route) => [route.name, fingerprintOf(route, upstreams.get(route.upstream))]));
  return (route) => known.get(route);
}

/** 128 bits in base64url. */
export function fingerprintOf(route: Route, upstream: UpstreamConfig | undefined): string {
  const text = JSON.stringify([recipeOf(route), upstream === undefined ? null : originOf(upstream)], ordered);
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

function recipeOf(route: Route): unknown {
  const { policy } = route;
  return {
    match: route.match,
    host: route.host,
    forward: route.forward,
    upstream: route.upstream,
    params: route.params,
    pathParams: route.pathParams,
    unknownQuery: route.unknownQuery,
    rawQuery: route.rawQuery,
    ignore: route.ignore.toSorted(),
    secret: route.secret.toSorted(),
    headers: route.headers.toSorted(),
    forwardHeaders: route.forwardHeaders.toSorted(),
    // Which fields are kept depends on it, and what `cap` and `honour` refuse `ignore` may have stored.
    upstreamCacheControl: policy.upstreamCacheControl,
    // Of these too: who stores Set-Cookie may serve it, who makes tags of a field does not pass it on.
    storeFields: unless(policy.storeFields, 'safe'),
    tagsFrom: route.tagsFrom.length === 0 ? undefined : route.tagsFrom.toSorted(),
    // What is one key and what is another; and `as` makes the content that goes upstream. Its size is a limit.
    content: route.content && [route.content.methods.toSorted(), route.content.as],
    noVarySearch: unless(route.noVarySearch, false),
    // Whole and without coding, with no credential in it; before, neither was sure.
    asksPlain: unless(route.asksPlain, false),
    // A body that the check of today would refuse must not be served.
    storeIf: policy.storeIf,
  };
}

function originOf({ origin, acceptEncoding, framing, fields, credentials }: UpstreamConfig): unknown {
  return {
    origin,
    acceptEncoding,
    // What a lenient process takes for complete a strict one would not have stored.
    framing: unless(framing, 'strict'),
    fields,
    // The names of what clients cannot send.
    credentials: [[...credentials.query.keys()].toSorted(), [...credentials.headers.keys()].toSorted()],
  };
}

/**
 * Options that came later are left out while they have the meaning that there was before them: a new release then shares
 * with the one that it replaces (JSON has no member for what is `undefined`).
 */
function unless<T>(value: T, before: T): T | undefined {
  return value === before ? undefined : value;
}

/** The order in which a configuration names things means nothing; that of lists (`exists`, `aliases`) is left as it is. */
function ordered(_: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].toSorted(byName));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(byName));
}

function byName([one]: [unknown, unknown], [other]: [unknown, unknown]): number {
  return String(one) < String(other) ? -1 : 1;
}
