import { decideReuse } from '../core/reuse-policy.ts';
import type { Fallback } from './fetch-plan.ts';
import type { Fetcher, FetcherDeps } from './fetcher.ts';
import type { FillResult } from './fill-types.ts';
import type { RefreshInput, RefreshOutcome, Refresher } from './refresher.ts';
import type { Ask } from './respond.ts';

/** Warming on the same machinery as a client's miss: same key, same collapse, same rules for what is stored. */
export function createRefresher(deps: FetcherDeps, fetcher: Fetcher): Refresher {
  return {
    async refresh(input, signal) {
      if (signal.aborted) return failed(undefined, 'stopped');
      const keyed = deps.search?.keyed(input.keyed) ?? input.keyed;
      const ask: Ask = { route: input.route, keyed, requestFields: [], head: false };
      const found = await storedFor(deps, ask);
      // What is fetched now could not be stored, and what is stored could not be served.
      if (deps.purgeLog.position() === undefined)
        return failed(undefined, 'no lease on the purge log: nothing is stored');
      if (found !== undefined && stillGood(deps, input, found)) {
        return { result: 'reused', status: found.item.status, detail: undefined };
      }
      const plan = { ask, key: ask.keyed.key, fwd: 'miss', found, validate: found !== undefined } as const;
      return outcomeOf(await fetcher.refresh(plan, input.purpose));
    },
  };
}

async function storedFor(deps: FetcherDeps, ask: Ask): Promise<Fallback | undefined> {
  const read = await deps.store.peek(ask.keyed.key, ask);
  if (read === undefined || read.item.kind !== 'response') return undefined;
  return { ...read, item: read.item };
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
        ? { result: 'fetched', status: result.fwdStatus, detail: undefined }
        : failed(result.fwdStatus, `not stored: ${result.put}`);
    case 'taken':
      return { result: 'reused', status: result.read.item.status, detail: undefined };
    case 'answer':
    case 'bare':
    case 'stream':
      return failed(result.status, `not stored: ${result.reason}`);
    case 'failed':
      return failed(undefined, result.detail);
  }
}

function failed(status: number | undefined, detail: string): RefreshOutcome {
  return { result: 'failed', status, detail };
}
