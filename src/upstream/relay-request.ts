import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { Transform, type TransformCallback } from 'node:stream';

import type { FieldLines } from '../core/fields.ts';

/** The request content is larger than allowed. */
export class ContentTooLargeError extends Error {
  constructor() {
    super('the request content is larger than allowed');
    this.name = 'ContentTooLargeError';
  }
}

/** What an exchange hears of the connection that http-proxy-3 makes for one of its requests. */
export interface RelayAttempt {
  /** The request has its connection. */
  made(upstream: ClientRequest): void;
  answered(answer: IncomingMessage): void;
  broke(error: unknown): void;
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
  readonly attempt: RelayAttempt | undefined;
}

/**
 * What http-proxy-3 gets to see of a request without content, which most are. It is no stream: to make one, to pipe the nothing
 * that it carries and to end it was a tenth of what a relayed request cost.
 */
export class BareRelayRequest {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  readonly httpVersionMajor = 1;
  readonly socket: IncomingMessage['socket'];
  readonly connection: IncomingMessage['socket'];
  readonly attempt: RelayAttempt | undefined;
  readonly #fields: FieldLines;
  readonly #headers: OutgoingHttpHeaders | undefined;

  constructor({ req, url, fields, attempt }: Omit<RelayRequestOptions, 'maxBodyBytes' | 'onChunk'>) {
    this.method = req.method ?? 'GET';
    this.url = url;
    this.httpVersion = req.httpVersion;
    this.socket = req.socket;
    this.connection = req.socket;
    this.attempt = attempt;
    this.#fields = fields;
    // Of these methods it changes what it reads: see RelayRequest.
    this.#headers = this.method === 'DELETE' || this.method === 'OPTIONS' ? undefined : headersOf(fields);
  }

  get headers(): OutgoingHttpHeaders {
    return this.#headers ?? headersOf(this.#fields);
  }

  /** Nothing comes of it that anybody could wait for. */
  on(): this {
    return this;
  }

  /** There is no content: the request is whole. */
  pipe(upstream: ClientRequest): ClientRequest {
    // http-proxy-3 drops the `?` of an empty query. The head is written now.
    if (!upstream.headersSent) upstream.path = this.url;
    upstream.end();
    return upstream;
  }
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
  readonly attempt: RelayAttempt | undefined;
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
    this.attempt = options.attempt;
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

/**
 * Names and values by turns, those of one name together and in order, as node:http writes what {@link headersOf} gives. Of cookies it
 * makes one line: not every upstream reads several (RFC 6265 §5.4).
 */
export function rawHeadersOf(fields: FieldLines): string[] {
  const names = new Set<string>();
  const raw: string[] = [];
  for (const [name, value] of fields) {
    names.add(name);
    raw.push(name, value);
  }
  if (names.size === fields.length) return raw;
  return Object.entries(headersOf(fields)).flatMap(([name, value]) => {
    if (typeof value === 'string') return [name, value];
    return name === 'cookie' ? [name, value.join('; ')] : value.flatMap((line) => [name, line]);
  });
}
