import { STATUS_CODES } from 'node:http';

import type { Observer, ProxyResponse, Repeats } from '../cache/ports.ts';
import type { RequestRecord } from '../core/outcome.ts';
import type { KnownHead } from './fast-lane-heads.ts';

/** An answer as it goes over the wire to a client that is kept. */
export interface AnswerBytes {
  /** The head, and the content behind it where that is small. */
  readonly first: Buffer;
  /** Content that is not copied; `undefined`: there is no more. */
  readonly rest: Buffer | undefined;
  /** Of the content. */
  readonly length: number;
  /** Who hears of it. `undefined`: each has to be told of in full. */
  readonly repeats: Repeats | undefined;
  /** To be set where they go on being sent behind this step. */
  isLent: boolean;
}

/** Held by the answer and by the one that comes in its place, and emptied when there are too many. */
class Made implements AnswerBytes {
  readonly writer: AnswerWriter;
  response: ProxyResponse | undefined;
  /** That it answers: who hears of it depends on it. */
  method = '';
  first: Buffer = NONE;
  rest: Buffer | undefined = undefined;
  length = 0;
  repeats: Repeats | undefined = undefined;
  isLent = false;
  /** What `first` ends with, or `rest` is. */
  content: Buffer = NONE;
  /** Counted among those that are held. */
  isCounted = false;

  constructor(writer: AnswerWriter) {
    this.writer = writer;
  }

  empty(): void {
    this.response = undefined;
    this.first = NONE;
    this.rest = undefined;
    this.content = NONE;
    this.isCounted = false;
  }
}

const NONE = Buffer.alloc(0);

// Copied once a second, a small body saves a second piece in each write. Past some 16 KB the copies cost more than the pieces.
const MAX_JOINED_BYTES = 16 * 1024;

/** What joined answers may hold in all is twice as much. */
const MAX_BYTES = 4 * 1024 * 1024;

interface AnswerWriterOptions {
  /** As the server tells its clients. */
  readonly keepAliveMs: number;
  readonly observer?: Pick<Observer, 'repeats'>;
  readonly maxBytes?: number;
}

/**
 * The bytes that `node:http` sends for an answer, made once for each. Held by the answer, so that they go with it; in it and
 * not by it in a WeakMap, whose look-up took a fortieth of a hit.
 */
export class AnswerWriter {
  readonly #ending: string;
  readonly #maxBytes: number;
  readonly #observer: Pick<Observer, 'repeats'>;
  // Two generations: when one is full, the one before it is let go of.
  #young: WeakRef<Made>[] = [];
  #old: readonly WeakRef<Made>[] = [];
  #youngBytes = 0;

  constructor({ keepAliveMs, observer = {}, maxBytes = MAX_BYTES }: AnswerWriterOptions) {
    this.#observer = observer;
    const keepAlive = keepAliveMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : '';
    this.#ending = `Connection: keep-alive\r\n${keepAlive}\r\n`;
    this.#maxBytes = maxBytes;
  }

  /** Only for what {@link isRepeatable}. */
  bytesOf(response: ProxyResponse, known: Asked): AnswerBytes {
    const { madeOf } = response;
    const made = madeOf instanceof Made && madeOf.writer === this ? madeOf : undefined;
    if (made?.response === response && made.method === known.method) return made;
    return this.#make(response, known, made ?? new Made(this));
  }

  /** `made`: of the answer in whose place this one comes. Its bytes are written anew where they may be: they are in the caches. */
  #make(response: ProxyResponse, known: Asked, made: Made): AnswerBytes {
    const { status, fields, body, meta } = response;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
    head += this.#ending;
    const content = body.kind === 'bytes' ? body.bytes : NONE;
    const isJoined = content.length <= MAX_JOINED_BYTES;
    const length = head.length + (isJoined ? content.length : 0);
    if (made.isLent || made.first.length !== length || made.content !== content) {
      // Not from the pool of small buffers: what lives for a second would hold what lives for an instant.
      made.first = Buffer.allocUnsafeSlow(length);
      if (isJoined) content.copy(made.first, head.length);
      made.isLent = false;
    }
    made.first.write(head, 0, 'latin1');
    made.content = content;
    made.rest = isJoined ? undefined : content;
    made.length = content.length;
    made.response = response;
    made.method = known.method;
    made.repeats = this.#observer.repeats?.(recordOf({ known, response, startedMs: 0 }, meta.outcome, 0));
    response.madeOf = made;
    if (!made.isCounted) this.#hold(made);
    return made;
  }

  #hold(made: Made): void {
    made.isCounted = true;
    if (this.#youngBytes >= this.#maxBytes) {
      for (const old of this.#old) old.deref()?.empty();
      this.#old = this.#young;
      this.#young = [];
      this.#youngBytes = 0;
    }
    this.#young.push(new WeakRef(made));
    this.#youngBytes += made.first.length;
  }
}

/**
 * Whether `node:http` would send the answer as its fields and then its content, and keep the connection: nothing is left
 * for it to add but the two fields of the connection, nothing in it has a meaning for the connection.
 */
export function isRepeatable(method: string, { status, fields, body }: ProxyResponse): boolean {
  const names = fields.map(([name]) => name.toLowerCase());
  if (status < 200 || !names.includes('date') || names.some((name) => SPECIAL.has(name))) return false;
  if (method === 'HEAD' || status === 204 || status === 304) return body.kind === 'none';
  if (method !== 'GET' || body.kind !== 'bytes') return false;
  const lengths = fields.filter(([name]) => name.toLowerCase() === 'content-length').map(([, value]) => value);
  return lengths.join() === String(body.bytes.length);
}

/** Fields from which `node:http` makes more than a line, or another line than they say. */
const SPECIAL: ReadonlySet<string> = new Set([
  'connection',
  'content-disposition',
  'expect',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What of a request that is known is told of. */
type Asked = Pick<KnownHead, 'method' | 'traceId' | 'listener'>;

/** An answer of the fast lane, and to what. */
export interface Answered {
  readonly known: Asked;
  readonly response: ProxyResponse;
  /** When its request came, on a clock that never goes back. Milliseconds. */
  readonly startedMs: number;
}

/** What is told of it when it has ended. */
export function recordOf(
  { known, response, startedMs }: Answered,
  outcome: RequestRecord['outcome'],
  endedMs: number,
): RequestRecord {
  const { meta, body } = response;
  return {
    outcome,
    method: known.method,
    route: meta.route,
    upstream: meta.upstream,
    tier: meta.tier,
    fwd: meta.fwd,
    status: response.status,
    durationMs: endedMs - startedMs,
    bytesSent: body.kind === 'bytes' ? body.bytes.length : 0,
    problem: meta.problem,
    url: meta.url,
    traceId: known.traceId,
    listener: known.listener,
  };
}
