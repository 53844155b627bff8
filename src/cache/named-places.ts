import { pathBehind } from '../core/backward.ts';
import { fieldLineValues } from '../core/fields.ts';
import { rawTarget, withQuery } from '../core/key.ts';
import { canonicalPath, rawForwardPath } from '../core/key-path.ts';
import type { ProxyRequest } from '../core/request.ts';
import { matchRoute, type RouteMatch, type RouteTable } from '../core/route-table.ts';
import type { RoutePlan } from '../core/route-plan.ts';
import type { Route } from '../core/route.ts';
import { parseHost, parseTarget } from '../core/target.ts';
import { plainlySpelt, resolveReference, type ResolvedReference } from '../core/uri-reference.ts';
import type { FillDeps } from './fill-types.ts';
import type { RelayedHead } from './handled.ts';
import { locate, type Located } from './locate.ts';

/** What is needed to tell where on this proxy a reference leads. */
export interface NamingDeps extends Pick<FillDeps, 'upstreams' | 'sha256'> {
  readonly table: RouteTable;
}

/** A relayed request and the route that governs it. */
export interface Relayed {
  readonly match: RouteMatch;
  readonly request: ProxyRequest;
}

/** What an answer names on this proxy. */
export interface NamedPlaces {
  /** URLs, each with the route that governs it. */
  readonly places: readonly Relayed[];
  /** Names of routes that hold what it names under a URL that cannot be told. */
  readonly routes: ReadonlySet<string>;
}

/** Lines of one field that count. Each has one value, so more than one line is a fault of upstream's already. */
export const MAX_NAMING_LINES = 8;

/** Fields that name what else has changed (RFC 9111 §4.4). */
const naming = ['location', 'content-location'] as const;

type Reference = Pick<ResolvedReference, 'path' | 'query'>;

/**
 * The request's own place first, then those of its answer's references: of each as the client reads it, against the URL on
 * the proxy, and where `forward` makes upstream speak of other paths than its client, also as upstream means it.
 */
export function placesNamedBy(deps: NamingDeps, relayed: Relayed, head: RelayedHead): NamedPlaces {
  const { request, match } = relayed;
  const places = [relayed, ...onProxy(deps, relayed, spellings(request).slice(1))];
  const routes = new Set<string>();
  const sent = match.route.forward === undefined ? undefined : sentTarget(relayed);
  for (const reference of naming.flatMap((name) => fieldLineValues(head.fields, name).slice(0, MAX_NAMING_LINES))) {
    const read = resolveReference(reference, request);
    if (read !== undefined && isSameOrigin(deps, relayed, read))
      places.push(...onProxy(deps, relayed, spellings(read)));
    const meant = sent === undefined ? undefined : resolveReference(reference, sent);
    if (meant === undefined || !isOfUpstream(deps, relayed, meant)) continue;
    for (const spelling of spellings(meant)) {
      const behind = placesBehind(deps, relayed, spelling);
      places.push(...behind.places);
      for (const route of behind.routes) routes.add(route);
    }
  }
  return { places, routes };
}

/** Path and query of the request as they went upstream; `undefined` where they could not. */
export function sentTarget({ match, request }: Relayed): Reference | undefined {
  const sent = rawTarget(match, request);
  const target = sent.ok ? parseTarget(sent.value) : sent;
  return target.ok ? target.value : undefined;
}

/** Whether the reference, as it stands in an answer to the request, is of upstream's own origin, by its name for itself. */
export function isOfUpstream(
  { upstreams }: Pick<NamingDeps, 'upstreams'>,
  { match }: Pick<Relayed, 'match'>,
  { origin }: Pick<ResolvedReference, 'origin'>,
): boolean {
  if (origin === undefined) return true;
  const url = upstreams.get(match.route.upstream)?.origin;
  const own = url === undefined ? undefined : resolveReference(url, { path: '/', query: undefined })?.origin;
  if (own?.scheme === undefined) return false;
  // What names no scheme has that of the URL which upstream was asked by (RFC 3986 §5.2.2).
  const named = originText(origin.scheme ?? own.scheme, origin.authority);
  return named !== undefined && named === originText(own.scheme, own.authority);
}

