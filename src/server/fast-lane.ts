import type { Socket } from 'node:net';

import type { Handled } from '../cache/handled.ts';
import type { MaybePromise, ProxyResponse } from '../cache/ports.ts';
import type { Connection } from './connections.ts';
import { type Ahead, askAhead, letGo } from './fast-lane-ahead.ts';
import { type AnswerText, contentOf, repeatsOf, type Told } from './fast-lane-answer.ts';
import { copyOf, ownOf } from './fast-lane-copies.ts';
import type { KnownHead, KnownHeads } from './fast-lane-heads.ts';
import { IdleTimer } from './fast-lane-idle.ts';
import type { Lane } from './fast-lane-lanes.ts';
import { isReadOn, Learning } from './fast-lane-learning.ts';
import { owe, tell } from './fast-lane-owing.ts';
import { readDirectly } from './fast-lane-reads.ts';
import type { DataListener, Fed, Shared } from './fast-lane-shared.ts';
import { type Asked, Waiting } from './fast-lane-waiting.ts';
import type { WordBuffer } from './fast-lane-words.ts';

/*
 * The fast lane answers a request whose head is, byte for byte, one that `node:http` has parsed before on the same listener,
 * and whose answer may be repeated (`Repeat`), without parsing it again. It reads no HTTP: it compares. A head that differs
 * from such a one in its target alone is answered too, where the exchange has an answer from memory at once.
 *
 * It stands before the `data` listener of `node:http` on a connection, and where Node can do it reads what comes itself
 * (`fast-lane-reads.ts`): then a chunk is what one read has brought, as it is where the stream gives it. A chunk of bytes is answered here only where all
 * of this holds, and else goes to that listener as it came, in the order in which it came:
 *
 * 1. The parser is between two messages: it has read nothing of a next one (`#between`).
 * 2. No response is owed on the connection, so that there is none to overtake, and nothing is left to be sent.
 * 3. The whole chunk is a known head: bytes that the parser was once given whole, as one chunk, between two messages and
 *    with nothing owed, and that it read as exactly one request without content. Or it is a GET whose bytes behind the target
 *    are those of such a head, with a target that cannot end where that one's did not: `fast-lane-tails.ts` says why.
 *
 * Why nothing can be smuggled: a parser does the same with the same bytes in the same state, and between two messages
 * there is one state only. By 1 and 3 it would read the chunk as the same one request and be between two messages again,
 * which is where it is left. (Of a new target that is shown from what the parser does with its characters; all other bytes
 * are compared.) So the fast lane never sees a boundary where the parser would not see it. A part of a head,
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
 * and request timeouts rest, `closeIdleConnections` ends it), and its keep-alive timer is a timeout of the socket. Here that
 * is counted by other means (`fast-lane-idle.ts`), and given back before the parser is given anything. Until the first request of a connection has ended its parser runs the header timeout:
 * that request always goes there.
 *
 * A new target is asked for before the parser is given the chunk. What the exchange does not answer with what can be sent as it is
 * (a relay, a refusal, an answer for this request alone) goes on as ever: the parser gets the chunk in the same step, and its
 * request takes over what has begun (`Ahead`), so that nothing is begun or counted twice.
 *
 * An answer that takes time (a miss, a hit from Redis) is waited for, with the chunk in hand: its target and its tail, which together
 * are all of its bytes (`chunkOf`). The parser gets each chunk whole or not at all, and in the order in which they came: while one is
 * held nothing else is answered here, and before anything else happens on the connection (another chunk, its end, an error, a drain,
 * an interim response, a second that has passed, an answer that cannot be sent as it is) the parser is given it. It has stood between
 * two messages all the time, with nothing owed that it knows of: it reads what it would have read then. If nothing of that happens
 * before the answer is there, the chunk is answered like any other by 1 to 3. Meanwhile the connection owes a response to all who ask (`Connections`).
 *
 * What is made for its request alone, and counts until it has been sent (`ClientLink.whenOver`), is sent by `node:http`: the parser gets
 * the chunk at once.
 *
 * A connection is joined when a head recurs on it, or what is behind its target, since standing here costs what is not answered
 * here a part of its time (measured: 2 to 3 of 22 microseconds).
 *
 * Whoever checks the rule needs this file, `fast-lane-tails.ts`, and of `read-request.ts` and `core/target.ts` what reads a
 * target. The other files of the lane hold, look up and make what is known, and decide nothing about bytes.
 */

/** Heads that are longer are parsed each time. */
const MAX_HEAD_BYTES = 4096;

interface JoinedOptions {
  readonly socket: Socket;
  readonly connection: Connection;
  readonly lane: Lane;
  /** The listener of `node:http`. */
  readonly parse: DataListener;
}

