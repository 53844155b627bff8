import type { FieldLines } from '../core/fields.ts';
import type { Fwd } from '../core/outcome.ts';
import type { Route } from '../core/route.ts';
import type { LateHearer } from './later.ts';
import type { MaybePromise, ProxyResponse } from './ports.ts';

/** What the exchange made of a request: an answer, or word that the server is to relay it, or to bring its content. */
export type Handled =
  | { readonly kind: 'response'; readonly response: ProxyResponse }
  | { readonly kind: 'relay'; readonly relay: RelayDecision }
  | { readonly kind: 'content'; readonly wanted: ContentWanted };

/** An answer, as what the exchange made of a request. */
export function asHandled(response: ProxyResponse): Handled {
  return { kind: 'response', response };
}

export function asHandledLate(response: MaybePromise<ProxyResponse>): MaybePromise<Handled> {
  return response instanceof Promise ? response.then(asHandled) : asHandled(response);
}

/** The content of the request enters its key: the server collects it and goes on with `resume`. */
export interface ContentWanted {
  readonly route: Route;
  /** Larger content is answered 413. Bytes. */
  readonly maxBytes: number;
  /** For records: no secret in it. */
  readonly url: string;
  /** Never gives `content` again. */
  resume(content: Uint8Array): MaybePromise<Handled>;
}

/** A request that is forwarded as it is and never looked up. */
export interface RelayDecision {
  readonly route: Route;
  /** Path and query upstream; names of secrets already removed. */
  readonly target: string;
  /** For records: canonical where it can be had, never with a secret. */
  readonly url: string;
  readonly fwd: Fwd;
  /** Goes upstream with it, so that it is known should it come back (`core/loop-marks.ts`). */
  readonly mark?: string | undefined;
  /** The `Cache-Status` value of the answer. */
  readonly cacheStatus: string;
  /** Content that was collected already: it is sent in place of the request's. */
  readonly content?: Uint8Array | undefined;
  /**
   * To be called once, as soon as upstream's final head is there: a successful unsafe method makes stored responses
   * invalid (RFC 9111 §4.4). `ready`: resolves when they are, so that the client's next request cannot meet them; never
   * rejects. `tap`: hears the content, since the answer may be stored (RFC 9110 §9.3.3).
   */
  settled(head: RelayedHead): RelayFollowUp;
}

/** The final head of upstream's answer to a relayed request. Times are wall clock in milliseconds. */
export interface RelayedHead {
  readonly status: number;
  /** End-to-end fields as upstream sent them. */
  readonly fields: FieldLines;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

export interface RelayFollowUp {
  /** `undefined`: nothing is waited for. */
  readonly ready: Promise<void> | undefined;
  readonly tap: RelayTap | undefined;
}

/** Hears the content of an answer that passes by. Neither throws nor holds it up. */
export interface RelayTap {
  /** The chunk is nobody's but the caller's once this returns. */
  chunk(bytes: Uint8Array): void;
  /** `complete`: it ended as its framing says; else what was heard is dropped. */
  end(complete: boolean): void;
}

/** The client of a request, as far as the exchange may speak to it before the answer. */
export interface ClientLink {
  /** Passes on an interim response (RFC 9110 §15.2). Does nothing where the client cannot take one. Never throws. */
  interim(status: number, fields: FieldLines): void;
  /** Calls back once, when its answer has been sent or never will be: at once where that is so already. Never throws. */
  whenOver(callback: () => void): void;
  /** As {@link whenOver}, for what ends by itself in any case: nobody waits with the answer until it has been called back. */
  whenGone?(callback: () => void): void;
  /** Its answer has been sent, or never will be. */
  readonly isOver: boolean;
  /** There where an answer that takes time may be told to the client itself. */
  readonly late?: LateAnswer | undefined;
}

/** Is told of an answer in the place of a promise of it, which each answer from Redis would pay for. */
export interface LateAnswer extends LateHearer<Handled> {
  /** When its request came, which is asked for in the same step. Monotonic, milliseconds. */
  readonly sinceMs: number;
  /** Will be told. Gives what the exchange has to give back then. */
  begin(): Promise<Handled>;
}
