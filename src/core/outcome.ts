/** Why a request was forwarded (RFC 9211 §2.2). */
export type Fwd = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial';

/** Where a stored response came from. */
export type Tier = 'memory' | 'redis';

/** What happened to one request; exactly one of these for each, so requests equal the sum of outcomes. */
export type OutcomeName =
  /** Fresh from store. */
  | 'hit'
  /** Stale from store at once, upstream asked behind it (or not at all: max-stale). */
  | 'stale'
  /** Stale from store because upstream failed. */
  | 'stale-error'
  /** Stored, validated upstream with 304 first. */
  | 'revalidated'
  /** Fetched. */
  | 'miss'
  /** Answered from another request's fetch. */
  | 'collapsed'
  /** Forwarded without caching: `cache: off`, unsafe methods, upgrades, credentials that the route does not key. */
  | 'relayed'
  /** Refused by the proxy itself with a 4xx. */
  | 'rejected'
  /** No answer to give: 502 or 504 of the proxy's own. */
  | 'error'
  /** The client went before its answer. */
  | 'aborted';

/** Members of a `Cache-Status` line (RFC 9211), first member `forecache`. `hit` and `fwd` never together. */
export interface CacheStatus {
  readonly hit: boolean;
  readonly fwd?: Fwd;
  readonly fwdStatus?: number;
  /** Seconds of freshness left, negative when stale. */
  readonly ttl?: number;
  readonly stored?: boolean;
  readonly collapsed?: boolean;
  /** The cache key (RFC 9211 §2.7), where the route shows it. */
  readonly key?: string;
  /** A token such as `memory`, `stale-error`, `body-check`. */
  readonly detail?: string;
}

/** Everything that is counted and logged of one request, recorded once, when its response has ended. */
export interface RequestRecord {
  readonly outcome: OutcomeName;
  readonly method: string;
  /** Route name; `undefined` when none matched. */
  readonly route: string | undefined;
  readonly upstream: string | undefined;
  readonly tier: Tier | undefined;
  readonly fwd: Fwd | undefined;
  /** Status sent; 0 when the client went first. */
  readonly status: number;
  /** Milliseconds from request head to response end. */
  readonly durationMs: number;
  /** Content bytes sent to the client. */
  readonly bytesSent: number;
  /** `code` of the proxy's own problem answer. */
  readonly problem: string | undefined;
  /** Canonical URL on the proxy (secrets masked) where known, else the path alone. */
  readonly url: string;
  readonly traceId: string | undefined;
  readonly listener: string;
}
