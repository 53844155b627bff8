import { STATUS_CODES } from 'node:http';

import type { Observer, ProxyResponse, Repeat, Repeats, ResponseMeta, SameHead } from '../cache/ports.ts';
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

  /**
   * Made once for each answer, and for all that differ in their content, Age and `ttl` alone, unless it is large. `undefined`: an answer
   * to a GET that is not to be sent so.
   */
  textOf(response: ProxyResponse): AnswerText | undefined {
    const { body, head: same } = response;
    if (same !== undefined) return this.#sameText(response, same);
    if (response.ready instanceof AnswerText) return response.ready;
    if (body.kind !== 'bytes' || !isRepeatable('GET', response)) return undefined;
    const { head } = this.#headOf(response, NO_LINES);
    const text = new AnswerText(head, body.bytes.length);
    if (head.length <= MAX_KEPT_HEAD_BYTES) response.ready = text;
    return text;
  }

  #sameText(response: ProxyResponse, same: SameHead): AnswerText | undefined {
    const { ready } = same;
    if (ready instanceof SameText) {
      ready.say(same);
      return ready;
    }
    const { body } = response;
    if (body.kind !== 'bytes' || !isRepeatable('GET', response)) return undefined;
    const text = new SameText(this.#headOf(response, same), body.bytes.length);
    if (text.head.length <= MAX_KEPT_HEAD_BYTES) same.ready = text;
    return text;
  }

  #headOf({ status, fields }: ProxyResponse, { ageLine, ttlFrom }: Pick<Repeat, 'ageLine' | 'ttlFrom'>): HeadText {
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
    return { head, ageAt, ageDigits, ttlAt, ttlDigits };
  }

  #make(response: ProxyResponse, repeat: Repeat): Wire {
    const { head, ageAt, ageDigits, ttlAt, ttlDigits } = this.#headOf(response, repeat);
    const content = contentOf(response);
    const isJoined = content.length <= MAX_JOINED_BYTES;
    const first = Buffer.allocUnsafeSlow(head.length + (isJoined ? content.length : 0));
    first.write(head, 0, 'latin1');
    if (isJoined) content.copy(first, head.length);
    const rest = isJoined ? undefined : content;
    return new Wire({ writer: this, first, rest, length: content.length, ageAt, ageDigits, ttlAt, ttlDigits });
  }
}

/** A head as it is sent, a character for each byte, and where in it the digits of Age and `ttl` are. */
interface HeadText {
  readonly head: string;
  readonly ageAt: number;
  readonly ageDigits: number;
  readonly ttlAt: number;
  readonly ttlDigits: number;
}

/**
 * The head of an answer as text of one character for each byte, for all whom it is given as it is. It goes with
 * its answer, which is made anew when it is asked for in another second, and is the same for all listeners.
 */
export class AnswerText {
  head: string;
  /** Of the content. */
  readonly length: number;
  /** Whom each sending is told, of the listener that was asked for last. */
  repeats: Repeats | undefined;
  listener: string | undefined;

  constructor(head: string, length: number) {
    this.head = head;
    this.length = length;
    this.repeats = undefined;
    this.listener = undefined;
  }
}

/** Of all answers of one {@link SameHead}: it says what that says whenever it is asked for, and has to be used in that step. */
class SameText extends AnswerText {
  readonly #ageAt: number;
  #ageDigits: number;
  #ttlAt: number;
  #ttlDigits: number;
  #ageSeconds: number;
  #ttlSeconds: number;

  constructor({ head, ageAt, ageDigits, ttlAt, ttlDigits }: HeadText, length: number) {
    super(head, length);
    this.#ageAt = ageAt;
    this.#ageDigits = ageDigits;
    this.#ttlAt = ttlAt;
    this.#ttlDigits = ttlDigits;
    this.#ageSeconds = Number(head.slice(ageAt, ageAt + ageDigits));
    this.#ttlSeconds = Number(head.slice(ttlAt, ttlAt + ttlDigits));
  }

  say({ ageSeconds, ttlSeconds }: SameHead): void {
    if (ageSeconds === this.#ageSeconds && ttlSeconds === this.#ttlSeconds) return;
    const age = String(ageSeconds);
    const ttl = String(ttlSeconds);
    const { head } = this;
    const between = head.slice(this.#ageAt + this.#ageDigits, this.#ttlAt);
    this.head = head.slice(0, this.#ageAt) + age + between + ttl + head.slice(this.#ttlAt + this.#ttlDigits);
    this.#ttlAt += age.length - this.#ageDigits;
    this.#ageDigits = age.length;
    this.#ttlDigits = ttl.length;
    this.#ageSeconds = ageSeconds;
    this.#ttlSeconds = ttlSeconds;
  }
}

/** What is sent behind the head of an answer that has a text. */
export function contentOf({ body }: ProxyResponse): Buffer {
  return body.kind === 'bytes' ? body.bytes : NONE;
}

const NONE = Buffer.alloc(0);
const NO_LINES = { ageLine: -1, ttlFrom: 0 };

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
  const { status } = response;
  // The text of a stored URL is a piece of that of all its response's fields and tags, which V8 would keep whole for as long as this.
  const meta = { ...response.meta, url: Buffer.from(response.meta.url).toString() };
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
