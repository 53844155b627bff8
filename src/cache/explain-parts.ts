import type { UpstreamConfig } from '../core/config.ts';
import { standingOf } from '../core/freshness.ts';
import type { CanonicalRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { variantKeyOf } from './store-fill.ts';
import type { ExplainedStored } from './operations.ts';
import type { ResponseStore, Sha256, StoreInspector, StoreRead } from './ports.ts';
import type { Ask } from './respond.ts';

/** What a look under the key found. */
export interface Looked {
  /** The stored response that the request selects. */
  readonly read: (StoreRead & { readonly item: StoredResponse }) | undefined;
  /** True where the base key holds a Vary marker. */
  readonly variant: boolean;
}

/** The exchange's look-up, by `peek`: no use for eviction, no hit counted. */
export async function lookUp(store: ResponseStore, ask: Ask, sha256: Sha256): Promise<Looked> {
  const base = await store.peek(ask.keyed.key);
  if (base === undefined) return { read: undefined, variant: false };
  if (base.item.kind === 'response') return { read: { ...base, item: base.item }, variant: false };
  const read = await store.peek(variantKeyOf(sha256, ask, base.item.names));
  return { read: read?.item.kind === 'response' ? { ...read, item: read.item } : undefined, variant: true };
}

/** The stored response for an operator's eyes. */
export function explainedStored(
  looked: Looked | undefined,
  nowMs: number,
  inspector: Pick<StoreInspector, 'summary'> | undefined,
): ExplainedStored | null {
  if (looked?.read === undefined) return null;
  const { item, staleSinceMs, tier } = looked.read;
  const { freshness } = item;
  const { ageSeconds, ttlSeconds } = standingOf(item, staleSinceMs, nowMs);
  return {
    key: item.key,
    tier,
    status: item.status,
    ageSeconds,
    ttlSeconds,
    sizeBytes: item.body.length,
    hits: inspector?.summary(item.key)?.hits ?? null,
    position: item.position,
    staleSince: staleSinceMs === undefined ? null : instant(staleSinceMs),
    storedAt: instant(item.responseTimeMs),
    freshUntil: instant(freshness.freshUntilMs),
    retainUntil: instant(freshness.retainUntilMs),
    source: freshness.source,
  };
}

/**
 * What would go upstream, for an operator's eyes: the canonical target with every secret as `***`: credentials that the
 * proxy puts on, and values of parameters that the route calls secret.
 */
export function maskedTarget(route: Route, canonical: CanonicalRequest, upstream: UpstreamConfig | undefined): string {
  const mark = canonical.target.indexOf('?');
  const path = mark < 0 ? canonical.target : canonical.target.slice(0, mark);
  const secretInPath = [...route.pathParams.values()].some((rule) => rule.secret);
  // Which bytes of the path came from the secret group is not known here; its template says as much as can be said.
  const shownPath = secretInPath ? (route.forward ?? route.match) : path;
  const pairs = mark < 0 ? [] : canonical.target.slice(mark + 1).split('&');
  const shown = pairs.map((pair) => maskedPair(route, pair));
  for (const name of upstream?.credentials.query.keys() ?? []) shown.push(`${encodeURIComponent(name)}=***`);
  return `${upstream?.origin ?? ''}${shownPath}${shown.length === 0 ? '' : `?${shown.join('&')}`}`;
}

function maskedPair(route: Route, pair: string): string {
  const equals = pair.indexOf('=');
  if (equals < 0) return pair;
  const name = pair.slice(0, equals);
  const secret = [...route.params.values()].some((rule) => rule.secret && encodesName(name, rule.name));
  return secret ? `${name}=***` : pair;
}

function encodesName(encoded: string, name: string): boolean {
  try {
    return decodeURIComponent(encoded) === name;
  } catch {
    // Bytes that are no UTF-8 are no configured name.
    return false;
  }
}

/** ISO 8601, or a word where the time is past what a date can hold (kept for ever). */
function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'never' : date.toISOString();
}
