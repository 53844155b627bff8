import {
  decideOnFailure,
  decideOnSoftTimeout,
  failureProblem,
  isFailureStatus,
  type FailureDecision,
} from '../core/failure-policy.ts';
import { withKey } from '../core/cache-status.ts';
import { asStored } from './by-query.ts';
import type { CacheStatus } from '../core/outcome.ts';
import type { DecodedContents } from './decoded-contents.ts';
import { type Fallback, type FetchPlan, isOneWay, isUnstored, type Unstored } from './fetch-plan.ts';
import type { FillResult } from './fill-types.ts';
import { isLeased, mayStillServe } from './judge.ts';
import type { Clock, MaybePromise, ProxyResponse, PurgeLog, Sha256, UnleasedReads } from './ports.ts';
import type { FailureKind } from '../core/failure.ts';
import { problemReply } from './problem-reply.ts';
import { type Ask, respondAnswer, respondBare, respondStored, respondStream, type StoredReply } from './respond.ts';
import { isKept, variantOf } from './variant.ts';

export interface AnswerDeps {
  readonly clock: Clock;
  readonly decoded: DecodedContents;
  readonly purgeLog: PurgeLog;
  readonly sha256: Sha256;
  readonly unleased?: UnleasedReads;
}

type ServeStale = Extract<FailureDecision, { kind: 'serve-stale' }>;

/** What a fill came to, for one of those who waited for it. `leader`: the one whose request began it. */
export function answerWith(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: FillResult,
  leader: boolean,
): MaybePromise<ProxyResponse> {
  switch (result.kind) {
    case 'stored':
      return answerStored(deps, plan, result, leader);
    case 'taken':
      return answerTaken(deps, plan, result);
    case 'answer':
    case 'bare':
    case 'stream':
      return answerUnstored(deps, plan, result, leader);
    case 'failed':
      return answerFailed(deps, plan, result, leader ? {} : { collapsed: true });
  }
}

/** What was not stored, or something stale in its place. */
function answerUnstored(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: Unstored,
  leader: boolean,
): MaybePromise<ProxyResponse> {
  const { ask, fwd } = plan;
  const collapsed = leader ? {} : { collapsed: true };
  const stale = insteadOf(deps, plan, result);
  if (stale !== undefined) {
    if (result.kind === 'stream') result.cancel();
    return serveStale(deps, plan, stale, { fwdStatus: result.status, ...collapsed });
  }
  const status = { hit: false, fwd, detail: detailOf(plan, result), ...collapsed };
  const reply = { status, outcome: leader ? 'miss' : 'collapsed' } as const;
  if (result.kind === 'answer') return respondAnswer(ask, result, reply);
  return result.kind === 'bare' ? respondBare(ask, result, reply) : respondStream(ask, result, reply);
}

/** The stale response to serve at once while upstream is known not to answer; `undefined` where none may be. */
export function staleWhileDown(deps: AnswerDeps, plan: FetchPlan): MaybePromise<ProxyResponse> | undefined {
  const { decision, found } = onFailure(deps, plan, 'timeout');
  if (decision.kind !== 'serve-stale' || found === undefined) return undefined;
  const status = { hit: true, ttl: decision.ttlSeconds, detail: decision.detail };
  const reply = { status: isBypass(deps, plan) ? unleasedStatus(decision) : status, outcome: 'stale-error' } as const;
  return replyStale(deps, plan, found, reply);
}

/**
 * The stale response for a request that has waited for upstream for as long as its route lets it; `undefined` where none
 * may be served. A purge may have come meanwhile, so that it is judged in the step in which it is served.
 */
export function staleOnSoftTimeout(deps: AnswerDeps, plan: FetchPlan): MaybePromise<ProxyResponse> | undefined {
  const { ask, found, fwd } = plan;
  if (found === undefined || plan.unleased === true || !mayStillServe(deps.purgeLog, ask, found)) return undefined;
  const { item: stored, staleSinceMs } = found;
  const decision = decideOnSoftTimeout({
    stored,
    staleSinceMs,
    policy: ask.route.policy,
    requestFields: ask.requestFields,
    nowMs: deps.clock.nowMs(),
  });
  if (decision.kind !== 'serve-stale') return undefined;
  const status = { hit: false, fwd, ttl: decision.ttlSeconds, detail: 'soft-timeout' };
  return replyStale(deps, plan, found, { status, outcome: 'stale' });
}

