import { deriveKey } from '../core/key.ts';
import { printable } from '../core/printable.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { foldWithheld } from '../core/query.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import { matchRoute, type RouteTable } from '../core/route-table.ts';
import { parseTarget } from '../core/target.ts';
import { fillPattern } from './fill-pattern.ts';
import type { Sha256 } from './ports.ts';

/** A request that warming makes: what a client's request with the same parameters would come to. */
export interface WarmTarget {
  readonly route: Route;
  readonly keyed: KeyedRequest;
}

/** Parameters from which no request can be made. */
export interface WarmRefusal {
  /** For people: the URL as far as it could be made, secret values masked. */
  readonly url: string;
  readonly detail: string;
}

/**
 * The request of a route with these parameters, sent through the same matching and keying as a client's, so that it
 * has exactly the key of one. Request fields that the route keys are absent, as for a client that sends none.
 */
export function warmTarget(
  parts: { readonly table: RouteTable; readonly sha256: Sha256 },
  route: Route,
  values: ReadonlyMap<string, string>,
): Result<WarmTarget, WarmRefusal> {
  const made = targetOf(route, values);
  const keyed = made.ok ? keyedAs(parts, route, made.value) : made;
  return keyed.ok ? ok({ route, keyed: keyed.value }) : refused({ url: shownUrl(route, values), detail: keyed.error });
}

/** The request target that a client would send. */
function targetOf(route: Route, values: ReadonlyMap<string, string>): Result<string, string> {
  if (route.cache === 'off') return refused('the route is not cached');
  for (const [name, value] of values) {
    if (!name.isWellFormed() || !value.isWellFormed()) return refused('a parameter is not well-formed Unicode text');
  }
  const filled = fillPattern(route.match, values, route.pathParams);
  if (!filled.ok) return filled;
  const rest = [...values].filter(([name]) => !filled.value.used.has(name));
  const stray = rest.find(([name]) => wouldBeDropped(route, name));
  // A client's stray parameter is dropped in silence; an operator's is a misspelt one, and the wrong thing would be warm.
  if (stray !== undefined) return refused(`the route has no parameter "${printable(stray[0])}"`);
  const query = rest.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
  return ok(query === '' ? filled.value.path : `${filled.value.path}?${query}`);
}

/** The target taken the way of a client's, on the route's own host and listener. */
function keyedAs(
  parts: { readonly table: RouteTable; readonly sha256: Sha256 },
  route: Route,
  target: string,
): Result<KeyedRequest, string> {
  const parsed = parseTarget(target);
  if (!parsed.ok) return refused(parsed.error.detail);
  const { path, query } = parsed.value;
  const place = { path, host: route.host ?? '', listener: route.listener ?? 'default' };
  const match = matchRoute(parts.table, place);
  if (match === undefined) return refused('the path does not match the route');
  if (match.route.name !== route.name) return refused(`route ${match.route.name} governs that path`);
  const keyed = deriveKey(match, { ...place, query, fields: [] }, parts.sha256);
  return keyed.ok ? keyed : refused(keyed.error.detail);
}

function wouldBeDropped(route: Route, name: string): boolean {
  if (route.rawQuery || route.params.has(name)) return false;
  if ([...route.params.values()].some((rule) => rule.aliases.includes(name))) return false;
  return route.unknownQuery === 'drop' || route.ignore.includes(name) || isWithheld(route, name);
}

function isWithheld(route: Route, name: string): boolean {
  return route.secret.some((secret) => foldWithheld(secret) === foldWithheld(name));
}

/** For reports of what could not be keyed; names of secrets are matched whatever their case. */
function shownUrl(route: Route, values: ReadonlyMap<string, string>): string {
  const secret = new Set(route.secret.map(foldWithheld));
  for (const rule of [...route.params.values(), ...route.pathParams.values()]) {
    if (rule.secret) for (const name of [rule.name, ...rule.aliases]) secret.add(foldWithheld(name));
  }
  const pairs = [...values].map(([name, value]) => `${name}=${secret.has(foldWithheld(name)) ? '***' : value}`);
  const shown = pairs.length === 0 ? route.match : `${route.match}?${pairs.join('&')}`;
  return shown.replaceAll(/[^ -~]/gu, '?').slice(0, 500);
}
