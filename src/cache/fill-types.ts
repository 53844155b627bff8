import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import type { LoopMarks } from '../core/loop-marks.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { Position, StoredResponse, VaryMarker } from '../core/stored-response.ts';
import type { LearnedSearch } from './learned-search.ts';
import type {
  BodyCheck,
  Clock,
  ContentDecoder,
  Observer,
  PurgeLog,
  PutOutcome,
  ResponseStore,
  Sha256,
  StoreRead,
} from './ports.ts';
import type { UpstreamCall, UpstreamClient } from './upstream-ports.ts';
import type { FailureKind } from '../core/failure.ts';
import type { RetryTimes } from './retry-times.ts';
import type { OwnRequest } from './own-request.ts';

/** What a fill needs from outside. */
export interface FillDeps {
  readonly upstream: UpstreamClient;
  readonly store: ResponseStore;
  readonly bodyCheck: BodyCheck;
  readonly decoder: ContentDecoder;
  /** Asked again before each request that is sent. */
  readonly purgeLog: Pick<PurgeLog, 'position'>;
  /** By name: where a `Location` of theirs points, and how long a call takes at most. */
  readonly upstreams: ReadonlyMap<string, Pick<UpstreamConfig, 'origin' | 'totalTimeoutMs'>>;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Absent: calls are not marked, and what comes back is not known. */
  readonly loops?: LoopMarks;
  /** Hears of work in the background that is to be left for a while; absent: nobody does. */
  readonly retryTimes?: RetryTimes;
  /** What upstreams' No-Vary-Search has said; absent: nothing is learnt. */
  readonly search?: LearnedSearch;
  /** `undefined`, or both true: as it has to be. */
  readonly rules?: FetchRules;
}

/** Rules that tests take away, to show that each is needed. The program never does. */
export interface FetchRules {
  /** The position is taken before the request goes upstream; without: after the answer has come. */
  readonly earlyPosition: boolean;
  /** Who joins a fetch checks that no purge came since it began. */
  readonly checkedJoiner: boolean;
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
  /** Goes upstream in place of the plain request of the key. */
  readonly own?: OwnRequest | undefined;
  /** What is stored for the request and valid, whether it is validated or not: the answer to a HEAD may freshen it. */
  readonly known?: StoredResponse | undefined;
  /** True where variants are stored that the request was told apart from, or one that it selects. */
  readonly isVariant?: boolean;
  /** See {@link UpstreamCall.onInterim}. */
  readonly onInterim?: UpstreamCall['onInterim'];
  /** See {@link UpstreamCall.isWanted}. */
  readonly isWanted?: UpstreamCall['isWanted'];
  /** See {@link UpstreamCall.whenGone}. */
  readonly whenGone?: UpstreamCall['whenGone'];
}

/** What came of it. */
export type FillResult =
  /** Complete and, unless `put` says otherwise, in the store. */
  | {
      readonly kind: 'stored';
      readonly item: StoredResponse;
      readonly fwdStatus: number;
      readonly validated: boolean;
      /** `no-lease`: fetched without a position, so that nobody could say later what has been purged since. */
      readonly put: PutOutcome | 'no-lease';
      /** Names of the fields that `item.key` is told apart by; `undefined` where that is not known anew. */
      readonly names: readonly string[] | undefined;
      /** Of the marker that leads to it. */
      readonly languages?: VaryMarker['languages'];
      /** True: for the one who asked alone. What a 304 has made of it may not be stored. */
      readonly unshared?: boolean;
      /**
       * For the one who asked, in place of those that are stored: on `honour` routes its own Set-Cookie and quota are among
       * them, which are nobody else's.
       */
      readonly received?: FieldLines;
    }
  /** Nothing was fetched here: another process of the fleet did, and it is good for whoever came before it was taken. */
  | {
      readonly kind: 'taken';
      readonly read: StoreRead & { readonly item: StoredResponse };
      readonly names: readonly string[];
      readonly languages?: VaryMarker['languages'];
    }
  /** Complete, not stored. `shareable`: waiters may have it too, since the route says that the key alone decides the answer. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly fields: FieldLines;
      readonly bytes: Buffer;
      readonly reason: string;
      readonly shareable: boolean;
      /** See `isOneWay`. */
      readonly isOneWay?: boolean;
      /** Those of the request, and those that upstream gives: who purges one while it is fetched means the answer too. */
      readonly tags: readonly string[];
    }
  /** Too large or not to be stored: for the one who asked, as it comes. */
  | {
      readonly kind: 'stream';
      readonly status: number;
      readonly fields: FieldLines;
      readonly chunks: AsyncIterable<Buffer>;
      readonly length: number | undefined;
      readonly reason: string;
      /** See `isOneWay`. */
      readonly isOneWay?: boolean;
      cancel(): void;
    }
  /** Without content whatever its fields say, for the one who asked: the answer to a HEAD, or a 304 to the client's own condition. */
  | {
      readonly kind: 'bare';
      readonly status: number;
      readonly fields: FieldLines;
      readonly reason: string;
      /** See `isOneWay`. */
      readonly isOneWay?: boolean;
    }
  | {
      readonly kind: 'failed';
      readonly failure: FailureKind;
      readonly detail: string;
      /** Where a head of upstream's came, its status (RFC 9211 §2.3). */
      readonly fwdStatus?: number;
      /** True: of a call that another process of the fleet made. */
      readonly elsewhere?: boolean;
    };
