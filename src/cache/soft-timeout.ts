import { staleOnSoftTimeout, type AnswerDeps } from './answer.ts';
import type { FetchPlan } from './fetch-plan.ts';
import type { FillResult } from './fill-types.ts';
import type { MaybePromise, ProxyResponse } from './ports.ts';

/** What a request that may be answered before its call has come to. */
export type Awaited =
  | { readonly kind: 'result'; readonly result: FillResult }
  /** The call goes on; whoever began it has to see to what comes of it. */
  | { readonly kind: 'stale'; readonly response: MaybePromise<ProxyResponse> };

/**
 * When the request has waited for as long as its route lets it (`softTimeout`), on the monotonic clock; `undefined` where
 * it waits for whatever comes.
 */
export function softDueMs(deps: Pick<AnswerDeps, 'clock'>, plan: FetchPlan): number | undefined {
  const { softTimeoutMs } = plan.ask.route.policy;
  if (softTimeoutMs === undefined || plan.found === undefined) return undefined;
  return deps.clock.monotonicMs() - (plan.waitedMs ?? 0) + softTimeoutMs;
}

/**
 * Waits for a fill, or until `dueMs` where a stale response may be served by then. Where none may (any more), it waits on:
 * late is better than an error.
 */
export function awaitSoftly(
  deps: AnswerDeps,
  plan: FetchPlan,
  filled: Promise<FillResult>,
  dueMs: number | undefined,
): Promise<Awaited> {
  const landed = filled.then((result): Awaited => ({ kind: 'result', result }));
  if (dueMs === undefined) return landed;
  return new Promise((resolve, reject) => {
    const cancel = deps.clock.after(Math.max(0, dueMs - deps.clock.monotonicMs()), () => {
      const response = staleOnSoftTimeout(deps, plan);
      if (response !== undefined) resolve({ kind: 'stale', response });
    });
    landed.then(resolve, reject).finally(cancel);
  });
}
