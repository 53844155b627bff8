import { deriveKey } from '../core/key.ts';
import { printable } from '../core/printable.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { matchRoute, type RouteMatch, type RouteTable } from '../core/route-table.ts';
import { parseHost, parseTarget, type RequestTarget } from '../core/target.ts';
import { nearestWord } from './nearest.ts';
import type { Sha256 } from './ports.ts';

/** Where a URL of an operator's could arrive, and the route that governs it there. */
export interface Located {
  readonly match: RouteMatch;
  readonly place: Pick<ProxyRequest, 'path' | 'query' | 'host' | 'listener'>;
}

/** What fixes the place of a URL beside the URL itself. */
export interface Place {
  /** A Host value; the host of an absolute URL comes before it. */
  readonly host?: string | undefined;
  /** Name of a listener. */
  readonly listener?: string | undefined;
}

/** A URL of an operator's: as {@link parseTarget}, and `//host/path`, which is how canonical URLs name a host. */
export function parseUrl(url: string): Result<RequestTarget> {
  return parseTarget(url.startsWith('//') ? `http:${url}` : url);
}

/**
 * The places to which a URL written by an operator can belong, each governing route once: a path alone says neither
 * host nor listener, so every configured one is tried, the plain ones first, unless the URL or `fixed` says which.
 * Empty where no route governs it; refused where it is no target of a request.
 */
export function locate(table: RouteTable, url: string, fixed: Place = {}): Result<readonly Located[]> {
  const target = parseUrl(url);
  if (!target.ok) return target;
  const { path, query } = target.value;
  const authority = target.value.authority ?? fixed.host;
  const hosts =
    authority === undefined
      ? ok(
          distinct(
            '',
            table.routes.map((route) => route.host),
          ),
        )
      : hostOf(authority);
  if (!hosts.ok) return hosts;
  const listeners =
    fixed.listener === undefined
      ? distinct(
          'default',
          table.routes.map((route) => route.listener),
        )
      : [fixed.listener];
  const found = new Map<string, Located>();
  for (const one of hosts.value) {
    for (const listener of listeners) {
      const match = matchRoute(table, { path, host: one, listener });
      if (match === undefined || found.has(match.route.name)) continue;
      found.set(match.route.name, { match, place: { path, query, host: one, listener } });
    }
  }
  return ok([...found.values()]);
}

/** The scopes that a URL of an operator's means, for a purge; refused with a 400 where it can mean none. */
export function scopesOfUrl(table: RouteTable, url: string, sha256: Sha256): Result<readonly string[]> {
  const located = locate(table, url);
  if (!located.ok) return located;
  let problem: Problem = notRouted;
  const scopes = new Set<string>();
  for (const { match, place } of located.value) {
    if (match.route.cache === 'off') {
      if (problem === notRouted) problem = notCached(match.route.name);
      continue;
    }
    // Fields are in the key but not in the URL: one URL covers all that differ by them.
    const keyed = deriveKey(match, { ...place, fields: [] }, sha256);
    if (!keyed.ok) problem = keyed.error;
    else scopes.add(`u:${keyed.value.url}`);
  }
  return scopes.size > 0 ? ok([...scopes]) : refused(problem);
}

/** A 400 for a route name that is not configured, with the one that was perhaps meant. */
export function unknownRoute(table: RouteTable, name: string): Problem {
  const names = table.routes.map((route) => route.name);
  const nearest = nearestWord(name, names);
  return {
    status: 400,
    code: 'route-unknown',
    title: 'Unknown route',
    detail: `There is no route "${printable(name)}"${nearest === undefined ? '' : `; did you mean "${nearest}"?`}`,
    extra: { routes: names },
  };
}

function hostOf(authority: string): Result<readonly string[]> {
  const host = parseHost(authority);
  return host.ok ? ok([host.value.host]) : host;
}

function distinct(first: string, others: readonly (string | undefined)[]): readonly string[] {
  return [...new Set([first, ...others.filter((other) => other !== undefined)])];
}

const notRouted: Problem = {
  status: 400,
  code: 'url-not-routed',
  title: 'URL not routed',
  detail: 'No route governs this URL, so nothing can be stored of it.',
};

function notCached(route: string): Problem {
  return {
    status: 400,
    code: 'url-not-cached',
    title: 'URL not cached',
    detail: `Route ${route} governs this URL and is not cached, so nothing is stored of it.`,
  };
}
