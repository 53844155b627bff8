/**
 * A second statement of the caching rules: RFC 9111 §3, §3.5, §4, §4.1 to §4.2.4, §5.2.1, §5.2.2, RFC 5861 and RFC 9213 as
 * tables of clauses, read as literally as they can be and evaluated one by one. It shares nothing with `src/core` but types,
 * so that the two can disagree.
 *
 * What the RFCs leave to a cache, and this cache has chosen (`own` in the tables):
 * - the rule of a route (`ttl`, `statusTtl`, `expireAt`) replaces upstream's fields on `ignore` routes, bounds them on `cap`
 *   routes and stands in for them on `honour` routes;
 * - heuristic lifetimes: the policy's fraction of Date - Last-Modified, up to its maximum;
 * - 206, 304, 412 and 416 are never stored, nor is what could never be used: varying by `*`, or neither fresh nor to be
 *   served stale nor validatable;
 * - qualified `private` and `no-cache` count as unqualified ones (§5.2.2.4, §5.2.2.7 allow that);
 * - nothing is served or kept past the policy's retention;
 * - the stale windows of the route stand in where upstream names none;
 * - disconnected (§4.2.4) is: no connection, or a connection that ended without a complete answer in time;
 * - `stale-if-error` covers all of 5xx and 429, and none of these is served stale for another failure;
 * - request directives count on `honour` routes and where `clientCacheControl` says so.
 */
import {
  type Case,
  correctedInitialAgeMs,
  directivesOf,
  literalNextInstant,
  type Obeyed,
  obeyed,
  type Seconds,
} from './facts.ts';
import type { Clause } from './part.ts';
import { isPresent, linesOf, literalCacheControl, literalList, onlyDate } from './literal-fields.ts';

/** Everything that clauses look at. */
export interface Facts {
  readonly one: Case;
  readonly mode: 'ignore' | 'cap' | 'honour';
  readonly says: Obeyed;
  /** Lifetime that the route's own rule gives to this status. */
  readonly ruleTtlMs: number | undefined;
  readonly initialAgeMs: number;
  /** Request directives that are heeded; none where the route ignores them. */
  readonly client: Pick<Obeyed, 'has' | 'seconds'>;
  readonly laterClient: Pick<Obeyed, 'has' | 'seconds'>;
  readonly hasValidator: boolean;
}

export function factsOf(one: Case): Facts {
  const { policy } = one.route;
  const heeds = policy.clientCacheControl === 'honour' || policy.upstreamCacheControl === 'honour';
  const client = (lines: Case['request']): Pick<Obeyed, 'has' | 'seconds'> =>
    directivesOf(heeds ? literalCacheControl(linesOf(lines, 'cache-control')) : []);
  return {
    one,
    mode: policy.upstreamCacheControl,
    says: obeyed(one.response),
    ruleTtlMs: policy.statusTtlMs.get(one.status) ?? ([200, 203].includes(one.status) ? policy.ttlMs : undefined),
    initialAgeMs: correctedInitialAgeMs(one),
    client: client(one.request),
    laterClient: client(one.later),
    hasValidator:
      (linesOf(one.response, 'etag').length === 1 && linesOf(one.response, 'etag')[0] !== '') ||
      onlyDate(one.response, 'last-modified', one.responseTimeMs) !== undefined,
  };
}

/** Statuses whose requirements for caching this cache knows (RFC 9111 §5.2.2.3): those of RFC 9110 §15 and the registry. */
const UNDERSTOOD = [
  [200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308],
  [400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 417, 421, 422, 423, 424, 425, 426],
  [428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511],
].flat();

/** RFC 9110 §15.1, without 206, which is never stored. */
const HEURISTICALLY_CACHEABLE = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/** Errors that no field of one request can have caused. */
const OF_RESOURCE = [404, 405, 410, 414, 451, 501];

const isUpstreams = ({ mode }: Facts): boolean => mode !== 'ignore';

const namesAVary = (one: Case): readonly string[] =>
  linesOf(one.response, 'vary')
    .flatMap((line) => literalList(line))
    .filter((name) => name !== '')
    .map((name) => name.toLowerCase());

const isUnkeyed = ({ one }: Facts, name: string): boolean =>
  isPresent(one.request, name) && !one.route.headers.includes(name);

