import type { FailureKind } from '../core/failure.ts';
import type { FieldLines } from '../core/fields.ts';
import type { Route } from '../core/route.ts';
import type { RelayedHead, RelayFollowUp } from './handled.ts';

/** A request that is to be relayed, but for the request itself. */
export interface RelayPlan {
  /** Name of the upstream in the configuration. */
  readonly upstream: string;
  /** Path and query upstream, forwarded byte for byte; the route's secret parameters are already gone. */
  readonly target: string;
  readonly route: Route;
  /** The route's own (`core/loop-marks.ts`). */
  readonly mark?: string | undefined;
  /** Our member of `Cache-Status`, appended to what upstream sent (RFC 9211 §2). */
  readonly cacheStatus: string;
  /** Request content past this is refused with 413. Bytes. */
  readonly maxBodyBytes: number;
  /** Content that was collected already: it is sent in place of the request's. */
  readonly content?: Uint8Array | undefined;
  /** Hears each interim response (RFC 9110 §15.2) that is meant for the client: end-to-end fields, none with a secret. Must not throw. */
  readonly onInterim?: ((status: number, fields: FieldLines) => void) | undefined;
  /** Hears, once, that the client has not taken all that it was sent, or cannot yet: from here on it may take only so long. Must not throw. */
  readonly onUnsent?: (() => void) | undefined;
  /**
   * Hears the head of upstream's answer as soon as it is there, 101 for a switch; not where the call failed before. Its
   * fields are end-to-end ones, with no secret in them. `attempts`: as of {@link RelayResult}. The head is passed on when
   * what it gives is `ready`. Must not throw.
   */
  readonly onHead: (head: RelayedHead, attempts: number) => RelayFollowUp;
}

/** What came of a relayed request. */
export interface RelayResult {
  /** Status that was sent, 101 after a switch; 0 when the client went before any. */
  readonly status: number;
  /** Content bytes handed to the client's connection; after a switch all bytes that followed the 101. */
  readonly bytesSent: number;
  /** `code` of the relay's own problem answer. */
  readonly problem: string | undefined;
  /** What upstream did wrong, also when its answer had begun and the client's connection was cut; `undefined` when it did nothing wrong. */
  readonly failure: FailureKind | undefined;
  /** Why, as in the record of the call: nothing secret or untrusted. */
  readonly reason: string | undefined;
  /** The client went before its answer was complete. */
  readonly aborted: boolean;
  /** Times that the call was handed to a connection: 0 where the relay refused the request, 2 where a kept connection broke before anything came and a new one took over; one that broke before the call was written to it does not count. */
  readonly attempts: number;
  /** As of `UpstreamFailure`. */
  readonly unsent?: boolean | undefined;
}
