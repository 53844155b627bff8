import type { Route } from '../../src/core/route.ts';

/** A route that caches nothing and forwards paths as they are. */
export const cacheOffRoute: Route = {
  name: 'live',
  match: '/*',
  host: undefined,
  listener: undefined,
  upstream: 'api',
  forward: undefined,
  cache: 'off',
  policy: {
    upstreamCacheControl: 'ignore',
    clientCacheControl: 'ignore',
    ttlMs: 0,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    retainMs: 0,
    statusTtlMs: new Map(),
    storeIf: undefined,
    maxStoredBytes: 0,
  },
  params: new Map(),
  pathParams: new Map(),
  unknownQuery: 'keep',
  rawQuery: true,
  ignore: [],
  secret: [],
  headers: [],
  forwardHeaders: [],
  tags: [],
  maxKeyBytes: 1024,
  maxKeys: 1,
};
