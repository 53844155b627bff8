import { withoutAnyAccept } from './any-accept.ts';
import type { FieldLines } from './fields.ts';
import { endToEnd, isHopByHopName } from './hop-by-hop.ts';
import { plainFields } from './plain-fields.ts';
import { readName } from './read-name.ts';
import type { Route } from './route.ts';

/**
 * End-to-end request fields that never go upstream on a cached route unless the route keys them: what the proxy decides
 * itself (conditions, ranges, codings of ruled routes), and fields by which some frameworks let a request change its own
 * method, scheme, host or path, or the way of their own calls (unkeyed input that could poison the store).
 */
const NEVER = new Set([
  'host',
  'expect',
  'content-length',
  'content-type',
  'content-encoding',
  'via',
  'cdn-loop',
  'front-end-https',
  'proxy',
  'x-host',
  'x-host-override',
  'x-http-host-override',
  'x-http-path-override',
  'x-method',
  'x-override-url',
  'x-scheme',
  'x-url-scheme',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
]);

/** What proxies call a request's own host, path, method and so on, before they changed them. */
const ofBefore = /^x-(?:envoy-original|original|rewrite)-/;

const noFields: FieldLines = [];

/** Where a request came from, as proxies tell it. It is nobody's business upstream; some frameworks even believe it. */
export function tellsOfClient(name: string): boolean {
  return name === 'forwarded' || name === 'x-real-ip' || name === 'x-forwarded' || name.startsWith('x-forwarded-');
}

/**
 * The client's fields that an `honour` route sends upstream without keying them (upstream's `Vary` keys them).
 * Empty on ruled routes, whose every forwarded field is keyed.
 */
export function forwardedFields(route: Route, fields: FieldLines): FieldLines {
  if (route.asksPlain) return plainFields(chosenFields(route, fields));
  return route.forwardHeaders.length === 0 ? noFields : chosenFields(route, fields);
}

function chosenFields(route: Route, fields: FieldLines): FieldLines {
  const all = route.forwardHeaders.includes('*');
  const keyed = new Set(route.headers.map(readName));
  return withoutAnyAccept(endToEnd(fields)).filter(([name]) => {
    const read = readName(name);
    if (isNever(read) || keyed.has(read) || isPutOn(route, name)) return false;
    if (name === 'authorization' || name === 'cookie') return forwardsCredential(route, name);
    // Upstream's Vary names what it reads, and what a client calls otherwise is not in the key: `*` lets none of that through.
    return route.forwardHeaders.includes(name) || (all && read === name);
  });
}

/** Whether a client's field of this name gives way to one of the upstream's own settings. */
export function isPutOn({ putOn }: Pick<Route, 'putOn'>, name: string): boolean {
  return putOn.length > 0 && putOn.includes(readName(name));
}

/**
 * Whether what a client says of itself by this field ends here: on a ruled route of an upstream whose settings put the field
 * on. What comes back is an answer to the proxy, the same for everybody. Clients of such an API send one with each request,
 * and would never be answered from store. On `honour` routes RFC 9111 §3.5 is about the request that came.
 */
export function givesWay(route: Pick<Route, 'policy' | 'putOn'>, name: 'authorization' | 'cookie'): boolean {
  return route.policy.upstreamCacheControl !== 'honour' && isPutOn(route, name);
}

/** Whether a field of this name, as it is read, goes upstream only where the route keys it. */
export function isNever(name: string): boolean {
  return NEVER.has(name) || isHopByHopName(name) || tellsOfClient(name) || ofBefore.test(name);
}

/**
 * Whether a field that says who the caller is goes upstream as one of the forwarded fields. Authorization does where all
 * fields do, since RFC 9111 §3.5 keeps what comes back apart. No such rule is about Cookie, so that only its own name lets
 * it through: an upstream that forgets `Vary: Cookie` would else give one caller's page to all.
 */
export function forwardsCredential(
  route: Pick<Route, 'forwardHeaders' | 'forwardsAuthorization'>,
  name: 'authorization' | 'cookie',
): boolean {
  return name === 'authorization' ? route.forwardsAuthorization : route.forwardHeaders.includes('cookie');
}

const CONDITIONS: ReadonlySet<string> = new Set(['if-none-match', 'if-modified-since', 'if-range', 'range']);

/**
 * The lines by which a client asks for less than the whole (RFC 9110 §13.1, §14.2): on an `honour` route they go upstream where
 * nothing is stored that could answer them (RFC 9111 §4.3.2). If-Match and If-Unmodified-Since are not among them: a request
 * with one of these is relayed.
 */
export function clientConditions(fields: FieldLines): FieldLines {
  return endToEnd(fields).filter(([name]) => CONDITIONS.has(name));
}
