import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { ListenerConfig, ServerConfig } from '../core/config.ts';
import { answerClientError, refuseConnection } from './client-error.ts';
import { keepAliveReserveMs, toldKeepAliveMs } from './keep-alive.ts';
import { expectsToGoOn } from './interim.ts';
import { destroyWhenFlushed } from './lingering.ts';
import type { ServerLoad } from './load.ts';
import type { ExchangeHandler } from './request-handler.ts';
import { whenStillIdle, whenStillPartial } from './second-look.ts';
import { keepUnsent } from './unsent.ts';

/** What the data listeners need. */
export interface DataServerOptions {
  readonly config: ServerConfig;
  readonly handler: ExchangeHandler;
  readonly load: ServerLoad;
}

/** A listener with the address that it really has. */
export interface BoundListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** The listeners that agents talk to. */
export interface DataServer {
  /** Binds all of them; rejects with the system's error (and binds none) where an address cannot be had. */
  listen(): Promise<readonly BoundListener[]>;
  /**
   * From now on every response closes its connection, also one that has begun; idle connections are closed when what has
   * come on them, and on those that wait to be let in, has been read; those with bytes that have not left behind them.
   */
  beginDrain(): void;
  /** Stops accepting and resolves when the last connection has ended. */
  close(): Promise<void>;
  /** Ends what is still open. */
  closeNow(): void;
}

/** Builds the listeners; nothing is bound before {@link DataServer.listen}. */
export function createDataServer(options: DataServerOptions): DataServer {
  const servers = options.config.listeners.map((listener) => ({ listener, server: buildServer(listener, options) }));
  const closeIdle = (): void => {
    for (const { server } of servers) server.closeIdleConnections();
  };
  const closeAll = (): void => {
    options.handler.closeUpgraded();
    for (const { server } of servers) server.closeAllConnections();
  };
  let isOver = false;
  return {
    async listen() {
      const bound: BoundListener[] = [];
      try {
        for (const { listener, server } of servers) bound.push(await bind(server, listener));
      } catch (error) {
        for (const { server } of servers) server.close();
        throw error;
      }
      return bound;
    },
    beginDrain() {
      // Not now: `node:http` hears of the same end. And once for all that end in one turn, since each time all are looked at.
      const closeSoon = atTurnEnd(closeIdle);
      // Not before what has come on them and was not read yet is answered.
      let isRead = false;
      options.handler.beginDrain(() => {
        if (isRead) closeSoon();
      });
      const closeWhenRead = async (): Promise<void> => {
        await whatHasComeIsRead();
        isRead = true;
        closeIdle();
      };
      void closeWhenRead();
    },
    async close() {
      // `node:http` ends idle connections with it: see above.
      await whatHasComeIsRead();
      // Their connections would be taken for idle ones.
      options.handler.lane?.handOver();
      options.handler.lingering.close();
      const ended = Promise.all(servers.map(({ server }) => closed(server)));
      // With next to no grace connections have been let in since.
      if (isOver) closeAll();
      await ended;
    },
    closeNow() {
      isOver = true;
      closeAll();
    },
  };
}

function buildServer(listener: ListenerConfig, options: DataServerOptions): Server {
  const { limits, timeouts } = options.config;
  // A head is part of its request, and `node:http` throws where it may take longer.
  const headersMs = Math.min(timeouts.headersMs, timeouts.requestMs);
  const { lane, connections } = options.handler;
  const server = createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: headersMs,
    requestTimeout: timeouts.requestMs,
    // Clients are told a little less, so that they do not send just when the connection closes.
    keepAliveTimeout: toldKeepAliveMs(timeouts.keepAliveMs),
    keepAliveTimeoutBuffer: keepAliveReserveMs(timeouts.keepAliveMs),
    // The default of 30 s would let a slow head live that much longer than its limit.
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, Math.floor(headersMs / 4))),
    // A request without content has no stream to come to an end then: a tenth of what `node:http` takes for one.
    optimizeEmptyRequests: true,
    requireHostHeader: false,
    insecureHTTPParser: false,
    shouldUpgradeCallback: (message) => isUpgrade(message, options.handler),
  });
  keepUnsent(server);
  // Fields are counted in read-request.ts; the parser's own limit drops what is beyond it without a word.
  server.maxHeadersCount = 0;
  // Requests are counted in request-handler.ts; `node:http` would hold a connection open behind pipelined ones too many.
  server.maxRequestsPerSocket = 0;
  countConnections(server, listener, options);
  const serve = (req: IncomingMessage, res: ServerResponse) => {
    lane?.began(req);
    options.handler.request(req, res, listener.name);
  };
  server.on('request', serve);
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    expectsToGoOn(res);
    serve(req, res);
  });
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) =>
    options.handler.expectation(req, res, listener.name),
  );
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) =>
    options.handler.upgrade({ req, socket, head, listener: listener.name }),
  );
  server.on('timeout', (socket: Socket) => {
    // With a response owed it is the send timeout, which has its own listener.
    if (connections.owes(socket)) return;
    whenStillIdle(socket, connections, () => {
      options.handler.limit('server.timeouts.keepAlive');
      socket.destroy();
    });
  });
  refuseConnect(server, listener, options);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const broke = (): void => endBroken(error, socket, listener, options.handler);
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') whenStillPartial(socket, connections, broke);
    else broke();
  });
  return server;
}

