import type { FieldLines } from './fields.ts';
import { baseKeyOf } from './vary.ts';

/**
 * A point in the purge log: everything purged up to `seq` of `epoch` had been applied when it was taken.
 * A stored response keeps the position that was taken before its fetch began (see `docs/decisions/`).
 */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** Times of one stored response, all in wall-clock milliseconds since the Unix epoch. */
export interface Freshness {
  /** Fresh while `now < freshUntilMs` (RFC 9111 §4.2: lifetime greater than current age). */
  readonly freshUntilMs: number;
  /** May be served stale while a revalidation runs (RFC 5861 §3) while `now < swrUntilMs`; equals `freshUntilMs` where not allowed. */
  readonly swrUntilMs: number;
  /** May be served stale after an upstream failure (RFC 5861 §4) while `now < sieUntilMs`. */
  readonly sieUntilMs: number;
  /** Never served or kept after this; caps all of the above. */
  readonly retainUntilMs: number;
  /** Must not be reused without successful validation once stale (RFC 9111 §5.2.2.2, §5.2.2.8, s-maxage §5.2.2.10). */
  readonly mustRevalidate: boolean;
  /** Must be validated on every use (`no-cache`, RFC 9111 §5.2.2.4). */
  readonly alwaysValidate: boolean;
  /** The lifetime's origin, for `explain`: a `FreshnessSource`, or what an older version has stored as such. */
  readonly source: string;
}

/** A complete response in the store (RFC 9111 §3). Immutable. */
export interface StoredResponse {
  readonly kind: 'response';
  /** Cache key, with the variant part where the upstream varies. */
  readonly key: string;
  readonly route: string;
  readonly upstream: string;
  /** {@link KeyedRequest.url}. */
  readonly url: string;
  readonly tags: readonly string[];
  readonly position: Position;
  readonly status: number;
  /** Fields as they are replayed: hop-by-hop, Set-Cookie (ruled routes), rate-limit and Age lines already removed. */
  readonly fields: FieldLines;
  /** The stored bytes. What memory keeps owns them; what was just read from Redis may be a view into a socket's chunk, or into what others share. */
  readonly body: Buffer;
  /** Wall clock when the request was sent and when the response head came (RFC 9111 §4.2.3). */
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  /** `corrected_initial_age` in milliseconds (RFC 9111 §4.2.3). */
  readonly initialAgeMs: number;
  readonly freshness: Freshness;
  /** Validators as upstream sent them. */
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** Under a base key: responses differ by these request fields; each is stored under {@link variantKey}. */
export interface VaryMarker {
  readonly kind: 'vary';
  readonly key: string;
  readonly route: string;
  readonly upstream: string;
  readonly url: string;
  readonly tags: readonly string[];
  readonly position: Position;
  /** Lower-cased, sorted. */
  readonly names: readonly string[];
  /**
   * Where `accept-language` is among the names: languages (lower-cased Content-Language) of stored variants, and the
   * normalised Accept-Language under which each is stored.
   */
  readonly languages?: readonly (readonly [language: string, acceptLanguage: string])[] | undefined;
  readonly retainUntilMs: number;
}

export type StoredItem = StoredResponse | VaryMarker;

/** Scopes under which a stored item can be purged, in the purge log's words (`docs/decisions/`). */
export function scopesOf(item: Pick<StoredItem, 'key' | 'route' | 'url' | 'tags'>): readonly string[] {
  const keys = new Set([item.key, baseKeyOf(item.key)]);
  return [
    'all',
    `r:${item.route}`,
    ...Array.from(keys, (key) => `k:${key}`),
    `u:${item.url}`,
    ...item.tags.map((tag) => `t:${tag}`),
  ];
}
