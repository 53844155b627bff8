import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Handled, RelayDecision } from '../cache/handled.ts';
import type { Clock, MaybePromise, Observer, ProxyResponse } from '../cache/ports.ts';
import { problemReply } from '../cache/problem-reply.ts';
import type { ServerConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { ServerLoad } from './load.ts';
import { Connections } from './connections.ts';
import { readRequest } from './read-request.ts';
import { Recorder, type Transit } from './recorder.ts';
import type { Relay, RelayPlan } from './relay-port.ts';
import { cutOff, limitSending, type SendLimit, type Sent, writeResponse } from './write-response.ts';

/** What carries requests from the listeners to the exchange and back. */
export interface HandlerOptions {
  readonly config: ServerConfig;
  readonly handle: (request: ProxyRequest) => MaybePromise<Handled>;
  readonly relay: Relay;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly load: ServerLoad;
  /** A bug: the request is answered 500 and the process goes on. */
  readonly onBug: (error: unknown) => void;
}

/** A connection that a client wants to turn into a WebSocket. */
export interface UpgradeAttempt {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly listener: string;
}

/** A relayed request whose content may still be on its way. */
interface Relaying {
  readonly transit: Transit;
  readonly res: ServerResponse;
  readonly relay: RelayDecision;
}

/** Serves requests of all listeners; records each exactly once. */
export class ExchangeHandler {
  readonly #options: HandlerOptions;
  readonly #recorder: Recorder;
  readonly #connections = new Connections();
  readonly #relaying = new WeakMap<object, Relaying>();
  readonly #upgraded = new Set<Duplex>();
  #draining = false;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#recorder = new Recorder(options);
  }

  beginDrain(): void {
    this.#draining = true;
  }

  /** Upgraded connections are not `node:http`'s any more; they end with the grace period. */
  closeUpgraded(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  /** Nothing that comes on this connection is a request any more. */
  ignore(socket: object): void {
    this.#connections.announceLast(socket);
  }

  /**
   * The rest of a request has not come in time. Answers it where its relay has not begun to; false: nothing can be
   * said any more.
   */
  timedOut(socket: object): boolean {
    const waiting = this.#relaying.get(socket);
    if (waiting === undefined || waiting.res.headersSent || waiting.res.socket !== socket) return false;
    const { transit, res, relay } = waiting;
    transit.refusal = requestTimeout;
    const meta = { route: relay.route.name, upstream: relay.route.upstream, url: relay.url };
    const answer = problemReply(requestTimeout, { meta, cacheStatus: undefined, head: transit.req.method === 'HEAD' });
    const fields: FieldLines = [...answer.fields, ['cache-status', relay.cacheStatus]];
    writeResponse(res, { ...answer, fields }, { ...this.#sending(), close: true });
    return true;
  }

  /** True while a response is owed on this connection. */
  owes(socket: object): boolean {
    return this.#connections.owes(socket);
  }

  request(req: IncomingMessage, res: ServerResponse, listener: string): void {
    const transit = this.#begin(req, res, listener);
    if (transit === undefined) return;
    const read = readRequest(req, {
      listener,
      limits: this.#options.config.limits,
      onLimit: (option) => this.#options.observer.limit(option),
    });
    if (!read.ok) {
      this.#refuse(transit, res, read.error);
      return;
    }
    transit.request = read.value;
    this.#dispatch(transit, read.value, res);
  }

  /** RFC 9110 §10.1.1: an expectation other than `100-continue`. */
  expectation(req: IncomingMessage, res: ServerResponse, listener: string): void {
    const transit = this.#begin(req, res, listener);
    if (transit === undefined) return;
    this.#refuse(transit, res, {
      status: 417,
      code: 'expectation-failed',
      title: 'Expectation failed',
      detail: 'Only Expect: 100-continue is understood.',
    });
  }

  upgrade(attempt: UpgradeAttempt): void {
    const { req, socket } = attempt;
    if (this.#connections.isEnding(req.socket)) {
      socket.end();
      return;
    }
    const transit = this.#recorder.begin(req, attempt.listener, true);
    this.#upgraded.add(socket);
    this.#options.load.requestsInFlight += 1;
    socket.once('close', () => {
      this.#upgraded.delete(socket);
      this.#options.load.requestsInFlight -= 1;
    });
    // Without a listener an error on a detached socket would end the process.
    socket.on('error', () => socket.destroy());
    void this.#upgrade(transit, attempt).catch((error: unknown) => {
      this.#options.onBug(error);
      socket.destroy();
    });
  }

  /** `undefined`: what comes on this connection is not looked at any more. */
  #begin(req: IncomingMessage, res: ServerResponse, listener: string): Transit | undefined {
    const { config, load, observer } = this.#options;
    if (this.#connections.isEnding(req.socket)) return undefined;
    const full = this.#connections.owe(req.socket) === config.limits.maxRequestsPerConnection;
    if (full) observer.limit('server.limits.maxRequestsPerConnection');
    // Behind an offer to upgrade that was not taken up `node:http` loses what came in the same packet: what follows may
    // be the middle of a request.
    const last = full || req.headers.upgrade !== undefined;
    if (last) this.#connections.announceLast(req.socket);
    load.requestsInFlight += 1;
    res.once('close', () => {
      this.#connections.settle(req.socket);
      load.requestsInFlight -= 1;
    });
    return this.#recorder.begin(req, listener, last);
  }

  #dispatch(transit: Transit, request: ProxyRequest, res: ServerResponse): void {
    try {
      const handled = this.#options.handle(request);
      if (handled instanceof Promise) {
        handled.then(
          (late) => this.#complete(transit, res, late),
          (error: unknown) => this.#bug(transit, res, error),
        );
      } else {
        this.#complete(transit, res, handled);
      }
    } catch (error) {
      this.#bug(transit, res, error);
    }
  }

  #complete(transit: Transit, res: ServerResponse, handled: Handled): void {
    switch (handled.kind) {
      case 'response':
        this.#send(transit, res, handled.response);
        return;
      case 'relay':
        this.#relay(transit, res, handled).catch((error: unknown) => this.#bug(transit, res, error));
        return;
    }
  }

  #send(transit: Transit, res: ServerResponse, response: ProxyResponse): void {
    // Content that nobody reads (a refused POST) must not hold a kept connection.
    const close = this.#closes(transit) || (transit.request?.hasContent ?? true);
    if (close) this.#connections.announceLast(transit.req.socket);
    let sent: Sent = { bytes: 0, failed: false };
    if (res.closed) {
      if (response.body.kind === 'stream') response.body.cancel();
      this.#recorder.request(transit, { ...response.meta, outcome: 'aborted' }, { status: 0, bytes: 0 });
      return;
    }
    res.once('close', () => {
      if (res.writableFinished) {
        this.#recorder.request(transit, response.meta, { status: response.status, bytes: sent.bytes });
      } else {
        const outcome = sent.failed ? 'error' : 'aborted';
        this.#recorder.request(transit, { ...response.meta, outcome }, { status: response.status, bytes: sent.bytes });
      }
    });
    sent = writeResponse(res, response, { ...this.#sending(), close });
  }

  async #relay(transit: Transit, res: ServerResponse, handled: Extract<Handled, { kind: 'relay' }>): Promise<void> {
    const { relay } = handled;
    const { socket } = transit.req;
    if (this.#closes(transit)) res.setHeader('connection', 'close');
    this.#relaying.set(socket, { transit, res, relay });
    limitSending(res, this.#sending());
    const result = await this.#options.relay.web(transit.req, res, this.#plan(transit, handled));
    if (this.#relaying.get(socket)?.res === res) this.#relaying.delete(socket);
    relay.settled(result.status);
    this.#recorder.relayed(transit, handled.relay, result);
  }

  async #upgrade(transit: Transit, attempt: UpgradeAttempt): Promise<void> {
    const { req, socket, head } = attempt;
    const read = readRequest(req, {
      listener: attempt.listener,
      limits: this.#options.config.limits,
      onLimit: (option) => this.#options.observer.limit(option),
    });
    const refuse = (problem: Problem) => this.#refuse(transit, responseOn(req, socket), problem);
    if (!read.ok) return refuse(read.error);
    transit.request = read.value;
    const handled = await this.#options.handle(read.value);
    if (handled.kind === 'response') return this.#send(transit, responseOn(req, socket), handled.response);
    const result = await this.#options.relay.upgrade({ req, socket, head, plan: this.#plan(transit, handled) });
    this.#recorder.relayed(transit, handled.relay, result);
    return undefined;
  }

  #plan(transit: Transit, { relay }: Extract<Handled, { kind: 'relay' }>): RelayPlan {
    return {
      upstream: relay.route.upstream,
      target: relay.target,
      route: relay.route,
      cacheStatus: relay.cacheStatus,
      maxBodyBytes: this.#options.config.limits.maxBodyBytes,
      onHead: (status) => this.#recorder.answered(transit, relay, status),
    };
  }

  #closes({ last }: Transit): boolean {
    return last || this.#draining;
  }

  #sending(): SendLimit {
    const { config, observer } = this.#options;
    return { sendTimeoutMs: config.timeouts.sendMs, onSlow: () => observer.limit('server.timeouts.send') };
  }

  #refuse(transit: Transit, res: ServerResponse, problem: Problem): void {
    const head = transit.req.method === 'HEAD';
    const meta = { route: undefined, upstream: undefined, url: '-' };
    this.#send(transit, res, problemReply(problem, { meta, cacheStatus: undefined, head }));
  }

  #bug(transit: Transit, res: ServerResponse, error: unknown): void {
    this.#options.onBug(error);
    if (res.headersSent) {
      cutOff(res);
      return;
    }
    const detail = 'An error inside the proxy; its log has it.';
    this.#refuse(transit, res, { status: 500, code: 'internal', title: 'Internal error', detail });
  }
}

const requestTimeout: Problem = {
  status: 408,
  code: 'request-timeout',
  title: 'Request Timeout',
  detail: 'The request did not arrive in time.',
};

/** A response on a connection that `node:http` has already let go for an upgrade. */
function responseOn(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req);
  res.assignSocket(req.socket);
  res.shouldKeepAlive = false;
  res.once('finish', () => socket.end());
  return res;
}