/** Explicit lifetime, in any form that §3's last list names. */
const hasExplicit = ({ one, says }: Facts): boolean =>
  says.has('s-maxage') || says.has('max-age') || (says.field === 'cache-control' && isPresent(one.response, 'expires'));

/** "MUST NOT store unless": a response is stored where none of these holds. */
export const forbidsStoring: readonly Clause<Facts>[] = [
  {
    id: 'S0',
    of: 'RFC 9111 §3, RFC 9110 §9.3.2',
    says: 'the answer to a HEAD has no content that could be stored',
    holds: ({ one }) => one.method === 'HEAD',
  },
  {
    id: 'S1',
    of: 'RFC 9111 §3',
    says: 'the response status code is final',
    holds: ({ one }) => one.status < 200,
  },
  {
    id: 'S2',
    of: 'own (RFC 9111 §3, §3.3, §3.4)',
    says: 'a part or an answer to a condition is not stored',
    holds: ({ one }) => [206, 304, 412, 416].includes(one.status),
  },
  {
    id: 'S3',
    of: 'RFC 9111 §3, §5.2.2.3',
    says: 'must-understand is present and the status code is not understood',
    holds: (facts) => isUpstreams(facts) && facts.says.has('must-understand') && !UNDERSTOOD.includes(facts.one.status),
  },
  {
    id: 'S4',
    of: 'RFC 9111 §3, §5.2.2.5',
    says: 'no-store is present in the response, and no must-understand that overrules it (§5.2.2.3)',
    holds: (facts) => isUpstreams(facts) && facts.says.has('no-store') && !facts.says.has('must-understand'),
  },
  {
    id: 'S5',
    of: 'RFC 9111 §3, §5.2.2.7',
    says: 'private is present in the response and the cache is shared',
    holds: (facts) => isUpstreams(facts) && facts.says.has('private'),
  },
  {
    id: 'S6',
    of: 'RFC 9111 §3, §3.5',
    says: 'Authorization is present in the request, and no must-revalidate, public or s-maxage allows sharing',
    holds: (facts) =>
      isUnkeyed(facts, 'authorization') &&
      !(facts.mode === 'honour' && ['must-revalidate', 'public', 's-maxage'].some((name) => facts.says.has(name))),
  },
  {
    id: 'S7',
    of: 'RFC 9111 §3',
    says: 'none of public, Expires, max-age, s-maxage, a heuristically cacheable status (or a rule of the route)',
    holds: (facts) =>
      facts.ruleTtlMs === undefined &&
      !facts.says.has('public') &&
      !hasExplicit(facts) &&
      !HEURISTICALLY_CACHEABLE.includes(facts.one.status),
  },
  {
    id: 'S8',
    of: 'RFC 9111 §5.2.1.5',
    says: 'the request says no-store',
    holds: ({ client }) => client.has('no-store'),
  },
  {
    id: 'S9',
    of: 'own (RFC 9111 §4.1)',
    says: 'Vary has a member `*`, so that no request would ever match',
    holds: ({ one }) => namesAVary(one).includes('*'),
  },
  {
    id: 'S10',
    of: 'own',
    says: 'statusTtl says that this status is never stored',
    holds: ({ one }) => one.route.policy.statusTtlMs.get(one.status) === 0,
  },
  {
    id: 'S11',
    of: 'own',
    says: 'on a ruled route: the rule gives this status no lifetime',
    holds: ({ mode, ruleTtlMs }) => mode !== 'honour' && ruleTtlMs === undefined,
  },
  {
    id: 'S12',
    of: 'own',
    says: 'the request has a Cookie that the route neither keys nor forwards by name',
    holds: (facts) => isUnkeyed(facts, 'cookie') && !facts.one.route.forwardHeaders.includes('cookie'),
  },
  {
    id: 'S13',
    of: 'own (RFC 9111 §4)',
    says: 'nobody gives a lifetime and there is nothing to validate by: it could never be reused',
    holds: (facts) => lifetimeOf(facts).clause.id === 'L9' && !facts.hasValidator,
  },
  {
    id: 'S14',
    of: 'own (RFC 9111 §4, §5.2.2.4)',
    says: 'it would have to be validated on every use, and cannot be',
    holds: (facts) => isUpstreams(facts) && facts.says.has('no-cache') && !facts.hasValidator,
  },
  {
    id: 'S15',
    of: 'own (RFC 9111 §4)',
    says: 'neither fresh nor to be served stale at any time from now, and nothing to validate by',
    holds: (facts) => {
      const { freshUntilMs, swrUntilMs, sieUntilMs } = timesOf(facts);
      return !facts.hasValidator && Math.max(freshUntilMs, swrUntilMs, sieUntilMs) <= facts.one.responseTimeMs;
    },
  },
  {
    id: 'S16',
    of: 'own',
    says: 'storeErrors: resource, and a field that only this client sent may have caused the error',
    holds: (facts) => mayBeOwnFault(facts) && facts.one.route.forwardHeaders.includes('*'),
  },
  {
    id: 'S17',
    of: 'RFC 9110 §9.3.3',
    says: 'POST, and no lifetime is stated, by upstream or (where the route keys the content) by its rule',
    holds: (facts) => facts.one.method === 'POST' && ['L8', 'L9'].includes(lifetimeOf(facts).clause.id),
  },
];