/** A connection before whose parser the fast lane stands. */
export class Joined {
  readonly #shared: Shared;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #known: KnownHeads;
  readonly #lane: Lane;
  readonly #parse: DataListener;
  readonly #idle: IdleTimer;
  readonly #listener: DataListener = (chunk) => this.#read(chunk);
  /** The parser has read nothing of a next message. */
  #between = false;
  /** An answer of the fast lane has not left yet. */
  #isPending = false;
  /** What comes is none of the fast lane's any more. */
  #hasLeft = false;
  readonly #learning: Learning;
  readonly #waiting: Waiting;

  constructor(shared: Shared, { socket, connection, lane, parse }: JoinedOptions) {
    this.#shared = shared;
    this.#socket = socket;
    this.#connection = connection;
    this.#known = lane.known;
    this.#lane = lane;
    this.#parse = parse;
    this.#idle = new IdleTimer(shared.idle, socket);
    this.#learning = new Learning(shared, lane);
    this.#waiting = new Waiting(shared, { socket, connection, writer: lane.writer, place: this });
    socket.on('data', this.#listener);
    socket.off('data', parse);
    readDirectly(socket, (buffer, length) => this.#readDirectly(buffer, length));
  }

  leave(parses: boolean): void {
    this.#hasLeft = true;
    this.#idle.giveBack();
    if (parses) this.#socket.on('data', this.#parse);
    this.#socket.off('data', this.#listener);
  }

  /** What is not answered from its head, and cannot be known by its target, comes by the stream, to {@link #read}. */
  #readDirectly(buffer: WordBuffer, length: number): boolean {
    const socket = this.#socket;
    if (!this.#between || length > MAX_HEAD_BYTES || !this.#isFree() || !this.#isStreamIdle()) {
      return socket.push(copyOf(buffer.bytes, length));
    }
    buffer.end(length);
    const known = this.#known.findIn(buffer.words, length);
    if (known === undefined || !this.#answer(known)) {
      this.#readTarget(buffer.bytes, length);
      // A stream that is paused in the middle of reading reads on until it holds enough, and so hears of a client that goes.
      if (socket.isPaused()) socket.read(0);
      return true;
    }
    this.#learning.hit();
    this.#sent();
    return true;
  }

  /** The stream holds nothing and is not paused: what it was given now it would hand to {@link #read} at once. */
  #isStreamIdle(): boolean {
    const { readableFlowing, readableLength } = this.#socket;
    return !this.#hasLeft && readableFlowing === true && readableLength === 0;
  }

