import type { ServerResponse } from 'node:http';

import { ByteCollector } from '../cache/byte-collector.ts';
import { ContentBudget, tooMuchContent } from '../cache/content-budget.ts';
import type { ContentWanted } from '../cache/handled.ts';
import { problemReply } from '../cache/problem-reply.ts';
import { contentTooLarge } from '../core/content-key.ts';
import type { Problem } from '../core/problem.ts';
import { tellToGoOn } from './interim.ts';
import type { Recorder, Transit } from './recorder.ts';
import { requestTimeout } from './request-timeout.ts';
import type { Sender } from './sender.ts';

/** What a {@link ContentReader} needs. */
export interface ContentReaderOptions {
  readonly recorder: Recorder;
  readonly sender: Sender;
  /** Bytes that all contents may hold at once. */
  readonly maxContentBytes: number;
  /** Hears the name of a limit that was hit. */
  readonly onLimit: (option: string) => void;
}

/** A request whose content is on its way. */
interface Reading {
  readonly res: ServerResponse;
  readonly end: (ended: Broken) => void;
}

/** How reading ends before all is read. */
type Broken = 'too-large' | 'too-much' | 'timeout' | 'gone';

/**
 * Collects the content of requests that cannot be looked up without it. Each holds its part of the memory for contents until
 * its answer has ended: upstream may have to be asked, and pipelined requests wait for each other.
 */
export class ContentReader {
  readonly #options: ContentReaderOptions;
  readonly #budget: ContentBudget;
  readonly #readings = new WeakMap<object, Reading>();

  constructor(options: ContentReaderOptions) {
    this.#options = options;
    this.#budget = new ContentBudget(options.maxContentBytes);
  }

  /** `undefined`: it is not to be had, and the request was answered or recorded here. */
  async read(transit: Transit, res: ServerResponse, wanted: ContentWanted): Promise<Buffer | undefined> {
    const ended = await this.#collect(transit, res, wanted.maxBytes);
    const meta = { route: wanted.route.name, upstream: wanted.route.upstream, url: wanted.url };
    const refuse = (problem: Problem): undefined => {
      this.#options.sender.send(transit, res, problemReply(problem, { meta, cacheStatus: undefined, head: false }));
      return undefined;
    };
    switch (ended) {
      case 'too-large':
        this.#options.onLimit('routes.content.maxBytes');
        return refuse(contentTooLarge(wanted.maxBytes));
      case 'too-much':
        this.#options.onLimit('server.limits.maxContentBytes');
        return refuse(tooMuchContent(this.#budget.maxBytes));
      case 'timeout':
        return refuse(requestTimeout);
      case 'gone': {
        const gone = { outcome: 'aborted', tier: undefined, fwd: undefined, problem: undefined } as const;
        this.#options.recorder.request(transit, { ...meta, ...gone }, { status: 0, bytes: 0 });
        return undefined;
      }
      default:
        transit.contentRead = true;
        return ended;
    }
  }

  /** The rest of a request has not come in time. False: nothing can be said any more. */
  timedOut(socket: object): boolean {
    const reading = this.#readings.get(socket);
    if (reading === undefined || reading.res.headersSent || reading.res.socket !== socket) return false;
    reading.end('timeout');
    return true;
  }

  #collect(
    { req, request }: Transit,
    res: ServerResponse,
    maxBytes: number,
  ): Promise<Buffer | Broken> | Buffer | Broken {
    if (res.closed) return 'gone';
    if (request?.hasContent === false) return Buffer.alloc(0);
    const declared = req.headers['content-length'];
    const length = declared === undefined ? undefined : Number(declared);
    // Before anything of it is read; of a length that is no number the parser has said so.
    if (length !== undefined && length > maxBytes) return 'too-large';
    tellToGoOn(res);
    const { promise, resolve } = Promise.withResolvers<Buffer | Broken>();
    const share = this.#budget.share();
    // No more memory is taken than what came accounts for: a client may declare much, and send one byte of it.
    const most = Math.min(maxBytes, length ?? maxBytes);
    const collector = new ByteCollector({ maxBytes: most, mayTake: (bytes) => share.take(bytes) });
    const onData = (chunk: Buffer): void => {
      if (collector.bytes + chunk.length > maxBytes) end('too-large');
      else if (!collector.add(chunk)) end('too-much');
    };
    const onEnd = (): void => {
      const content = collector.take();
      stop(content.length);
      resolve(content);
    };
    const onClose = (): void => end('gone');
    const stop = (kept: number): void => {
      req.off('data', onData).off('end', onEnd).off('close', onClose);
      res.off('close', onClose);
      // A pipelined request behind this one may have come in its place.
      if (this.#readings.get(req.socket)?.res === res) this.#readings.delete(req.socket);
      share.keep(kept);
      if (kept > 0) res.once('close', () => share.keep(0));
    };
    const end = (ended: Broken): void => {
      stop(0);
      // What still comes is dropped, so that the client gets to read its answer.
      req.resume();
      resolve(ended);
    };
    this.#readings.set(req.socket, { res, end });
    res.on('close', onClose);
    req.on('data', onData).on('end', onEnd).on('close', onClose);
    return promise;
  }
}