/** Beside {@link forbidsStoring}: the answer to a relayed POST is stored for later GETs where none of these holds. */
export const forbidsPostStoring: readonly Clause<Facts>[] = [
  {
    id: 'P1',
    of: 'own',
    says: 'on a ruled route a relayed answer is never stored',
    holds: ({ mode }) => mode !== 'honour',
  },
  {
    id: 'P2',
    of: 'RFC 9110 §9.3.3, §8.7',
    says: 'no success: only that is what a GET would get',
    holds: ({ one }) => one.status < 200 || one.status > 299,
  },
  {
    id: 'P3',
    of: 'RFC 9110 §9.3.3',
    says: 'no explicit freshness information',
    holds: (facts) => !['L1', 'L2', 'L3', 'L4', 'L5', 'L6'].includes(lifetimeOf(facts).clause.id),
  },
  {
    id: 'P4',
    of: 'RFC 9110 §9.3.3',
    says: 'no Content-Location with the value of the target URI',
    holds: ({ one }) => !one.namesTarget,
  },
];

function mayBeOwnFault({ one, mode }: Facts): boolean {
  return (
    mode === 'honour' &&
    one.route.policy.storeErrors === 'resource' &&
    one.status >= 400 &&
    !OF_RESOURCE.includes(one.status)
  );
}

/** RFC 9111 §4.1: the request fields that have to match. On ruled routes only keyed fields go upstream, so none has. */
export function varyOf(facts: Facts): readonly string[] {
  if (facts.mode !== 'honour') return [];
  const names = new Set([...namesAVary(facts.one), ...(mayBeOwnFault(facts) ? facts.one.route.forwardHeaders : [])]);
  return [...names].toSorted();
}

/** A lifetime's clause: the first that holds gives it. */
interface LifetimeClause extends Clause<Facts> {
  /** When it ends, wall clock. */
  readonly endsMs: (facts: Facts) => number;
}

/** Counted from the origin's answer: fresh while lifetime > current_age (§4.2). */
const afterOrigin = (facts: Facts, lifetimeMs: number): number =>
  facts.one.responseTimeMs + lifetimeMs - facts.initialAgeMs;

const stated = (facts: Facts, name: string): number => {
  const value = facts.says.seconds(name);
  // §4.2.1: "Caches are encouraged to consider responses that have invalid freshness information to be stale."
  return afterOrigin(facts, typeof value === 'number' ? value * 1000 : 0);
};

const isTargeted = ({ says }: Facts): boolean => says.field === 'cdn-cache-control';

/** RFC 9110 §6.6.1: a recipient writes the time of receipt where Date is missing; it has whole seconds, as any Date. */
const dateOrReceipt = ({ one }: Facts): number =>
  onlyDate(one.response, 'date', one.responseTimeMs) ?? Math.floor(one.responseTimeMs / 1000) * 1000;

const heuristicMs = (facts: Facts): number => {
  const { policy } = facts.one.route;
  const modifiedMs = onlyDate(facts.one.response, 'last-modified', facts.one.responseTimeMs);
  if (modifiedMs === undefined) return 0;
  return Math.min(Math.floor((dateOrReceipt(facts) - modifiedMs) * policy.heuristicFraction), policy.heuristicMaxMs);
};

