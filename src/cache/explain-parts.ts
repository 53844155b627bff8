import type { Credentials, UpstreamConfig } from '../core/config.ts';
import { standingOf } from '../core/freshness.ts';
import { isOfRule } from '../core/no-vary-search.ts';
import { foldWithheld, withheldName } from '../core/query.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { withoutRule } from './by-query.ts';
import type { CoherenceStatus, Invalidity, PositionJudge, ReadFor } from './fleet-ports.ts';
import type { ExplainedCoherence, ExplainedStored } from './operations.ts';
import type { InspectedRead, Sha256, StoredView } from './ports.ts';
import type { Ask } from './respond.ts';
import { isKept, variantOf } from './variant.ts';

/** What a look under the key found. */
export interface Looked {
  /** The stored response that the request selects. */
  readonly read: (InspectedRead & { readonly item: StoredResponse }) | undefined;
  /** The Vary marker that the base key holds. */
  readonly marker: InspectedRead | undefined;
}

/** What a request would find. */
export interface Usable extends Looked {
  /** Redis has it, and would not be asked for it. */
  readonly isLeftAlone: boolean;
}

/** Where to look. */
export interface LookUpParts extends CoherenceParts {
  readonly store: StoredView;
  readonly sha256: Sha256;
}

/** The exchange's look-up, without its acts. What may not be served is shown all the same. */
export async function lookUp(parts: LookUpParts, ask: Ask): Promise<Looked> {
  const plain = withoutRule(ask);
  const looked = await lookUnder(parts, ask);
  if (plain === undefined || looked.read !== undefined || looked.marker !== undefined) return looked;
  const own = await lookUnder(parts, plain);
  return own.read === undefined || isOfRule(own.read.item) ? looked : own;
}

async function lookUnder(parts: LookUpParts, ask: Ask): Promise<Looked> {
  const base = await inspect(parts, ask, ask.keyed.key);
  if (base === undefined) return { read: undefined, marker: undefined };
  if (base.item.kind === 'response') return { read: { ...base, item: base.item }, marker: undefined };
  const { key, promise } = variantOf(parts.sha256, ask, base.item);
  const selected = await inspect(parts, ask, key);
  const isThere = selected !== undefined && isKept(promise, selected.item);
  const read = isThere || promise === undefined ? selected : await inspect(parts, ask, promise.ownKey);
  return { read: read?.item.kind === 'response' ? { ...read, item: read.item } : undefined, marker: base };
}

/** Reads each key once: all that is said of a request is of the same moment, and Redis is asked no more than by a request. */
export function readOnce(store: StoredView): StoredView {
  const reads = new Map<string, ReturnType<StoredView['inspect']>>();
  return {
    inspect: (key, asked) => {
      if (reads.has(key)) return reads.get(key);
      const read = store.inspect(key, asked);
      reads.set(key, read);
      return read;
    },
  };
}

/** Where memory is all there is, what was purged is removed within moments: it is gone already. */
async function inspect({ store, coherence }: LookUpParts, ask: Ask, key: string): Promise<InspectedRead | undefined> {
  const read = await store.inspect(key, ask);
  return coherence === undefined && read?.invalid !== undefined ? undefined : read;
}

/** What the purge log says of what is stored, and of itself. */
export interface CoherenceParts {
  /** `undefined`: a log that is not shared, which never loses its lease. */
  readonly coherence?: { status(): CoherenceStatus } & PositionJudge;
}

/** What a request would find of what is stored, and why not the rest. */
export function judge(
  parts: CoherenceParts,
  ask: Ask,
  looked: Looked | undefined,
): { readonly invalidity: Invalidity | undefined; readonly usable: Usable } {
  const { read, marker } = looked ?? {};
  const ofMarker = invalidityOf(parts, ask, marker);
  const invalidity = ofMarker ?? invalidityOf(parts, ask, read);
  const isLeftAlone = [marker, read].some((one) => one?.isLeftAlone === true);
  // What may not be served is as good as absent, and what only a marker leads to goes with it.
  const usable = {
    read: invalidity === undefined && !isLeftAlone ? read : undefined,
    marker: ofMarker === undefined && marker?.isLeftAlone !== true ? marker : undefined,
  };
  return { invalidity, usable: { ...usable, isLeftAlone: isLeftAlone && invalidity === undefined } };
}

/** Why a read would not be served; by what was stored with it and by what the rules say of the request today. */
export function invalidityOf(
  { coherence }: CoherenceParts,
  ask: Pick<ReadFor, 'route' | 'keyed'>,
  read: InspectedRead | undefined,
): Invalidity | undefined {
  if (coherence === undefined || read === undefined) return undefined;
  const { item, invalid } = read;
  const { key, url, tags } = ask.keyed;
  const asked = { key, url, tags, route: ask.route.name, position: item.position };
  return coherence.invalidity(item) ?? coherence.invalidity(asked) ?? invalid;
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
    readonly invalidity: Invalidity | undefined;
  },
): ExplainedStored | null {
  if (looked?.read === undefined) return null;
  const { nowMs, invalidity } = at;
  const { item, staleSinceMs, tier, tally } = looked.read;
  const { freshness } = item;
  const { ageSeconds, ttlSeconds } = standingOf(item, staleSinceMs, nowMs);
  return {
    key: item.key,
    tier,
    status: item.status,
    ageSeconds,
    ttlSeconds,
    sizeBytes: item.body.length,
    // Nobody counts for the fleet.
    hits: tier === 'memory' ? tally.hits : null,
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
export function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'never' : date.toISOString();
}
