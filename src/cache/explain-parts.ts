import type { Credentials, UpstreamConfig } from '../core/config.ts';
import { standingOf } from '../core/freshness.ts';
import { foldWithheld, withheldName } from '../core/query.ts';
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
 * What would go upstream, for an operator's eyes: the target (canonical, or raw where it is relayed so) with every secret
 * as `***`: credentials that the proxy puts on, and values of parameters that the route calls secret.
 */
export function maskedTarget(route: Route, target: string, upstream: UpstreamConfig | undefined): string {
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const secretInPath = [...route.pathParams.values()].some((rule) => rule.secret);
  // Which bytes of the path came from the secret group is not known here; its template says as much as can be said.
  const shownPath = secretInPath ? (route.forward ?? route.match) : path;
  const query = mark === -1 ? undefined : maskedQuery(route, target.slice(mark + 1));
  const own = upstream === undefined ? [] : ownPairs(upstream.credentials);
  const pairs = query === undefined || (query === '' && own.length > 0) ? own : [query, ...own];
  return `${upstream?.origin ?? ''}${shownPath}${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`;
}

/** An empty credential is not put on. */
function ownPairs(credentials: Credentials): readonly string[] {
  const given = [...credentials.query].filter(([, value]) => value !== '');
  return given.map(([name]) => `${encodeURIComponent(name)}=***`);
}

/** A `;` separates here too: better a piece too many is masked than a secret is shown. */
function maskedQuery(route: Route, query: string): string {
  const secret = new Set<string>();
  for (const rule of route.params.values()) {
    if (rule.secret) for (const name of [rule.name, ...rule.aliases]) secret.add(foldWithheld(name));
  }
  if (secret.size === 0) return query;
  const pieces = query.split(/([&;])/);
  return pieces.map((piece) => maskedPair(piece, secret)).join('');
}

function maskedPair(piece: string, secret: ReadonlySet<string>): string {
  const [name = ''] = piece.split('=', 1);
  return name.length < piece.length && secret.has(withheldName(name)) ? `${name}=***` : piece;
}

/** ISO 8601, or a word where the time is past what a date can hold (kept for ever). */
function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'never' : date.toISOString();
}