/** RFC 9111 §4.2.1, §4.2.2, RFC 9213 §2.2 and the route's rule, in the order in which they count. */
export const lifetimes: readonly LifetimeClause[] = [
  {
    id: 'L0',
    of: 'own',
    says: 'ignore: the rule alone',
    holds: (facts) => facts.mode === 'ignore',
    endsMs: ({ one, ruleTtlMs }) => one.responseTimeMs + (ruleTtlMs ?? 0),
  },
  {
    id: 'L1',
    of: 'RFC 9213 §2.2',
    says: 's-maxage of CDN-Cache-Control',
    holds: (facts) => isTargeted(facts) && facts.says.has('s-maxage'),
    endsMs: (facts) => stated(facts, 's-maxage'),
  },
  {
    id: 'L2',
    of: 'RFC 9213 §2.2',
    says: 'max-age of CDN-Cache-Control',
    holds: (facts) => isTargeted(facts) && facts.says.has('max-age'),
    endsMs: (facts) => stated(facts, 'max-age'),
  },
  {
    id: 'L3',
    of: 'RFC 9111 §4.2.1',
    says: 'the cache is shared and s-maxage is present',
    holds: (facts) => facts.says.has('s-maxage'),
    endsMs: (facts) => stated(facts, 's-maxage'),
  },
  {
    id: 'L4',
    of: 'RFC 9111 §4.2.1',
    says: 'max-age is present',
    holds: (facts) => facts.says.has('max-age'),
    endsMs: (facts) => stated(facts, 'max-age'),
  },
  {
    id: 'L5',
    of: 'RFC 9111 §4.2.1, §5.3',
    says: 'Expires is present and valid: Expires - Date',
    holds: (facts) =>
      !isTargeted(facts) && onlyDate(facts.one.response, 'expires', facts.one.responseTimeMs) !== undefined,
    endsMs: (facts) => {
      const expires = onlyDate(facts.one.response, 'expires', facts.one.responseTimeMs) ?? 0;
      return afterOrigin(facts, Math.max(0, expires - dateOrReceipt(facts)));
    },
  },
  {
    id: 'L6',
    of: 'RFC 9111 §5.3',
    says: 'Expires is present and no HTTP-date, or repeated: in the past',
    holds: (facts) => !isTargeted(facts) && isPresent(facts.one.response, 'expires'),
    endsMs: (facts) => afterOrigin(facts, 0),
  },
  {
    id: 'L7',
    of: 'own',
    says: 'the rule, where upstream gives none',
    holds: ({ ruleTtlMs }) => ruleTtlMs !== undefined,
    endsMs: ({ one, ruleTtlMs }) => one.responseTimeMs + (ruleTtlMs ?? 0),
  },
  {
    id: 'L8',
    of: 'RFC 9111 §4.2.2',
    says: 'no explicit lifetime, a heuristically cacheable status or public, and Last-Modified: a fraction of its distance',
    holds: (facts) =>
      facts.mode === 'honour' &&
      (HEURISTICALLY_CACHEABLE.includes(facts.one.status) || facts.says.has('public')) &&
      heuristicMs(facts) > 0,
    endsMs: (facts) => afterOrigin(facts, heuristicMs(facts)),
  },
  {
    id: 'L9',
    of: 'RFC 9111 §4.2',
    says: 'nobody gives a lifetime: never fresh',
    holds: () => true,
    endsMs: ({ one }) => one.responseTimeMs,
  },
];

interface Lifetime {
  readonly clause: LifetimeClause;
  readonly endsMs: number;
}

/** Asked for by many clauses. */
const knownLifetimes = new WeakMap<Facts, Lifetime>();

export function lifetimeOf(facts: Facts): Lifetime {
  const known = knownLifetimes.get(facts);
  if (known !== undefined) return known;
  const clause = lifetimes.find((one) => one.holds(facts));
  if (clause === undefined) throw new Error('the last clause always holds');
  const lifetime = { clause, endsMs: clause.endsMs(facts) };
  knownLifetimes.set(facts, lifetime);
  return lifetime;
}

