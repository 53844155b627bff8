import type { ServerResponse } from 'node:http';

import type { ContentWanted } from '../cache/handled.ts';
import { problemReply } from '../cache/problem-reply.ts';
import { contentTooLarge } from '../core/content-key.ts';
import type { Problem } from '../core/problem.ts';
import type { Recorder, Transit } from './recorder.ts';
import { requestTimeout } from './request-timeout.ts';
import type { Sender } from './sender.ts';

/** What a {@link ContentReader} needs. */
export interface ContentReaderOptions {
  readonly recorder: Recorder;
  readonly sender: Sender;
  /** Hears the name of a limit that was hit. */
  readonly onLimit: (option: string) => void;
}

/** A request whose content is on its way. */
interface Reading {
  readonly res: ServerResponse;
  readonly end: (ended: Ended) => void;
}

/** How the reading of content ended: with all of it, or not. */
type Ended = Buffer | 'too-large' | 'timeout' | 'gone';

/** Collects the content of requests that cannot be looked up without it. */
export class ContentReader {
  readonly #options: ContentReaderOptions;
  readonly #readings = new WeakMap<object, Reading>();

  constructor(options: ContentReaderOptions) {
    this.#options = options;
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

  #collect({ req, request }: Transit, res: ServerResponse, maxBytes: number): Promise<Ended> | Ended {
    if (res.closed) return 'gone';
    if (request?.hasContent === false) return Buffer.alloc(0);
    // Before anything of it is read; of a length that is no number the parser has said so.
    if (Number(req.headers['content-length'] ?? 0) > maxBytes) return 'too-large';
    const { promise, resolve } = Promise.withResolvers<Ended>();
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > maxBytes) end('too-large');
      else chunks.push(chunk);
    };
    const onEnd = (): void => end(Buffer.concat(chunks, length));
    const onClose = (): void => end('gone');
    const end = (ended: Ended): void => {
      req.off('data', onData).off('end', onEnd).off('close', onClose);
      res.off('close', onClose);
      this.#readings.delete(req.socket);
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
