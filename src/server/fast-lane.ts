import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { Clock, Observer, ProxyResponse } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import type { RequestRecord } from '../core/outcome.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Connection, Connections } from './connections.ts';
import { type AnswerWriter, factsOf, isRepeatable, recordOf } from './fast-lane-answer.ts';
import { type KnownHead, type KnownHeads, SeenHeads } from './fast-lane-heads.ts';
import { type Lane, lanesOf } from './fast-lane-lanes.ts';
import { toldKeepAliveMs } from './keep-alive.ts';
import type { ServerLoad } from './load.ts';

/*
 * The fast lane answers a request whose head is, byte for byte, one that `node:http` has parsed before on the same listener,
 * and whose answer may be repeated (`Repeat`), without parsing it again. It reads no HTTP: it compares.
 *
 * It stands before the `data` listener of `node:http` on a connection. A chunk of bytes is answered here only where all
 * of this holds, and else goes to that listener as it came, in the order in which it came:
 *
 * 1. The parser is between two messages: it has read nothing of a next one (`#between`).
 * 2. No response is owed on the connection, so that there is none to overtake, and nothing is left to be sent.
 * 3. The whole chunk is a known head: bytes that the parser was once given whole, as one chunk, between two messages and
 *    with nothing owed, and that it read as exactly one request without content.
 *
 * Why nothing can be smuggled: a parser does the same with the same bytes in the same state, and between two messages
 * there is one state only. By 1 and 3 it would read the chunk as the same one request and be between two messages again,
 * which is where it is left. So the fast lane never sees a boundary where the parser would not see it. A part of a head,
 * two heads, a head with something behind it, another spelling are other bytes, and go to the parser.
 *
 * How it is known that the parser is between two messages: never by counting bytes. It is so after a chunk in which the
 * parser told of exactly one request, that request is complete, and the chunk begins with a letter and ends with its first
 * empty line. For a head ends with an empty line (CRLF CRLF: the parser is strict); that one ended within this chunk, and
 * since no chunk that begins with a letter begins within an empty line, its empty line is the first of the chunk or a later
 * one: the one at the chunk's end. This holds whatever came before, so that a connection finds its way back after content,
 * split heads or pipelining. What the parser would not read on after is no boundary: HTTP/1.0, `Connection: close`.
 *
 * What `node:http` times is right without being told: between two messages its parser counts a connection as idle (header
 * and request timeouts rest, `closeIdleConnections` ends it), and its keep-alive timer is a timeout of the socket, which
 * each read and write starts anew. Until the first request of a connection has ended its parser runs the header timeout:
 * that request always goes there.
 *
 * A connection is joined when a head recurs on it, since standing here costs what is not answered here a part of its time
 * (measured: 2 to 3 of 22 microseconds).
 */

/** Heads that are longer are parsed each time. */
const MAX_HEAD_BYTES = 4096;

/** Of a connection that is not joined so many requests are looked at one by one; then one of as many. */
const FIRST_LOOKS = 4;
const LOOK_EVERY = 8;

/**
 * Of a connection that is joined so many requests in a row are looked at that were not answered here; then one of
 * {@link LOOK_EVERY}, as looking takes 1 to 2 microseconds. It is not left: the parser of `node:http` would go on to read through a
 * listener, which is what standing before it costs.
 */
const MISSES_LOOKED_AT = 100;

/** What the fast lane needs. */
export interface FastLaneOptions {
  readonly config: ServerConfig;
  /** Must not throw. */
  readonly observer: Pick<Observer, 'request' | 'repeats' | 'limit'>;
  readonly clock: Clock;
  readonly load: ServerLoad;
  readonly connections: Connections;
  /** Hears what was thrown where nothing should be; the request goes to `node:http` then. Must not throw. */
  readonly onBug: (error: unknown) => void;
}

/** What a chunk that was given to the parser came to. */
interface Fed {
  readonly socket: Socket;
  /** Requests that the parser told of. */
  begun: number;
  req: IncomingMessage | undefined;
  request: ProxyRequest | undefined;
  response: ProxyResponse | undefined;
}

/** Answers requests that are byte for byte like one before. */
export class FastLane {
  readonly #shared: Shared;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #joined = new WeakMap<object, Joined>();

