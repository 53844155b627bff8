import { fieldLineValues } from '../core/fields.ts';
import { deriveKey } from '../core/key.ts';
import { isUnsafe } from '../core/methods.ts';
import type { Problem } from '../core/problem.ts';
import { isUnread } from '../core/structured-field.ts';
import { groupTags } from '../core/upstream-tags.ts';
import type { FillDeps } from './fill-types.ts';
import type { RelayedHead } from './handled.ts';
import { type NamedPlaces, type NamingDeps, placesNamedBy, type Relayed } from './named-places.ts';
import type { PurgeLog, ResponseStore } from './ports.ts';

/** What an invalidation needs from outside. */
export interface InvalidateDeps extends NamingDeps, Pick<FillDeps, 'search'> {
  readonly store: ResponseStore;
  readonly purgeLog: PurgeLog;
  /** The purge after an unsafe method was refused; nobody else hears of it, so it should be logged. */
  readonly onInvalidationRefused?: (route: string, problem: Problem) => void;
}

/** What an answer makes invalid. */
export interface Invalidation {
  /** Of the purge log; never empty. */
  readonly scopes: readonly string[];
  /** Base keys of the URLs among them, for the store of this process where the log takes no purge. */
  readonly keys: readonly string[];
}

/** Groups that one answer purges by name. More would make an entry of the purge log, which each process keeps, as long as it likes. */
export const MAX_INVALIDATED_GROUPS = 256;

const nothingNamed: NamedPlaces = { places: [], routes: new Set() };

/**
 * What the final answer to a relayed request makes invalid; `undefined`: nothing. On routes where upstream is in charge a
 * successful unsafe method takes all variants of its URL with it, and those of the URLs in Location and Content-Location
 * that are of the same origin (RFC 9111 §4.4): where these are paths upstream that `forward` hides, the URLs on the proxy
 * that lead there, or all of a route where they cannot be told. On ruled routes a POST is a query as often as not (bulk
 * weather, GraphQL), and emptying the cache with each would be the surprise. Groups that upstream names go on both kinds,
 * unless upstream's caching fields are ignored (RFC 9875 §3).
 */
export function invalidationBy(deps: InvalidateDeps, relayed: Relayed, head: RelayedHead): Invalidation | undefined {
  const { route } = relayed.match;
  const { upstreamCacheControl } = route.policy;
  if (route.cache === 'off' || upstreamCacheControl === 'ignore') return undefined;
  if (!isUnsafe(relayed.request.method) || head.status < 200 || head.status > 399) return undefined;
  const scopes = new Set(groupScopes(deps, relayed, head));
  const keys = new Set<string>();
  const named = upstreamCacheControl === 'honour' ? placesNamedBy(deps, relayed, head) : nothingNamed;
  for (const name of named.routes) scopes.add(`r:${name}`);
  for (const { match, request } of named.places) {
    const keyed = deriveKey(match, request, deps.sha256);
    // What has no key cannot be stored either.
    if (!keyed.ok) continue;
    keys.add(keyed.value.key);
    // Its key by what upstream has said of the path.
    if (deps.search !== undefined) keys.add(deps.search.peek(keyed.value).key);
    scopes.add(`u:${keyed.value.url}`);
  }
  return scopes.size === 0 ? undefined : { scopes: [...scopes], keys: [...keys] };
}

/**
 * Purges it. Resolves when it holds, and where that cannot be had when this process at least is rid of it: of all that the
 * purge would cover in its memory, and in the shared tier of the keys that are known. False: it may not hold everywhere yet.
 */
export async function invalidate(
  deps: InvalidateDeps,
  route: string,
  { scopes, keys }: Invalidation,
): Promise<boolean> {
  const receipt = await deps.purgeLog.append({ scopes, soft: false });
  if (receipt.ok) return true;
  // It holds here, and a drop now would be of what was fetched since.
  if (receipt.error.holdsLater === true) return false;
  deps.onInvalidationRefused?.(route, receipt.error);
  deps.store.drop?.(scopes);
  for (const key of keys) await deps.store.invalidate(key);
  return false;
}

/**
 * Scopes of the groups that upstream names. Of more than are purged by name, or of a field that is too long to be read, it is
 * everything of that origin: whatever is in one of them is among that.
 */
function groupScopes(deps: InvalidateDeps, { match }: Relayed, head: RelayedHead): readonly string[] {
  const upstream = deps.upstreams.get(match.route.upstream);
  if (upstream === undefined) return [];
  const { origin } = upstream;
  const name = 'cache-group-invalidation';
  // Names that are too long are left out: what is in such a group is not stored.
  const tags = new Set(groupTags(head.fields, name, origin).tags);
  if (tags.size <= MAX_INVALIDATED_GROUPS && !isUnread(fieldLineValues(head.fields, name))) {
    return [...tags].map((tag) => `t:${tag}`);
  }
  const sameOrigin = [...deps.upstreams].filter(([, other]) => other.origin === origin);
  return sameOrigin.map(([other]) => `t:upstream:${other}`);
}
