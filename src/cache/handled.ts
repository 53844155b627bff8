import type { Fwd } from '../core/outcome.ts';
import type { Route } from '../core/route.ts';
import type { ProxyResponse } from './ports.ts';

/** What the exchange made of a request: an answer, or word that the server is to relay it. */
export type Handled =
  | { readonly kind: 'response'; readonly response: ProxyResponse }
  | { readonly kind: 'relay'; readonly relay: RelayDecision };

/** A request that is forwarded as it is and never cached. */
export interface RelayDecision {
  readonly route: Route;
  /** Path and query upstream; names of secrets already removed. */
  readonly target: string;
  /** For records: canonical where it can be had, never with a secret. */
  readonly url: string;
  readonly fwd: Fwd;
  /** The `Cache-Status` value of the answer. */
  readonly cacheStatus: string;
  /** To be called once, as soon as upstream's final status is there: a successful unsafe method makes stored responses invalid (RFC 9111 §4.4). */
  settled(status: number): void;
}
