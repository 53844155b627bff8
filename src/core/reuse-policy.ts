import type { ClientDirectives } from './client-directives.ts';
import { clientDirectives } from './client-directives.ts';
import type { FieldLines } from './fields.ts';
import type { Standing } from './freshness.ts';
import { isOverdue, standingUnder } from './freshness.ts';
import type { Fwd } from './outcome.ts';
import type { Problem } from './problem.ts';
import { reuseReasons } from './reasons.ts';
import type { CachePolicy } from './route.ts';
import type { StoredResponse } from './stored-response.ts';

/** A stored response, the request that could be answered by it, and now (wall clock, milliseconds). */
export interface ReuseInput {
  readonly stored: StoredResponse;
  /** Set by a soft purge. */
  readonly staleSinceMs: number | undefined;
  readonly policy: CachePolicy;
  readonly requestFields: FieldLines;
  readonly nowMs: number;
}

/** What is done with a stored response (RFC 9111 §4). `reason` is a sentence for `explain`. */
export type ReuseDecision =
  | { readonly kind: 'reuse'; readonly ttlSeconds: number; readonly ageSeconds: number; readonly reason: string }
  | {
      readonly kind: 'reuse-stale';
      /** True: upstream is asked behind the answer. */
      readonly revalidate: boolean;
      readonly ttlSeconds: number;
      readonly ageSeconds: number;
      readonly reason: string;
    }
  /** Ask upstream with the stored validators (§4.3). */
  | { readonly kind: 'validate'; readonly fwd: Fwd; readonly reason: string }
  | { readonly kind: 'fetch'; readonly fwd: Fwd; readonly reason: string }
  /** `only-if-cached` and nothing to answer with: {@link notStoredProblem}. */
  | { readonly kind: 'refuse'; readonly reason: string };

/** What is done where nothing is stored under the key. */
export type AbsentDecision =
  | { readonly kind: 'fetch'; readonly fwd: Fwd; readonly reason: string }
  | { readonly kind: 'refuse'; readonly reason: string };

/** Decides whether and how a stored response answers a request (RFC 9111 §4, §5.2; RFC 5861 §3). */
export function decideReuse(input: ReuseInput): ReuseDecision {
  const { stored, policy, nowMs } = input;
  const client = clientDirectives(policy, input.requestFields);
  if (nowMs >= stored.freshness.retainUntilMs) return absent(client, 'uri-miss', reuseReasons['past-retention']);
  const standing = standingUnder(policy, stored, input.staleSinceMs, nowMs);
  const objection = objectionToFresh(stored, client, standing);
  if (objection !== undefined) return ask(stored, client, objection.fwd, objection.reason);
  if (standing.ttlMs > 0) {
    return { kind: 'reuse', ...seconds(standing), reason: reuseReasons.fresh };
  }
  if (stored.freshness.mustRevalidate) {
    return ask(stored, client, 'stale', reuseReasons.forbidden);
  }
  return staleUse(input, client, standing) ?? ask(stored, client, 'stale', reuseReasons.stale);
}

/**
 * Decides where nothing is stored.
 *
 * @param fwd `vary-miss` where only other variants are stored
 */
export function decideAbsent(
  policy: CachePolicy,
  requestFields: FieldLines,
  fwd: 'uri-miss' | 'vary-miss' = 'uri-miss',
): AbsentDecision {
  const reason = reuseReasons[fwd];
  return absent(clientDirectives(policy, requestFields), fwd, reason);
}

/** The answer to `only-if-cached` where nothing stored may be used (RFC 9111 §5.2.1.7). */
export function notStoredProblem(): Problem {
  return {
    status: 504,
    code: 'not-stored',
    title: 'Not stored',
    detail: 'The request allows only a stored response (only-if-cached), and none can be used.',
  };
}

/**
 * The answer of a route with `onLeaseLost: error` while nobody can say what has been purged. 504, never 503: real clients
 * take a 503 body for data.
 */
export function leaseLostProblem(): Problem {
  return {
    status: 504,
    code: 'lease-lost',
    title: 'Lease lost',
    detail: 'The purge log cannot be followed at the moment, and the route answers with nothing that bypasses it.',
  };
}

/** Why not even a fresh response is good enough. */
function objectionToFresh(
  stored: StoredResponse,
  client: ClientDirectives,
  standing: Standing,
): { readonly fwd: Fwd; readonly reason: string } | undefined {
  const { maxAgeMs, minFreshMs } = client;
  if (client.noCache) return { fwd: 'request', reason: reuseReasons['request-no-cache'] };
  if (stored.freshness.alwaysValidate) {
    return { fwd: 'stale', reason: reuseReasons['no-cache'] };
  }
  // max-age=0 is how clients ask for validation, so it is not met even within the first millisecond.
  if (maxAgeMs !== undefined && (standing.ageMs > maxAgeMs || maxAgeMs === 0)) {
    return { fwd: 'request', reason: reuseReasons['max-age'] };
  }
  if (minFreshMs !== undefined && standing.ttlMs < minFreshMs) {
    return { fwd: 'request', reason: reuseReasons['min-fresh'] };
  }
  return undefined;
}

/** Serving a response that is stale and that nothing forbids to serve. */
function staleUse(input: ReuseInput, client: ClientDirectives, standing: Standing): ReuseDecision | undefined {
  const { maxStaleMs, maxAgeMs } = client;
  if (isOverdue(input.stored, input.policy, input.nowMs)) return undefined;
  // How stale the request wants it at most counts in upstream's or the rule's window too (RFC 9111 §5.2.1.2).
  if (maxStaleMs !== undefined && -standing.ttlMs > maxStaleMs) return undefined;
  const withinWindow = input.nowMs < standing.swrUntilMs;
  // A request with max-age and without max-stale does not want stale responses (RFC 9111 §5.2.1.1).
  if (withinWindow && (maxAgeMs === undefined || maxStaleMs !== undefined)) {
    const reason = reuseReasons['stale-while-revalidate'];
    return { kind: 'reuse-stale', revalidate: true, ...seconds(standing), reason };
  }
  if (maxStaleMs !== undefined) {
    const reason = reuseReasons['max-stale'];
    return { kind: 'reuse-stale', revalidate: false, ...seconds(standing), reason };
  }
  return undefined;
}

function ask(stored: StoredResponse, client: ClientDirectives, fwd: Fwd, reason: string): ReuseDecision {
  if (client.onlyIfCached) return refuse(reason);
  const canValidate = stored.etag !== undefined || stored.lastModified !== undefined;
  return canValidate ? { kind: 'validate', fwd, reason } : { kind: 'fetch', fwd, reason };
}

function absent(client: ClientDirectives, fwd: Fwd, reason: string): AbsentDecision {
  return client.onlyIfCached ? refuse(reason) : { kind: 'fetch', fwd, reason };
}

function refuse(reason: string): { readonly kind: 'refuse'; readonly reason: string } {
  return { kind: 'refuse', reason: `${reason}; ${reuseReasons['only-if-cached']}` };
}

function seconds(standing: Standing): { readonly ttlSeconds: number; readonly ageSeconds: number } {
  return { ttlSeconds: standing.ttlSeconds, ageSeconds: standing.ageSeconds };
}
