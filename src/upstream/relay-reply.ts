import type { IncomingMessage, ServerResponse } from 'node:http';

import type { RelayPlan } from '../cache/relay-types.ts';
import { formatCacheStatus, withDetail } from '../core/cache-status.ts';
import type { FailureKind } from '../core/failure.ts';
import type { FieldLines } from '../core/fields.ts';
import type { Problem } from '../core/problem.ts';
import { problemBody } from '../core/problem-response.ts';
import { rawHeadersOf } from './relay-request.ts';

const nothing = Buffer.alloc(0);

/** How far a request came that is answered with a problem. */
export interface Forwarded {
  /** False: it was refused before anything went upstream. */
  readonly sent: boolean;
  /** What upstream answered; `undefined`: no head of its came. */
  readonly fwdStatus: number | undefined;
  /** How upstream failed, in the word that cached routes have for it; `undefined`: it did not. */
  readonly failure: FailureKind | undefined;
}

/** The client's side of a relayed request: what it was sent, and how its answer ended. */
export class RelayReply {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #cacheStatus: string;
  /** Status that was sent; 0 before any. */
  status = 0;
  /** Content bytes handed to the client's connection. */
  bytesSent = 0;
  /** `code` of a problem of our own: the answer, or what ended it. */
  problem: string | undefined;
  readonly #onUnsent: (() => void) | undefined;
  #torn = false;
  #isWatched = false;

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    { cacheStatus, onUnsent }: Pick<RelayPlan, 'cacheStatus' | 'onUnsent'>,
  ) {
    this.#req = req;
    this.#res = res;
    this.#cacheStatus = cacheStatus;
    this.#onUnsent = onUnsent;
  }

  /** No answer has begun, and the client is there. */
  get open(): boolean {
    return !this.#res.headersSent && !this.#res.destroyed;
  }

  /** The client went before its answer was complete. */
  get aborted(): boolean {
    return !this.#res.writableFinished && !this.#torn;
  }

  /** The client takes less than there is for it. */
  get held(): boolean {
    // On a connection that was let go for an upgrade the response's own word stays what it was.
    return this.#res.writableNeedDrain && this.#res.socket?.writableNeedDrain !== false;
  }

  /** Begins the answer, with what is written next or with {@link flush}. */
  head(status: number, fields: FieldLines): void {
    this.#start(status, rawHeadersOf(fields));
  }

  /** Sends the head of which nothing has been sent yet. */
  flush(): void {
    if (this.bytesSent > 0 || this.#res.writableEnded || this.#res.destroyed) return;
    // A stream may take its time to its first byte; its head must not. (flushHeaders would write it as UTF-8.) What comes in this
    // turn of the loop goes with it.
    this.#res.write(nothing);
  }

  /** False where the client cannot take more: see {@link whenTaken}. */
  write(chunk: Buffer): boolean {
    this.bytesSent += chunk.length;
    const isTaken = this.#res.write(chunk);
    // What is written in one turn of the loop is sent at its end.
    if (!this.#isWatched) process.nextTick(watch, this);
    return isTaken;
  }

  /** Calls back once the client has taken what waited for it; never where it has gone. */
  whenTaken(callback: () => void): void {
    this.#res.once('drain', callback);
  }

  /** Resolves when the client can take more, or has gone. */
  async taken(chunk: Buffer): Promise<void> {
    if (!this.write(chunk)) await drained(this.#res);
  }

  /** The answer is whole. */
  end(): void {
    this.#res.end();
    this.watch();
  }

  /** Answers with a problem of our own. */
  refuse(problem: Problem, { sent, fwdStatus, failure }: Forwarded): void {
    this.problem = problem.code;
    const { fields, body } = problemBody(problem);
    const detail = failure ?? problem.code;
    const unsent = formatCacheStatus({ hit: false, detail });
    this.#start(problem.status, [
      ...rawHeadersOf(fields),
      'content-length',
      String(body.length),
      'cache-status',
      sent ? withDetail(this.#cacheStatus, detail, fwdStatus) : unsent,
    ]);
    if (this.#req.method !== 'HEAD') this.bytesSent = body.length;
    this.#res.end(body);
    this.watch();
  }

  /** Ends the connection of an answer that will never be whole. */
  tear(): void {
    this.#torn = true;
    // To an HTTP/1.0 client the end of the connection is the end of the content: only a reset says that it is not.
    if (this.#req.httpVersion === '1.0') this.#res.socket?.resetAndDestroy();
    this.#res.destroy();
  }

  #start(status: number, headers: string[]): void {
    // What the client has not sent yet would be read as its next request.
    if (!this.#req.complete) headers.push('connection', 'close');
    this.status = status;
    this.#res.writeHead(status, headers);
  }

  /** Tells once that the client has not taken all, or cannot yet. */
  watch(): void {
    if (this.#isWatched || this.#res.writableFinished || this.#res.destroyed) return;
    const { socket } = this.#res;
    if (socket !== null && socket.writableLength === 0) return;
    this.#isWatched = true;
    this.#onUnsent?.();
  }
}

function watch(reply: RelayReply): void {
  reply.watch();
}

/** Resolves when the client has taken what waited for it, or went. Leaves no listener behind. */
function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      res.removeListener('drain', settle);
      res.removeListener('close', settle);
      resolve();
    };
    res.on('drain', settle);
    res.on('close', settle);
  });
}
