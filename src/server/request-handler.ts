import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Handled, RelayDecision } from '../cache/handled.ts';
import type { Clock, MaybePromise, Observer, ProxyResponse, ResponseMeta } from '../cache/ports.ts';
import { problemReply } from '../cache/problem-reply.ts';
import type { ServerConfig } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { traceIdOf } from '../core/trace.ts';
import type { ServerLoad } from './load.ts';
import { Connections } from './connections.ts';
import { readRequest } from './read-request.ts';
import type { Relay, RelayPlan, RelayResult } from './relay-port.ts';
import { type Sent, writeResponse } from './write-response.ts';

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

/** One request on its way, and what its record will need. */
interface Transit {
  readonly req: IncomingMessage;
  readonly listener: string;
  readonly startedMs: number;
  request: ProxyRequest | undefined;
}

/** Serves requests of all listeners; records each exactly once. */
export class ExchangeHandler {
  readonly #options: HandlerOptions;
  readonly #connections = new Connections();
  readonly #upgraded = new Set<Duplex>();
  #draining = false;

  constructor(options: HandlerOptions) {
    this.#options = options;
  }

  beginDrain(): void {
    this.#draining = true;
  }

  /** Upgraded connections are not `node:http`'s any more; they end with the grace period. */
  closeUpgraded(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  /** True while a response is owed on this connection. */
  owes(socket: object): boolean {
    return this.#connections.owes(socket);
  }

  request(req: IncomingMessage, res: ServerResponse, listener: string): void {
    if (this.#connections.isEnding(req.socket)) return;
    const transit: Transit = { req, listener, startedMs: this.#options.clock.monotonicMs(), request: undefined };
    this.#connections.owe(req.socket);
    this.#options.load.requestsInFlight += 1;
    res.once('close', () => {
      this.#connections.settle(req.socket);
      this.#options.load.requestsInFlight -= 1;
    });
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
  expectation(req: IncomingMessage, res: ServerResponse): void {
    const transit = { req, listener: 'default', startedMs: this.#options.clock.monotonicMs(), request: undefined };
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
    const transit: Transit = {
      req,
      listener: attempt.listener,
      startedMs: this.#options.clock.monotonicMs(),
      request: undefined,
    };
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
    const { clock, config } = this.#options;
    // Content that nobody reads (a refused POST) must not hold a kept connection.
    const close = this.#draining || (transit.request?.hasContent ?? false) || transit.request === undefined;
    if (close) this.#connections.announceLast(transit.req.socket);
    let sent: Sent = { bytes: 0, failed: false };
    if (res.closed) {
      if (response.body.kind === 'stream') response.body.cancel();
      this.#record(transit, { ...response.meta, outcome: 'aborted' }, { status: 0, bytes: 0 });
      return;
    }
    res.once('close', () => {
      if (res.writableFinished) {
        this.#record(transit, response.meta, { status: response.status, bytes: sent.bytes });
      } else {
        const outcome = sent.failed ? 'error' : 'aborted';
        this.#record(transit, { ...response.meta, outcome }, { status: response.status, bytes: sent.bytes });
      }
    });
    sent = writeResponse(res, response, { clock, sendTimeoutMs: config.timeouts.sendMs, close });
  }

  async #relay(transit: Transit, res: ServerResponse, handled: Extract<Handled, { kind: 'relay' }>): Promise<void> {
    if (this.#draining) res.setHeader('connection', 'close');
    const result = await this.#options.relay.web(transit.req, res, this.#plan(handled));
    handled.relay.settled(result.status);
    this.#recordRelayed(transit, handled, result);
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
    const result = await this.#options.relay.upgrade({ req, socket, head, plan: this.#plan(handled) });
    this.#recordRelayed(transit, handled, result);
    return undefined;
  }

  #plan({ relay }: Extract<Handled, { kind: 'relay' }>): RelayPlan {
    return {
      upstream: relay.route.upstream,
      target: relay.target,
      route: relay.route,
      cacheStatus: relay.cacheStatus,
      maxBodyBytes: this.#options.config.limits.maxBodyBytes,
    };
  }

  #refuse(transit: Transit, res: ServerResponse, problem: Problem): void {
    const head = transit.req.method === 'HEAD';
    const meta = { route: undefined, upstream: undefined, url: '-' };
    this.#send(transit, res, problemReply(problem, { meta, cacheStatus: undefined, head }));
  }

  #bug(transit: Transit, res: ServerResponse, error: unknown): void {
    this.#options.onBug(error);
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const detail = 'An error inside the proxy; its log has it.';
    this.#refuse(transit, res, { status: 500, code: 'internal', title: 'Internal error', detail });
  }

  #recordRelayed(transit: Transit, handled: Extract<Handled, { kind: 'relay' }>, result: RelayResult): void {
    const { relay } = handled;
    this.#recordCall(transit, relay, result);
    let outcome: ResponseMeta['outcome'] = 'relayed';
    if (result.aborted) outcome = 'aborted';
    else if (result.problem !== undefined) outcome = result.status < 500 ? 'rejected' : 'error';
    const meta: ResponseMeta = {
      outcome,
      route: relay.route.name,
      upstream: relay.route.upstream,
      tier: undefined,
      fwd: relay.fwd,
      problem: result.problem,
      url: relay.url,
    };
    this.#record(transit, meta, { status: result.status, bytes: result.bytesSent });
  }

  /** A relayed request is an upstream call too, unless the relay refused it itself. */
  #recordCall(transit: Transit, relay: RelayDecision, result: RelayResult): void {
    if (result.problem !== undefined && result.failure === undefined) return;
    this.#options.observer.upstreamCall({
      upstream: relay.route.upstream,
      route: relay.route.name,
      purpose: 'interactive',
      status: result.failure === undefined ? result.status : undefined,
      failure: result.failure,
      durationMs: this.#options.clock.monotonicMs() - transit.startedMs,
    });
  }

  #record(transit: Transit, meta: ResponseMeta, sent: { readonly status: number; readonly bytes: number }): void {
    const fields = transit.request?.fields;
    this.#options.observer.request({
      outcome: meta.outcome,
      method: transit.req.method ?? '',
      route: meta.route,
      upstream: meta.upstream,
      tier: meta.tier,
      fwd: meta.fwd,
      status: sent.status,
      durationMs: this.#options.clock.monotonicMs() - transit.startedMs,
      bytesSent: sent.bytes,
      problem: meta.problem,
      url: meta.url,
      traceId: fields === undefined ? undefined : traceIdOf(fields),
      listener: transit.listener,
    });
  }
}

/** A response on a connection that `node:http` has already let go for an upgrade. */
function responseOn(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req);
  res.assignSocket(req.socket);
  res.shouldKeepAlive = false;
  res.once('finish', () => socket.end());
  return res;
}
