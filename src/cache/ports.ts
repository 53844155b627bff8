import type { FailureKind } from '../core/failure.ts';
import type { Result } from '../core/problem.ts';
import type { FieldLines } from '../core/fields.ts';
import type { Fwd, RequestRecord, Tier } from '../core/outcome.ts';
import type { PurgeSelector } from '../core/config.ts';
import type { StoreIf } from '../core/route.ts';
import type { RequestMemo } from '../core/request.ts';
import type { Position, StoredItem } from '../core/stored-response.ts';
import type { UpstreamCall } from './upstream-ports.ts';
import type { FleetEvent, Invalidity, ReadFor } from './fleet-ports.ts';
import type { Later } from './later.ts';

/** Time, so that tests can hold it still. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Never goes back; for durations. Milliseconds with a fraction. */
  monotonicMs(): number;
  /** Calls back once after `delayMs` (any length: longer than 2^31-1 ms is cut into pieces); the function returned cancels. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
  /**
   * Until {@link release} is called, which is to be in the same step of the event loop, {@link heldMs} says what it said first: for who does the
   * same for many in a row. These three are there together, or not at all.
   */
  hold?(): void;
  release?(): void;
  /** As `nowMs`, but for what is held. Never for a lease: a machine may have been suspended meanwhile. */
  heldMs?(): number;
}

export type MaybePromise<T> = T | Promise<T>;

/** A tier of stored responses. The memory tier answers synchronously, the Redis tier with promises; both pass `test/contract/`. */
export interface ResponseStore {
  readonly tier: Tier;
  /**
   * The item under `key`, unless it is past `retainUntilMs` or a purge covers it. Counts as a use for eviction.
   * A soft-purged response is returned; see {@link StoreRead.staleSinceMs}.
   */
  get(key: string, asked?: ReadFor): MaybePromise<StoreRead | undefined>;
  /**
   * As {@link get}, for whoever can be told: where it takes time no promise is made. Only in a step in which the lease was found to be
   * held, which is not looked at again. Absent where nothing is saved by it.
   */
  getLater?(key: string, asked?: ReadFor): StoreRead | undefined | Later<StoreRead | undefined>;
  /** As {@link get}, but is no use: for `explain` and warming. */
  peek(key: string, asked?: ReadFor): MaybePromise<StoreRead | undefined>;
  /** Stores unless a purge after `item.position` covers it, or it alone is larger than the tier. Replaces what is there. */
  put(item: StoredItem): MaybePromise<PutOutcome>;
  /** Drops the item under `key` (an unsafe method made it invalid, RFC 9111 §4.4). Also its variants where it is a marker. */
  invalidate(key: string): MaybePromise<boolean>;
  /** Drops what this process holds of purge scopes, where the log takes no purge of them. Absent where nothing is held here. */
  drop?(scopes: readonly string[]): void;
}

export interface StoreRead {
  readonly item: StoredItem;
  /** Set by a soft purge: stale since then, whatever its freshness says. Milliseconds, wall clock. */
  readonly staleSinceMs: number | undefined;
  readonly tier: Tier;
  /** Whoever answers a request with the item counts it here; a look-up alone is no hit. */
  readonly tally: HitTally;
  /** Of memory: where it is stored, for whoever has made something of it and keeps nothing else of it. */
  readonly place?: StoredPlace | undefined;
  /** Of memory: it is not kept unpacked, so that the next one of its key is another, and nobody will ask for what is made of this one. */
  readonly once?: boolean | undefined;
  /** Of the shared tier: what all reads have that say the same of the same request, but for the bytes of the content. */
  readonly same?: SameReads | undefined;
}

/** Reads of one response that differ in nothing but the bytes of its content; those have one length. */
export interface SameReads {
  /** Of the request that they are the same for. Others may be given its reads, who wait with it. */
  readonly memo: RequestMemo;
  /** The exchange's: what it has made of such a read, so that it goes with it. Nobody else looks at it. */
  made: object | undefined;
  /** As `RequestMemo.grow`, of what is made. */
  grow(bytes: number): boolean;
}

