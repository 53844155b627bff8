import { fieldLineValues } from '../core/fields.ts';
import { deriveKey } from '../core/key.ts';
import { isUnsafe } from '../core/methods.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { matchRoute, type RouteMatch, type RouteTable } from '../core/route-table.ts';
import { parseHost, parseTarget } from '../core/target.ts';
import { isUnread } from '../core/structured-field.ts';
import { groupTags } from '../core/upstream-tags.ts';
import { resolveReference, type ResolvedReference } from '../core/uri-reference.ts';
import type { FillDeps } from './fill-types.ts';
import type { RelayedHead } from './handled.ts';
import type { PurgeLog, ResponseStore } from './ports.ts';

/** What an invalidation needs from outside. */
export interface InvalidateDeps extends Pick<FillDeps, 'upstreams' | 'sha256' | 'search'> {
  readonly table: RouteTable;
  readonly store: ResponseStore;
  readonly purgeLog: PurgeLog;
  /** The purge after an unsafe method was refused; nobody else hears of it, so it should be logged. */
  readonly onInvalidationRefused?: (route: string, problem: Problem) => void;
}

/** A relayed request and the route that governs it. */
export interface Relayed {
  readonly match: RouteMatch;
  readonly request: ProxyRequest;
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

/** Fields that name what else has changed (RFC 9111 §4.4). */
const naming = ['location', 'content-location'] as const;

/**
 * What the final answer to a relayed request makes invalid; `undefined`: nothing. On routes where upstream is in charge a
 * successful unsafe method takes all variants of its URL with it, and those of the URLs in Location and Content-Location
 * that are of the same origin (RFC 9111 §4.4). On ruled routes a POST is a query as often as not (bulk weather, GraphQL),
 * and emptying the cache with each would be the surprise. Groups that upstream names go on both kinds, unless upstream's
 * caching fields are ignored (RFC 9875 §3).
 */
export function invalidationBy(deps: InvalidateDeps, relayed: Relayed, head: RelayedHead): Invalidation | undefined {
  const { route } = relayed.match;
  const { upstreamCacheControl } = route.policy;
  if (route.cache === 'off' || upstreamCacheControl === 'ignore') return undefined;
  if (!isUnsafe(relayed.request.method) || head.status < 200 || head.status > 399) return undefined;
  const scopes = new Set(groupScopes(deps, relayed, head));
  const keys = new Set<string>();
  const matches = upstreamCacheControl === 'honour' ? placesNamedBy(deps, relayed, head) : [];
  for (const { match, request } of matches) {
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
 * purge would cover in its memory, and in the shared tier of the keys that are known.
 */
export async function invalidate(
  deps: InvalidateDeps,
  route: string,
  { scopes, keys }: Invalidation,
): Promise<boolean> {
  const receipt = await deps.purgeLog.append({ scopes, soft: false });
  if (receipt.ok) return true;
  deps.onInvalidationRefused?.(route, receipt.error);
  deps.store.drop?.(scopes);
  for (const key of keys) await deps.store.invalidate(key);
  return false;
}

/** Whether the reference, as it stands in an answer to the request, is of the same origin as its target URI. */
export function isSameOrigin(
  deps: Pick<InvalidateDeps, 'upstreams'>,
  { match, request }: Relayed,
  { origin }: ResolvedReference,
): boolean {
  if (origin === undefined) return true;
  const named = originText(origin.scheme ?? 'http', origin.authority);
  if (named === undefined) return false;
  const upstream = deps.upstreams.get(match.route.upstream)?.origin;
  if (upstream !== undefined && origin.scheme !== undefined && named === originOf(upstream)) return true;
  // The proxy as the client names it. Its scheme is not known here: TLS may have ended in front of us.
  const [host = ''] = fieldLineValues(request.fields, 'host');
  const ports = (['http', 'https'] as const).filter(
    (scheme) => origin.scheme === undefined || scheme === origin.scheme,
  );
  return ports.some((scheme) => {
    const own = originText(scheme, host);
    return own !== undefined && own === originText(scheme, origin.authority) && hostOf(host) === request.host;
  });
}

/** The request's own place first, then those of its answer's references, each with the route that governs it. */
function placesNamedBy(deps: InvalidateDeps, relayed: Relayed, head: RelayedHead): readonly Relayed[] {
  const places = [relayed];
  for (const name of naming) {
    // Both have one value; what comes in several lines is taken by its first.
    const [reference] = fieldLineValues(head.fields, name);
    const place = reference === undefined ? undefined : placeOf(deps, relayed, reference);
    if (place !== undefined) places.push(place);
  }
  return places;
}

/**
 * Where a reference leads on this proxy. Only what upstream's own honoured routes govern: a path that another upstream
 * answers for is another origin, whatever host the two share here.
 */
function placeOf(deps: InvalidateDeps, relayed: Relayed, reference: string): Relayed | undefined {
  const { request, match } = relayed;
  const resolved = resolveReference(reference, request);
  if (resolved === undefined || !isSameOrigin(deps, relayed, resolved)) return undefined;
  const { path, query } = resolved;
  if (!parseTarget(query === undefined ? path : `${path}?${query}`).ok) return undefined;
  const governing = matchRoute(deps.table, { path, host: request.host, listener: request.listener });
  if (governing === undefined || governing.route.cache === 'off') return undefined;
  const { policy, upstream } = governing.route;
  if (policy.upstreamCacheControl !== 'honour') return undefined;
  const originAt = (name: string): string | undefined => deps.upstreams.get(name)?.origin;
  if (upstream !== match.route.upstream && originAt(upstream) !== originAt(match.route.upstream)) return undefined;
  return { match: governing, request: { ...request, path, query } };
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

const defaultPorts = { http: 80, https: 443 } as const;

/** Scheme, host and port in one form (RFC 9110 §4.3.1); `undefined` where the authority is none. */
function originText(scheme: 'http' | 'https', authority: string): string | undefined {
  const host = parseHost(authority);
  return host.ok ? `${scheme}://${host.value.host}:${host.value.port ?? defaultPorts[scheme]}` : undefined;
}

function originOf(url: string): string | undefined {
  const parsed = resolveReference(url, { path: '/', query: undefined })?.origin;
  return parsed?.scheme === undefined ? undefined : originText(parsed.scheme, parsed.authority);
}

function hostOf(authority: string): string | undefined {
  const host = parseHost(authority);
  return host.ok ? host.value.host : undefined;
}