/** Bounds of a lifetime; each that holds applies. */
export const bounds: readonly (Clause<Facts> & { readonly endsMs: (facts: Facts) => number })[] = [
  {
    id: 'B1',
    of: 'own',
    says: 'cap: the rule is the most',
    holds: ({ mode, ruleTtlMs }) => mode === 'cap' && ruleTtlMs !== undefined,
    endsMs: ({ one, ruleTtlMs }) => one.responseTimeMs + (ruleTtlMs ?? 0),
  },
  {
    id: 'B2',
    of: 'own',
    says: 'expireAt: on ruled routes until the next instant after the request was sent',
    holds: ({ mode, one }) => mode !== 'honour' && one.route.policy.expireAt !== undefined,
    endsMs: ({ one }) => {
      const rule = one.route.policy.expireAt;
      return rule === undefined
        ? Infinity
        : literalNextInstant(rule, one.zone, Math.min(one.requestTimeMs, one.responseTimeMs));
    },
  },
  {
    id: 'B3',
    of: 'own',
    says: 'retain: until then at most',
    holds: () => true,
    endsMs: ({ one }) => one.responseTimeMs + one.route.policy.retainMs,
  },
];

/** RFC 9111 §4.2.4: "MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive". */
export const forbidsStale: readonly Clause<Facts>[] = [
  {
    id: 'F1',
    of: 'RFC 9111 §5.2.2.2',
    says: 'must-revalidate',
    holds: (facts) => isUpstreams(facts) && facts.says.has('must-revalidate'),
  },
  {
    id: 'F2',
    of: 'RFC 9111 §5.2.2.8',
    says: 'proxy-revalidate',
    holds: (facts) => isUpstreams(facts) && facts.says.has('proxy-revalidate'),
  },
  {
    id: 'F3',
    of: 'RFC 9111 §5.2.2.10',
    says: 's-maxage, which has the semantics of proxy-revalidate (honour; on cap routes the windows are the operator’s)',
    holds: (facts) => facts.mode === 'honour' && facts.says.has('s-maxage'),
  },
  {
    id: 'F4',
    of: 'RFC 9111 §5.2.2.4',
    says: 'no-cache',
    holds: (facts) => isUpstreams(facts) && facts.says.has('no-cache'),
  },
];

export interface Times {
  readonly freshUntilMs: number;
  readonly swrUntilMs: number;
  readonly sieUntilMs: number;
  readonly retainUntilMs: number;
  readonly mustRevalidate: boolean;
  readonly alwaysValidate: boolean;
}

/** RFC 5861 §3 and §4: a window from the end of freshness; upstream's on honour routes, else the route's. */
function windowMs(facts: Facts, name: 'stale-while-revalidate' | 'stale-if-error'): number {
  const { policy } = facts.one.route;
  const rule = name === 'stale-while-revalidate' ? policy.staleWhileRevalidateMs : policy.staleIfErrorMs;
  const own: Seconds = facts.mode === 'honour' ? facts.says.seconds(name) : 'absent';
  if (own === 'absent') return rule;
  return own === 'invalid' ? 0 : own * 1000;
}

export function timesOf(facts: Facts): Times {
  const { one } = facts;
  const applied = bounds.filter((bound) => bound.holds(facts)).map((bound) => bound.endsMs(facts));
  const freshUntilMs = Math.min(lifetimeOf(facts).endsMs, ...applied);
  const mustRevalidate = forbidsStale.some((clause) => clause.holds(facts));
  const usableUntilMs = one.responseTimeMs + one.route.policy.retainMs;
  const until = (window: number): number =>
    mustRevalidate ? freshUntilMs : Math.min(freshUntilMs + window, usableUntilMs);
  const isKept = isPresent(one.response, 'etag') || isPresent(one.response, 'last-modified');
  return {
    freshUntilMs,
    swrUntilMs: until(windowMs(facts, 'stale-while-revalidate')),
    sieUntilMs: until(windowMs(facts, 'stale-if-error')),
    retainUntilMs: usableUntilMs + (isKept ? one.route.policy.keepForValidationMs : 0),
    mustRevalidate,
    alwaysValidate: isUpstreams(facts) && facts.says.has('no-cache'),
  };
}

/** What a stored response is at the later moment. */
export interface Moment {
  readonly facts: Facts;
  readonly times: Times;
  /** `current_age` (§4.2.3). */
  readonly ageMs: number;
  /** `freshness_lifetime - current_age`, of which a soft purge leaves nothing. */
  readonly leftMs: number;
  /** When it became stale, by a soft purge or as its lifetime ended: the stale windows begin then. */
  readonly staleFromMs: number;
}

