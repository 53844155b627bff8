import type { FieldLines } from './fields.ts';
import type { SearchRule } from './no-vary-search.ts';
import type { ContentMethod } from './route.ts';

/** A request as received, checked for form (RFC 9112 §3) but not yet matched to a route. */
export interface ProxyRequest {
  readonly method: string;
  /** Raw path, byte for byte, beginning with `/`; no dot segments, plain or encoded. */
  readonly path: string;
  /** Raw query without the `?`; `undefined` when there is no `?`. */
  readonly query: string | undefined;
  /** Lower-cased host of the target (absolute-form) or of `Host`, without the port. */
  readonly host: string;
  /** True where the target was in absolute-form (RFC 9112 §3.2.2): its host counts, not the `Host` field. */
  readonly absolute: boolean;
  /** Name of the listener that accepted it. */
  readonly listener: string;
  readonly fields: FieldLines;
  /** What of `special-fields.ts` is among the fields; absent: nobody has looked yet. */
  readonly special?: number | undefined;
  /** True where the request has content (a Content-Length above 0 or a Transfer-Encoding). */
  readonly hasContent: boolean;
  /** There where the very same request has come before; absent or `undefined`: nobody knows. */
  readonly memo?: RequestMemo | undefined;
}

/** Goes with all requests that are the same in everything, so that what was made of one of them is not made again. */
export interface RequestMemo {
  /** The exchange's, and nobody else looks at it. As it is kept, it holds no fields of a request. */
  made: object | undefined;
  /** Counts what hangs on it beside its key: so many bytes more, or fewer. False: there is no room for more, and it may not be kept. */
  grow(bytes: number): boolean;
}

/** The request that goes upstream on a cached route: made from normalised values alone, before credentials are put on. */
export interface CanonicalRequest {
  readonly upstream: string;
  readonly method: 'GET' | 'HEAD' | ContentMethod;
  /** What a {@link ContentMethod} carries; `undefined` for the others. */
  readonly content?: CanonicalContent | undefined;
  /** Path and query, percent-encoded, beginning with `/`. */
  readonly target: string;
  /** Fields that enter the key (the route's `headers`), lower-cased and sorted by name. */
  readonly fields: FieldLines;
}

/** Request content as it is keyed and sent upstream. */
export interface CanonicalContent {
  /** The value of Content-Type, normalised. */
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** What {@link CanonicalRequest} and the cache key have in common: both come from the same normalised parameters. */
export interface KeyedRequest {
  /** Readable, injective within the fleet's configuration, at most `maxKeyBytes` long; no secret in it. */
  readonly key: string;
  /** What makes the key, where it is told apart by that without being put together; absent: by the key alone. */
  readonly values?: KeyValues | undefined;
  readonly canonical: CanonicalRequest;
  /** Canonical URL on the proxy (path and query; `//host` in front where the route names one; secrets as digests). Prefix purges and listings use it. */
  readonly url: string;
  /** The route's tags for this request, `route:NAME` and `upstream:NAME` among them. */
  readonly tags: readonly string[];
  /** The zone of the route's `expireAt` for this request, as the template gives it (it may be none); absent where it has no template. */
  readonly zone?: string | undefined;
  /** Only on routes with `noVarySearch`: how a rule of upstream's changes the key. */
  readonly search?: KeyedSearch | undefined;
  /** Each parameter before and after, for `explain`: worked out when asked for. Secret values are already masked. */
  readonly steps: () => readonly KeyStep[];
  /** The shared tier's: what it has made of the key, so that it goes with it. Nobody else looks at it. Absent: it cannot be kept here. */
  place?: object | undefined;
  /** There where it is kept for when the very same request comes again: then what is made of its answers may go with it. */
  memo?: RequestMemo | undefined;
}

/** Of two requests with the same plan, path and values the keys are equal. No secret is in it. */
export interface KeyValues {
  /** Of the route. */
  readonly plan: object;
  readonly path: string;
  readonly values: readonly (string | undefined)[];
  /** The same for equal ones. */
  readonly hash: number;
}

/** The query of a request, as upstream's No-Vary-Search may change what counts of it. */
export interface KeyedSearch {
  /** Route and path: what a rule is learnt of. */
  readonly place: string;
  /** Of everything that brings a rule, or is keyed by one, on this path ({@link searchTags}); among the request's where `rule` is there. */
  tags(): readonly string[];
  /** By which it is keyed; `undefined`: by the query byte for byte. */
  readonly rule: SearchRule | undefined;
  /** The same request keyed by another rule, or by none. What goes upstream stays the client's own query. */
  by(rule: SearchRule | undefined): KeyedRequest;
}

/** One step of the way from the request to the key. */
export interface KeyStep {
  readonly part: 'path' | 'query' | 'header' | 'content';
  readonly name: string;
  /** As received; `undefined` when absent. */
  readonly before: string | undefined;
  /** As keyed and forwarded; `undefined` when it is neither. */
  readonly after: string | undefined;
  /** In words: `integer`, `default`, `alias of …`, `ignored`, `unknown, dropped`, … */
  readonly rule: string;
}
