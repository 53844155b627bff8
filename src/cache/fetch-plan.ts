import { isFailureStatus } from '../core/failure-policy.ts';
import { hasValidator } from '../core/freshen.ts';
import type { Fwd } from '../core/outcome.ts';
import type { Position, StoredResponse } from '../core/stored-response.ts';
import type { FillResult } from './fill-types.ts';
import type { FillOutcome } from './fleet-ports.ts';
import type { StoreRead } from './ports.ts';
import type { OwnRequest } from './own-request.ts';
import type { Ask } from './respond.ts';

/** A stored response that cannot be reused as it is, but may be validated, or served if upstream fails. */
export interface Fallback extends StoreRead {
  readonly item: StoredResponse;
  /** Of the purge log, from when it was found to be valid: see {@link mayStillServe}. `undefined`: without a lease. */
  readonly foundAt: Position | undefined;
}

/** A request that has to go upstream, and why. */
export interface FetchPlan {
  readonly ask: Ask;
  /** The key that it waits under: with the variant part once that is known. */
  readonly key: string;
  readonly fwd: Fwd;
  readonly found: Fallback | undefined;
  /** True: with the validators of `found`. */
  readonly validate: boolean;
  /** Goes upstream for it in place of the plain request of its key, unless that is under way already and can be joined. */
  readonly own?: OwnRequest | undefined;
  /** True where nothing may be served from store since the lease on the purge log is lost. */
  readonly unleased?: boolean;
  /** True where upstream proved to vary after it was made: what it fetches is a variant, whatever key it waits under. */
  readonly isVariant?: boolean;
  /** Milliseconds that the look-up waited for the shared tier. */
  readonly waitedMs?: number;
}

/** Behind the scenes what is stored is still being served: an error status is no better than it, unless it is one itself. */
export function isGood(found: Fallback | undefined): boolean {
  return found !== undefined && !isFailureStatus(found.item.status);
}

/** The plan as its answer is labelled: fetched without a lease it was a bypass, whatever it began as. */
export function asFetched(plan: FetchPlan, { position }: { readonly position: Position | undefined }): FetchPlan {
  return position === undefined && plan.unleased !== true ? { ...plan, fwd: 'bypass', unleased: true } : plan;
}

/** What was met in the shared tier since a plan was made. */
export interface Improvement {
  /** The latest that is known to be stored. */
  readonly found: Fallback | undefined;
  /** A marker led to where that is, or would be. */
  readonly isVariant: boolean;
}

/** The plan with what was met since: a later stored response to validate. */
export function improved(plan: FetchPlan, { found, isVariant }: Improvement): FetchPlan {
  const told = isVariant ? { ...plan, isVariant } : plan;
  return found === plan.found ? told : { ...told, found, validate: found !== undefined && hasValidator(found.item) };
}

/** Whether what it fetches is told apart from stored variants, or is one of them. */
export function isOfVariant({ isVariant, key, ask }: FetchPlan): boolean {
  return isVariant === true || key !== ask.keyed.key;
}

/** What its call is to validate. `found`: what may still be served of what it has found. */
export function validatedBy({ ask, validate }: FetchPlan, found: Fallback | undefined): StoredResponse | undefined {
  // Of a POST If-None-Match asks for something else (RFC 9110 §13.1.2): it is fetched whole.
  const mayValidate = validate && ask.keyed.canonical.method !== 'POST';
  return mayValidate && found !== undefined && hasValidator(found.item) ? found.item : undefined;
}

/** What came of a fetch for those who waited for it, and nobody later. */
export type Unstored = Extract<FillResult, { kind: 'answer' | 'bare' | 'stream' }>;

export function isUnstored(result: FillResult): result is Unstored {
  return result.kind === 'answer' || result.kind === 'bare' || result.kind === 'stream';
}

/**
 * Others had better ask than go by it, and nothing stale is better than it: it may be about the way that its request says it has
 * come, and upstream is well.
 */
export function isOneWay(result: FillResult): boolean {
  return isUnstored(result) && result.isOneWay === true;
}

/** What those who wait in other processes are told of a fetch; without a result a bug ended it. */
export function outcomeOf(result: FillResult | undefined): FillOutcome {
  if (result?.kind === 'stored' && result.put === 'stored') return 'stored';
  // One of those who wait asks for all of them.
  if (result !== undefined && isOneWay(result)) return 'left';
  if (result?.kind !== 'failed') return 'unshared';
  // Of this process alone: it stops, or all who waited here have gone.
  if (result.failure === 'aborted') return 'left';
  // Other failures are quick.
  return result.failure === 'timeout' ? 'timeout' : 'unshared';
}
