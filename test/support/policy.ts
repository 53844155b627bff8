import type { FieldLines } from '../../src/core/fields.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import type { CachePolicy, Route } from '../../src/core/route.ts';
import type { Freshness, StoredResponse } from '../../src/core/stored-response.ts';

/** 2026-11-23T12:00:00Z, when stored responses of these tests came. */
export const T0 = Date.UTC(2026, 10, 23, 12);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** A ruled policy: ttl 1h, no stale windows, kept for a day. */
export function policyOf(overrides: Partial<CachePolicy> = {}): CachePolicy {
  return {
    upstreamCacheControl: 'ignore',
    clientCacheControl: 'ignore',
    ttlMs: HOUR,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    retainMs: 24 * HOUR,
    keepForValidationMs: 0,
    statusTtlMs: new Map(),
    heuristicFraction: 0,
    heuristicMaxMs: 0,
    storeErrors: 'resource',
    storeFields: 'safe',
    expireAt: undefined,
    softTimeoutMs: undefined,
    storeIf: undefined,
    maxStoredBytes: 1024 * 1024,
    ...overrides,
  };
}

/** `honour` without a rule of its own: upstream alone decides. */
export function honourPolicy(overrides: Partial<CachePolicy> = {}): CachePolicy {
  return policyOf({ upstreamCacheControl: 'honour', ttlMs: undefined, ...overrides });
}

export function routeOf(policy: Partial<CachePolicy> = {}, overrides: Partial<Route> = {}): Route {
  return {
    name: 'forecast',
    match: '/forecast',
    host: undefined,
    listener: undefined,
    upstream: 'weather',
    forward: undefined,
    cache: 'on',
    onLeaseLost: 'bypass',
    policy: policyOf(policy),
    params: new Map(),
    pathParams: new Map(),
    unknownQuery: 'keep',
    rawQuery: false,
    ignore: [],
    secret: [],
    headers: [],
    forwardHeaders: [],
    forwardsAuthorization: (overrides.forwardHeaders ?? []).some((name) => name === '*' || name === 'authorization'),
    putOn: [],
    asksPlain: false,
    tags: [],
    tagsFrom: [],
    maxUpstreamTags: 64,
    content: undefined,
    noVarySearch: false,
    showKey: false,
    maxKeyBytes: 1024,
    maxKeys: 1000,
    ...overrides,
  };
}

export function honourRoute(policy: Partial<CachePolicy> = {}, overrides: Partial<Route> = {}): Route {
  return routeOf({ upstreamCacheControl: 'honour', ttlMs: undefined, ...policy }, overrides);
}

export function requestOf(overrides: Partial<ProxyRequest> = {}): ProxyRequest {
  return {
    method: 'GET',
    path: '/forecast',
    query: undefined,
    host: 'localhost',
    listener: 'default',
    fields: [],
    hasContent: false,
    absolute: false,
    ...overrides,
  };
}

/** Fresh for an hour from {@link T0}, no stale windows, kept for a day. */
export function freshnessWith(overrides: Partial<Freshness> = {}): Freshness {
  return {
    freshUntilMs: T0 + HOUR,
    swrUntilMs: T0 + HOUR,
    sieUntilMs: T0 + HOUR,
    retainUntilMs: T0 + 24 * HOUR,
    mustRevalidate: false,
    alwaysValidate: false,
    source: 'rule ttl',
    ...overrides,
  };
}

export function storedOf(overrides: Partial<StoredResponse> = {}): StoredResponse {
  return {
    kind: 'response',
    key: 'forecast|/forecast',
    route: 'forecast',
    upstream: 'weather',
    url: '/forecast',
    tags: [],
    position: { epoch: 'test', seq: 0 },
    status: 200,
    fields: [
      ['content-type', 'application/json'],
      ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
    ],
    body: Buffer.from('{"ok":true}'),
    requestTimeMs: T0,
    responseTimeMs: T0,
    initialAgeMs: 0,
    freshness: freshnessWith(),
    etag: undefined,
    lastModified: undefined,
    ...overrides,
  };
}

/** Field lines from `name: value` lines. */
export function fieldsOf(...lines: readonly string[]): FieldLines {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
}