export function momentOf(facts: Facts): Moment {
  const { one } = facts;
  const times = timesOf(facts);
  // Choice: a clock that was set back takes nothing off an age.
  const now = Math.max(one.nowMs, one.responseTimeMs);
  const residentTime = now - one.responseTimeMs;
  // Choice: nor does it undo a soft purge.
  const purgedMs = one.staleSinceMs === undefined ? Infinity : Math.min(one.staleSinceMs, one.nowMs);
  const staleFromMs = Math.min(times.freshUntilMs, purgedMs);
  return {
    facts,
    times,
    ageMs: facts.initialAgeMs + residentTime,
    leftMs: staleFromMs - now,
    staleFromMs,
  };
}

/** RFC 5861 §3 and §4: a stale window is of one width, whenever it begins; `retain` ends all of them. */
function windowEndMs({ facts, times, staleFromMs }: Moment, name: 'stale-while-revalidate' | 'stale-if-error'): number {
  if (times.mustRevalidate) return staleFromMs;
  const { one } = facts;
  return Math.min(staleFromMs + windowMs(facts, name), one.responseTimeMs + one.route.policy.retainMs);
}

const isSeconds = (value: Seconds): value is number => typeof value === 'number';

const maxStaleMs = ({ facts }: Moment): number | undefined => {
  const { laterClient, one } = facts;
  if (!laterClient.has('max-stale')) return undefined;
  const value = laterClient.seconds('max-stale');
  if (isSeconds(value)) return value * 1000;
  // §5.2.1.2: "If no value is assigned to max-stale, then the client will accept a stale response of any age."
  const lines = linesOf(one.later, 'cache-control');
  const first = literalCacheControl(lines).find(({ name }) => name === 'max-stale');
  return first?.argument === undefined ? Infinity : undefined;
};

/** Past the retention of the route; what follows is for validation alone. */
const isOverdue = ({ facts: { one } }: Moment): boolean => one.nowMs >= one.responseTimeMs + one.route.policy.retainMs;

/** §4: what may be done with the stored response, the first that holds. */
export type Use = 'reuse' | 'reuse-stale' | 'max-stale' | 'ask';

export interface UseClause extends Clause<Moment> {
  readonly use: Use;
}

export const uses: readonly UseClause[] = [
  {
    id: 'U1',
    of: 'own',
    says: 'kept for longer than it may be',
    holds: ({ facts, times }) => facts.one.nowMs >= times.retainUntilMs,
    use: 'ask',
  },
  {
    id: 'U2',
    of: 'RFC 9111 §5.2.1.4',
    says: 'the request says no-cache',
    holds: ({ facts }) => facts.laterClient.has('no-cache'),
    use: 'ask',
  },
  {
    id: 'U3',
    of: 'RFC 9111 §4, §5.2.2.4',
    says: 'the stored response says no-cache and is not successfully validated',
    holds: ({ times }) => times.alwaysValidate,
    use: 'ask',
  },
  {
    id: 'U4',
    of: 'RFC 9111 §5.2.1.1',
    says: 'its age is greater than the request’s max-age (which 0 is always too little for)',
    holds: ({ facts, ageMs }) => {
      const wanted = facts.laterClient.seconds('max-age');
      return isSeconds(wanted) && (wanted === 0 || ageMs > wanted * 1000);
    },
    use: 'ask',
  },
  {
    id: 'U5',
    of: 'RFC 9111 §5.2.1.3',
    says: 'it will not be fresh for the request’s min-fresh',
    holds: ({ facts, leftMs }) => {
      const wanted = facts.laterClient.seconds('min-fresh');
      return isSeconds(wanted) && leftMs < wanted * 1000;
    },
    use: 'ask',
  },
  { id: 'U6', of: 'RFC 9111 §4, §4.2', says: 'it is fresh', holds: ({ leftMs }) => leftMs > 0, use: 'reuse' },
  {
    id: 'U7',
    of: 'RFC 9111 §4.2.4',
    says: 'a directive prohibits serving it stale',
    holds: ({ times }) => times.mustRevalidate,
    use: 'ask',
  },
  {
    id: 'U8',
    of: 'own',
    says: 'past retain, and kept to be validated only',
    holds: isOverdue,
    use: 'ask',
  },
  {
    id: 'U9',
    of: 'RFC 9111 §5.2.1.1',
    says: 'the request has max-age and no max-stale: it does not want a stale response',
    holds: (moment) => isSeconds(moment.facts.laterClient.seconds('max-age')) && maxStaleMs(moment) === undefined,
    use: 'ask',
  },
  {
    id: 'U10',
    of: 'RFC 9111 §5.2.1.2',
    says: 'stale by more than the request’s max-stale, which is as stale as it wants it',
    holds: (moment) => -moment.leftMs > (maxStaleMs(moment) ?? Infinity),
    use: 'ask',
  },
  {
    id: 'U11',
    of: 'RFC 5861 §3',
    says: 'within stale-while-revalidate',
    holds: (moment) => moment.facts.one.nowMs < windowEndMs(moment, 'stale-while-revalidate'),
    use: 'reuse-stale',
  },
  {
    id: 'U12',
    of: 'RFC 9111 §5.2.1.2',
    says: 'stale by no more than the request’s max-stale',
    holds: (moment) => {
      const allowed = maxStaleMs(moment);
      return allowed !== undefined && -moment.leftMs <= allowed;
    },
    use: 'max-stale',
  },
  { id: 'U13', of: 'RFC 9111 §4', says: 'stale: validated or fetched', holds: () => true, use: 'ask' },
];

