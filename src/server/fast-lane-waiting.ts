import type { Socket } from 'node:net';

import type { Handled } from '../cache/handled.ts';
import type { ProxyResponse } from '../cache/ports.ts';
import type { Connection } from './connections.ts';
import type { Ahead } from './fast-lane-ahead.ts';
import type { AnswerText, AnswerWriter } from './fast-lane-answer.ts';
import { Held } from './fast-lane-held.ts';
import type { Shared } from './fast-lane-shared.ts';
import { chunkOf, type Tail } from './fast-lane-tails.ts';

/** What is answered for its tail. */
export interface Asked {
  readonly tail: Tail;
  readonly ahead: Ahead;
}

/** The connection on which a request waits. */
interface Place {
  /** Gives the chunk to the parser, with what has begun of it. */
  feed(chunk: Buffer, ahead: Ahead): void;
  /** Nothing may have been sent of it. */
  answerWith(text: AnswerText, response: ProxyResponse, asked: Asked): void;
}

interface WaitingOptions {
  readonly socket: Socket;
  readonly connection: Connection;
  readonly writer: AnswerWriter;
  readonly place: Place;
}

/**
 * Waits for the answer to the one request of a connection that the parser has not been told of. Whatever happens before that is there, the
 * parser is told first: see the rule in `fast-lane.ts`.
 */
export class Waiting {
  readonly #shared: Shared;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #writer: AnswerWriter;
  readonly #place: Place;
  #held: Held | undefined;

  constructor(shared: Shared, { socket, connection, writer, place }: WaitingOptions) {
    this.#shared = shared;
    this.#socket = socket;
    this.#connection = connection;
    this.#writer = writer;
    this.#place = place;
    // Before those of `node:http`: its parser is to get the chunk before it hears of what came behind it. Nothing is known that would
    // come out otherwise behind them: the response is told as aborted either way. On an error `close` would be enough, for the same reason.
    socket.prependListener('end', () => this.handOver());
    socket.prependListener('error', () => this.handOver());
    // Too late for a response object, which would never hear of it.
    socket.prependListener('close', () => this.#leave());
  }

  /** Its answer takes time. The connection owes it from now on, as if the parser had told of it. */
  begin(tail: Tail, ahead: Ahead): void {
    const { connections, load, held: list } = this.#shared;
    const held = new Held(this, this.#shared, { tail, ahead, turn: connections.oweOn(this.#connection, false) });
    load.requestsInFlight += 1;
    ahead.client.holder = this;
    this.#held = held;
    list.add(held);
    held.wait();
  }

  /** Gives the parser what waits here. It is where it was when that came. */
  handOver(): void {
    const held = this.#held;
    if (held === undefined) return;
    held.end();
    this.#release(held);
    const { ahead, tail } = held;
    if (ahead.client.isPending) ahead.handled = ahead.client.promise();
    this.#place.feed(chunkOf(tail, ahead.target), ahead);
  }

  /** See `Waiter`. */
  came(held: Held, handled: Handled): void {
    const response = handled.kind === 'response' ? handled.response : undefined;
    const text = response && this.#maySend() ? this.#writer.textOf(response) : undefined;
    if (response === undefined || text === undefined) {
      held.ahead.handled = handled;
      this.handOver();
      return;
    }
    held.end();
    this.#release(held);
    this.#shared.load.waits += 1;
    const { tail, ahead } = held;
    ahead.client.gone();
    // What is in memory is known by other means, and what was fetched is there by now.
    if (ahead.request.memo === undefined && response.meta.tier === 'redis')
      tail.targets.remember(tail.number, ahead.target, ahead.request);
    this.#place.answerWith(text, response, held);
  }

  #leave(): void {
    const held = this.#held;
    if (held === undefined) return;
    held.leave();
    this.#release(held);
    held.ahead.client.gone();
  }

  /** From here on it is another's to count it, and to owe its response. */
  #release(held: Held): void {
    const { connections, load, held: list } = this.#shared;
    this.#held = undefined;
    held.ahead.client.holder = undefined;
    list.remove(held);
    load.requestsInFlight -= 1;
    this.#connection.count -= 1;
    connections.settleOn(this.#connection, held.turn);
  }

  /**
   * A connection may have been ended by the proxy itself, so that nothing can be written. All else is a second line of defence: what has
   * another response owed, announces the last one, begins a drain or writes, hands over first, and nothing waits any more.
   */
  #maySend(): boolean {
    const { running, waiting, ending } = this.#connection;
    if (ending || running !== 1 || waiting.length > 0 || this.#shared.isDraining) return false;
    return this.#socket.writable && this.#socket.writableLength === 0;
  }
}
