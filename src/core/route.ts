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

/** When a lifetime ends at the latest. Milliseconds. */
export type ExpireAt = {
  /** A response lives on for a part of this past the instant, told by its key: a fleet does not refresh all in one second. */
  readonly jitterMs: number;
} & (
  | {
      readonly kind: 'every';
      /** Instants are the multiples of this since the Unix epoch (UTC), moved by `offsetMs`. */
      readonly everyMs: number;
      readonly offsetMs: number;
    }
  | {
      readonly kind: 'daily';
      /** Minutes after local midnight. */
      readonly atMinutes: number;
      /** IANA zone, or a template of one parameter such as `{timezone}`. */
      readonly zone: string;
      /** IANA zone where the template gives none. `undefined`: then the next quarter of an hour counts, at which it can be that time. */
      readonly fallbackZone: string | undefined;
    }
);

/** Methods with content that a route may answer from store, the content being in the key. */
export type ContentMethod = 'QUERY' | 'POST';

/** How content enters the key (the option `content`). */
export interface ContentRules {
  readonly methods: readonly ContentMethod[];
  /**
   * `auto`: by Content-Type (JSON, form, else bytes). `graphql`: a JSON body with `query`, whose operation must be a query:
   * white space and comments do not count. Canonical content is what goes upstream too.
   */
  readonly as: 'auto' | 'json' | 'form' | 'graphql' | 'bytes';
  /** Larger content is refused with 413. */
  readonly maxBytes: number;
}

/** Response fields of surrogates that name tags. */
export type TagField = 'surrogate-key' | 'cache-tag';

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
  /** Part of `Date - Last-Modified` that is fresh where nobody gives a lifetime (RFC 9111 §4.2.2), 0 to 1; 0: none. Only on `honour` routes. */
  readonly heuristicFraction: number;
  /** A heuristic lifetime at most. */
  readonly heuristicMaxMs: number;
  /**
   * `resource`: of errors that a field of one request may have caused only those are stored that a key can tell apart.
   * `all`: every final status that RFC 9111 §3 allows. Only on `honour` routes.
   */
  readonly storeErrors: 'resource' | 'all';
  /** `safe`: without Set-Cookie and quota fields, which are one caller's. `all`: as RFC 9111 §3.1 says. Only on `honour` routes. */
  readonly storeFields: 'safe' | 'all';
  /** Instants at which the data changes upstream: no lifetime by rule reaches past the next one. Only on ruled routes. */
  readonly expireAt: ExpireAt | undefined;
  /** A response that may be served stale after a failure is served when upstream has not answered for this long; the call goes on behind. */
  readonly softTimeoutMs: number | undefined;
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
  /**
   * True where `forwardHeaders` lets a client's Authorization through to upstream. Never where the upstream's own settings
   * put one on: the answer would then be to somebody else than the client.
   */
  readonly forwardsAuthorization: boolean;
  /**
   * Request fields that the upstream's own settings put on (`fields`, `credentials.headers`), as names are read. What a client
   * sends under them never gets there, so that nothing is told apart by it.
   */
  readonly putOn: readonly string[];
  /**
   * True where a client's Range and Accept-Encoding would go upstream (`honour`, `cache: off`) but for credentials that are looked for
   * in the answers: those are asked for whole and without coding.
   */
  readonly asksPlain: boolean;
  /** Tag templates; `route:NAME` and `upstream:NAME` are added to what they give. */
  readonly tags: readonly string[];
  /** Fields of upstream's answers whose members become tags; they are not passed on. */
  readonly tagsFrom: readonly TagField[];
  /** Tags that one answer of upstream's can add (Cache-Groups among them), at most; one with more is not stored. */
  readonly maxUpstreamTags: number;
  /** `undefined`: only GET and HEAD are answered from store. */
  readonly content: ContentRules | undefined;
  /** True: `No-Vary-Search` of upstream's answers changes the later keys of that path. Only with `rawQuery`. */
  readonly noVarySearch: boolean;
  /** True: `Cache-Status` shows the key (RFC 9211 §2.7). */
  readonly showKey: boolean;
  /** Keys longer than this are cut and carry a digest. */
  readonly maxKeyBytes: number;
  /** Stored responses of this route in memory at most. */
  readonly maxKeys: number;
}
