import type { ServerResponse } from 'node:http';

import type { ClientLink, Handled } from '../cache/handled.ts';
import type { Clock, MaybePromise } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import type { ProxyRequest } from '../core/request.ts';
import { type Tail, TARGET_AT } from './fast-lane-tails.ts';
import type { Waiter } from './fast-lane-held.ts';
import { InterimLink } from './interim.ts';
import { withTarget } from './read-request.ts';

/** A request that the exchange was given before the parser is, which is to tell of it in the same step. */
export interface Ahead {
  readonly target: string;
  readonly request: ProxyRequest;
  readonly client: LateLink;
  readonly startedMs: number;
  /** What it came to, once that is known. */
  handled: MaybePromise<Handled>;
  /** The parser has told of it. */
  isTaken: boolean;
}

/**
 * The client of a request of which there is no response object yet. What takes time enough to bring an interim response finds it
 * there.
 */
export class LateLink implements ClientLink {
  #link: InterimLink | undefined;
  /** Who has not told the parser of the request yet. */
  holder: Pick<Waiter, 'handOver'> | undefined;

  bind(res: ServerResponse): void {
    this.#link = new InterimLink(res);
  }

  interim(status: number, fields: FieldLines): void {
    // The response object that it takes comes from the parser.
    this.holder?.handOver();
    this.#link?.interim(status, fields);
  }
}

/** Lets go of what nobody will send. Never throws. */
export function letGo(handled: MaybePromise<Handled>, onBug: (error: unknown) => void): void {
  if (handled instanceof Promise) handled.then((late) => letGo(late, onBug), onBug);
  else if (handled.kind === 'response' && handled.response.body.kind === 'stream') handled.response.body.cancel();
}

interface Asking {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly handle: (request: ProxyRequest, client?: ClientLink) => MaybePromise<Handled>;
}

/** Asks for what the head gets, before whose known tail its target ends there. `undefined`: that is for the parser to refuse. */
export function askAhead(
  { config, clock, handle }: Asking,
  head: Buffer,
  tail: Tail,
  targetEnd: number,
): Ahead | undefined {
  const startedMs = clock.monotonicMs();
  const target = head.toString('latin1', TARGET_AT, targetEnd);
  const request = withTarget(tail.head, target, config.limits);
  if (request === undefined) return undefined;
  const client = new LateLink();
  return { target, client, startedMs, request, handled: handledOr(handle, request, client), isTaken: false };
}

/** What is thrown is the request's, as where the parser has told of it. */
function handledOr(handle: Asking['handle'], request: ProxyRequest, client: ClientLink): MaybePromise<Handled> {
  try {
    return handle(request, client);
  } catch (error) {
    return Promise.reject(error);
  }
}
