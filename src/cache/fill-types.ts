import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { Position, StoredResponse } from '../core/stored-response.ts';
import type {
  BodyCheck,
  Clock,
  ContentDecoder,
  FailureKind,
  Observer,
  PutOutcome,
  ResponseStore,
  Sha256,
  UpstreamCall,
  UpstreamClient,
} from './ports.ts';

/** What a fill needs from outside. */
export interface FillDeps {
  readonly upstream: UpstreamClient;
  readonly store: ResponseStore;
  readonly bodyCheck: BodyCheck;
  readonly decoder: ContentDecoder;
  /** By name: where a `Location` of theirs points. */
  readonly upstreams: ReadonlyMap<string, Pick<UpstreamConfig, 'origin'>>;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly sha256: Sha256;
}

/** One fetch on a cached route. */
export interface FillInput {
  readonly route: Route;
  readonly keyed: KeyedRequest;
  /** The client's fields; empty for warming. */
  readonly requestFields: FieldLines;
  readonly purpose: UpstreamCall['purpose'];
  /** A stored response to validate (RFC 9111 §4.3), stale or not. */
  readonly validate: StoredResponse | undefined;
  /** Taken before the fetch; `undefined`: nothing may be stored. */
  readonly position: Position | undefined;
  /** False where the request forbids storing (`no-store`). */
  readonly mayStore: boolean;
  /** True where a stale stored response would be served for a failure: an error status must then not replace it. */
  readonly staleFallback: boolean;
}

/** What came of it. */
export type FillResult =
  /** Complete and, unless `put` says otherwise, in the store. */
  | {
      readonly kind: 'stored';
      readonly item: StoredResponse;
      readonly fwdStatus: number;
      readonly validated: boolean;
      readonly put: PutOutcome;
    }
  /** Complete, not stored. `shareable`: waiters may have it too, since the route says that the key alone decides the answer. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly fields: FieldLines;
      readonly bytes: Buffer;
      readonly reason: string;
      readonly shareable: boolean;
    }
  /** Too large or not to be stored: for the one who asked, as it comes. */
  | {
      readonly kind: 'stream';
      readonly status: number;
      readonly fields: FieldLines;
      readonly chunks: AsyncIterable<Buffer>;
      readonly length: number | undefined;
      readonly reason: string;
      cancel(): void;
    }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly detail: string };
