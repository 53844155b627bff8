import { clientDirectives } from './client-directives.ts';
import type { FailureKind } from './failure.ts';
import type { FieldLines } from './fields.ts';
import { isOverdue, type Standing, standingOf, standingUnder } from './freshness.ts';
import type { Problem } from './problem.ts';
import { failureReasons, softTimeoutReasons } from './reasons.ts';
import type { CachePolicy } from './route.ts';
import type { StoredResponse } from './stored-response.ts';

/** An upstream call that gave nothing good, and what is stored for the request. */
export interface FailureInput {
  /** How the call failed, or the status that upstream answered. */
  readonly failure: FailureKind | number;
  readonly stored: StoredResponse | undefined;
  /** Set by a soft purge. */
  readonly staleSinceMs: number | undefined;
  readonly policy: CachePolicy;
  readonly requestFields: FieldLines;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

export type FailureDecision =
  | {
      readonly kind: 'serve-stale';
      readonly ttlSeconds: number;
      readonly ageSeconds: number;
      /** Token for `Cache-Status`. */
      readonly detail: 'stale-error';
      readonly reason: string;
    }
  /** Upstream's own answer goes to the client. */
  | { readonly kind: 'pass-through'; readonly reason: string }
  | { readonly kind: 'problem'; readonly problem: Problem; readonly reason: string };

/** Upstream has not answered for as long as the route's `softTimeout`, and has not failed either. */
export interface SoftTimeoutInput {
  readonly stored: StoredResponse;
  /** Set by a soft purge. */
  readonly staleSinceMs: number | undefined;
  readonly policy: CachePolicy;
  readonly requestFields: FieldLines;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

export type SoftTimeoutDecision =
  | {
      readonly kind: 'serve-stale';
      readonly ttlSeconds: number;
      readonly ageSeconds: number;
      /** Token for `Cache-Status`. */
      readonly detail: 'soft-timeout';
      readonly reason: string;
    }
  | { readonly kind: 'wait'; readonly reason: string };

/** True for answers that `stale-if-error` covers (RFC 5861 §4): 5xx, and 429, which says that the quota is used up. */
export function isFailureStatus(status: number): boolean {
  return status === 429 || (status >= 500 && status <= 599);
}

/** Decides what a client gets when upstream failed (RFC 5861 §4, RFC 9111 §4.2.4). */
export function decideOnFailure(input: FailureInput): FailureDecision {
  const { failure, stored } = input;
  if (typeof failure === 'number' && !isFailureStatus(failure)) {
    return { kind: 'pass-through', reason: failureReasons['no-failure'] };
  }
  if (stored !== undefined) {
    const standing = standingUnder(input.policy, stored, input.staleSinceMs, input.nowMs);
    const allowed = staleAllowedBecause(input, stored, standing);
    if (allowed !== undefined) {
      const { ttlSeconds, ageSeconds } = standing;
      return { kind: 'serve-stale', ttlSeconds, ageSeconds, detail: 'stale-error', reason: allowed };
    }
  }
  const reason = failureReasons[withoutStale(input)];
  if (typeof failure === 'number') return { kind: 'pass-through', reason };
  // Whoever forbids stale answers wants to hear that the cache is cut off, by 504 (RFC 9111 §5.2.2.2).
  const cutOff = stored?.freshness.mustRevalidate === true && isDisconnection(failure);
  const problem = failureProblem(failure);
  return cutOff
    ? { kind: 'problem', problem: { ...problem, status: 504 }, reason: failureReasons['cut-off'] }
    : { kind: 'problem', problem, reason };
}

/**
 * Decides whether a client waits on for an upstream that is slow. Only on ruled routes with a `softTimeout`, and only where a
 * failure or a refresh would let the stored response be served as well (RFC 5861 §3, §4): slowness gives no right of its own.
 */
export function decideOnSoftTimeout(input: SoftTimeoutInput): SoftTimeoutDecision {
  const { stored, policy, nowMs } = input;
  if (policy.softTimeoutMs === undefined || policy.upstreamCacheControl === 'honour') return wait('no-rule');
  const { freshness } = stored;
  if (freshness.mustRevalidate || freshness.alwaysValidate) return wait('forbidden');
  const standing = standingUnder(policy, stored, input.staleSinceMs, nowMs);
  if (isStaleError(stored, standing)) return wait('error');
  if (nowMs >= freshness.retainUntilMs || nowMs >= Math.max(standing.swrUntilMs, standing.sieUntilMs)) {
    return wait('too-old');
  }
  if (asksForBetter(input, standing)) return wait('request');
  const { ttlSeconds, ageSeconds } = standing;
  return { kind: 'serve-stale', ttlSeconds, ageSeconds, detail: 'soft-timeout', reason: softTimeoutReasons.served };
}

/**
 * An error that was stored for a lifetime of its own stands for no other failure when that is over: it is no better, and it is
 * old. Otherwise the first would be served for as long as the window is, and no later one could take its place.
 */
function isStaleError({ status }: StoredResponse, { ttlMs }: Standing): boolean {
  return ttlMs <= 0 && isFailureStatus(status);
}

/** Why nothing stored is served. */
function withoutStale({ stored, staleSinceMs, nowMs }: FailureInput): 'nothing' | 'error' | 'forbidden' {
  if (stored === undefined) return 'nothing';
  return isStaleError(stored, standingOf(stored, staleSinceMs, nowMs)) ? 'error' : 'forbidden';
}

function wait(reason: keyof typeof softTimeoutReasons): SoftTimeoutDecision {
  return { kind: 'wait', reason: softTimeoutReasons[reason] };
}

/** A request that wants a validated or a younger response has to wait for it (RFC 9111 §5.2.1). */
function asksForBetter({ policy, requestFields }: SoftTimeoutInput, { ageMs, ttlMs }: Standing): boolean {
  const { noCache, maxAgeMs, minFreshMs, maxStaleMs } = clientDirectives(policy, requestFields);
  if (noCache || minFreshMs !== undefined) return true;
  if (maxAgeMs !== undefined && (maxStaleMs === undefined || ageMs > maxAgeMs)) return true;
  return maxStaleMs !== undefined && -ttlMs > maxStaleMs;
}

/**
 * The proxy's own answer to a failure of the call. 502 and 504, never 503: real clients take a 503 body for data.
 * No detail of the failure itself goes out, since it could name hosts of the operator's network.
 */
export function failureProblem(failure: FailureKind): Problem {
  switch (failure) {
    case 'dns':
    case 'connect':
    case 'tls':
      return badGateway('upstream-unreachable', 'Upstream unreachable', 'No connection to upstream could be made.');
    case 'reset':
      return badGateway('upstream-reset', 'Upstream reset', 'Upstream closed the connection before it answered.');
    case 'truncated':
      return badGateway('upstream-truncated', 'Upstream answer cut off', 'The answer of upstream ended too early.');
    case 'malformed':
      return badGateway('upstream-malformed', 'Upstream malformed', 'The answer of upstream is no valid response.');
    case 'too-large':
      return badGateway('upstream-too-large', 'Upstream answer too large', 'The answer of upstream is past a limit.');
    case 'aborted':
      return badGateway('upstream-aborted', 'Upstream call ended', 'The call upstream was ended by the proxy.');
    case 'timeout':
      return {
        status: 504,
        code: 'upstream-timeout',
        title: 'Upstream timeout',
        detail: 'Upstream did not answer in time.',
      };
    case 'busy':
      return {
        status: 504,
        code: 'upstream-busy',
        title: 'Upstream busy',
        detail: 'All connections to upstream were taken for too long.',
      };
  }
}

function badGateway(code: string, title: string, detail: string): Problem {
  return { status: 502, code, title, detail };
}

/** Why a stale response may be served now; `undefined` when it may not. */
function staleAllowedBecause(input: FailureInput, stored: StoredResponse, standing: Standing): string | undefined {
  const { freshness } = stored;
  const { policy, failure, nowMs } = input;
  if (isOverdue(stored, policy, nowMs) || freshness.alwaysValidate || isStaleError(stored, standing)) return undefined;
  if (nowMs < standing.sieUntilMs) return failureReasons['stale-if-error'];
  if (freshness.mustRevalidate) return undefined;
  const { staleIfErrorMs } = clientDirectives(policy, input.requestFields);
  if (staleIfErrorMs !== undefined && -standing.ttlMs < staleIfErrorMs) return failureReasons['request-stale-if-error'];
  const disconnected = typeof failure === 'string' && isDisconnection(failure);
  return policy.upstreamCacheControl === 'honour' && disconnected ? failureReasons.disconnected : undefined;
}

/**
 * Failures in which upstream cannot be reached at all, where RFC 9111 §4.2.4 lets a cache serve stale without any
 * directive. An answer that came, however bad, is no disconnection. On ruled routes the rule alone decides.
 */
function isDisconnection(failure: FailureKind): boolean {
  switch (failure) {
    case 'dns':
    case 'connect':
    case 'tls':
    case 'reset':
    case 'timeout':
    case 'truncated':
      return true;
    case 'busy':
    case 'malformed':
    case 'too-large':
    case 'aborted':
      return false;
  }
}
