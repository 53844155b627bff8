import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { ClientLink, ContentWanted, Handled } from '../cache/handled.ts';
import type { Clock, MaybePromise, Observer } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import { isUnsafe } from '../core/methods.ts';
import type { Problem, Result } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Unread } from './client-error.ts';
import type { ServerLoad } from './load.ts';
import { Connections, type Turn } from './connections.ts';
import { cutInTurn } from './cut-in-turn.ts';
import { FastLane } from './fast-lane-entry.ts';
import { guardObserver } from './guarded-observer.ts';
import { FieldLists } from './field-lists.ts';
import { InterimLink } from './interim.ts';
import { Lingering } from './lingering.ts';
import { ContentReader } from './read-content.ts';
import { expectationFailed, type ReadContext, readRequest } from './read-request.ts';
import { Recorder, type Transit } from './recorder.ts';
import type { Relay } from './relay-port.ts';
import { Relaying } from './relaying.ts';
import { Sender } from './sender.ts';
import { offersUpgrade, responseOn, type UpgradeAttempt } from './upgrade-attempt.ts';

/** What carries requests from the listeners to the exchange and back. */
export interface HandlerOptions {
  readonly config: ServerConfig;
  /** What the memory tier of this thread may take (`store.memory.maxBytes`): what is kept beside it is in proportion. Unlimited if absent. */
  readonly tierBytes?: number;
  /** `client`: where the request can be sent interim responses. */
  readonly handle: (request: ProxyRequest, client?: ClientLink) => MaybePromise<Handled>;
  readonly relay: Relay;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly load: ServerLoad;
  /** A bug: the request is answered 500 and the process goes on. Must not throw. */
  readonly onBug: (error: unknown) => void;
}

/** A request that is let in, and its place on its connection. */
interface Begun {
  readonly transit: Transit;
  readonly turn: Turn;
}

/** Serves requests of all listeners; records each exactly once. */
export class ExchangeHandler {
  readonly #options: HandlerOptions;
  readonly #observer: Observer;
  readonly #reading: ReadContext;
  readonly #recorder: Recorder;
  readonly #sender: Sender;
  readonly #relaying: Relaying;
  readonly #contents: ContentReader;
  readonly connections: Connections;
  readonly lingering: Lingering;
  readonly #upgraded = new Set<Duplex>();
  /** `undefined`: each request is parsed. */
  readonly lane: FastLane | undefined;
  #draining = false;
  #onSettled: () => void = () => {};

