import type { IncomingMessage, ServerResponse } from 'node:http';

import type { RelayPlan } from '../cache/relay-types.ts';
import { formatCacheStatus, withProblem } from '../core/cache-status.ts';
import type { FieldLines } from '../core/fields.ts';
import type { Problem } from '../core/problem.ts';
import { problemBody } from '../core/problem-response.ts';
import { headersOf } from './relay-request.ts';

const nothing = Buffer.alloc(0);

/** How far a request came that is answered with a problem. */
export interface Forwarded {
  /** False: it was refused before anything went upstream. */
  readonly sent: boolean;
  /** What upstream answered; `undefined`: no head of its came. */
  readonly fwdStatus: number | undefined;
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
  #torn = false;

  constructor(req: IncomingMessage, res: ServerResponse, { cacheStatus }: Pick<RelayPlan, 'cacheStatus'>) {
    this.#req = req;
    this.#res = res;
    this.#cacheStatus = cacheStatus;
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
    return this.#res.writableNeedDrain;
  }

  /** Begins the answer. */
  head(status: number, fields: FieldLines): void {
    for (const [name, value] of Object.entries(headersOf(fields))) this.#res.setHeader(name, value);
    this.#start(status);
    // A stream may take its time to its first byte; its head must not. (flushHeaders would write it as UTF-8.)
    this.#res.write(nothing);
  }

  /** Resolves when the client can take more, or has gone. */
  async write(chunk: Buffer): Promise<void> {
    this.bytesSent += chunk.length;
    if (!this.#res.write(chunk)) await drained(this.#res);
  }

  /** The answer is whole. */
  end(): void {
    this.#res.end();
  }

  /** Answers with a problem of our own. */
  refuse(problem: Problem, { sent, fwdStatus }: Forwarded): void {
    this.problem = problem.code;
    const { fields, body } = problemBody(problem);
    for (const [name, value] of fields) this.#res.setHeader(name, value);
    this.#res.setHeader('content-length', body.length);
    const unsent = formatCacheStatus({ hit: false, detail: problem.code });
    this.#res.setHeader('cache-status', sent ? withProblem(this.#cacheStatus, problem.code, fwdStatus) : unsent);
    this.#start(problem.status);
    if (this.#req.method !== 'HEAD') this.bytesSent = body.length;
    this.#res.end(body);
  }

  /** Ends the connection of an answer that will never be whole. */
  tear(): void {
    this.#torn = true;
    // To an HTTP/1.0 client the end of the connection is the end of the content: only a reset says that it is not.
    if (this.#req.httpVersion === '1.0') this.#res.socket?.resetAndDestroy();
    this.#res.destroy();
  }

  #start(status: number): void {
    // What the client has not sent yet would be read as its next request.
    if (!this.#req.complete) this.#res.setHeader('connection', 'close');
    this.status = status;
    this.#res.writeHead(status);
  }
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