  #read(chunk: Buffer): void {
    this.#waiting.handOver();
    if (!this.#between || chunk.length > MAX_HEAD_BYTES || !this.#isFree()) {
      this.feed(chunk, undefined);
      return;
    }
    const known = this.#known.find(chunk);
    if (known === undefined || !this.#answer(known)) {
      this.#readTarget(chunk, chunk.length);
      return;
    }
    this.#learning.hit();
    this.#sent();
  }

  /** The chunk, which is the first so many of the bytes, came where a known head would have been answered. */
  #readTarget(bytes: Buffer, length: number): void {
    this.#shared.times.interrupt();
    const tail = this.#lane.tails.find(bytes, length);
    const ahead = tail && askAhead(this.#shared, bytes, tail, length - tail.bytes.length);
    if (tail === undefined || ahead === undefined) {
      this.#feedAndLearn(ownOf(bytes, length), undefined);
      return;
    }
    const { handled, request } = ahead;
    if (ahead.mayWait) {
      this.#idle.touch();
      this.#waiting.begin(tail, ahead);
      return;
    }
    const response = responseNow(handled);
    const text = response?.repeat && this.#lane.writer.textOf(response);
    if (response === undefined || text === undefined) this.#feedAndLearn(ownOf(bytes, length), ahead);
    else {
      this.answerWith(text, response, { tail, ahead });
      if (this.#learning.isLookedAt()) this.#learning.fromTail(ownOf(bytes, length), request, response);
    }
  }

  /** Nothing is owed or left to be sent, and this is not the last request of the connection. */
  #isFree(): boolean {
    const { ending, running, waiting, count } = this.#connection;
    if (ending || running > 0 || waiting.length > 0) return false;
    const { isDraining, mostRequests } = this.#shared;
    if (isDraining || count + 1 >= mostRequests) return false;
    return this.#socket.writable && this.#socket.writableLength === 0;
  }

  /** False: it has to be looked at anew, nothing was done, and {@link #readTarget} is to be called. */
  #answer(known: KnownHead): boolean {
    const { times, load, lending } = this.#shared;
    times.begin();
    const { wire } = known;
    const rest = wire.rest?.deref();
    // Nothing may come between a repeat's word and the sending.
    if ((rest === undefined && wire.rest !== undefined) || !this.#mayRepeat(known)) {
      this.#known.forget(known);
      return false;
    }
    const socket = this.#socket;
    const first = lending.bytesOf(wire);
    if (rest === undefined) {
      socket.write(first);
    } else {
      socket.cork();
      socket.write(first);
      socket.write(rest);
      socket.uncork();
    }
    load.fastLane += 1;
    if (socket.writableLength === 0 && socket.errored === null) {
      this.#connection.count += 1;
      const { repeats } = known;
      if (repeats === undefined) tell(this.#shared, known, times.end());
      else repeats.repeated(wire.length, times.end());
    } else {
      this.#owe(known, times.startedMs, lending.lend(wire, first));
      times.interrupt();
    }
    return true;
  }

  /** Whether its bytes say what its request gets now. If so they have been counted, and must be sent. */
  #mayRepeat(known: KnownHead): boolean {
    const { times, onBug } = this.#shared;
    try {
      const { nowMs } = times;
      return this.#known.turnTo(known, nowMs) && known.repeat.again(nowMs);
    } catch (error) {
      onBug(error);
      return false;
    }
  }

  /** The exchange has counted it: it must be sent. */
  answerWith(text: AnswerText, response: ProxyResponse, { tail, ahead }: Asked): void {
    const { clock, load, piece, times } = this.#shared;
    const { request, startedMs } = ahead;
    times.interrupt();
    const socket = this.#socket;
    piece.write(socket, text.head, contentOf(response));
    load.fastLane += 1;
    load.newTargets += 1;
    const hasLeft = socket.writableLength === 0 && socket.errored === null;
    if (hasLeft) this.#connection.count += 1;
    // What is not sent again is not worth an entry of its own.
    const isAgain = response.repeat !== undefined || response.head !== undefined;
    const repeats = hasLeft && isAgain ? repeatsOf(this.#shared, request, response, text) : undefined;
    if (repeats === undefined) {
      const { method, listener } = request;
      const { status, meta } = response;
      const told = { method, traceId: tail.traceId, listener, status, meta, length: text.length };
      if (hasLeft) tell(this.#shared, told, clock.monotonicMs() - startedMs);
      else this.#owe(told, startedMs);
    } else repeats.repeated(text.length, clock.monotonicMs() - startedMs);
    this.#sent();
  }

  /** An answer was written here. */
  #sent(): void {
    // What has not left has a timeout of its own.
    if (this.#isPending) this.#idle.drop();
    else this.#idle.touch();
  }

  #owe(told: Told, startedMs: number, giveBack?: () => void): void {
    this.#isPending = true;
    const onSent = (): void => {
      this.#isPending = false;
      giveBack?.();
    };
    owe(this.#shared, { socket: this.#socket, told, startedMs, onSent });
  }

  /** Gives the chunk to the parser. `ahead`: what has begun of it as one request. */
  feed(chunk: Buffer, ahead: Ahead | undefined): Fed {
    const socket = this.#socket;
    this.#shared.times.interrupt();
    this.#idle.giveBack();
    const outer = this.#shared.fed;
    const fed: Fed = {
      socket,
      begun: 0,
      req: undefined,
      request: undefined,
      response: undefined,
      isLate: false,
      ahead,
    };
    this.#between = false;
    this.#shared.fed = fed;
    try {
      this.#parse(chunk);
    } finally {
      // What one is given may be what another has waited for.
      this.#shared.fed = outer;
      if (ahead?.isTaken === false) this.#disown(ahead);
    }
    this.#between = isBetween(fed, chunk);
    // With a request that comes `node:http` ends the timeout of a connection that it took for idle.
    if (this.#isPending && socket.timeout === 0) socket.setTimeout(this.#shared.config.timeouts.sendMs);
    return fed;
  }

  /** The parser has read the chunk as something else, which cannot be. Nobody shall get an answer that may be another's. */
  #disown({ handled, client }: Ahead): void {
    const { onBug } = this.#shared;
    this.#socket.destroy();
    client.gone();
    onBug(new Error('the parser has not told of the request that a chunk was taken for'));
    letGo(handled, onBug);
  }

  /** The chunk came where a known head would have been answered. */
  #feedAndLearn(chunk: Buffer, ahead: Ahead | undefined): void {
    const fed = this.feed(chunk, ahead);
    if (this.#learning.isLookedAt() && this.#between) this.#learning.fromParsed(chunk, fed);
  }
}

/** Whether the parser has read nothing of a next message behind this chunk: see above. */
function isBetween({ begun, req }: Fed, chunk: Buffer): boolean {
  if (begun !== 1 || req?.complete !== true || !isReadOn(req)) return false;
  return isLetter(chunk[0]) && chunk.indexOf(EMPTY_LINE) === chunk.length - EMPTY_LINE.length;
}

/** What is to be sent, where that is known in this step. */
function responseNow(handled: MaybePromise<Handled>): ProxyResponse | undefined {
  return handled instanceof Promise || handled.kind !== 'response' ? undefined : handled.response;
}

const EMPTY_LINE = Buffer.from('\r\n\r\n');

function isLetter(byte = 0): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
