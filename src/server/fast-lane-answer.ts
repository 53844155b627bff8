import { STATUS_CODES } from 'node:http';

import type { Observer, ProxyResponse, Repeat, Repeats, ResponseMeta } from '../cache/ports.ts';
import type { FieldLines } from '../core/fields.ts';
import type { RequestRecord } from '../core/outcome.ts';
import type { ProxyRequest } from '../core/request.ts';
import { traceIdOf } from '../core/trace.ts';
import type { HeadFacts } from './fast-lane-heads.ts';
import { Wire } from './fast-lane-wire.ts';

/** A head that is longer is not kept. There are as many as ready answers (`cache/ready-answers.ts`), so 8 MiB at most. */
const MAX_KEPT_HEAD_BYTES = 2048;

// Copied behind its head, a small body saves a second piece in each write. Past some 16 KB the copies cost more than the pieces.
const MAX_JOINED_BYTES = 16 * 1024;

/** The bytes that `node:http` sends for answers. */
export class AnswerWriter {
  readonly #ending: string;

  /** `keepAliveMs`: as the server tells its clients. */
  constructor({ keepAliveMs }: { readonly keepAliveMs: number }) {
    const keepAlive = keepAliveMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : '';
    this.#ending = `Connection: keep-alive\r\n${keepAlive}\r\n`;
  }

  /** Made once for each repeat, whatever the second. Only for what {@link isRepeatable}. */
  wireOf(response: ProxyResponse, repeat: Repeat): Wire {
    const { madeOf } = repeat;
    if (madeOf instanceof Wire && madeOf.writer === this) return madeOf;
    const wire = this.#make(response, repeat);
    repeat.madeOf = wire;
    return wire;
  }

  /** Made once for each answer, unless it is large. `undefined`: an answer to a GET that is not to be sent so. */
  textOf(response: ProxyResponse): AnswerText | undefined {
    const { ready, body } = response;
    if (ready instanceof AnswerText) return ready;
    if (body.kind !== 'bytes' || !isRepeatable('GET', response)) return undefined;
    const { status, fields } = response;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
    head += this.#ending;
    const text = new AnswerText(head, body.bytes);
    if (head.length <= MAX_KEPT_HEAD_BYTES) response.ready = text;
    return text;
  }

  #make({ status, fields, body }: ProxyResponse, { ageLine, ttlFrom }: Repeat): Wire {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    let ageAt = 0;
    let ttlAt = 0;
    for (const [index, [name, value]] of fields.entries()) {
      if (index === ageLine) ageAt = head.length + name.length + 2;
      ttlAt = head.length + name.length + 2 + ttlFrom;
      head += `${name}: ${value}\r\n`;
    }
    const ageDigits = digitsAt(head, ageAt);
    const ttlDigits = digitsAt(head, ttlAt);
    head += this.#ending;
    const content = body.kind === 'bytes' ? body.bytes : NONE;
    const isJoined = content.length <= MAX_JOINED_BYTES;
    const first = Buffer.allocUnsafeSlow(head.length + (isJoined ? content.length : 0));
    first.write(head, 0, 'latin1');
    if (isJoined) content.copy(first, head.length);
    const rest = isJoined ? undefined : content;
    return new Wire({ writer: this, first, rest, length: content.length, ageAt, ageDigits, ttlAt, ttlDigits });
  }
}

/**
 * The head of an answer as text of one character for each byte, and its content, for all whom they are given as they are. It goes with
 * its answer, which is made anew when it is asked for in another second, and is the same for all listeners.
 */
export class AnswerText {
  readonly head: string;
  readonly content: Buffer;
  /** Whom each sending is told, of the listener that was asked for last. */
  repeats: Repeats | undefined;
  listener: string | undefined;

  constructor(head: string, content: Buffer) {
    this.head = head;
    this.content = content;
    this.repeats = undefined;
    this.listener = undefined;
  }

  /** Of the content. */
  get length(): number {
    return this.content.length;
  }
}

const NONE = Buffer.alloc(0);

function digitsAt(text: string, at: number): number {
  let end = at;
  while (text.charCodeAt(end) >= 0x30 && text.charCodeAt(end) <= 0x39) end += 1;
  return end - at;
}

/**
 * Whether `node:http` would send the answer as its fields and then its content, and keep the connection: nothing is left
 * for it to add but the two fields of the connection, nothing in it has a meaning for the connection.
 */
export function isRepeatable(method: string, { status, fields, body }: ProxyResponse): boolean {
  const length = lengthIn(fields);
  if (status < 200 || length === undefined) return false;
  if (method === 'HEAD' || status === 204 || status === 304) return body.kind === 'none';
  return method === 'GET' && body.kind === 'bytes' && length === String(body.bytes.length);
}

/** What they say of the length of content, all of it; `undefined` where `node:http` would make more or less of them than lines. */
function lengthIn(fields: FieldLines): string | undefined {
  let hasDate = false;
  let lengths = '';
  // One look at each: it is asked of each answer that was waited for.
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    if (SPECIAL.has(lower)) return undefined;
    if (lower === 'date') hasDate = true;
    else if (lower === 'content-length') lengths += lengths === '' ? value : `,${value}`;
  }
  return hasDate ? lengths : undefined;
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

/** Who hears of answers. */
interface Hearing {
  readonly observer: Pick<Observer, 'repeats'>;
}

/** What is kept of a request that is answered again with what it was answered with. */
export function factsOf(
  { writer, observer }: Hearing & { readonly writer: AnswerWriter },
  { method, fields, listener }: ProxyRequest,
  response: ProxyResponse,
  repeat: Repeat,
): HeadFacts {
  const { status, meta } = response;
  const wire = writer.wireOf(response, repeat);
  const told = { method, traceId: traceIdOf(fields), listener, status, meta };
  const like = recordOf({ ...told, length: wire.length }, meta.outcome, 0);
  return { ...told, wire, repeat, repeats: observer.repeats?.(like) };
}

/** Who hears of each sending of the answer. `undefined`: each has to be told of in full. */
export function repeatsOf(
  { observer }: Hearing,
  { method, listener }: ProxyRequest,
  { status, meta }: ProxyResponse,
  text: AnswerText,
): Repeats | undefined {
  if (text.listener !== listener) {
    const like = { method, traceId: undefined, listener, status, meta, length: text.length };
    text.repeats = observer.repeats?.(recordOf(like, meta.outcome, 0));
    text.listener = listener;
  }
  return text.repeats;
}

/** What is told of an answer of the fast lane that has ended. */
export function recordOf(
  { method, traceId, listener, status, meta, length }: Told,
  outcome: RequestRecord['outcome'],
  durationMs: number,
): RequestRecord {
  return {
    outcome,
    method,
    route: meta.route,
    upstream: meta.upstream,
    tier: meta.tier,
    fwd: meta.fwd,
    status,
    durationMs,
    bytesSent: length,
    problem: meta.problem,
    url: meta.url,
    traceId,
    listener,
  };
}

/** What of a request, and of its answer, is told of. */
export interface Told {
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
  readonly status: number;
  readonly meta: ResponseMeta;
  /** Of the content. */
  readonly length: number;
}
