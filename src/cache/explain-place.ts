import type { ListenerConfig } from '../core/config.ts';
import { printable } from '../core/printable.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { RouteTable } from '../core/route-table.ts';
import { parseHost } from '../core/target.ts';
import { locate, parseUrl, type Located, type Place } from './locate.ts';
import { nearestWord } from './nearest.ts';
import type { ExplainRequest } from './operations.ts';

/** Where a request would arrive, and what comes of that. */
export type Arrival =
  | { readonly kind: 'routed'; readonly located: Located }
  /** `hint`: where else a route governs it; `undefined` where nowhere. */
  | { readonly kind: 'unrouted'; readonly hint: string | undefined }
  /** No request target. */
  | { readonly kind: 'invalid'; readonly problem: Problem };

/**
 * Finds the route as the exchange would: on one listener, the one that the caller or the URL names, else `default`.
 * `host` is a Host value. Refused with a 400 where there is no such listener.
 */
export function arrive(
  parts: { readonly table: RouteTable; readonly listeners: readonly ListenerConfig[] },
  input: Pick<ExplainRequest, 'url' | 'listener'>,
  host: string | undefined,
): Result<Arrival> {
  const target = parseUrl(input.url);
  const own = target.ok ? ownListener(parts.listeners, input.url, target.value.authority) : undefined;
  const listener = input.listener ?? own?.name ?? 'default';
  const names = parts.listeners.map((one) => one.name);
  if (!names.includes(listener)) return refused(unknownListener(listener, names));
  // A URL with a listener's address says whom to ask; what host to ask it for, the Host field says, as with curl.
  const url = own !== undefined && host !== undefined && target.ok ? originForm(target.value) : input.url;
  const place: Place = { host, listener };
  const located = locate(parts.table, url, place);
  if (!located.ok) return ok({ kind: 'invalid', problem: located.error });
  const [first] = located.value;
  if (first !== undefined) return ok({ kind: 'routed', located: first });
  const elsewhere = locate(parts.table, url, { host });
  return ok({ kind: 'unrouted', hint: elsewhere.ok ? hintOf(elsewhere.value[0]) : undefined });
}

/** Path and query. */
export function originForm(target: { readonly path: string; readonly query: string | undefined }): string {
  return target.query === undefined ? target.path : `${target.path}?${target.query}`;
}

function hintOf(located: Located | undefined): string | undefined {
  if (located === undefined) return undefined;
  const { match, place } = located;
  return `Route ${match.route.name} governs it on listener ${place.listener}.`;
}

/** The listener at the address of an absolute URL. */
function ownListener(
  listeners: readonly ListenerConfig[],
  url: string,
  authority: string | undefined,
): ListenerConfig | undefined {
  const asked = authority === undefined ? undefined : parseHost(authority);
  if (asked?.ok !== true) return undefined;
  const port = asked.value.port ?? (/^https:/i.test(url) ? 443 : 80);
  return listeners.find((one) => one.port === port && listensAs(one.host, asked.value.host));
}

const everywhere: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** A listener on every address may go by any name. */
function listensAs(bound: string, asked: string): boolean {
  const host = asked.replaceAll(/[[\]]/g, '');
  if (everywhere.has(bound) || bound.toLowerCase() === host) return true;
  return isLoopback(bound) && isLoopback(host);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function unknownListener(name: string, names: readonly string[]): Problem {
  const nearest = nearestWord(name, names);
  const meant = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return {
    status: 400,
    code: 'listener-unknown',
    title: 'Unknown listener',
    detail: `There is no listener "${printable(name)}"${meant}`,
    extra: { listeners: names },
  };
}
