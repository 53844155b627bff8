import type { StoredSummary } from '../cache/ports.ts';
import { standingOf } from '../core/freshness.ts';
import type { Tier } from '../core/outcome.ts';

/** A stored item for an operator's eyes. Ages and lifetimes in seconds, sizes in bytes. */
export interface StoredView {
  /** `vary`: no response, but the note that the upstream varies here. */
  readonly kind: 'response' | 'vary';
  readonly key: string;
  readonly route: string;
  readonly upstream: string;
  readonly url: string;
  readonly tags: readonly string[];
  readonly tier: Tier;
  /** Bookkeeping included. */
  readonly size: number;
  readonly hits: number;
  /** `null` for `vary`, like what follows. */
  readonly status: number | null;
  readonly age: number | null;
  /** Freshness left; negative when stale. */
  readonly ttl: number | null;
  /** ISO 8601 instant of the soft purge that made it stale. */
  readonly staleSince: string | null;
}

/** Only what is no secret: keys and URLs hold digests already, fields and bodies are not shown. */
export function storedView(summary: StoredSummary, nowMs: number): StoredView {
  const { item, tier, sizeBytes, hits, staleSinceMs } = summary;
  const { key, route, upstream, url, tags } = item;
  const common = { key, route, upstream, url, tags, tier, size: sizeBytes, hits };
  if (item.kind === 'vary') return { kind: 'vary', ...common, status: null, age: null, ttl: null, staleSince: null };
  const { ageSeconds, ttlSeconds } = standingOf(item, staleSinceMs, nowMs);
  return {
    kind: 'response',
    ...common,
    status: item.status,
    age: ageSeconds,
    ttl: ttlSeconds,
    staleSince: staleSinceMs === undefined ? null : new Date(staleSinceMs).toISOString(),
  };
}