/** Where a stored item is, for as long as it is there. Small: it keeps nothing of the item alive. */
export interface StoredPlace {
  /**
   * Whether a {@link ResponseStore.get} of the same key would give now what the read said. If so it counts as that, and
   * where `isHit` says so as a hit in {@link StoreRead.tally}. `nowMs`: the wall clock's time.
   */
  again(nowMs: number, isHit: boolean): boolean;
  /** As {@link again}, but is no use. */
  holds(nowMs: number): boolean;
}

/** What this process's memory holds, for routes that would rather serve what may be purged than an error. */
export interface UnleasedReads {
  /** Without a lease: the item may be covered by a purge that this process has not heard of. No use for eviction. */
  peekUnleased(key: string): StoreRead | undefined;
}

/** What is stored, for an operator's eyes: what may not be served is shown too. */
export interface StoredView {
  /** The item under `key`, unless it is past `retainUntilMs`. Nothing is dropped, used or counted for it. */
  inspect(key: string, asked?: ReadFor): MaybePromise<InspectedRead | undefined>;
}

export interface InspectedRead extends StoreRead {
  /** Why a read would not find it; `undefined`: it would. */
  readonly invalid: Invalidity | undefined;
  /** A read would not ask this tier now: Redis is left alone for a while. */
  readonly isLeftAlone?: boolean;
}

/** Times that a stored response was served since it was stored. */
export interface HitTally {
  hits: number;
}

/** `outdated`: what is stored was asked for later (RFC 9111 §4 prefers the newer), or is a marker for a response, so it stays. */
export type PutOutcome = 'stored' | 'purged' | 'too-large' | 'outdated';

/** What an operator sees of what is stored. */
export interface StoredSummary {
  readonly item: StoredItem;
  readonly tier: Tier;
  /** Bytes that it takes, bookkeeping included. */
  readonly sizeBytes: number;
  /** Times served since stored. */
  readonly hits: number;
  readonly staleSinceMs: number | undefined;
}

export interface ListFilter {
  readonly route?: string;
  readonly tag?: string;
  /** 1 to 1000. */
  readonly limit: number;
}

/** What memory tiers offer beyond the port, for operators. */
export interface StoreInspector {
  list(filter: ListFilter): readonly StoredSummary[];
  stats(): StoreStats;
}

export interface StoreStats {
  readonly responses: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** What of {@link maxBytes} it may take so far; less than all where the rest of the process takes too much. */
  readonly grantedBytes: number;
  readonly tags: number;
  readonly evictedCapacity: number;
  readonly evictedRetention: number;
  readonly evictedRouteLimit: number;
  readonly refusedTooLarge: number;
}

/**
 * The ordered log of purges and its positions. Locally it never loses its lease; the shared one can
 * (`position` is then `undefined` and nothing may be served from store).
 */
export interface PurgeLog {
  /** Taken before an upstream request is sent; the stored response keeps it for life. */
  position(): Position | undefined;
  /** False where a hard purge after `position` covers one of the item's scopes. */
  isValid(item: Pick<StoredItem, 'key' | 'route' | 'url' | 'tags' | 'position'>): boolean;
  /** Wall clock of the soft purge after its position that covers the item, `undefined` when none does. */
  softPurgedAtMs(item: Pick<StoredItem, 'key' | 'route' | 'url' | 'tags' | 'position'>): number | undefined;
  /** Refused with a 503 where the purge cannot be guaranteed; it may have taken effect then, and is safe to repeat. */
  append(request: PurgeRequest): Promise<Result<PurgeReceipt>>;
}

export interface PurgeRequest {
  /** Scopes (`scopesOf` in `core/stored-response.ts`; a prefix is `p:PREFIX`). */
  readonly scopes: readonly string[];
  readonly soft: boolean;
}

/** Contract: `{id, complete, sidecars:[{id, appliedMs}], missing}`. `missing` have not acknowledged, and serve nothing from store until they do. */
export interface PurgeReceipt {
  readonly id: string;
  readonly complete: boolean;
  readonly sidecars: readonly { readonly id: string; readonly appliedMs: number }[];
  readonly missing: readonly string[];
  /** Where not complete: the instant (ISO 8601) from which it is, whatever becomes of those that are missing. */
  readonly completeBy?: string;
}