/** The stored response is a 5xx or 429, and its lifetime is over: as bad as what it would stand for, and older. */
const isStaleError = ({ facts: { one }, leftMs }: Moment): boolean =>
  leftMs <= 0 && (one.status === 429 || (one.status >= 500 && one.status <= 599));

/** Failures after which upstream counts as disconnected (§4.2.4). */
const DISCONNECTED = ['dns', 'connect', 'tls', 'reset', 'timeout', 'truncated'];

/** Whether a stored response is served after a failure, stale or not: the first that holds. */
export const afterFailure: readonly (Clause<Moment> & { readonly serves: boolean })[] = [
  {
    id: 'E1',
    of: 'RFC 5861 §4',
    says: 'no error: an answer that is neither 5xx nor 429',
    holds: ({ facts }) => {
      const { failure } = facts.one;
      return typeof failure === 'number' && failure !== 429 && !(failure >= 500 && failure <= 599);
    },
    serves: false,
  },
  {
    id: 'E2',
    of: 'own',
    says: 'past retain, and at most kept to be validated',
    holds: isOverdue,
    serves: false,
  },
  {
    id: 'E3',
    of: 'RFC 9111 §5.2.2.4',
    says: 'no-cache: never without validation',
    holds: ({ times }) => times.alwaysValidate,
    serves: false,
  },
  {
    id: 'E9',
    of: 'own (RFC 5861 §4)',
    says: 'an error itself, and not fresh: there is no "previously cached response" that would be better',
    holds: isStaleError,
    serves: false,
  },
  {
    id: 'E4',
    of: 'RFC 9111 §4.2',
    says: 'fresh, or within stale-if-error (RFC 5861 §4)',
    holds: (moment) => moment.facts.one.nowMs < windowEndMs(moment, 'stale-if-error'),
    serves: true,
  },
  {
    id: 'E5',
    of: 'RFC 9111 §4.2.4',
    says: 'a directive prohibits serving it stale',
    holds: ({ times }) => times.mustRevalidate,
    serves: false,
  },
  {
    id: 'E6',
    of: 'RFC 5861 §4',
    says: 'stale for less than the request’s stale-if-error',
    holds: ({ facts, leftMs }) => {
      const wanted = facts.laterClient.seconds('stale-if-error');
      return isSeconds(wanted) && -leftMs < wanted * 1000;
    },
    serves: true,
  },
  {
    id: 'E7',
    of: 'RFC 9111 §4.2.4',
    says: 'disconnected, on an honour route (on ruled ones the rule’s windows are all)',
    holds: ({ facts }) =>
      facts.mode === 'honour' && typeof facts.one.failure === 'string' && DISCONNECTED.includes(facts.one.failure),
    serves: true,
  },
  { id: 'E8', of: 'RFC 9111 §4.2.4', says: 'nothing allows serving it stale', holds: () => true, serves: false },
];

