import { isFailureStatus } from '../core/failure-policy.ts';
import { decideReuse } from '../core/reuse-policy.ts';
import type { Fallback } from './fetch-plan.ts';
import type { Fetcher, FetcherDeps } from './fetcher.ts';
import type { FillResult } from './fill-types.ts';
import type { RefreshInput, RefreshOutcome, Refresher } from './refresher.ts';
import type { StoreRead } from './ports.ts';
import type { Ask } from './respond.ts';
import { isKept, variantOf } from './variant.ts';

/** Warming on the same machinery as a client's miss: same key, same collapse, same rules for what is stored. */
export function createRefresher(deps: FetcherDeps, fetcher: Fetcher): Refresher {
  return {
    async refresh(input, signal) {
      if (signal.aborted) return failed(undefined, 'stopped');
      const keyed = deps.search?.keyed(input.keyed) ?? input.keyed;
      const ask: Ask = { route: input.route, keyed, requestFields: [], head: false };
      const { key, found } = await storedFor(deps, ask);
      // What is fetched now could not be stored, and what is stored could not be served.
      if (deps.purgeLog.position() === undefined)
        return failed(undefined, 'no lease on the purge log: nothing is stored');
      if (found !== undefined && stillGood(deps, input, found)) return storedOutcome('reused', found.item.status);
      if (input.withoutCall !== undefined) return failed(undefined, input.withoutCall);
      const name = { upstream: input.route.upstream, key: found?.item.key ?? keyed.key };
      const unasked = putOff(deps, name);
      if (unasked !== undefined) return unasked;
      const plan = { ask, key, fwd: 'miss', found, validate: found !== undefined } as const;
      const outcome = outcomeOf(await fetcher.refresh(plan, input.purpose));
      return { ...outcome, ...(isAskingToWait(outcome) ? timeLeft(deps, name) : undefined) };
    },
  };
}

/** What is stored for the request, or nothing, and the key of that. */
interface Place {
  readonly key: string;
  readonly found: Fallback | undefined;
}

/** As a client's request finds it: where upstream varies, the variant that this one selects (RFC 9111 §4.1). */
async function storedFor(deps: FetcherDeps, ask: Ask): Promise<Place> {
  const { key } = ask.keyed;
  // From before the first look: while it waits for the next one a purge may come.
  const foundAt = deps.purgeLog.position();
  const read = await deps.store.peek(key, ask);
  if (read?.item.kind !== 'vary') return placeOf(key, read, foundAt);
  const variant = variantOf(deps.sha256, ask, read.item);
  const { promise } = variant;
  const selected = await deps.store.peek(variant.key, ask);
  const isBroken = promise !== undefined && (selected === undefined || !isKept(promise, selected.item));
  return isBroken
    ? placeOf(promise.ownKey, await deps.store.peek(promise.ownKey, ask), foundAt)
    : placeOf(variant.key, selected, foundAt);
}

function placeOf(key: string, read: StoreRead | undefined, foundAt: Fallback['foundAt']): Place {
  return { key, found: read?.item.kind === 'response' ? { ...read, item: read.item, foundAt } : undefined };
}

function stillGood(deps: FetcherDeps, input: RefreshInput, found: Fallback): boolean {
  const nowMs = deps.clock.nowMs();
  const { item, staleSinceMs } = found;
  const { policy } = input.route;
  const decision = decideReuse({ stored: item, staleSinceMs, policy, requestFields: [], nowMs });
  if (decision.kind !== 'reuse') return false;
  const lifetimeMs = item.freshness.freshUntilMs - item.responseTimeMs;
  return item.freshness.freshUntilMs - nowMs >= lifetimeMs * input.reuseAbove;
}

function outcomeOf(result: FillResult): RefreshOutcome {
  switch (result.kind) {
    case 'stored':
      return result.put === 'stored'
        ? storedOutcome('fetched', result.item.status, result.fwdStatus)
        : failed(result.fwdStatus, `not stored: ${result.put}`);
    case 'taken':
      return storedOutcome('reused', result.read.item.status);
    case 'answer':
    case 'bare':
    case 'stream':
      return failed(result.status, `not stored: ${result.reason}`);
    case 'failed':
      return failed(undefined, result.detail);
  }
}

/** An error that the rule stores for a while is not what a job is to have ready. `toldStatus`: the status in the report. */
function storedOutcome(result: 'fetched' | 'reused', status: number, toldStatus = status): RefreshOutcome {
  if (isFailureStatus(status)) return failed(toldStatus, 'an error, which is stored for its own lifetime');
  return { result, status: toldStatus, detail: undefined };
}

/** It has failed with an answer that may have said when to ask again. */
function isAskingToWait({ result, status }: RefreshOutcome): boolean {
  return result === 'failed' && (status === 429 || status === 503);
}

/** What upstream may be asked for. */
export interface PutOffName {
  readonly upstream: string;
  /** Of what is stored. */
  readonly key: string;
}

/** For how long it is not to be asked for; `undefined`: it may be now. What holds of all its upstream has goes first. */
function timeLeft(
  { retryTimes }: Pick<FetcherDeps, 'retryTimes'>,
  { upstream, key }: PutOffName,
): Pick<RefreshOutcome, 'retryAfterMs' | 'isAlone'> | undefined {
  const allMs = retryTimes?.leftMs(upstream);
  if (allMs !== undefined) return { retryAfterMs: allMs };
  const ownMs = retryTimes?.leftOfKeyMs(key);
  return ownMs === undefined ? undefined : { retryAfterMs: ownMs, isAlone: true };
}

/** What comes of a request that upstream has put off by Retry-After; `undefined`: it may be asked now. */
export function putOff(deps: Pick<FetcherDeps, 'retryTimes' | 'clock'>, name: PutOffName): RefreshOutcome | undefined {
  const left = timeLeft(deps, name);
  if (left?.retryAfterMs === undefined) return undefined;
  const until = instantOf(deps.clock.nowMs() + left.retryAfterMs);
  return { ...failed(undefined, `not asked for: upstream ${name.upstream} had said Retry-After ${until}`), ...left };
}

/** To the second, rounded up: Retry-After says no more. */
export function instantOf(ms: number): string {
  return `${new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, -5)}Z`;
}

function failed(status: number | undefined, detail: string): RefreshOutcome {
  return { result: 'failed', status, detail };
}
