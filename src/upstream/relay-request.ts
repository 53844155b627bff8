import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { Transform, type TransformCallback } from 'node:stream';

import type { FieldLines } from '../core/fields.ts';

/** The request content is larger than allowed. */
export class ContentTooLargeError extends Error {
  constructor() {
    super('the request content is larger than allowed');
    this.name = 'ContentTooLargeError';
  }
}

export interface RelayRequestOptions {
  /** The client's request. */
  readonly req: IncomingMessage;
  /** Path and query as they go upstream. */
  readonly url: string;
  /** All lines that go upstream, `Host` and framing among them. */
  readonly fields: FieldLines;
  readonly maxBodyBytes: number;
  readonly onChunk: () => void;
}

/**
 * What http-proxy-3 gets to see of a request: content within the limit, and exactly the fields that we decided on. It
 * reads `method`, `url`, `headers`, `httpVersion` and `socket`, pipes the content and changes what `headers` gives it.
 */
export class RelayRequest extends Transform {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  readonly httpVersionMajor = 1;
  readonly socket: IncomingMessage['socket'];
  readonly connection: IncomingMessage['socket'];
  readonly #fields: FieldLines;
  readonly #maxBodyBytes: number;
  readonly #onChunk: () => void;
  #bytes = 0;

  constructor(options: RelayRequestOptions) {
    super();
    this.method = options.req.method ?? 'GET';
    this.url = options.url;
    this.httpVersion = options.req.httpVersion;
    this.socket = options.req.socket;
    this.connection = options.req.socket;
    this.#fields = options.fields;
    this.#maxBodyBytes = options.maxBodyBytes;
    this.#onChunk = options.onChunk;
  }

  /**
   * A new object each time: http-proxy-3 writes `content-length: 0` into what it reads for DELETE and OPTIONS and takes
   * a chunked framing away, after which content would be sent without framing, as a request of its own.
   */
  get headers(): OutgoingHttpHeaders {
    return headersOf(this.#fields);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#bytes += chunk.length;
    this.#onChunk();
    if (this.#bytes > this.#maxBodyBytes) callback(new ContentTooLargeError());
    else callback(null, chunk);
  }
}

/** Field lines as node:http takes them: lines of one name together, in order. */
export function headersOf(fields: FieldLines): Record<string, string | string[]> {
  // Without a prototype, so that a field of the name `__proto__` is a field.
  const headers: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of fields) {
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = [...(typeof before === 'string' ? [before] : before), value];
  }
  return headers;
}