/** Whether a stored response is served because upstream takes longer than the route's `softTimeout`: the first that holds. */
export const afterSoftTimeout: readonly (Clause<Moment> & { readonly serves: boolean })[] = [
  {
    id: 'T1',
    of: 'own',
    says: 'no softTimeout, or not a ruled route',
    holds: ({ facts }) => facts.one.route.policy.softTimeoutMs === undefined || facts.mode === 'honour',
    serves: false,
  },
  {
    id: 'T2',
    of: 'RFC 9111 §4.2.4',
    says: 'a directive prohibits serving it stale',
    holds: ({ times }) => times.mustRevalidate,
    serves: false,
  },
  {
    id: 'T3',
    of: 'own',
    says: 'past retain, and at most kept to be validated',
    holds: isOverdue,
    serves: false,
  },
  {
    id: 'T9',
    of: 'own (RFC 5861 §4)',
    says: 'an error itself, and not fresh',
    holds: isStaleError,
    serves: false,
  },
  {
    id: 'T4',
    of: 'RFC 5861 §3, §4',
    says: 'past both stale windows',
    holds: (moment) =>
      moment.facts.one.nowMs >= windowEndMs(moment, 'stale-while-revalidate') &&
      moment.facts.one.nowMs >= windowEndMs(moment, 'stale-if-error'),
    serves: false,
  },
  {
    id: 'T5',
    of: 'RFC 9111 §5.2.1.3, §5.2.1.4',
    says: 'the request says no-cache, or min-fresh, which a late answer alone could meet',
    holds: ({ facts: { laterClient } }) => laterClient.has('no-cache') || isSeconds(laterClient.seconds('min-fresh')),
    serves: false,
  },
  {
    id: 'T6',
    of: 'RFC 9111 §5.2.1.1',
    says: 'the request has max-age and no max-stale, or a max-age that it is older than',
    holds: (moment) => {
      const maxAge = moment.facts.laterClient.seconds('max-age');
      return isSeconds(maxAge) && (maxStaleMs(moment) === undefined || moment.ageMs > maxAge * 1000);
    },
    serves: false,
  },
  {
    id: 'T7',
    of: 'RFC 9111 §5.2.1.2',
    says: 'stale by more than the request’s max-stale',
    holds: (moment) => -moment.leftMs > (maxStaleMs(moment) ?? Infinity),
    serves: false,
  },
  { id: 'T8', of: 'own', says: 'served', holds: () => true, serves: true },
];

/** Whether a full answer ends what its request found stored, where it does not take its place: the first that holds. */
export const afterFullAnswer: readonly (Clause<Facts> & { readonly ends: boolean })[] = [
  {
    id: 'A1',
    of: 'own',
    says: 'ignore: the rule alone says how long something is served',
    holds: ({ mode }) => mode === 'ignore',
    ends: false,
  },
  {
    id: 'A2',
    of: 'RFC 9111 §4.3.3 (429: own)',
    says: 'a 5xx counts as a failure to respond, so that what is stored may be sent',
    holds: ({ one }) => one.status >= 500 || one.status === 429,
    ends: false,
  },
  {
    id: 'A3',
    of: 'RFC 9111 §4.3.3',
    says: 'no full response: interim, a part, or an answer to a condition or a range of the request',
    holds: ({ one }) => one.status < 200 || [206, 304, 412, 416].includes(one.status),
    ends: false,
  },
  {
    id: 'A4',
    of: 'own (RFC 9111 §7.1)',
    says: 'storeErrors: resource, and an error that a field of this one request may have caused',
    holds: ({ one }) =>
      one.route.policy.storeErrors === 'resource' && one.status >= 400 && !OF_RESOURCE.includes(one.status),
    ends: false,
  },
  {
    id: 'A5',
    of: 'RFC 9111 §4.3.3',
    says: 'it may be stored, if not for what this one request is (its no-store, Authorization, Cookie)',
    holds: ({ one }) => {
      const plain = factsOf({ ...one, request: [] });
      return !forbidsStoring.some((clause) => clause.holds(plain));
    },
    ends: false,
  },
  {
    id: 'A6',
    of: 'RFC 9111 §4.3.3',
    says: 'a full response "indicates that none of the stored responses" is suitable, and it may not be stored itself',
    holds: () => true,
    ends: true,
  },
];

/** RFC 9111 §5.2.2.2: must-revalidate and the like, and disconnected: "MUST generate an error response", 504 by preference. */
export function wantsGatewayTimeout({ facts, times }: Moment): boolean {
  return times.mustRevalidate && typeof facts.one.failure === 'string' && DISCONNECTED.includes(facts.one.failure);
}