  constructor(options: HandlerOptions) {
    const { config, relay, clock, onBug } = options;
    this.#options = options;
    this.#observer = guardObserver(options.observer, onBug);
    this.connections = new Connections(config.limits.maxPipelined);
    this.lingering = new Lingering(this.connections);
    const recorder = new Recorder({ observer: this.#observer, clock });
    const sender = new Sender({
      config,
      observer: this.#observer,
      recorder,
      connections: this.connections,
      draining: () => this.#draining,
      onBug,
    });
    this.#reading = { limits: config.limits, lists: new FieldLists(), onLimit: (option) => this.limit(option) };
    this.#recorder = recorder;
    this.#sender = sender;
    const parts = { ...options, observer: this.#observer, connections: this.connections };
    this.lane = config.fastLane ? new FastLane(parts) : undefined;
    const { maxBodyBytes, maxContentBytes } = config.limits;
    this.#contents = new ContentReader({ recorder, sender, maxContentBytes, onLimit: (option) => this.limit(option) });
    this.#relaying = new Relaying({ relay, recorder, sender, maxBodyBytes, onBug });
  }

  /** `onSettled` hears of each response that ends from here on: it may have told its client that the connection is kept. */
  beginDrain(onSettled: () => void = () => {}): void {
    this.#draining = true;
    this.#onSettled = onSettled;
    this.lane?.beginDrain();
  }

  /** Upgraded connections are not `node:http`'s any more; they end with the grace period. */
  closeUpgraded(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  /** See {@link Relaying.timedOut}. */
  timedOut(socket: object): boolean {
    return this.#contents.timedOut(socket) || this.#relaying.timedOut(socket);
  }

  /** Tells that the limit of this option was hit. Never throws. */
  limit(option: string): void {
    this.#observer.limit(option);
  }

  /** Tells of an answer where no request could be read; of none where there was none. Never throws. */
  unread(answered: Unread | undefined, listener: string, method?: string): void {
    if (answered === undefined) return;
    if (answered.limit !== undefined) this.limit(answered.limit);
    this.#recorder.unread(answered, listener, method);
  }

  request(req: IncomingMessage, res: ServerResponse, listener: string): void {
    const begun = this.#begin(req, res, listener);
    if (begun === undefined) return;
    const { transit, turn } = begun;
    try {
      const read = this.#read(req, listener);
      if (!read.ok) {
        this.#sender.refuse(transit, res, read.error);
        return;
      }
      transit.request = read.value;
      if (turn.running) this.#dispatch(transit, read.value, res);
      else turn.start = () => this.#dispatchLate(transit, read.value, res);
    } catch (error) {
      this.#sender.bug(transit, res, error);
    }
  }

  /** RFC 9110 §10.1.1: an expectation other than `100-continue`. */
  expectation(req: IncomingMessage, res: ServerResponse, listener: string): void {
    const begun = this.#begin(req, res, listener);
    if (begun === undefined) return;
    this.#sender.refuse(begun.transit, res, expectationFailed);
  }

  upgrade(attempt: UpgradeAttempt): void {
    const { req, socket } = attempt;
    if (this.connections.isEnding(req.socket)) {
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
  #begin(req: IncomingMessage, res: ServerResponse, listener: string): Begun | undefined {
    const { config, load } = this.#options;
    const { connections } = this;
    const connection = connections.of(req.socket);
    if (connection.ending) {
      connections.unheeded(connection, req.socket);
      return undefined;
    }
    const turn = connections.oweOn(connection, isUnsafe(req.method ?? ''));
    turn.response = res;
    connection.last = req;
    if (!turn.running && connections.queued(connection, req.socket)) this.limit('server.limits.maxPipelined');
    const full = connection.count === config.limits.maxRequestsPerConnection;
    if (full) this.#observer.limit('server.limits.maxRequestsPerConnection');
    // Behind an offer to upgrade that was not taken up `node:http` loses what came in the same packet: what follows may
    // be the middle of a request.
    const last = full || offersUpgrade(req.rawHeaders);
    if (last) connection.ending = true;
    load.requestsInFlight += 1;
    const transit = this.#recorder.begin(req, listener, last);
    transit.watched = true;
    // It is told once; `once` would make two objects more of each request.
    res.on('close', () => {
      load.requestsInFlight -= 1;
      connections.settleOn(connection, turn);
      this.#sender.ended(transit, res);
      if (!res.writableFinished && !req.socket.destroyed) cutInTurn(res, connection);
      if (this.#draining) this.#onSettled();
    });
    return { transit, turn };
  }

  #read(req: IncomingMessage, listener: string): Result<ProxyRequest> {
    return readRequest(req, listener, this.#reading);
  }

  /** Its turn has come, or the connection has ended with what came before. */
  #dispatchLate(transit: Transit, request: ProxyRequest, res: ServerResponse): void {
    const { socket } = transit.req;
    if (socket.writable) this.#dispatch(transit, request, res);
    else this.#recorder.dropped(transit);
  }

  #dispatch(transit: Transit, request: ProxyRequest, res: ServerResponse): void {
    try {
      const handled = this.#handle(transit, request, res);
      if (handled instanceof Promise) this.#await(transit, res, handled);
      else this.#complete(transit, res, handled);
    } catch (error) {
      this.#sender.bug(transit, res, error);
    }
  }

  #handle(transit: Transit, request: ProxyRequest, res: ServerResponse): MaybePromise<Handled> {
    const ahead = this.lane?.takeAhead(transit.req);
    if (ahead === undefined) {
      const handled = this.#options.handle(request, new InterimLink(res));
      if (handled instanceof Promise) this.lane?.waits(transit.req, request);
      return handled;
    }
    transit.startedMs = ahead.startedMs;
    ahead.client.bind(res);
    return ahead.handled;
  }

  #await(transit: Transit, res: ServerResponse, handled: Promise<Handled>): void {
    handled.then(
      (late) => this.#completeLate(transit, res, late),
      (error: unknown) => this.#sender.bug(transit, res, error),
    );
  }

  /** Never throws: nobody hears what is thrown where a promise ends. */
  #completeLate(transit: Transit, res: ServerResponse, handled: Handled): void {
    try {
      this.#complete(transit, res, handled);
      if (handled.kind === 'response') this.lane?.answeredLate(transit.req, transit.request, handled.response);
    } catch (error) {
      this.#sender.bug(transit, res, error);
    }
  }

  #complete(transit: Transit, res: ServerResponse, handled: Handled): void {
    switch (handled.kind) {
      case 'response':
        this.#sender.send(transit, res, handled.response);
        if (handled.response.repeat !== undefined && transit.request !== undefined) {
          this.lane?.answered(transit.req, transit.request, handled.response);
        }
        return;
      case 'relay':
        this.#relaying
          .web(transit, res, handled.relay)
          .catch((error: unknown) => this.#sender.bug(transit, res, error));
        return;
      case 'content':
        this.#withContent(transit, res, handled.wanted).catch((error: unknown) =>
          this.#sender.bug(transit, res, error),
        );
        return;
    }
  }

  async #withContent(transit: Transit, res: ServerResponse, wanted: ContentWanted): Promise<void> {
    const content = await this.#contents.read(transit, res, wanted);
    if (content !== undefined) this.#complete(transit, res, await wanted.resume(content));
  }

  async #upgrade(transit: Transit, attempt: UpgradeAttempt): Promise<void> {
    const { req, socket } = attempt;
    const read = this.#read(req, attempt.listener);
    const refuse = (problem: Problem) => this.#sender.refuse(transit, responseOn(req, socket), problem);
    if (!read.ok) return refuse(read.error);
    transit.request = read.value;
    const handled = await this.#options.handle(read.value);
    if (handled.kind === 'response') return this.#sender.send(transit, responseOn(req, socket), handled.response);
    // Only where the request is not an upgrade is its content asked for.
    if (handled.kind === 'content') throw new Error('an upgrade has no content');
    return this.#relaying.upgrade(transit, attempt, handled.relay);
  }
}
