import { clientDirectives, requestForbidsStoring } from '../core/client-directives.ts';
import type { FailureKind } from '../core/failure.ts';
import type { FieldLines } from '../core/fields.ts';
import { forwardedFields } from '../core/forwarded-fields.ts';
import { withoutExchangeIds } from '../core/hop-by-hop.ts';
import { decideReuse, type ReuseDecision } from '../core/reuse-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { baseKeyOf } from '../core/vary.ts';
import { withoutRule } from './by-query.ts';
import { type Fallback, type FetchPlan, isOneWay, isUnstored } from './fetch-plan.ts';
import type { FetchRules, FillResult } from './fill-types.ts';
import { type Departed, isGoodFor, isLeased } from './judge.ts';
import type { LearnedSearch } from './learned-search.ts';
import type { Clock, PurgeLog, Sha256 } from './ports.ts';
import type { Ask } from './respond.ts';
import { isKept, variantOf } from './variant.ts';

/** What it takes to say who may share a fetch. */
export interface SharingDeps {
  readonly purgeLog: PurgeLog;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly search?: LearnedSearch;
  readonly rules?: FetchRules;
}

/** A fetch that a request has joined. */
interface Joined {
  readonly flight: Departed;
  /** True where it began after the request came. */
  readonly early: boolean;
  /** Whose request began it: upstream saw that one's fields. */
  readonly leader: FetchPlan;
}

/**
 * What a request that has waited for another's fetch does with its result. `instead`: it may have what stands in for that, and goes
 * alone where nothing does. `variant`: the key under which it goes on, since it is now known that upstream varies, and that this is
 * not the request's variant.
 */
type Share = 'use' | 'instead' | 'alone' | 'retry' | { readonly variant: string };

/**
 * A request that must not be given what was under way before it came (`no-cache`, RFC 9111 §5.2.1.4), or whose answer
 * nobody else may have (`no-store`, §5.2.1.5).
 */
export function insistsOnItsOwn({ ask, fwd }: FetchPlan): boolean {
  const { policy } = ask.route;
  if (fwd === 'request' || requestForbidsStoring(policy, ask.requestFields)) return true;
  return clientDirectives(policy, ask.requestFields).noCache;
}

/** Invariants 6 and 7: a fetch that has been sent is joined with a lease, and if nothing was purged since it began. */
export function isOpenTo({ ask }: FetchPlan, { position }: Departed, { purgeLog, rules }: SharingDeps): boolean {
  if (rules?.checkedJoiner === false) return true;
  return position !== undefined && isLeased(purgeLog) && isGoodFor(purgeLog, ask, position);
}

/** Of a fetch that was joined: it was given up in the very step in which it was, when all who had waited for it were gone. */
export function isGivenUp(result: FillResult): boolean {
  return result.kind === 'failed' && result.failure === 'aborted';
}

/** Whether a request may have the result of a fetch that it joined. */
export function shareOf(deps: SharingDeps, plan: FetchPlan, joined: Joined, result: FillResult): Share {
  // Purged in the air: only those who came before it departed may have it. A lease is not asked for here: there was one
  // when it was joined, so no purge that had completed by then is missing from the table.
  if (!joined.early && !isUnpurged(deps, plan.ask, joined.flight, result)) return 'retry';
  if (isFor(deps, plan, joined.leader, result)) return 'use';
  // An error may be one of the leader's own request.
  if (isUnstored(result) && appearanceOf(deps, plan) === appearanceOf(deps, joined.leader)) return 'instead';
  const variant = otherVariant(deps, plan, result);
  return variant === undefined ? 'alone' : { variant };
}

/**
 * The key of the request's own variant, where it has waited under the key of all variants and might have shared the response but
 * for what it is told apart by. It is where requests that come after the marker was stored wait.
 */
function otherVariant(deps: SharingDeps, { ask, key }: FetchPlan, result: FillResult): string | undefined {
  if (key !== ask.keyed.key || (result.kind !== 'stored' && result.kind !== 'taken')) return undefined;
  if (result.kind === 'stored' && result.unshared === true) return undefined;
  const { names = [], languages } = result;
  const item = itemOf(result);
  if (names.length === 0 || baseKeyOf(item.key) !== key || !isReusable(deps, ask, item)) return undefined;
  const { key: selected, promise } = variantOf(deps.sha256, ask, { names, languages });
  return promise?.ownKey ?? selected;
}

function itemOf(result: Extract<FillResult, { kind: 'stored' | 'taken' }>): StoredResponse {
  return result.kind === 'stored' ? result.item : result.read.item;
}

/** Of a fetch that was joined: it tells whoever fetches for nobody in particular nothing of what upstream has. */
export function saysNothing(result: FillResult): boolean {
  return isGivenUp(result) || isOneWay(result);
}

/**
 * Whether the next requests for the key had better wait for each other: not where this result was its own requester's
 * alone by what upstream said, and not by what that request asked for.
 */
