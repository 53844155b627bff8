import type { ServerResponse } from 'node:http';

import type { Observer, ProxyResponse } from '../cache/ports.ts';
import { problemReply } from '../cache/problem-reply.ts';
import type { ServerConfig } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import type { Connections } from './connections.ts';
import type { Recorder, Transit } from './recorder.ts';
import { cutOff, type SendLimit, type SendOptions, type Sent, writeResponse } from './write-response.ts';

/** What a {@link Sender} needs. */
export interface SenderOptions {
  readonly config: ServerConfig;
  readonly observer: Observer;
  readonly recorder: Recorder;
  readonly connections: Connections;
  /** True once every response is to close its connection. */
  readonly draining: () => boolean;
  readonly onBug: (error: unknown) => void;
}

/** Sends answers of the proxy's own making, and sees to it that each is recorded once, as what it became. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #kept: SendOptions;
  readonly #last: SendOptions;

  constructor(options: SenderOptions) {
    const { config, observer } = options;
    const onSlow = () => observer.limit('server.timeouts.send');
    this.#options = options;
    this.#kept = { sendTimeoutMs: config.timeouts.sendMs, onSlow, close: false };
    this.#last = { ...this.#kept, close: true };
  }

  send(transit: Transit, res: ServerResponse, response: ProxyResponse): void {
    const { connections, recorder } = this.#options;
    // Content that nobody reads (a refused POST) must not hold a kept connection.
    const unread = !transit.contentRead && (transit.request?.hasContent ?? true);
    const close = unread || this.closes(transit);
    if (close) connections.announceLast(transit.req.socket);
    if (res.closed) {
      if (response.body.kind === 'stream') response.body.cancel();
      recorder.request(transit, { ...response.meta, outcome: 'aborted' }, { status: 0, bytes: 0 });
      return;
    }
    // The answer to a bug may follow one that could not be sent: the later counts.
    if (transit.reply === undefined && !transit.watched) res.once('close', () => this.ended(transit, res));
    transit.reply = { response, sent: NOTHING };
    try {
      transit.reply.sent = writeResponse(res, response, this.#sending(close));
    } catch (error) {
      if (response.body.kind === 'stream') response.body.cancel();
      throw error;
    }
  }

  /** Answers with a problem that no route has a part in. */
  refuse(transit: Transit, res: ServerResponse, problem: Problem): void {
    const head = transit.req.method === 'HEAD';
    const meta = { route: undefined, upstream: undefined, url: '-' };
    this.send(transit, res, problemReply(problem, { meta, cacheStatus: undefined, head }));
  }

  /** Something of ours threw: a 500 where nothing was sent, else the end of the connection. Never throws. */
  bug(transit: Transit, res: ServerResponse, error: unknown): void {
    const { onBug, recorder } = this.#options;
    onBug(error);
    try {
      if (!res.headersSent) {
        this.refuse(transit, res, internal);
        return;
      }
    } catch (again) {
      onBug(again);
    }
    cutOff(res);
    if (transit.reply !== undefined) return;
    const meta = { outcome: 'error', route: undefined, upstream: undefined, url: '-' } as const;
    const rest = { tier: undefined, fwd: undefined, problem: undefined };
    recorder.request(transit, { ...meta, ...rest }, { status: res.headersSent ? res.statusCode : 0, bytes: 0 });
  }

  closes({ last }: Transit): boolean {
    return last || this.#options.draining();
  }

  #sending(close: boolean): SendOptions {
    return close ? this.#last : this.#kept;
  }

  limit(): SendLimit {
    return this.#kept;
  }

  /** The response has ended, or its connection has. */
  ended(transit: Transit, res: ServerResponse): void {
    if (transit.reply === undefined) return;
    const { response, sent } = transit.reply;
    const { status, meta } = response;
    const { bytes } = sent;
    const outcome = sent.failed ? 'error' : 'aborted';
    this.#options.recorder.request(transit, res.writableFinished ? meta : { ...meta, outcome }, { status, bytes });
  }
}

/** Of what could not be sent. */
const NOTHING: Sent = { bytes: 0, failed: false };

const internal: Problem = {
  status: 500,
  code: 'internal',
  title: 'Internal error',
  detail: 'An error inside the proxy; its log has it.',
};
