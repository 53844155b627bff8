import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';

/** Fetches on nobody's request, under the same collapse, storage and failure rules as a client's miss. */
export interface Refresher {
  /**
   * Fetches and stores unless what is stored still has at least {@link RefreshInput.reuseAbove} of its lifetime left.
   * Never rejects: upstream failures and answers that may not be stored are `failed`. Aborting the signal ends it as `failed`.
   */
  refresh(input: RefreshInput, signal: AbortSignal): Promise<RefreshOutcome>;
}

/** One stored response that is to be fresh. */
export interface RefreshInput {
  readonly route: Route;
  readonly keyed: KeyedRequest;
  readonly purpose: 'warm';
  /** 0 to 1; 0 reuses whatever is fresh at all. */
  readonly reuseAbove: number;
  /** Why upstream is not to be asked now, for people: what is not to be reused fails with it, without a call. */
  readonly withoutCall?: string | undefined;
  /** The parameters of which the request was made, for another thread that makes it anew. */
  readonly values?: ReadonlyMap<string, string>;
}

/** What came of it. */
export interface RefreshOutcome {
  readonly result: 'fetched' | 'reused' | 'failed';
  /** Upstream's status; `undefined` where upstream was not asked or gave none. */
  readonly status: number | undefined;
  /** For people: why it failed, a sentence or token without credentials. */
  readonly detail: string | undefined;
  /**
   * For how long it is not to be asked for from now, milliseconds: with a status upstream has just said so by Retry-After,
   * without one it was not asked for that. Absent: it may be.
   */
  readonly retryAfterMs?: number;
  /** True: that holds of it alone, and not of all that its upstream has. */
  readonly isAlone?: boolean;
}
