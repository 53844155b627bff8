import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { ProxyResponse } from '../cache/ports.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Connection } from './connections.ts';
import type { Ahead } from './fast-lane-ahead.ts';
import { isRepeatable } from './fast-lane-answer.ts';
import { SeenHeads } from './fast-lane-heads.ts';
import { IdleWheel } from './fast-lane-idle.ts';
import { type Lane, lanesOf } from './fast-lane-lanes.ts';
import { TurnTimes } from './fast-lane-times.ts';
import { isPlain, LOOK_EVERY } from './fast-lane-learning.ts';
import type { DataListener, FastLaneOptions, Shared } from './fast-lane-shared.ts';
import { Lending } from './fast-lane-lending.ts';
import { Piece } from './fast-lane-piece.ts';
import { HeldList, mayWait } from './fast-lane-held.ts';
import { Joined } from './fast-lane.ts';
import { toldKeepAliveMs } from './keep-alive.ts';

/** Of a connection that is not joined so many requests are looked at one by one; then one of {@link LOOK_EVERY}. */
const FIRST_LOOKS = 4;

/** Answers requests that are byte for byte like one before, or but for their target: the rule is in `fast-lane.ts`. */
export class FastLane {
  readonly #shared: Shared;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #joined = new WeakMap<object, Joined>();

  constructor(options: FastLaneOptions) {
    const { listeners, timeouts, limits } = options.config;
    this.#lanes = lanesOf(listeners, toldKeepAliveMs(timeouts.keepAliveMs), options.tierBytes);
    this.#shared = {
      ...options,
      seen: new SeenHeads(),
      times: new TurnTimes(options.clock),
      idle: new IdleWheel(timeouts.keepAliveMs),
      held: new HeldList(),
      piece: new Piece(),
      lending: new Lending(),
      mayWait: mayWait(timeouts.keepAliveMs),
      mostRequests: limits.maxRequestsPerConnection === 0 ? Infinity : limits.maxRequestsPerConnection,
      fed: undefined,
      isDraining: false,
    };
  }

  /** From now on every response closes its connection, which is `node:http`'s to do. */
  beginDrain(): void {
    this.#shared.isDraining = true;
    this.handOver();
  }

  /** The parser is given all that waits here. Without it `node:http` takes their connections for idle ones. */
  handOver(): void {
    this.#shared.held.handOverAll();
  }

  /** The parser has read the head of a request. */
  began(req: IncomingMessage): void {
    const { fed, times } = this.#shared;
    times.interrupt();
    if (fed?.socket !== req.socket) return;
    fed.begun += 1;
    fed.req = req;
  }

  /** What has begun of the request of which the parser has just told: it is not to be begun once more. */
  takeAhead(req: IncomingMessage): Ahead | undefined {
    const { fed } = this.#shared;
    if (fed?.ahead === undefined || fed.req !== req) return undefined;
    const { ahead, begun } = fed;
    if (ahead.isTaken || begun !== 1 || req.method !== ahead.request.method || req.url !== ahead.target)
      return undefined;
    ahead.isTaken = true;
    return ahead;
  }

  /** The answer takes time. In the same step as {@link began}. */
  waits(req: IncomingMessage, request: ProxyRequest): void {
    const { fed } = this.#shared;
    if (fed?.req !== req) return;
    fed.request = request;
    fed.isLate = true;
  }

  /** To be called in the same step as {@link began}, behind the sending of an answer that can be repeated. */
  answered(req: IncomingMessage, request: ProxyRequest, response: ProxyResponse): void {
    const { socket } = req;
    const { fed, seen } = this.#shared;
    if (fed?.socket === socket) {
      if (fed.req !== req) return;
      fed.request = request;
      fed.response = response;
      return;
    }
    if (!this.#isLookedAt(req)) return;
    const isKnown = seen.again(req);
    const hasKnownTail = seen.again({ rawHeaders: req.rawHeaders });
    if (isKnown || hasKnownTail) this.#joinSoon(req, request, response);
  }

  /** To be called behind the sending of an answer that took time and cannot be repeated: its like can be waited for. */
  answeredLate(req: IncomingMessage, request: ProxyRequest | undefined, response: ProxyResponse): void {
    const { mayWait: waits, seen } = this.#shared;
    if (!waits || request?.method !== 'GET' || response.repeat !== undefined || !this.#isLookedAt(req)) return;
    if (seen.again({ rawHeaders: req.rawHeaders })) this.#joinSoon(req, request, response);
  }

  /** Whether a request is looked at for the sake of what comes behind it on its connection. */
  #isLookedAt(req: IncomingMessage): boolean {
    const { count } = this.#shared.connections.of(req.socket);
    if (count > FIRST_LOOKS && count % LOOK_EVERY !== 0) return false;
    return !this.#joined.has(req.socket) && isPlain(req);
  }

  #joinSoon({ socket }: IncomingMessage, request: ProxyRequest, response: ProxyResponse): void {
    if (!isRepeatable(request.method, response)) return;
    const lane = this.#lanes.get(request.listener);
    const connection = this.#shared.connections.of(socket);
    // Not now: the parser is at work on what came with this request.
    if (lane !== undefined) process.nextTick(() => this.#join(socket, connection, lane));
  }

  /**
   * Steps aside on a connection for good. `parses`: the listener of `node:http` gets what comes; else it has let go of the
   * connection.
   */
  leave(socket: object, parses: boolean): void {
    this.#joined.get(socket)?.leave(parses);
  }

  #join(socket: Socket, connection: Connection, lane: Lane): void {
    if (connection.ending || !socket.writable || this.#joined.has(socket)) return;
    const [parse, ...others] = socket.listeners('data');
    // One: that of `node:http`. There is none on a connection that it has let go of.
    if (!isDataListener(parse) || others.length > 0) return;
    this.#joined.set(socket, new Joined(this.#shared, { socket, connection, lane, parse }));
  }
}

function isDataListener(listener: unknown): listener is DataListener {
  return typeof listener === 'function';
}