/** Whether a failure with this plan would be answered with what is stored. */
export function hasStaleFallback(deps: AnswerDeps, plan: FetchPlan): boolean {
  // Asked with every miss, of which nothing is found.
  if (plan.found === undefined && !isBypass(deps, plan)) return false;
  return onFailure(deps, plan, 503).decision.kind === 'serve-stale';
}

function answerStored(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: Extract<FillResult, { kind: 'stored' }>,
  leader: boolean,
): MaybePromise<ProxyResponse> {
  const fetched = result.validated ? 'revalidated' : 'miss';
  const { item, received } = result;
  return respondStored(deps, asStored(plan.ask, item), {
    item: leader && received !== undefined ? { ...item, fields: received } : item,
    staleSinceMs: undefined,
    nowMs: deps.clock.nowMs(),
    status: storedStatus(plan, result, leader),
    outcome: leader ? fetched : 'collapsed',
    tier: undefined,
  });
}

function storedStatus(
  { fwd, unleased }: FetchPlan,
  { validated, put }: Extract<FillResult, { kind: 'stored' }>,
  leader: boolean,
): CacheStatus {
  // What nearly every miss is told.
  if (leader && !validated && put === 'stored' && unleased !== true) return { hit: false, fwd, stored: true };
  return {
    hit: false,
    fwd,
    ...(validated ? { fwdStatus: 304 } : {}),
    ...(put === 'stored' ? { stored: true } : {}),
    ...(leader ? {} : { collapsed: true }),
    ...(unleased === true ? { detail: 'lease' } : {}),
  };
}

/** Another process' fetch is collapsed with for whoever asks, the first included. */
function answerTaken(
  deps: AnswerDeps,
  plan: FetchPlan,
  { read }: Extract<FillResult, { kind: 'taken' }>,
): MaybePromise<ProxyResponse> {
  return respondStored(deps, plan.ask, {
    item: read.item,
    staleSinceMs: read.staleSinceMs,
    nowMs: deps.clock.nowMs(),
    status: { hit: false, fwd: plan.fwd, collapsed: true, detail: 'redis' },
    outcome: 'collapsed',
    tier: undefined,
  });
}

/** Why it is not stored; without a lease that comes first. */
function detailOf({ unleased }: FetchPlan, { reason }: { readonly reason: string }): string {
  return unleased === true ? 'lease' : reason;
}

/** Something stale in the place of an answer that whoever began the call may be reading; `undefined` where nothing is better. */
export function answerInstead(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: FillResult,
): MaybePromise<ProxyResponse> | undefined {
  if (!isUnstored(result)) return undefined;
  const stale = insteadOf(deps, plan, result);
  return stale && serveStale(deps, plan, stale, { fwdStatus: result.status, collapsed: true });
}

/** Whether something stale is given in its place: of the answer itself nobody gets anything then. */
export function isReplaced(deps: AnswerDeps, plan: FetchPlan, result: FillResult): boolean {
  return isUnstored(result) && insteadOf(deps, plan, result) !== undefined;
}

/** The stale response that is better than an error status, or than a 2xx whose content failed the route's check. */
function insteadOf(deps: AnswerDeps, plan: FetchPlan, result: Unstored): Stale | undefined {
  if (isOneWay(result) || (!isFailureStatus(result.status) && !BODY_CHECKS.has(result.reason))) return undefined;
  return staleOf(onFailure(deps, plan, isFailureStatus(result.status) ? result.status : 'malformed'));
}

function answerFailed(
  deps: AnswerDeps,
  plan: FetchPlan,
  { failure, fwdStatus }: Extract<FillResult, { kind: 'failed' }>,
  collapsed: Pick<CacheStatus, 'collapsed'>,
): MaybePromise<ProxyResponse> {
  const answered = fwdStatus === undefined ? collapsed : { fwdStatus, ...collapsed };
  const failed = onFailure(deps, plan, failure);
  const stale = staleOf(failed);
  // Given where it differs from what is sent (RFC 9211 §2.3).
  const isSame = stale?.found.item.status === fwdStatus;
  if (stale !== undefined) return serveStale(deps, plan, stale, isSame ? collapsed : answered);
  const { ask, fwd } = plan;
  const { decision } = failed;
  return problemReply(decision.kind === 'problem' ? decision.problem : failureProblem(failure), {
    meta: { route: ask.route.name, upstream: ask.route.upstream, url: ask.keyed.url, fwd },
    cacheStatus: withKey({ hit: false, fwd, ...answered, detail: failure }, ask),
    head: ask.head,
  });
}

