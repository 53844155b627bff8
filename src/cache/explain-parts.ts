import type { Credentials, UpstreamConfig } from '../core/config.ts';
import { standingOf } from '../core/freshness.ts';
import { foldWithheld, withheldName } from '../core/query.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { variantKeyOf } from './store-fill.ts';
import type { CoherenceStatus, Invalidity, PositionJudge } from './fleet-ports.ts';
import type { ExplainedCoherence, ExplainedStored } from './operations.ts';
import type { ResponseStore, Sha256, StoreInspector, StoreRead, UnleasedReads } from './ports.ts';
import type { Ask } from './respond.ts';

/** What a look under the key found. */
export interface Looked {
  /** The stored response that the request selects. */
  readonly read: (StoreRead & { readonly item: StoredResponse }) | undefined;
  /** True where the base key holds a Vary marker. */
  readonly variant: boolean;
}

/** Where to look. */
export interface LookUpParts {
  readonly store: ResponseStore;
  /** Shows what memory holds while nothing may be served. */
  readonly unleased?: UnleasedReads;
  readonly sha256: Sha256;
}

/** The exchange's look-up, by `peek`: no use for eviction, no hit counted. What is stored is shown even without a lease. */
export async function lookUp(parts: LookUpParts, ask: Ask): Promise<Looked> {
  const base = await peek(parts, ask, ask.keyed.key);
  if (base === undefined) return { read: undefined, variant: false };
  if (base.item.kind === 'response') return { read: { ...base, item: base.item }, variant: false };
  const read = await peek(parts, ask, variantKeyOf(parts.sha256, ask, base.item.names));
  return { read: read?.item.kind === 'response' ? { ...read, item: read.item } : undefined, variant: true };
}

async function peek({ store, unleased }: LookUpParts, ask: Ask, key: string): Promise<StoreRead | undefined> {
  return (await store.peek(key, ask)) ?? unleased?.peekUnleased(key);
}

/** What the purge log says of what is stored, and of itself. */
export interface CoherenceParts {
  /** `undefined`: a log that is not shared, which never loses its lease. */
  readonly coherence?: { status(): CoherenceStatus } & PositionJudge;
}

/** Why what is stored would not be served; by what was stored with it and by what the rules say of the request today. */
export function invalidityOf(
  { coherence }: CoherenceParts,
  ask: Ask,
  looked: Looked | undefined,
): Invalidity | undefined {
  if (coherence === undefined || looked?.read === undefined) return undefined;
  const { item } = looked.read;
  const { key, url, tags } = ask.keyed;
  const asked = { key, url, tags, route: ask.route.name, position: item.position };
  return coherence.invalidity(item) ?? coherence.invalidity(asked);
}

export function explainedCoherence({ coherence }: CoherenceParts): ExplainedCoherence | null {
  if (coherence === undefined) return null;
  const { leased, epoch, applied, lag } = coherence.status();
  return { leased, epoch, applied, lag };
}

/** The stored response for an operator's eyes. */
export function explainedStored(
  looked: Looked | undefined,
  at: {
    readonly nowMs: number;
    readonly inspector: Pick<StoreInspector, 'summary'> | undefined;
    readonly invalidity: Invalidity | undefined;
  },
): ExplainedStored | null {
  if (looked?.read === undefined) return null;
  const { nowMs, inspector, invalidity } = at;
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
    valid: invalidity === undefined,
    invalidBecause: invalidity ?? null,
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