  constructor(options: FastLaneOptions) {
    const { listeners, timeouts, limits } = options.config;
    this.#lanes = lanesOf(listeners, toldKeepAliveMs(timeouts.keepAliveMs));
    this.#shared = {
      ...options,
      seen: new SeenHeads(),
      mostRequests: limits.maxRequestsPerConnection === 0 ? Infinity : limits.maxRequestsPerConnection,
      fed: undefined,
      isDraining: false,
    };
  }

  /** From now on every response closes its connection, which is `node:http`'s to do. */
  beginDrain(): void {
    this.#shared.isDraining = true;
  }

  /** The parser has read the head of a request. */
  began(req: IncomingMessage): void {
    const { fed } = this.#shared;
    if (fed?.socket !== req.socket) return;
    fed.begun += 1;
    fed.req = req;
  }

  /** To be called in the same step as {@link began}, behind the sending of an answer that can be repeated. */
  answered(req: IncomingMessage, request: ProxyRequest, response: ProxyResponse): void {
    const { socket } = req;
    const { fed, connections, seen } = this.#shared;
    if (fed?.socket === socket) {
      if (fed.req !== req) return;
      fed.request = request;
      fed.response = response;
      return;
    }
    const connection = connections.of(socket);
    const { count } = connection;
    if (count > FIRST_LOOKS && count % LOOK_EVERY !== 0) return;
    if (this.#joined.has(socket) || !isPlain(req) || !seen.again(req)) return;
    if (!isRepeatable(request.method, response)) return;
    const lane = this.#lanes.get(request.listener);
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

type DataListener = (chunk: Buffer) => void;

function isDataListener(listener: unknown): listener is DataListener {
  return typeof listener === 'function';
}

/** What all connections share. */
interface Shared extends FastLaneOptions {
  readonly seen: SeenHeads;
  /** On one connection. */
  readonly mostRequests: number;
  /** While the parser is given a chunk of a joined connection. */
  fed: Fed | undefined;
  isDraining: boolean;
}

interface JoinedOptions {
  readonly socket: Socket;
  readonly connection: Connection;
  readonly lane: Lane;
  /** The listener of `node:http`. */
  readonly parse: DataListener;
}

/** A connection before whose parser the fast lane stands. */
class Joined {
  readonly #shared: Shared;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #known: KnownHeads;
  readonly #writer: AnswerWriter;
  readonly #parse: DataListener;
  readonly #listener: DataListener = (chunk) => this.#read(chunk);
  /** The parser has read nothing of a next message. */
  #between = false;
  /** An answer of the fast lane has not left yet. */
  #isPending = false;
  /** Requests in a row that could have been answered here and were not. */
  #misses = 0;

  constructor(shared: Shared, { socket, connection, lane, parse }: JoinedOptions) {
    this.#shared = shared;
    this.#socket = socket;
    this.#connection = connection;
    this.#known = lane.known;
    this.#writer = lane.writer;
    this.#parse = parse;
    socket.on('data', this.#listener);
    socket.off('data', parse);
  }

  leave(parses: boolean): void {
    if (parses) this.#socket.on('data', this.#parse);
    this.#socket.off('data', this.#listener);
  }

  #read(chunk: Buffer): void {
    if (!this.#between || chunk.length > MAX_HEAD_BYTES || !this.#isFree()) {
      this.#feed(chunk);
      return;
    }
    const known = this.#known.find(chunk);
    if (known !== undefined && this.#answer(known)) this.#misses = 0;
    else this.#learn(chunk, this.#feed(chunk));
  }

  /** Nothing is owed or left to be sent, and this is not the last request of the connection. */
  #isFree(): boolean {
    const { ending, running, waiting, count } = this.#connection;
    if (ending || running > 0 || waiting.length > 0) return false;
    const { isDraining, mostRequests } = this.#shared;
    if (isDraining || count + 1 >= mostRequests) return false;
    return this.#socket.writable && this.#socket.writableLength === 0;
  }

  /** False: it has to be looked at anew, and nothing was done. */
  #answer(known: KnownHead): boolean {
    const { clock, load } = this.#shared;
    const startedMs = clock.monotonicMs();
    const { wire } = known;
    const rest = wire.rest?.deref();
    // Nothing may come between a repeat's word and the sending.
    if ((rest === undefined && wire.rest !== undefined) || !this.#mayRepeat(known)) {
      this.#known.forget(known);
      return false;
    }
    const socket = this.#socket;
    if (rest === undefined) {
      socket.write(wire.first);
    } else {
      socket.cork();
      socket.write(wire.first);
      socket.write(rest);
      socket.uncork();
    }
    load.fastLane += 1;
    if (socket.writableLength === 0 && socket.errored === null) {
      this.#connection.count += 1;
      const { repeats } = known;
      if (repeats === undefined) this.#tell(known, known.meta.outcome, startedMs);
      else repeats.repeated(wire.length, clock.monotonicMs() - startedMs);
    } else {
      wire.isLent = true;
      this.#owe(known, startedMs);
    }
    return true;
  }

  /** Whether its bytes say what its request gets now. If so they have been counted, and must be sent. */
  #mayRepeat({ wire, repeat }: KnownHead): boolean {
    const { clock, onBug } = this.#shared;
    try {
      const nowMs = clock.nowMs();
      return wire.turnTo(nowMs, repeat) && repeat.again(nowMs);
    } catch (error) {
      onBug(error);
      return false;
    }
  }

  #tell(known: KnownHead, outcome: RequestRecord['outcome'], startedMs: number): void {
    const { observer, clock } = this.#shared;
    observer.request(recordOf(known, outcome, clock.monotonicMs() - startedMs));
  }

  /** The kernel has not taken all of it at once. From here on it is as with any response that is owed. */
  #owe(known: KnownHead, startedMs: number): void {
    const { connections, load, config, observer } = this.#shared;
    const socket = this.#socket;
    const turn = connections.owe(socket, false);
    load.requestsInFlight += 1;
    this.#isPending = true;
    const onTimeout = (): void => {
      // A response behind it may have had the same timeout, and ended the connection.
      if (socket.writableLength === 0 || socket.destroyed) return;
      observer.limit('server.timeouts.send');
      socket.destroy();
    };
    socket.setTimeout(config.timeouts.sendMs);
    socket.on('timeout', onTimeout);
    // Of no bytes: its turn has come when all before it have left.
    socket.write(NOTHING, (error) => {
      socket.off('timeout', onTimeout);
      this.#isPending = false;
      load.requestsInFlight -= 1;
      connections.settle(socket, turn);
      // What is owed behind it has a timeout of its own.
      if (!connections.owes(socket)) socket.setTimeout(config.timeouts.keepAliveMs);
      this.#tell(known, error instanceof Error ? 'aborted' : known.meta.outcome, startedMs);
    });
  }

  /** Gives the chunk to the parser. */
  #feed(chunk: Buffer): Fed {
    const socket = this.#socket;
    const fed: Fed = { socket, begun: 0, req: undefined, request: undefined, response: undefined };
    this.#between = false;
    this.#shared.fed = fed;
    try {
      this.#parse(chunk);
    } finally {
      this.#shared.fed = undefined;
    }
    this.#between = isBetween(fed, chunk);
    // With a request that comes `node:http` ends the timeout of a connection that it took for idle.
    if (this.#isPending && socket.timeout === 0) socket.setTimeout(this.#shared.config.timeouts.sendMs);
    return fed;
  }

  /** The chunk came where a known head would have been answered. */
  #learn(head: Buffer, { req, request, response }: Fed): void {
    this.#misses += 1;
    if (this.#misses > MISSES_LOOKED_AT && this.#misses % LOOK_EVERY !== 0) return;
    if (!this.#between || req === undefined || request === undefined || response?.repeat === undefined) return;
    if (!isPlain(req) || !this.#shared.seen.again(req) || !isRepeatable(request.method, response)) return;
    if (!this.#known.isOpen()) return;
    const parts = { writer: this.#writer, observer: this.#shared.observer };
    this.#known.remember(head, factsOf(parts, request, response, response.repeat));
  }
}

/** Whether the parser has read nothing of a next message behind this chunk: see above. */
function isBetween({ begun, req }: Fed, chunk: Buffer): boolean {
  if (begun !== 1 || req?.complete !== true || !isReadOn(req)) return false;
  return isLetter(chunk[0]) && chunk.indexOf(EMPTY_LINE) === chunk.length - EMPTY_LINE.length;
}

/** Whether the parser reads on behind the request. It takes `Proxy-Connection` for `Connection`. */
function isReadOn({ httpVersion, headers }: IncomingMessage): boolean {
  const { connection } = headers;
  const isKept = connection === undefined || connection.toLowerCase() === 'keep-alive';
  return httpVersion === '1.1' && isKept && headers['proxy-connection'] === undefined && headers.upgrade === undefined;
}

/** Whether it has nothing that makes more of a request than its head. */
function isPlain(req: IncomingMessage): boolean {
  const { headers } = req;
  return isReadOn(req) && MORE.every((name) => headers[name] === undefined);
}

const MORE = ['content-length', 'transfer-encoding', 'trailer', 'expect'] as const;
const NOTHING = Buffer.alloc(0);
const EMPTY_LINE = Buffer.from('\r\n\r\n');

function isLetter(byte = 0): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
