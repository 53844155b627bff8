import {
  type UpstreamBody,
  UpstreamBodyError,
  type UpstreamCall,
  type UpstreamResponse,
} from '../cache/upstream-ports.ts';
import type { MaybePromise } from '../cache/ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { FailureKind } from '../core/failure.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import type { BodyQueue } from './body-queue.ts';
import { decodedFields } from '../core/response-fields.ts';
import { codingsOf, decodeStream, type Coding } from './decode.ts';
import type { OnUpstreamLimit } from './failure.ts';
import { confirmedFields } from './confirmed-fields.ts';
import type { Redactor } from './redact.ts';
import type { ResponseFraming } from './response-head.ts';

/** A response's head as it came. */
interface TakenHead {
  readonly call: Pick<UpstreamCall, 'decode' | 'fields'>;
  readonly status: number;
  readonly fields: FieldLines;
  readonly framing: ResponseFraming;
}

/** The same, and how it came. */
export interface ReceivedHead extends TakenHead {
  readonly call: UpstreamCall;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  readonly attempts: number;
}

/** What of its upstream decides how a response is read. */
export interface ResponseGround {
  readonly config: Pick<UpstreamConfig, 'framing' | 'maxBodyBytes'>;
  readonly redactor: Redactor;
  readonly onLimit: OnUpstreamLimit;
  /** Hears how a body broke off, or proved wrong, while it was read; not that its reader gave it up. */
  readonly onBroken: (failure: FailureKind, reason: string) => void;
}

/** What the port promises: decoded, secrets taken out, hop-by-hop lines gone. `passing` hears that the body is passed on as it comes. */
export function upstreamResponse(
  head: ReceivedHead,
  ground: ResponseGround,
  queue: BodyQueue,
  passing: { streamed(): void },
): UpstreamResponse {
  const { status, requestTimeMs, responseTimeMs, attempts } = head;
  const { redactor } = ground;
  const delivered = deliveredHead(head, redactor);
  const { fields } = delivered;
  const redacted = redactor.searches(fields);
  const body = new ReceivedBody({ head, ground, queue, passing, ...delivered, redacted });
  return { kind: 'response', status, fields, body, requestTimeMs, responseTimeMs, attempts };
}

/** What is known of a response by its head. */
interface Delivered {
  readonly codings: readonly Coding[];
  /** As they hold for the delivered body. */
  readonly fields: FieldLines;
  readonly length: number | undefined;
}

export function deliveredHead(head: TakenHead, redactor: Redactor): Delivered {
  const codings = codingsToTakeOff(head, redactor);
  const endFields = endToEnd(head.fields);
  const decoded = codings.length > 0;
  const ours = decoded ? decodedFields(endFields) : confirmedHere(endFields, head, redactor);
  return { codings, fields: redactor.fields(ours), length: lengthOf(head.framing, decoded) };
}

interface BodyParts extends Delivered {
  readonly head: ReceivedHead;
  readonly ground: ResponseGround;
  readonly queue: BodyQueue;
  readonly passing: { streamed(): void };
  readonly redacted: boolean;
}

class ReceivedBody implements UpstreamBody {
  readonly length: number | undefined;
  readonly framed: boolean;
  readonly #parts: BodyParts;

  constructor(parts: BodyParts) {
    const { head, ground, length } = parts;
    this.#parts = parts;
    this.length = length;
    // By a lenient upstream's word the end of the connection is the end of the content.
    this.framed = head.framing.kind !== 'close' || ground.config.framing === 'lenient';
  }

  chunks(): AsyncIterable<Buffer> {
    const { ground, queue, codings, redacted, fields } = this.#parts;
    let chain: AsyncIterable<Buffer> = queue.read();
    if (codings.length > 0) chain = decodeStream(chain, codings, ground.config.maxBodyBytes);
    if (redacted) chain = ground.redactor.stream(chain, fields);
    return releasing(chain, queue, ground);
  }

  gathered(maxBytes: number): MaybePromise<readonly Buffer[] | undefined> {
    const { queue, codings, redacted } = this.#parts;
    return codings.length > 0 || redacted ? undefined : queue.gathered(maxBytes);
  }

  streamed(): void {
    this.#parts.passing.streamed();
  }

  cancel(): void {
    this.#parts.queue.cancel();
  }
}

/**
 * Which codings are taken off. Also where untouched bytes were asked for, but an upstream with credentials may quote them
 * (docs/decisions/0035-what-answers-say-of-credentials.md). A part of a coded representation (206) cannot be decoded.
 */
function codingsToTakeOff(head: TakenHead, redactor: Redactor): readonly Coding[] {
  if ((!head.call.decode && !redactor.active) || head.status === 206 || head.status === 304) return [];
  return codingsOf(head.fields) ?? [];
}

/** Where bytes are left alone a strong tag confirms nothing that is weak (RFC 9111 §4.3.4): the client gets what upstream said. */
function confirmedHere(fields: FieldLines, head: TakenHead, redactor: Redactor): FieldLines {
  if (head.status !== 304 || (!head.call.decode && !redactor.active)) return fields;
  return confirmedFields(fields, fieldValue(head.call.fields, 'if-none-match'));
}

export function lengthOf(framing: ResponseFraming, decoded: boolean): number | undefined {
  switch (framing.kind) {
    case 'none':
      return 0;
    case 'length':
      return decoded && framing.bytes > 0 ? undefined : framing.bytes;
    case 'chunked':
    case 'close':
      return undefined;
  }
}

/** However reading ends, the connection is let go at once, even where a layer between still waits for it. */
async function* releasing(
  chunks: AsyncIterable<Buffer>,
  queue: BodyQueue,
  { onLimit, onBroken }: Pick<ResponseGround, 'onLimit' | 'onBroken'>,
): AsyncGenerator<Buffer, void, void> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof UpstreamBodyError) {
      if (error.failure === 'too-large') onLimit('upstreams.maxBodyBytes');
      if (error.failure !== 'aborted') onBroken(error.failure, error.message);
    }
    throw error;
  } finally {
    queue.cancel();
  }
}
