import { decideOnFailure, failureProblem, isFailureStatus, type FailureDecision } from '../core/failure-policy.ts';
import type { CacheStatus } from '../core/outcome.ts';
import type { FetchPlan } from './fetch-plan.ts';
import type { FillResult } from './fill-types.ts';
import type { Clock, ContentDecoder, FailureKind, ProxyResponse, PurgeLog } from './ports.ts';
import { problemReply } from './problem-reply.ts';
import { respondAnswer, respondStored, respondStream } from './respond.ts';

export interface AnswerDeps {
  readonly clock: Clock;
  readonly decoder: ContentDecoder;
  readonly purgeLog: PurgeLog;
}

type ServeStale = Extract<FailureDecision, { kind: 'serve-stale' }>;

/** What a fill came to, for one of those who waited for it. `leader`: the one whose request began it. */
export async function answerWith(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: FillResult,
  leader: boolean,
): Promise<ProxyResponse> {
  const { ask, fwd } = plan;
  const collapsed = leader ? {} : { collapsed: true };
  const outcome = leader ? 'miss' : 'collapsed';
  switch (result.kind) {
    case 'stored':
      return answerStored(deps, plan, result, leader);
    case 'answer': {
      const stale = insteadOf(deps, plan, result);
      if (stale !== undefined) return serveStale(deps, plan, stale, { fwdStatus: result.status, ...collapsed });
      return respondAnswer(ask, result, { status: { hit: false, fwd, detail: result.reason, ...collapsed }, outcome });
    }
    case 'stream':
      return respondStream(ask, result, { status: { hit: false, fwd, detail: result.reason }, outcome });
    case 'failed':
      return answerFailed(deps, plan, result.failure, collapsed);
  }
}

/** The stale response to serve at once while upstream is known not to answer; `undefined` where none may be. */
export function staleWhileDown(deps: AnswerDeps, plan: FetchPlan): Promise<ProxyResponse> | undefined {
  const decision = onFailure(deps, plan, 'timeout');
  if (decision.kind !== 'serve-stale' || plan.found === undefined) return undefined;
  const status = { hit: true, ttl: decision.ttlSeconds, detail: decision.detail };
  return replyStale(deps, plan, plan.found, status);
}

/** Whether a failure with this plan would be answered with what is stored. */
export function hasStaleFallback(deps: AnswerDeps, plan: FetchPlan): boolean {
  return onFailure(deps, plan, 503).kind === 'serve-stale';
}

async function answerStored(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: Extract<FillResult, { kind: 'stored' }>,
  leader: boolean,
): Promise<ProxyResponse> {
  const fetched = result.validated ? 'revalidated' : 'miss';
  return respondStored(deps, plan.ask, {
    item: result.item,
    staleSinceMs: undefined,
    nowMs: deps.clock.nowMs(),
    status: {
      hit: false,
      fwd: plan.fwd,
      ...(result.validated ? { fwdStatus: 304 } : {}),
      ...(result.put === 'stored' ? { stored: true } : {}),
      ...(leader ? {} : { collapsed: true }),
    },
    outcome: leader ? fetched : 'collapsed',
    tier: undefined,
  });
}

/** The stale response that is better than an error status, or than a 2xx whose content failed the route's check. */
function insteadOf(
  deps: AnswerDeps,
  plan: FetchPlan,
  result: Extract<FillResult, { kind: 'answer' }>,
): ServeStale | undefined {
  if (!isFailureStatus(result.status) && !BODY_CHECKS.has(result.reason)) return undefined;
  const decision = onFailure(deps, plan, isFailureStatus(result.status) ? result.status : 'malformed');
  return decision.kind === 'serve-stale' ? decision : undefined;
}

async function answerFailed(
  deps: AnswerDeps,
  plan: FetchPlan,
  failure: FailureKind,
  collapsed: Pick<CacheStatus, 'collapsed'>,
): Promise<ProxyResponse> {
  const decision = onFailure(deps, plan, failure);
  if (decision.kind === 'serve-stale') return serveStale(deps, plan, decision, collapsed);
  const { ask, fwd } = plan;
  return problemReply(decision.kind === 'problem' ? decision.problem : failureProblem(failure), {
    meta: { route: ask.route.name, upstream: ask.route.upstream, url: ask.keyed.url, fwd },
    cacheStatus: { hit: false, fwd, ...collapsed, detail: failure },
    head: ask.head,
  });
}

function onFailure(deps: AnswerDeps, plan: FetchPlan, failure: FailureKind | number): FailureDecision {
  // What was purged while upstream was asked is gone as a fallback too.
  const found = plan.found !== undefined && deps.purgeLog.isValid(plan.found.item) ? plan.found : undefined;
  return decideOnFailure({
    failure,
    stored: found?.item,
    staleSinceMs: found?.staleSinceMs,
    policy: plan.ask.route.policy,
    nowMs: deps.clock.nowMs(),
  });
}

async function serveStale(
  deps: AnswerDeps,
  plan: FetchPlan,
  decision: ServeStale,
  more: Pick<CacheStatus, 'fwdStatus' | 'collapsed'>,
): Promise<ProxyResponse> {
  if (plan.found === undefined) throw new Error('a stale response was decided on that is not there');
  const status = { hit: false, fwd: plan.fwd, ...more, ttl: decision.ttlSeconds, detail: decision.detail };
  return replyStale(deps, plan, plan.found, status);
}

async function replyStale(
  deps: AnswerDeps,
  plan: FetchPlan,
  found: NonNullable<FetchPlan['found']>,
  status: CacheStatus,
): Promise<ProxyResponse> {
  found.tally.hits += 1;
  return respondStored(deps, plan.ask, {
    item: found.item,
    staleSinceMs: found.staleSinceMs,
    nowMs: deps.clock.nowMs(),
    status,
    outcome: 'stale-error',
    tier: found.tier,
  });
}

/** Tokens of `BodyCheck.fails`, and what cannot be checked at all. */
const BODY_CHECKS: ReadonlySet<string> = new Set(['not-json', 'path-missing', 'path-present', 'undecodable']);