/** Counts what a selector covers in the memory tier, exactly; resolves after short slices of work. */
export interface PurgeCounter {
  count(scopes: readonly string[]): Promise<number>;
}

/** Says whether a complete body may be stored. */
export interface BodyCheck {
  /** `undefined` when it passes; else a token (`not-json`, `path-missing`, `path-present`). Never throws. */
  fails(rule: StoreIf, body: Buffer): string | undefined;
}

/** Decodes a stored coding for a client that does not accept it. */
export interface ContentDecoder {
  /** Identity bytes; rejects with {@link UpstreamBodyError} `malformed` or `too-large`. `undefined` for a coding it does not know. */
  decode(coding: string, body: Buffer, maxBytes: number): Promise<Buffer> | undefined;
  /** As {@link decode}, in pieces. Nothing is done before the first of them is asked for, nor once no more of them are. */
  pieces(coding: string, body: Buffer, maxBytes: number): AsyncIterable<Buffer> | undefined;
}

/** Hears what happens; must not throw and must not wait. */
export interface Observer {
  /** Once for each request, when its response has ended. */
  request(record: RequestRecord): void;
  /**
   * Who hears, in place of {@link request}, of answers like this one but for their length and duration: told so it costs a
   * part. `undefined`: each has to be told to {@link request}.
   */
  repeats?(like: RequestRecord): Repeats | undefined;
  /** Once for each call that was handed to a connection, when its head came or it failed. */
  upstreamCall(call: UpstreamCallRecord): void;
  /** An answer broke off, or proved wrong, behind its head. Its call was told before. */
  brokenBody(record: BrokenBodyRecord): void;
  /** A response was put in the store, or why not: a token. */
  storage(route: string, result: string): void;
  purge(record: PurgeRecord): void;
  warm(record: WarmRecord): void;
  /** A limit of the named option was hit. */
  limit(option: string): void;
  /** The shared tier and the fleet. */
  fleet(event: FleetEvent): void;
}

/** Counts answers that are alike; must not throw. */
export interface Repeats {
  /** One more has been sent whole. Milliseconds with a fraction. */
  repeated(bytesSent: number, durationMs: number): void;
}

export interface UpstreamCallRecord {
  readonly upstream: string;
  readonly route: string;
  readonly purpose: UpstreamCall['purpose'];
  readonly status: number | undefined;
  readonly failure: FailureKind | undefined;
  /** Over all attempts. */
  readonly durationMs: number;
  /** At least 1. All but the last were reset before anything came back. */
  readonly attempts: number;
  /** True: the last of them came to no connection, so that upstream saw nothing of it. */
  readonly unsent?: boolean | undefined;
  /** Canonical URL on the proxy, secrets as digests. */
  readonly url: string;
  /** Why it failed, for people; nothing secret or untrusted. `undefined` where it did not, or no more is known than `failure`. */
  readonly reason: string | undefined;
  /** True: it was ended since its client went, which is nothing that an operator could mend. */
  readonly clientGone?: boolean | undefined;
  /** For so long warming and refreshes leave it alone from now, since it has told one of them so; absent: it has not. */
  readonly retryAfterMs?: number;
}

export interface BrokenBodyRecord {
  readonly upstream: string;
  readonly failure: FailureKind;
  /** As in {@link UpstreamCallRecord}. */
  readonly reason: string | undefined;
}

export interface PurgeRecord {
  readonly id: string;
  readonly by: PurgeSelector['by'];
  /** What was named, on one line: tags with a space between, canonical URLs (secrets are digests), a key, route or prefix. */
  readonly what: string;
  readonly soft: boolean;
  readonly matched: number;
  readonly durationMs: number;
  readonly source: 'api' | 'method' | 'schedule';
  /** As in its {@link PurgeReceipt}. */
  readonly complete: boolean;
  readonly missing: readonly string[];
}

