import type { FailureKind } from '../core/failure.ts';
import type { FieldLines } from '../core/fields.ts';
import type { CanonicalRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { MaybePromise } from './ports.ts';

/** Calls upstream. One owner file adapts undici; errors become {@link UpstreamFailure}, never exceptions. */
export interface UpstreamClient {
  /** Resolves when the final head is there. Puts on credentials, static fields and Host. Aborting the signal ends the call and the body. */
  fetch(call: UpstreamCall, signal: AbortSignal): Promise<UpstreamAnswer>;
}

export interface UpstreamCall {
  readonly canonical: CanonicalRequest;
  /** Further fields: validators (If-None-Match, If-Modified-Since), forwarded fields of honour routes. Never hop-by-hop. */
  readonly fields: FieldLines;
  /** The value of CDN-Loop (`core/loop-marks.ts`). */
  readonly marks?: string | undefined;
  /** True: bodies are decoded to identity (gzip, deflate, br, zstd), bounded; `false`: bytes untouched. */
  readonly decode: boolean;
  /** Interactive calls go before warming and revalidation once quotas exist. */
  readonly purpose: 'interactive' | 'revalidate' | 'warm';
  /** Hears each interim response (RFC 9110 §15.2) as it comes; end-to-end fields, none with a secret. Must not throw. */
  readonly onInterim?: ((status: number, fields: FieldLines) => void) | undefined;
  /** Asked before a call that had to wait is sent; false: nobody waits for it any more. Absent: it goes on in any case. Must not throw. */
  readonly isWanted?: (() => boolean) | undefined;
  /** Is given what ends the call, to be called once nobody waits for it any more, and without effect behind its end. Absent: it goes on in any case. */
  readonly whenGone?: ((end: () => void) => void) | undefined;
}

export type UpstreamAnswer = UpstreamResponse | UpstreamFailure;

export interface UpstreamResponse {
  readonly kind: 'response';
  readonly status: number;
  /** End-to-end fields only: hop-by-hop and Connection-nominated lines are gone; Content-Encoding too where it was decoded. */
  readonly fields: FieldLines;
  readonly body: UpstreamBody;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  /** Times that the call was handed to a connection: 2 where a kept one broke before anything came and a new one took over; one that broke before the call was written to it does not count. */
  readonly attempts: number;
}

/** An answer that nobody has given: what is known of it is its head, as upstream would send it. */
export interface SupposedHead {
  readonly status: number;
  readonly fields: FieldLines;
}

/** What the head of an answer comes to. */
export type ReadAnswer =
  | {
      readonly kind: 'response';
      readonly status: number;
      /** As of {@link UpstreamResponse}. */
      readonly fields: FieldLines;
      /** As of {@link UpstreamBody}. */
      readonly length: number | undefined;
    }
  | Pick<UpstreamFailure, 'kind' | 'failure' | 'detail'>;

/** Says of answers that nobody has given what would be handed on of them, and which would be refused. */
export interface AnswerReader {
  /** As {@link UpstreamClient} would. */
  fetched(call: Pick<UpstreamCall, 'canonical' | 'fields' | 'decode'>, answer: SupposedHead): ReadAnswer;
  /** As the relay would. `fields`: the request's. */
  relayed(
    relayed: { readonly method: string; readonly fields: FieldLines; readonly route: Route },
    answer: SupposedHead,
  ): ReadAnswer;
}

/** The body, pulled once. Whoever gets it reads it to the end or calls `cancel`. */
export interface UpstreamBody {
  /** Content-Length in the coding that is delivered, where known. */
  readonly length: number | undefined;
  /** Yields chunks; throws {@link UpstreamBodyError} where the body is cut off, stalls, or is past a limit. Ends normally only after an error-free, framed end. */
  chunks(): AsyncIterable<Buffer>;
  /**
   * In place of {@link chunks}, where reading it piece by piece can be saved: all of it, in order, once it has come to a normal
   * end and is no more than `maxBytes`; it has been read then. The pieces may be views of memory that is shared. `undefined`: nothing has been
   * read, and it is to be read by `chunks`, which also tells why it broke off.
   */
  gathered?(maxBytes: number): MaybePromise<readonly Buffer[] | undefined>;
  /**
   * Whether a normal end proves completeness (Content-Length or chunked framing). A close-delimited body may have been
   * cut by an upstream that stopped halfway, without a sign of it (RFC 9112 §8), so it is passed on but never stored, unless
   * the upstream's `framing` is lenient.
   */
  readonly framed: boolean;
  /**
   * Says that the body is passed on as it comes, not collected: from here on only the time between two pieces is
   * limited (`bodyTimeout`), since a large answer may rightly take longer than `totalTimeout`. Harmless when repeated.
   */
  streamed(): void;
  cancel(): void;
}

export interface UpstreamFailure {
  readonly kind: 'failure';
  readonly failure: FailureKind;
  /** For people and logs; holds no URL, credential or untrusted bytes. */
  readonly detail: string;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  /** True: its client went, and nobody else was to get the answer (see {@link UpstreamCall.whenGone}). Upstream did nothing wrong. */
  readonly clientGone?: boolean | undefined;
  /** As of {@link UpstreamResponse}; 0 where it was over before a connection was free for it. */
  readonly attempts: number;
  /** True: the last of them came to no connection, so that upstream saw nothing of it. */
  readonly unsent?: boolean | undefined;
}

/** Thrown by {@link UpstreamBody.chunks}. */
export class UpstreamBodyError extends Error {
  readonly failure: FailureKind;
  constructor(failure: FailureKind, detail: string) {
    super(detail);
    this.name = 'UpstreamBodyError';
    this.failure = failure;
  }
}
