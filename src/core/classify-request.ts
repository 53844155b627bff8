import { announcedContent, type ContentForm, type ContentRelayReason } from './content-key.ts';
import { hasField } from './fields.ts';
import { forwardsCredential, givesWay } from './forwarded-fields.ts';
import { asksForUpgrade } from './hop-by-hop.ts';
import type { Fwd } from './outcome.ts';
import type { Problem } from './problem.ts';
import { readName } from './read-name.ts';
import type { ProxyRequest } from './request.ts';
import type { Route } from './route.ts';
import { special, specialOf } from './special-fields.ts';

/** What kind of work a request is. `reason` is a token. */
export type Classification =
  /** Answered from store where possible; `head`: without a body; `content`: when its content is there, which is in the key. */
  | { readonly kind: 'lookup'; readonly head: boolean; readonly content?: ContentForm }
  /** Passed through, neither looked up nor stored. */
  | { readonly kind: 'relay'; readonly fwd: Fwd; readonly reason: RelayReason }
  | { readonly kind: 'reject'; readonly problem: Problem };

export type RelayReason =
  | 'cache-off'
  | 'method'
  | 'upgrade'
  | 'authorization'
  | 'cookie'
  | 'precondition'
  | 'post-if-none-match'
  | 'method-override'
  | ContentRelayReason;

/** Fields that make some servers treat a GET as another method. Where they go upstream unkeyed, they could poison. */
const methodOverrides: ReadonlySet<string> = new Set(['x-http-method-override', 'x-http-method', 'x-method-override']);

/**
 * Sorts a request whose route is known. On cached routes a GET or HEAD with content is refused: the content would go
 * upstream without being part of the key (RFC 9110 §9.3.1 gives it no meaning, servers do).
 */
export function classifyRequest(route: Route, request: ProxyRequest): Classification {
  if (route.cache === 'off') return { kind: 'relay', fwd: 'bypass', reason: 'cache-off' };
  if (request.method !== 'GET' && request.method !== 'HEAD') return classifyOther(route, request);
  if (request.hasContent) return { kind: 'reject', problem: contentProblem(request.method) };
  const reason =
    ((request.special ?? specialOf(request.fields)) & BYPASSING) === 0 ? undefined : bypassReason(route, request);
  if (reason !== undefined) return { kind: 'relay', fwd: 'bypass', reason };
  return request.method === 'HEAD' ? HEAD : GET;
}

/** One of these at least has what {@link bypassReason} finds in a GET or HEAD. */
const BYPASSING =
  special.upgrade |
  special.authorization |
  special.cookie |
  special.ifMatch |
  special.ifUnmodifiedSince |
  special.methodOverride;

const GET: Classification = { kind: 'lookup', head: false };
const HEAD: Classification = { kind: 'lookup', head: true };

/** RFC 9111 §2, RFC 10008 §2.7: other methods are in the key where the route names them, together with their content. */
function classifyOther(route: Route, request: ProxyRequest): Classification {
  const rules = route.content;
  const method = rules?.methods.find((one) => one === request.method);
  if (rules === undefined || method === undefined) return { kind: 'relay', fwd: 'method', reason: 'method' };
  const reason = bypassReason(route, request);
  if (reason !== undefined) return { kind: 'relay', fwd: 'bypass', reason };
  const { fields, query } = request;
  const announced = announcedContent(rules, { method, fields, query });
  return announced.kind === 'read' ? { kind: 'lookup', head: false, content: announced.form } : announced;
}

function bypassReason(route: Route, request: ProxyRequest): RelayReason | undefined {
  const { fields } = request;
  if (asksForUpgrade(fields)) return 'upgrade';
  const caller = callerNamedBy(route, request);
  if (caller !== undefined) return caller;
  if (route.policy.upstreamCacheControl !== 'honour') return undefined;
  // Only upstream can evaluate these (RFC 9111 §4.3.2); on ruled routes they never go upstream and mean nothing.
  if (hasField(fields, 'if-match') || hasField(fields, 'if-unmodified-since')) return 'precondition';
  // Of a POST it asks that there be no such resource yet (RFC 9110 §13.1.2), which is no query.
  if (request.method === 'POST' && hasField(fields, 'if-none-match')) return 'post-if-none-match';
  const forwarded = (name: string): boolean =>
    route.forwardHeaders.includes('*') || route.forwardHeaders.includes(name);
  const overridden = fields.some(([name]) => methodOverrides.has(readName(name)) && forwarded(name));
  return overridden ? 'method-override' : undefined;
}

/** The first field that says who the caller is, where the answer may be for that caller alone. */
function callerNamedBy(route: Route, { fields }: ProxyRequest): 'authorization' | 'cookie' | undefined {
  for (const name of ['authorization', 'cookie'] as const) {
    if (!hasField(fields, name) || route.headers.includes(name) || givesWay(route, name)) continue;
    // What goes upstream as a forwarded field is kept apart by upstream's own word (RFC 9111 §3.5, §4.1).
    if (!forwardsCredential(route, name)) return name;
  }
  return undefined;
}

function contentProblem(method: string): Problem {
  return {
    status: 400,
    code: 'content-not-allowed',
    title: 'Content not allowed',
    detail: `A ${method} request on a cached route must not have content.`,
  };
}
