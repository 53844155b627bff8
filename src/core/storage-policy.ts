import type { CacheDirectives } from './cache-control.ts';
import { requestForbidsStoring } from './client-directives.ts';
import { isFailureStatus } from './failure-policy.ts';
import type { FieldLines } from './fields.ts';
import { fieldLineValues, hasField } from './fields.ts';
import { forwardsCredential, givesWay } from './forwarded-fields.ts';
import {
  allowsHeuristics,
  type FreshnessInput,
  freshnessOf,
  type FreshnessSource,
  initialAgeMs,
  routedDirectives,
  ruleTtlMs,
} from './freshness.ts';
import { storableFields } from './hop-by-hop.ts';
import { formatHttpDate, parseHttpDate } from './http-date.ts';
import type { CanonicalRequest } from './request.ts';
import type { CachePolicy, Route } from './route.ts';
import type { Freshness, StoredResponse } from './stored-response.ts';
import { isSelecting, varyNames } from './vary.ts';

/** A complete response and the request that it answers; all times wall clock in milliseconds. */
export interface StorageInput {
  readonly route: Route;
  /** Fields of the client's request; none for background work of the proxy's own. */
  readonly requestFields: FieldLines;
  /** The request as it is keyed: for `expireAt`, and for the method that the answer is stored under. */
  readonly keyed: FreshnessInput['keyed'] & { readonly canonical: Pick<CanonicalRequest, 'method'> };
  readonly status: number;
  /** As upstream sent them. */
  readonly fields: FieldLines;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

/** Why a response is passed on without being stored; tokens for `Cache-Status` and metrics. */
export type PassReason =
  | 'method'
  | 'status'
  | 'partial'
  | 'vary-star'
  | 'authorization'
  | 'cookie'
  | 'request-no-store'
  | 'no-store'
  | 'private'
  | 'not-understood'
  | 'no-freshness'
  | 'no-cache'
  | 'stale-on-arrival'
  | 'request-error'
  | 'not-explicit';

export type StorageDecision =
  | {
      readonly kind: 'store';
      readonly freshness: Freshness;
      readonly initialAgeMs: number;
      /**
       * Lower-cased, sorted; always empty on ruled routes, where only keyed fields go upstream. For an error that may be
       * the request's own fault all fields that went upstream unkeyed are among them, whatever upstream's Vary says.
       */
      readonly vary: readonly string[];
      /** What is stored and replayed; a Date is added where upstream sent none (RFC 9110 §6.6.1). */
      readonly fields: FieldLines;
      readonly etag: string | undefined;
      /** `undefined` also where it is no HTTP-date: nothing can be validated with that. */
      readonly lastModified: string | undefined;
    }
  | { readonly kind: 'pass'; readonly reason: PassReason };

/**
 * Never stored, whatever upstream or the rule says: interim answers, a part (206), and answers that exist only because
 * of the request's own conditions (304, 412, 416): a plain GET must never get one of those from store.
 */
export function isConditionBound(status: number): boolean {
  return status < 200 || status === 206 || status === 304 || status === 412 || status === 416;
}

/**
 * Errors that speak of the path, the method or the origin. Any other may be the answer to a field that only this client
 * sent, oversize or odd, and that is not in the key: stored as it is it would be everybody's ("CPDoS").
 */
const errorsOfResource: ReadonlySet<number> = new Set([404, 405, 410, 414, 451, 501]);

/** Final status codes whose meaning for caching is known here, for must-understand (RFC 9111 §5.2.2.3). */
const understood: ReadonlySet<number> = new Set(
  [
    [200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308],
    [400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 417, 421, 422, 423, 424],
    [425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511],
  ].flat(),
);

/** Whether a complete response is stored, and how (RFC 9111 §3). Whether it is complete the caller has made sure of. */
export function decideStorage(input: StorageInput): StorageDecision {
  const { route, status, fields } = input;
  if (input.keyed.canonical.method === 'HEAD') return { kind: 'pass', reason: 'method' };
  if (isConditionBound(status)) return { kind: 'pass', reason: status === 206 ? 'partial' : 'status' };
  const vary = varyNames(fields);
  if (vary === '*') return { kind: 'pass', reason: 'vary-star' };
  if (requestForbidsStoring(route.policy, input.requestFields)) return { kind: 'pass', reason: 'request-no-store' };
  const counted = routedDirectives(route.policy, fields);
  const { directives } = counted;
  const refusal = statusRefusal(input) ?? credentialRefusal(input, directives) ?? directiveRefusal(input, directives);
  if (refusal !== undefined) return { kind: 'pass', reason: refusal };
  const freshness = freshnessOf({ ...input, policy: route.policy }, counted);
  const { etag, lastModified } = validatorsOf(fields, input.responseTimeMs);
  const useless = uselessBecause(input, directives, freshness, etag !== undefined || lastModified !== undefined);
  if (useless !== undefined) return { kind: 'pass', reason: useless };
  const selecting = selectingOrRefusal(route, status, vary);
  if (typeof selecting === 'string') return { kind: 'pass', reason: selecting };
  return {
    kind: 'store',
    freshness,
    initialAgeMs: initialAgeMs(input),
    vary: selecting,
    fields: fieldsToStore(input),
    etag,
    lastModified,
  };
}

/** Lifetimes that the response itself states, none of the rule's and no heuristic. */
const explicit: ReadonlySet<FreshnessSource> = new Set(['cdn-cache-control', 's-maxage', 'max-age', 'expires']);

/**
 * Whether the answer to a POST that was relayed is stored for later GETs of its target (RFC 9110 §9.3.3): only on `honour` routes,
 * only a success that states its own freshness, and only where Content-Location says that it is what a GET would get (§8.7).
 *
 * @param input the POST's request fields and answer, with the GET's key
 * @param namesTarget true where the answer has exactly one Content-Location and that is the target URI of the POST
 */
export function decidePostStorage(input: StorageInput, namesTarget: boolean): StorageDecision {
  const { route, status } = input;
  const isHonoured = route.policy.upstreamCacheControl === 'honour';
  const decision = decideStorage(input);
  if (decision.kind === 'pass') return decision;
  const { source } = freshnessOf({ ...input, policy: route.policy });
  const isSuccess = status >= 200 && status <= 299;
  if (isHonoured && isSuccess && namesTarget && explicit.has(source)) return decision;
  return { kind: 'pass', reason: 'not-explicit' };
}

/**
 * The fields that must be the same in a request that gets this response, lower-cased and sorted; `undefined` where nobody
 * can name them, so that it may not be stored.
 *
 * @param vary what upstream's Vary names
 */
export function selectingFields(
  route: Pick<Route, 'policy' | 'forwardHeaders'>,
  status: number,
  vary: readonly string[],
): readonly string[] | undefined {
  const { policy, forwardHeaders } = route;
  if (policy.upstreamCacheControl !== 'honour') return [];
  if (speaksForAll(policy, status)) return vary;
  if (forwardHeaders.includes('*')) return undefined;
  return [...new Set([...vary, ...forwardHeaders])].toSorted();
}

/** As {@link selectingFields}; why it may not be stored where nobody can name them, or they are too many to go by. */
function selectingOrRefusal(
  ...[route, status, vary]: Parameters<typeof selectingFields>
): readonly string[] | PassReason {
  const names = selectingFields(route, status, vary);
  if (names === undefined) return 'request-error';
  return isSelecting(names) ? names : 'vary-star';
}

/** Whether an answer is about the resource, and not perhaps about a field that this one request had. */
function speaksForAll({ storeErrors }: Pick<CachePolicy, 'storeErrors'>, status: number): boolean {
  return storeErrors === 'all' || status < 400 || errorsOfResource.has(status);
}

/**
 * Whether an answer is upstream's latest word on what its request found stored: no failure, no part or answer to a condition,
 * nor an error that the request may have brought upon itself. Where it cannot be stored, what is stored must not outlive it in its stale windows. On
 * `ignore` routes the rule alone decides how long something is served.
 */
export function isLatestWord({ policy }: Pick<Route, 'policy'>, status: number): boolean {
  if (policy.upstreamCacheControl === 'ignore' || isConditionBound(status)) return false;
  return !isFailureStatus(status) && speaksForAll(policy, status);
}

/**
 * Whether an answer that is not stored ends what its request found stored: it is the latest word, and upstream forbids to
 * keep it. What the request itself forbids (`no-store`, RFC 9111 §5.2.1.5) or brings with it (Authorization, §3.5) takes
 * nothing from others.
 */
export function endsStored(input: StorageInput): boolean {
  return isLatestWord(input.route, input.status) && decideStorage({ ...input, requestFields: [] }).kind === 'pass';
}

/** On ruled routes only what the rule gives a lifetime is stored: an error never, unless `statusTtl` names it. */
function statusRefusal(input: StorageInput): PassReason | undefined {
  const { policy } = input.route;
  if (policy.statusTtlMs.get(input.status) === 0) return 'status';
  if (policy.upstreamCacheControl === 'honour') return undefined;
  return ruleTtlMs(policy, input.status) === undefined ? 'status' : undefined;
}

/**
 * Answers to requests with credentials that the route does not key. Those that do not go upstream as forwarded fields are
 * relayed, so that this is the second fence for them; the others come under RFC 9111 §3.5, and a Cookie under Vary alone.
 */
function credentialRefusal(input: StorageInput, directives: CacheDirectives): PassReason | undefined {
  const { requestFields, route } = input;
  const unkeyed = (name: 'authorization' | 'cookie'): boolean =>
    hasField(requestFields, name) && !route.headers.includes(name) && !givesWay(route, name);
  if (unkeyed('cookie') && !forwardsCredential(route, 'cookie')) return 'cookie';
  if (!unkeyed('authorization')) return undefined;
  const isShared = sharedDespiteAuthorization(directives).length > 0;
  return route.policy.upstreamCacheControl === 'honour' && isShared ? undefined : 'authorization';
}

/** Those of a response's directives that let a shared cache keep the answer to a request with Authorization (RFC 9111 §3.5). */
export function sharedDespiteAuthorization(directives: CacheDirectives): readonly string[] {
  return ['public', 'must-revalidate', 's-maxage'].filter((name) => directives.has(name));
}

/** `private` counts in its qualified form too, as RFC 9111 §5.2.2.7 allows: half an answer is of no use to anyone. */
function directiveRefusal(input: StorageInput, directives: CacheDirectives): PassReason | undefined {
  if (input.route.policy.upstreamCacheControl === 'ignore') return undefined;
  const mustUnderstand = directives.has('must-understand');
  if (mustUnderstand && !understood.has(input.status)) return 'not-understood';
  if (directives.has('no-store') && !mustUnderstand) return 'no-store';
  return directives.has('private') ? 'private' : undefined;
}

/** What could never be reused: no lifetime that allows storing (§3), or stale already with nothing to validate by. */
function uselessBecause(
  input: StorageInput,
  directives: CacheDirectives,
  freshness: Freshness & { readonly source: FreshnessSource },
  hasValidator: boolean,
): PassReason | undefined {
  const { source } = freshness;
  // RFC 9110 §9.3.3: no heuristic for POST, and no validation of what states no lifetime. QUERY is as GET (RFC 10008).
  const isPost = input.keyed.canonical.method === 'POST';
  if (isPost && (source === 'none' || source === 'heuristic')) return 'not-explicit';
  if (source === 'none') {
    return allowsHeuristics(input.status, directives) && hasValidator ? undefined : 'no-freshness';
  }
  if (hasValidator) return undefined;
  if (freshness.alwaysValidate) return 'no-cache';
  const { freshUntilMs, swrUntilMs, sieUntilMs } = freshness;
  const usableUntilMs = Math.max(freshUntilMs, swrUntilMs, sieUntilMs);
  return usableUntilMs > input.responseTimeMs ? undefined : 'stale-on-arrival';
}

/** What a response with these fields can be validated with (RFC 9111 §4.3.1). A Last-Modified that is no HTTP-date is none. */
export function validatorsOf(fields: FieldLines, nowMs: number): Pick<StoredResponse, 'etag' | 'lastModified'> {
  const value = singleValue(fields, 'last-modified');
  const lastModified = value !== undefined && parseHttpDate(value, nowMs) !== undefined ? value : undefined;
  return { etag: singleValue(fields, 'etag'), lastModified };
}

/** Several lines of a validator say nothing that could be asked about. */
function singleValue(fields: FieldLines, name: string): string | undefined {
  const lines = fieldLineValues(fields, name);
  return lines.length === 1 && lines[0] !== '' ? lines[0] : undefined;
}

/** What of a response is kept: {@link storableFields}, and a Date where upstream sent none (RFC 9110 §6.6.1). */
export function fieldsToStore(input: Pick<StorageInput, 'route' | 'status' | 'fields' | 'responseTimeMs'>): FieldLines {
  const fields = storableFields(input.fields, input.route.policy, input.status);
  return hasField(fields, 'date') ? fields : [...fields, ['date', formatHttpDate(input.responseTimeMs)]];
}
