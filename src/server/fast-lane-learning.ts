import type { IncomingMessage } from 'node:http';

import type { ProxyResponse } from '../cache/ports.ts';
import type { ProxyRequest } from '../core/request.ts';
import { traceIdOf } from '../core/trace.ts';
import { factsOf, isRepeatable } from './fast-lane-answer.ts';
import type { Lane } from './fast-lane-lanes.ts';
import type { Fed, Shared } from './fast-lane-shared.ts';
import { besideTarget } from './read-request.ts';

/** Of those that are not answered here, one of so many is looked at. */
export const LOOK_EVERY = 8;

/**
 * Of a connection that is joined so many requests in a row are looked at that were not answered here; then one of
 * {@link LOOK_EVERY}, as looking takes 1 to 2 microseconds. It is not left: the parser of `node:http` would go on to read through a
 * listener, which is what standing before it costs.
 */
const MISSES_LOOKED_AT = 100;

/** What is learnt on one connection of heads and tails, for all of its listener. Which may be: see the rule in `fast-lane.ts`. */
export class Learning {
  readonly #shared: Shared;
  readonly #lane: Lane;
  /** Requests in a row that could have been answered from their head and were not. */
  #misses = 0;

  constructor(shared: Shared, lane: Lane) {
    this.#shared = shared;
    this.#lane = lane;
  }

  /** A request was answered from its head. */
  hit(): void {
    this.#misses = 0;
  }

  /**
   * Of a plain request that the parser was given whole as this chunk, between two messages and with nothing owed, and behind which it
   * is between two messages again.
   */
  fromParsed(head: Buffer, { req, request, response, isLate, ahead }: Fed): void {
    if (req === undefined || request === undefined || !isPlain(req)) return;
    if (response?.repeat !== undefined && isRepeatable(request.method, response)) {
      this.#learnTail(head, req, request);
      this.#learnHead(head, request, response);
    } else if (isLate && ahead === undefined) {
      // What answer it gets is not known yet: one that takes time can be waited for the next time. (It is late and has begun ahead
      // only where the parser has told of something else, and the connection was ended: nothing is learnt of that.)
      this.#learnTail(head, req, request);
    }
  }

  /** Of an answer that was given for its tail, where it {@link isLookedAt}. */
  fromTail(head: Buffer, request: ProxyRequest, response: ProxyResponse): void {
    this.#learnHead(head, request, response);
  }

  /** Whether what is not known is looked at: it takes time. */
  isLookedAt(): boolean {
    this.#misses += 1;
    return this.#misses <= MISSES_LOOKED_AT || this.#misses % LOOK_EVERY === 0;
  }

  #learnTail(head: Buffer, req: IncomingMessage, request: ProxyRequest): void {
    const beside = request.method === 'GET' ? besideTarget(req, request) : undefined;
    if (beside === undefined || !this.#shared.seen.again({ rawHeaders: req.rawHeaders })) return;
    this.#lane.tails.remember(head, req.url ?? '', { head: beside, traceId: traceIdOf(request.fields) });
  }

  /** Of an answer that can be repeated. */
  #learnHead(head: Buffer, request: ProxyRequest, response: ProxyResponse): void {
    const { repeat } = response;
    const { known, writer } = this.#lane;
    if (repeat === undefined || !this.#shared.seen.bytesAgain(head) || !known.isOpen()) return;
    known.remember(head, factsOf({ writer, observer: this.#shared.observer }, request, response, repeat));
  }
}

/** Whether the parser reads on behind the request. It takes `Proxy-Connection` for `Connection`. */
export function isReadOn({ httpVersion, headers }: IncomingMessage): boolean {
  const { connection } = headers;
  const isKept = connection === undefined || connection.toLowerCase() === 'keep-alive';
  return httpVersion === '1.1' && isKept && headers['proxy-connection'] === undefined && headers.upgrade === undefined;
}

/** Whether it has nothing that makes more of a request than its head. */
export function isPlain(req: IncomingMessage): boolean {
  const { headers } = req;
  return isReadOn(req) && MORE.every((name) => headers[name] === undefined);
}

const MORE = ['content-length', 'transfer-encoding', 'trailer', 'expect'] as const;
