import { decideReuse } from '../core/reuse-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import type { Boarding } from './collapse.ts';
import type { Fallback, FetchPlan } from './fetch-plan.ts';
import type { FetchRules, FillResult } from './fill-types.ts';
import { type Departed, isGoodFor, isLeased } from './judge.ts';
import type { LearnedSearch } from './learned-search.ts';
import type { Clock, PurgeLog, Sha256 } from './ports.ts';
import type { Ask } from './respond.ts';
import { variantKeyOf } from './store-fill.ts';

/** What it takes to say who may share a fetch. */
export interface SharingDeps {
  readonly purgeLog: PurgeLog;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly search?: LearnedSearch;
  readonly rules?: FetchRules;
}

/** What a request that has waited for another's fetch does with its result. */
type Share = 'use' | 'alone' | 'retry';

/** Invariants 6 and 7: a fetch that has been sent is joined with a lease, and if nothing was purged since it began. */
export function isOpenTo({ ask }: FetchPlan, { position }: Departed, { purgeLog, rules }: SharingDeps): boolean {
  if (rules?.checkedJoiner === false) return true;
  return position !== undefined && isLeased(purgeLog) && isGoodFor(purgeLog, ask, position);
}

/** Whether a request may have the result of a fetch that it joined. */
export function shareOf(
  deps: SharingDeps,
  plan: FetchPlan,
  { flight, early }: Pick<Boarding<FillResult>, 'flight' | 'early'>,
  result: FillResult,
): Share {
  // Purged in the air: only those who came before it departed may have it. A lease is not asked for here: there was one
  // when it was joined, so no purge that had completed by then is missing from the table.
  if (!early && !isUnpurged(deps, plan.ask, flight, result)) return 'retry';
  return isFor(deps, plan, result) ? 'use' : 'alone';
}

/** Whether it answers this request as well as the one that began it. */
function isFor(deps: SharingDeps, { ask, key }: FetchPlan, result: FillResult): boolean {
  switch (result.kind) {
    case 'failed':
      return true;
    case 'bare':
    case 'stream':
      return false;
    case 'answer':
      return result.shareable;
    case 'stored':
      return result.unshared !== true && selects(deps, { ask, key }, result.item, result);
    case 'taken':
      return selects(deps, { ask, key }, result.read.item, result) && isFreshFor(deps, ask, result.read);
  }
}

function isUnpurged({ purgeLog, rules }: SharingDeps, ask: Ask, { position }: Departed, result: FillResult): boolean {
  if (rules?.checkedJoiner === false) return true;
  if (position === undefined) return false;
  // Only the result knows the key of a variant, and the tags that upstream gave it, by which it may have been purged.
  if (result.kind === 'stored' && !purgeLog.isValid(result.item)) return false;
  if (result.kind === 'taken' && !purgeLog.isValid(result.read.item)) return false;
  const tags = result.kind === 'answer' ? result.tags : ask.keyed.tags;
  return isGoodFor(purgeLog, { ...ask, keyed: { ...ask.keyed, tags } }, position);
}

/** Whether a varied response answers this request too (RFC 9111 §4.1), by what is known of its key now. */
function selects(
  { sha256, search }: SharingDeps,
  { ask, key }: Pick<FetchPlan, 'ask' | 'key'>,
  item: Pick<StoredResponse, 'key'>,
  { names, languages }: Pick<Extract<FillResult, { kind: 'stored' }>, 'names' | 'languages'>,
): boolean {
  const keyed = search?.keyed(ask.keyed) ?? ask.keyed;
  if (item.key === ask.keyed.key || item.key === keyed.key) return true;
  if (names === undefined || names.length === 0) return item.key === key;
  return variantKeyOf(sha256, { ...ask, keyed }, { names, languages }) === item.key;
}

/** What was stored before a request came may be too old for it, unlike what was fetched meanwhile. */
function isFreshFor({ clock }: SharingDeps, { route, requestFields }: Ask, { item, staleSinceMs }: Fallback): boolean {
  const { policy } = route;
  return decideReuse({ stored: item, staleSinceMs, policy, requestFields, nowMs: clock.nowMs() }).kind === 'reuse';
}