export interface WarmRecord {
  readonly job: string;
  readonly fetched: number;
  readonly reused: number;
  readonly failed: number;
  /** Of those that failed: upstream was not asked, since it had said 429 in this run or by Retry-After when to ask again. Absent where it was asked for all. */
  readonly unasked?: number;
  readonly durationMs: number;
  /** Why the first of those that failed did; absent where none has. */
  readonly reason?: string;
}

/** Work that outlives its request; awaited at shutdown with a deadline. */
export interface Background {
  /** Runs it; an error is logged by the owner, never thrown. The signal is aborted when shutdown's deadline has passed. */
  run(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** As {@link run}, for work whose result (or error) its callers also wait for. */
  own<T>(name: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  idle(): Promise<void>;
}

/** SHA-256 of the text's UTF-8 bytes, lower-case hex. */
export type Sha256 = (text: string) => string;

/** What the exchange gives the server to send. */
export interface ProxyResponse {
  readonly status: number;
  /** Complete: Age, Via, Date, Cache-Status are in it. */
  readonly fields: FieldLines;
  readonly body: ResponseBody;
  readonly meta: ResponseMeta;
  /** The names and values of the fields in turn, where they are at hand so; nobody changes it. */
  readonly raw?: string[] | undefined;
  /** There where the very same request may be answered again without being looked at again. */
  readonly repeat?: Repeat | undefined;
  /** The server's: its content in latin1, where it has sent it so. Nobody else looks at it. */
  text?: string | undefined;
  /** The server's: what it has made of it to send it again, so that it goes with it. Nobody else looks at it. */
  ready?: object | undefined;
  /** There where the next answers may differ from it in the bytes of the content alone. */
  readonly head?: SameHead | undefined;
}

/**
 * Answers that differ in nothing but the bytes of their content, and in Age and `ttl` as seconds pass: what they say now. Of those that
 * say anything else there is another one, or none.
 */
export interface SameHead extends Pick<Repeat, 'ageLine' | 'ttlFrom'>, Pick<Said, 'ageSeconds' | 'ttlSeconds'> {
  /** The server's: the head of them all, as it is sent. Nobody else looks at it. */
  ready: object | undefined;
}

/**
 * A fresh answer from memory, for the same request once more: same bytes, same listener. Small: neither the answer nor what
 * is stored lives on by it. But for its Age and `ttl` it never says anything else.
 */
export interface Repeat {
  /** The index of Age among the fields of the answer. */
  readonly ageLine: number;
  /** Where in the value of the last field, which is Cache-Status, the digits of `ttl` begin. */
  readonly ttlFrom: number;
  /** The server's: what it has made of the answer to send it again, so that it goes with it. Nobody else looks at it. */
  madeOf: object | undefined;
  /** What it says at that time (wall clock, milliseconds). `undefined`: it may not be given then, or would say something else. */
  at(nowMs: number): Said | undefined;
  /**
   * Whether the request gets it now. False: it has to be looked up anew (stale, purged, replaced, evicted, no lease). If so it
   * counts as a use and as a hit, so that it must be sent, with what {@link at} says.
   */
  again(nowMs: number): boolean;
}

/** What changes of an answer as time passes. */
export interface Said {
  /** Whole seconds, as Age and `ttl` have them. */
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
  /**
   * It says so from `sinceMs` on, before `untilMs`, and up to and with `lastMs` (wall clock, milliseconds): ages round down
   * and begin a second, times that are left round down and end one.
   */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly lastMs: number;
}

export type ResponseBody =
  | { readonly kind: 'none' }
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  /** Streamed with backpressure; `cancel` when the client goes. */
  | {
      readonly kind: 'stream';
      readonly chunks: AsyncIterable<Buffer>;
      readonly length: number | undefined;
      cancel(): void;
    };

/** The part of {@link RequestRecord} that the exchange knows. */
export interface ResponseMeta {
  readonly outcome: RequestRecord['outcome'];
  readonly route: string | undefined;
  readonly upstream: string | undefined;
  readonly tier: Tier | undefined;
  readonly fwd: Fwd | undefined;
  readonly problem: string | undefined;
  readonly url: string;
}