/** What came is no request, or has not come in time. */
function endBroken(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  listener: ListenerConfig,
  handler: ExchangeHandler,
): void {
  const { connections, lingering } = handler;
  if (!connections.owes(socket)) {
    handler.unread(answerClientError(error, socket, lingering), listener.name);
    return;
  }
  // An error answer in front of a response that is still owed would be taken for that response. What is already
  // written of one still leaves.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    if (connections.isHeld(socket)) return;
    handler.limit('server.timeouts.request');
    if (!connections.isWhole(socket) && handler.timedOut(socket)) return;
  }
  // A client that has ended its side has gone, and what is owed with it.
  const hasEnded = error.code === 'HPE_INVALID_EOF_STATE' || !socket.readable;
  if (hasEnded || !connections.endBehind(socket, () => lingering.end(socket))) destroyWhenFlushed(socket);
}

/** CONNECT, which no route relays. `node:http` lets go of its connection, whatever is owed on it. */
function refuseConnect(server: Server, listener: ListenerConfig, { handler }: DataServerOptions): void {
  server.on('connect', (req: IncomingMessage, socket: Duplex) => {
    // With content to come what is given here is not the connection itself, which is parsed on.
    handler.lane?.leave(req.socket, socket !== req.socket);
    // Without a listener an error on a detached socket would end the process.
    req.socket.on('error', () => req.socket.destroy());
    if (!handler.connections.owes(req.socket)) {
      handler.unread(answerClientError({ code: 'CONNECT' }, socket, handler.lingering), listener.name, req.method);
      return;
    }
    // As with what is no request: a refusal in front of a response that is still owed would be taken for that response.
    const { connections } = handler;
    connections.announceLast(req.socket);
    req.socket.once('close', () => connections.abandon(req.socket));
    destroyWhenFlushed(req.socket);
  });
}

/** Counts them for this listener and in all, and refuses those past the limit. */
function countConnections(
  server: Server,
  listener: ListenerConfig,
  { config, handler, load }: DataServerOptions,
): void {
  const { maxConnections } = config.limits;
  let open = 0;
  server.on('connection', (socket: Socket) => {
    handler.lingering.watch(socket);
    const isServed = open < maxConnections;
    if (isServed) open += 1;
    load.connections += 1;
    socket.once('close', () => {
      // A refused one that is not gone yet takes nobody's place.
      if (isServed) open -= 1;
      load.connections -= 1;
    });
    if (isServed) return;
    handler.connections.announceLast(socket);
    handler.unread(refuseConnection(socket, maxConnections, handler.lingering), listener.name);
  });
}

/**
 * Only a WebSocket handshake is an upgrade here; `Upgrade: h2c` of a plain request is ignored, and so is any of HTTP/1.0 (RFC 9110 §7.8). Neither is
 * one behind responses that are still owed: the connection cannot be theirs and the WebSocket's.
 */
function isUpgrade({ headers, httpVersionMinor, socket }: IncomingMessage, handler: ExchangeHandler): boolean {
  if (httpVersionMinor === 0 || !/^websocket$/i.test(headers.upgrade ?? '') || handler.connections.owes(socket))
    return false;
  // Before `node:http` takes its listener off a connection that will not be its own any more.
  handler.lane?.leave(socket, true);
  return true;
}

/** The rest of this turn of the loop and two whole ones: connections that wait are let in, then what has come on them is read. */
async function whatHasComeIsRead(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => void setImmediate(resolve));
}

/** Calls back at the end of a turn of the loop, once however often it was asked to in it. */
function atTurnEnd(callback: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      callback();
    });
  };
}

function bind(server: Server, listener: ListenerConfig): Promise<BoundListener> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: listener.host, port: listener.port, reusePort: listener.shared === true }, () => {
      server.removeListener('error', reject);
      const address = server.address();
      // Only a server that listens on a path has a text there, and none that listens has null.
      if (typeof address !== 'object' || address === null) reject(new Error('no address'));
      else resolve({ name: listener.name, host: address.address, port: address.port });
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
