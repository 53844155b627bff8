import type { ParamRule } from './params.ts';

/** How upstream's own caching fields are treated (the contract's `upstreamCacheControl`). */
export type UpstreamCacheControl = 'ignore' | 'cap' | 'honour';

/** A check of a complete body before it is stored; a body that fails is passed on but never stored. */
export interface StoreIf {
  /** The body must parse as JSON. Implied by either list below. */
  readonly json: boolean;
  /** RFC 9535 queries that must select at least one node. */
  readonly exists: readonly string[];
  /** RFC 9535 queries that must select nothing. */
  readonly absent: readonly string[];
}

/** The caching rules of a route. All times in milliseconds. */
export interface CachePolicy {
  readonly upstreamCacheControl: UpstreamCacheControl;
  /** `honour`: the request's Cache-Control directives are obeyed (RFC 9111 §5.2.1). */
  readonly clientCacheControl: 'ignore' | 'honour';
  /** Freshness lifetime by rule. `undefined` only on `honour` routes: upstream alone decides. */
  readonly ttlMs: number | undefined;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Hard cap on the time from response to removal, stale windows included. */
  readonly retainMs: number;
  /** A response with a validator is kept this much longer, to be validated only; 0 where the operator set `retain`. */
  readonly keepForValidationMs: number;
  /** Freshness lifetime of answers with these status codes; they are stored although they are not 200. 0: never stored. */
  readonly statusTtlMs: ReadonlyMap<number, number>;
  readonly storeIf: StoreIf | undefined;
  /** Bodies (identity coding) past this many bytes are streamed through, never stored. */
  readonly maxStoredBytes: number;
}

/** One route rule, as typed values. */
export interface Route {
  readonly name: string;
  /** URLPattern pathname syntax, matched against the raw path on the proxy. */
  readonly match: string;
  /** Lower-cased host (no port) that the request must carry; `undefined`: any. */
  readonly host: string | undefined;
  /** Name of the listener that the request must have come in by; `undefined`: any. */
  readonly listener: string | undefined;
  readonly upstream: string;
  /** Path upstream, with `{group}` from `match` (`{0}` for the first `*`); `undefined`: the path as received. */
  readonly forward: string | undefined;
  /** `off`: relayed, never cached. */
  readonly cache: 'on' | 'off';
  /**
   * Without a lease (the purge log cannot be reached): `bypass` asks upstream and stores nothing; `error` answers 504;
   * `serve-if-upstream-fails` asks upstream, and where that fails serves what is stored, purged or not (and says so).
   */
  readonly onLeaseLost: 'bypass' | 'error' | 'serve-if-upstream-fails';
  readonly policy: CachePolicy;
  /** By canonical name. */
  readonly params: ReadonlyMap<string, ParamRule>;
  /** Rules for named groups of `match`, by group name. */
  readonly pathParams: ReadonlyMap<string, ParamRule>;
  readonly unknownQuery: 'keep' | 'drop' | 'reject';
  /** The query is keyed and forwarded byte for byte: an `honour` route without any query rule. */
  readonly rawQuery: boolean;
  /** Parameter names that are neither keyed nor forwarded. */
  readonly ignore: readonly string[];
  /** Lower-cased parameter names that are neither keyed nor forwarded nor shown, matched whatever their case. */
  readonly secret: readonly string[];
  /** Lower-cased request fields that enter the key and go upstream. */
  readonly headers: readonly string[];
  /** Lower-cased request fields that go upstream without entering the key; `*` is all. Only on `honour` routes (their `Vary` keys them). */
  readonly forwardHeaders: readonly string[];
  /** Tag templates; `route:NAME` and `upstream:NAME` are added to what they give. */
  readonly tags: readonly string[];
  /** Keys longer than this are cut and carry a digest. */
  readonly maxKeyBytes: number;
  /** Stored responses of this route in memory at most. */
  readonly maxKeys: number;
}
