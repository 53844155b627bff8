import type { CacheDirectives } from './cache-control.ts';
import { parseCacheControl, seconds } from './cache-control.ts';
import type { FieldLines } from './fields.ts';
import { fieldLineValues } from './fields.ts';
import type { CachePolicy } from './route.ts';

/** What a request asks of the cache (RFC 9111 §5.2.1, RFC 5861 §4). Arguments that are no delta-seconds count as not given. */
export interface ClientDirectives {
  readonly noCache: boolean;
  readonly noStore: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | undefined;
  readonly minFreshMs: number | undefined;
  /** `Infinity` for `max-stale` without a number. */
  readonly maxStaleMs: number | undefined;
  /** What may be served after a failure although it has been stale for this long. */
  readonly staleIfErrorMs: number | undefined;
}

/** Of a request that asks for nothing, or whose route heeds no wishes: this very object. */
export const noDirectives: ClientDirectives = {
  noCache: false,
  noStore: false,
  onlyIfCached: false,
  maxAgeMs: undefined,
  minFreshMs: undefined,
  maxStaleMs: undefined,
  staleIfErrorMs: undefined,
};

/**
 * The directives that count on this route: all of them on `honour` routes and where `clientCacheControl: honour` says
 * so; none elsewhere, since one agent must not be able to burn the quota of all. Pragma counts nowhere (RFC 9111 §5.4).
 */
export function clientDirectives(policy: CachePolicy, requestFields: FieldLines): ClientDirectives {
  if (policy.clientCacheControl === 'ignore' && policy.upstreamCacheControl !== 'honour') return noDirectives;
  const lines = fieldLineValues(requestFields, 'cache-control');
  if (lines.length === 0) return noDirectives;
  const directives = parseCacheControl(lines);
  return {
    noCache: directives.has('no-cache'),
    noStore: directives.has('no-store'),
    onlyIfCached: directives.has('only-if-cached'),
    maxAgeMs: milliseconds(directives, 'max-age'),
    minFreshMs: milliseconds(directives, 'min-fresh'),
    maxStaleMs: directives.get('max-stale') === true ? Infinity : milliseconds(directives, 'max-stale'),
    staleIfErrorMs: milliseconds(directives, 'stale-if-error'),
  };
}

/** True where the client forbids to store what it gets (`no-store`, RFC 9111 §5.2.1.5) and the route heeds it. */
export function requestForbidsStoring(policy: CachePolicy, requestFields: FieldLines): boolean {
  return clientDirectives(policy, requestFields).noStore;
}

function milliseconds(directives: CacheDirectives, name: string): number | undefined {
  const value = seconds(directives, name);
  return typeof value === 'number' ? value * 1000 : undefined;
}
