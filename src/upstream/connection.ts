import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

import { buildConnector, Client, Pool, type Dispatcher } from 'undici';

import type { UpstreamConfig } from '../core/config.ts';
import type { CallWire } from './call-wire.ts';
import { cutOf, watchClosingAlert } from './closing-alert.ts';
import { PendingCall } from './pending-call.ts';
import { readToEnd } from './read-to-end.ts';
import { trusted } from './trusted.ts';
import { UnaskedContinue } from './unasked-continue.ts';
import { readBehindWrites } from './write-fault.ts';

/** A pool's connection that knows whether it has served a request before, and whether it broke. */
class WatchedClient extends Client {
  readonly #wire: Wire;

  constructor(origin: string | URL, options: Client.Options) {
    const wire = new Wire(options.maxHeaderSize ?? 16_384);
    super(origin, {
      ...options,
      ...(typeof options.connect === 'function' ? { connect: watched(options.connect, wire) } : {}),
    });
    this.#wire = wire;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof PendingCall) handler.wire = this.#wire;
    return super.dispatch(options, handler);
  }
}

/** The socket of a connection, as far as its past and its end are concerned, and what is kept from undici of what it brings. */
class Wire implements CallWire {
  broken = false;
  /** Requests that were written to it. */
  #served = 0;
  /** The connection's, the latest. */
  socket: Pick<Readable, 'errored'> | undefined;
  readonly unasked: UnaskedContinue;

  constructor(maxHeaderBytes: number) {
    this.unasked = new UnaskedContinue(maxHeaderBytes);
  }

  /** A connection is being made. */
  dialled(): void {
    this.broken = false;
    this.#served = 0;
  }

  takesReused(): boolean {
    this.unasked.requested();
    this.#served += 1;
    return this.#served > 1;
  }

  get cut(): CallWire['cut'] {
    return cutOf(this.socket, this.broken);
  }

  get keptBroke(): boolean {
    return this.broken && this.#served > 0;
  }
}

type Connector = Extract<NonNullable<Client.Options['connect']>, (...args: never) => unknown>;

/**
 * undici ends a message in order when a reset cuts content that would have ended with its connection. The socket tells
 * its error to whoever listens first: us.
 */
function watched(connect: Connector, wire: Wire): Connector {
  return (options, callback) => {
    wire.dialled();
    return connect(options, (...result) => {
      const [, socket] = result;
      wire.socket = socket ?? undefined;
      if (socket) watch(socket, wire);
      callback(...result);
    });
  };
}

function watch(socket: Socket, wire: Wire): void {
  const onError = (): void => {
    wire.broken = true;
  };
  socket.once('error', onError);
  readToEnd(socket, onError);
  readBehindWrites(socket, onError);
  watchClosingAlert(socket);
  // undici reads by this alone.
  const read = socket.read.bind(socket);
  socket.read = (size?: number): unknown => wire.unasked.passed(read(size));
}

/** What hands calls to connections. */
export type CallPool = Pick<Dispatcher, 'dispatch' | 'destroy'>;

/** Connections of one upstream for calls of our own. Throws where its `caFile` cannot be read. */
export function openPool(config: UpstreamConfig): CallPool {
  return new Pool(config.origin, {
    connections: config.maxConnections,
    connectTimeout: config.connectTimeoutMs,
    headersTimeout: config.headersTimeoutMs,
    bodyTimeout: config.bodyTimeoutMs,
    maxHeaderSize: config.maxHeaderBytes,
    pipelining: 1,
    // HTTP/1.1 alone: what framing, truncation and reuse mean here is tested for it.
    allowH2: false,
    factory: (origin, inner) => new WatchedClient(origin, inner),
    ...(config.caFile === undefined ? {} : { connect: { ca: trusted(config.caFile) } }),
  });
}

/** Idle connections are dropped well before servers usually do it, so that few writes meet a closing one. */
const IDLE_MS = 4000;

/** A connection that serves one relayed request at a time. */
export class RelayLine {
  readonly wire: CallWire;
  readonly #wire: Wire;
  readonly #client: Client;

  /** @param onIdleEnd the connection has ended; where a request is under way, that hears of it itself */
  constructor(
    config: Pick<UpstreamConfig, 'origin' | 'maxHeaderBytes'>,
    connect: Connector,
    onIdleEnd: (line: RelayLine) => void,
  ) {
    const wire = new Wire(config.maxHeaderBytes);
    this.wire = wire;
    this.#wire = wire;
    this.#client = new Client(config.origin, {
      // What is timed is so by the relay: a client that does not take its answer is not upstream's fault.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      maxHeaderSize: config.maxHeaderBytes,
      pipelining: 1,
      allowH2: false,
      connect: watched(connect, wire),
    });
    this.#client.on('disconnect', () => onIdleEnd(this));
  }

  /** What ended the connection, at once: undici tells of it once it has closed. `undefined`: nothing, or an end in order. */
  get fault(): Error | undefined {
    return this.#wire.socket?.errored ?? undefined;
  }

  /** `fields`: names and values by turns. Whatever comes of it, the handler hears of it. */
  send(path: string, fields: string[], handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch({ path, method: 'GET', headers: fields }, handler);
  }

  /** Ends the connection, made or on the way, and the request that is under way. */
  destroy(): void {
    this.#client.destroy().catch(() => undefined);
  }
}

/** How connections to the upstream are made, without a limit of time. Throws where its `caFile` cannot be read. */
export function relayConnector(config: Pick<UpstreamConfig, 'caFile'>): Connector {
  return buildConnector({
    allowH2: false,
    timeout: 0,
    ...(config.caFile === undefined ? {} : { ca: trusted(config.caFile) }),
  });
}