export function isForAll(deps: SharingDeps, { ask }: FetchPlan, result: FillResult): boolean {
  switch (result.kind) {
    case 'failed':
    case 'taken':
      return true;
    case 'bare':
    case 'stream':
      return isOneWay(result);
    case 'answer':
      return result.shareable || isOneWay(result);
    case 'stored':
      return isReusable(deps, { route: ask.route, requestFields: noFields }, result.item);
  }
}

const noFields: FieldLines = [];

/**
 * What upstream sees of a request beside its key and the ids of the exchange: nothing on ruled routes. Of fields, which may be
 * long and secret, a digest.
 */
export function appearanceOf({ sha256 }: Pick<SharingDeps, 'sha256'>, { ask }: FetchPlan): string {
  const fields = withoutExchangeIds(forwardedFields(ask.route, ask.requestFields));
  return fields.length === 0 ? '' : sha256(JSON.stringify(fields));
}

/** Whether it answers this request as well as the one that began it. */
function isFor(deps: SharingDeps, plan: FetchPlan, leader: FetchPlan, result: FillResult): boolean {
  const { ask, key } = plan;
  switch (result.kind) {
    case 'failed':
      return !isOfOneRequest(result.failure) || appearanceOf(deps, plan) === appearanceOf(deps, leader);
    case 'bare':
    case 'stream':
      return false;
    case 'answer':
      return result.shareable;
    case 'stored':
      return (
        result.unshared !== true &&
        selects(deps, { ask, key }, result.item, result) &&
        isReusable(deps, ask, result.item)
      );
    case 'taken':
      return selects(deps, { ask, key }, result.read.item, result) && reuseOf(deps, ask, result.read).kind === 'reuse';
  }
}

/**
 * Failures that a field of one request may have caused, an oversize or odd one that upstream breaks off at: whoever sends it
 * would else fail all who wait with him ("CPDoS"). That upstream cannot be reached, or says nothing, is for all: asked by
 * everybody at once it would fare no better.
 */
function isOfOneRequest(failure: FailureKind): boolean {
  switch (failure) {
    case 'reset':
    case 'malformed':
    case 'truncated':
    case 'too-large':
      return true;
    case 'dns':
    case 'connect':
    case 'tls':
    case 'timeout':
    case 'busy':
    case 'aborted':
      return false;
  }
}

function isUnpurged({ purgeLog, rules }: SharingDeps, ask: Ask, { position }: Departed, result: FillResult): boolean {
  if (rules?.checkedJoiner === false) return true;
  if (position === undefined) return false;
  // Only the result knows the key of a variant, and the tags that upstream gave it, by which it may have been purged.
  const item = result.kind === 'stored' || result.kind === 'taken' ? itemOf(result) : undefined;
  // Purged softly it is stale, whatever its fields say: those who came since fetch again, together.
  if (item !== undefined && (!purgeLog.isValid(item) || purgeLog.softPurgedAtMs(item) !== undefined)) return false;
  const tags = result.kind === 'answer' ? result.tags : ask.keyed.tags;
  const { key, url } = ask.keyed;
  return isGoodFor(purgeLog, { route: ask.route, keyed: { key, url, tags } }, position);
}

/**
 * Whether a response answers this request too (RFC 9111 §4.1), by what is known of its key now: by the rule for queries that it
 * was looked up by or that has been learnt since, or by its own query, under which is what says no rule.
 */
function selects(
  { sha256, search }: SharingDeps,
  { ask, key }: Pick<FetchPlan, 'ask' | 'key'>,
  item: StoredResponse,
  { names, languages }: Pick<Extract<FillResult, { kind: 'stored' }>, 'names' | 'languages'>,
): boolean {
  const keyed = search?.keyed(ask.keyed) ?? ask.keyed;
  const asked = [ask, { ...ask, keyed }, withoutRule(ask) ?? ask];
  if (asked.some((one) => item.key === one.keyed.key)) return true;
  if (names === undefined || names.length === 0) return item.key === key;
  return asked.some((one) => {
    const { key: selected, promise } = variantOf(sha256, one, { names, languages });
    return item.key === selected ? isKept(promise, item) : item.key === promise?.ownKey;
  });
}

/**
 * Requests are collapsed only where the response may be reused for each of them without validation (RFC 9111 §4): what
 * says `no-cache`, or is stale as it comes, is for whoever it was fetched for. By rule the key alone decides the answer.
 */
function isReusable(deps: SharingDeps, ask: Pick<Ask, 'route' | 'requestFields'>, item: StoredResponse): boolean {
  if (ask.route.policy.upstreamCacheControl === 'ignore') return true;
  const { kind } = reuseOf(deps, ask, { item, staleSinceMs: undefined });
  return kind === 'reuse' || kind === 'reuse-stale';
}

function reuseOf(
  { clock }: SharingDeps,
  { route, requestFields }: Pick<Ask, 'route' | 'requestFields'>,
  { item, staleSinceMs }: Pick<Fallback, 'item' | 'staleSinceMs'>,
): ReuseDecision {
  const { policy } = route;
  return decideReuse({ stored: item, staleSinceMs, policy, requestFields, nowMs: clock.nowMs() });
}