/** What a failure comes to, and what it was decided on. */
interface Failed {
  readonly decision: FailureDecision;
  readonly found: Fallback | undefined;
}

interface Stale {
  readonly decision: ServeStale;
  readonly found: Fallback;
}

function staleOf({ decision, found }: Failed): Stale | undefined {
  return decision.kind === 'serve-stale' && found !== undefined ? { decision, found } : undefined;
}

function onFailure(deps: AnswerDeps, plan: FetchPlan, failure: FailureKind | number): Failed {
  const found = fallbackOf(deps, plan);
  const decision = decideOnFailure({
    failure,
    stored: found?.item,
    staleSinceMs: found?.staleSinceMs,
    policy: plan.ask.route.policy,
    requestFields: plan.ask.requestFields,
    nowMs: deps.clock.nowMs(),
  });
  return { decision, found };
}

/** What there is to fall back on now. What was purged while upstream was asked is gone, and all is without a lease. */
function fallbackOf(deps: AnswerDeps, plan: FetchPlan): Fallback | undefined {
  if (isBypass(deps, plan)) {
    return plan.ask.route.onLeaseLost === 'serve-if-upstream-fails' ? readUnleased(deps, plan.ask) : undefined;
  }
  return plan.found !== undefined && mayStillServe(deps.purgeLog, plan.ask, plan.found) ? plan.found : undefined;
}

function isBypass(deps: AnswerDeps, plan: FetchPlan): boolean {
  return plan.unleased === true || !isLeased(deps.purgeLog);
}

/** The stored response that the request selects in memory, purged or not as far as is known here. */
export function readUnleased(
  { unleased, sha256 }: Pick<AnswerDeps, 'unleased' | 'sha256'>,
  ask: Ask,
): Fallback | undefined {
  const base = unleased?.peekUnleased(ask.keyed.key);
  const variant = base?.item.kind === 'vary' ? variantOf(sha256, ask, base.item) : undefined;
  const read = variant === undefined ? base : unleased?.peekUnleased(variant.key);
  return read?.item.kind === 'response' && isKept(variant?.promise, read.item)
    ? { ...read, item: read.item, foundAt: undefined }
    : undefined;
}

function serveStale(
  deps: AnswerDeps,
  plan: FetchPlan,
  { decision, found }: Stale,
  more: Pick<CacheStatus, 'fwdStatus' | 'collapsed'>,
): MaybePromise<ProxyResponse> {
  const status = isBypass(deps, plan)
    ? unleasedStatus(decision)
    : { hit: false, fwd: plan.fwd, ttl: decision.ttlSeconds, detail: decision.detail };
  return replyStale(deps, plan, found, { status: { ...status, ...more }, outcome: 'stale-error' });
}

/** Served although it may have been purged: whoever reads it must be able to tell. */
function unleasedStatus({ ttlSeconds }: ServeStale): CacheStatus {
  return { hit: false, fwd: 'bypass', ttl: ttlSeconds, detail: 'lease' };
}

function replyStale(
  deps: AnswerDeps,
  plan: FetchPlan,
  found: Fallback,
  { status, outcome }: Pick<StoredReply, 'status' | 'outcome'>,
): MaybePromise<ProxyResponse> {
  found.tally.hits += 1;
  return respondStored(deps, plan.ask, {
    item: found.item,
    staleSinceMs: found.staleSinceMs,
    nowMs: deps.clock.nowMs(),
    status,
    outcome,
    tier: found.tier,
  });
}

/** Tokens of `BodyCheck.fails`, and what cannot be checked at all. */
const BODY_CHECKS: ReadonlySet<string> = new Set(['not-json', 'path-missing', 'path-present', 'undecodable']);