/** Whether it is of the same origin as its target URI, by the name of either side. */
export function isSameOrigin(
  deps: Pick<NamingDeps, 'upstreams'>,
  relayed: Relayed,
  { origin }: Pick<ResolvedReference, 'origin'>,
): boolean {
  if (origin === undefined || isOfUpstream(deps, relayed, { origin })) return true;
  const { request } = relayed;
  // The proxy as the client names it. Its scheme is not known here: TLS may have ended in front of us.
  const [host = ''] = fieldLineValues(request.fields, 'host');
  const schemes = (['http', 'https'] as const).filter((each) => origin.scheme === undefined || each === origin.scheme);
  return schemes.some((scheme) => {
    const own = originText(scheme, host);
    return own !== undefined && own === originText(scheme, origin.authority) && hostOf(host) === request.host;
  });
}

/** Both spellings of what is one URL (RFC 9110 §4.2.3): as it came, and the plain one. Keys hold the bytes of requests. */
function spellings({ path, query }: Reference): readonly Reference[] {
  const plain = { path: plainlySpelt(path), query: query === undefined ? undefined : plainlySpelt(query) };
  return plain.path === path && plain.query === query ? [plain] : [{ path, query }, plain];
}

/**
 * Where a path leads that is one on this proxy. Only what upstream's own honoured routes govern: a path that another
 * upstream answers for is another origin, whatever host the two share here.
 */
function onProxy(deps: NamingDeps, relayed: Relayed, references: readonly Reference[]): readonly Relayed[] {
  const { request } = relayed;
  return references.flatMap(({ path, query }) => {
    if (!parseTarget(withQuery(path, query)).ok) return [];
    const match = matchRoute(deps.table, { path, host: request.host, listener: request.listener });
    if (match === undefined || !isHonouredAt(deps, relayed, match.route)) return [];
    return [{ match, request: { ...request, path, query } }];
  });
}

/** Where on this proxy a path upstream can be had, whatever the host and listener: a path upstream has none of these. */
function placesBehind(deps: NamingDeps, relayed: Relayed, { path, query }: Reference): NamedPlaces {
  const places: Relayed[] = [];
  const routes = new Set<string>();
  if (!parseTarget(withQuery(path, query)).ok) return { places, routes };
  for (const plan of deps.table.plans) {
    if (!isHonouredAt(deps, relayed, plan.route)) continue;
    const behind = pathBehind(plan, path);
    if (behind === undefined) continue;
    const found = behind.path === undefined ? undefined : locatedOn(deps.table, plan, withQuery(behind.path, query));
    if (found !== undefined && leadsTo(deps, found, path)) {
      places.push({ match: found.match, request: { ...relayed.request, ...found.place } });
    } else if (behind.path === undefined || found !== undefined || mayRewrite(plan)) {
      routes.add(plan.route.name);
    }
  }
  return { places, routes };
}

function locatedOn(table: RouteTable, { route }: RoutePlan, url: string): Located | undefined {
  if (!parseTarget(url).ok) return undefined;
  const located = locate(table, url, { host: route.host, listener: route.listener });
  return located.ok ? located.value.find(({ match }) => match.route.name === route.name) : undefined;
}

/** Of several values the rules say which cut of the path is the one: what they refuse was cut elsewhere. */
function leadsTo({ sha256 }: NamingDeps, { match, place }: Located, path: string): boolean {
  const back = rawForwardPath(match, place.path);
  if (!back.ok || back.value !== path) return false;
  return match.groups.size < 2 || canonicalPath(match, place.path, sha256).ok;
}

/** A value that a rule has rewritten need not be one that `match` takes. */
function mayRewrite({ forward, pathParams }: RoutePlan): boolean {
  return forward !== undefined && pathParams.size > 0;
}

/** Something of the same upstream may be stored there, by upstream's own words. */
function isHonouredAt({ upstreams }: NamingDeps, { match }: Relayed, route: Route): boolean {
  if (route.cache === 'off' || route.policy.upstreamCacheControl !== 'honour') return false;
  const { upstream } = match.route;
  return route.upstream === upstream || upstreams.get(route.upstream)?.origin === upstreams.get(upstream)?.origin;
}

const defaultPorts = { http: 80, https: 443 } as const;

/** Scheme, host and port in one form (RFC 9110 §4.3.1); `undefined` where the authority is none. */
function originText(scheme: 'http' | 'https', authority: string): string | undefined {
  const host = parseHost(authority);
  return host.ok ? `${scheme}://${host.value.host}:${host.value.port ?? defaultPorts[scheme]}` : undefined;
}

function hostOf(authority: string): string | undefined {
  const host = parseHost(authority);
  return host.ok ? host.value.host : undefined;
}
