import {
  type UpstreamBody,
  UpstreamBodyError,
  type UpstreamCall,
  type UpstreamResponse,
} from '../cache/upstream-ports.ts';
import type { FailureKind } from '../core/failure.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { weakEtag } from '../core/response-fields.ts';
import type { BodyQueue } from './body-queue.ts';
import { decodedFields } from '../core/response-fields.ts';
import { codingsOf, decodeStream } from './decode.ts';
import type { OnUpstreamLimit } from './failure.ts';
import { isText, type Redactor } from './redact.ts';
import type { ResponseFraming } from './response-head.ts';

/** A response's head as it came. */
export interface ReceivedHead {
  readonly call: UpstreamCall;
  readonly status: number;
  readonly fields: FieldLines;
  readonly framing: ResponseFraming;
  /** The end of the connection is taken for the end of the content. */
  readonly trusted: boolean;
  readonly times: { readonly requestTimeMs: number; readonly responseTimeMs: number };
  readonly attempts: number;
}

export interface ReceivedBody {
  readonly queue: BodyQueue;
  readonly redactor: Redactor;
  /** Bytes after decoding, at most. */
  readonly maxBytes: number;
  /** Ends the total timeout: the body is passed on as it comes. */
  readonly streamed: () => void;
  readonly onLimit: OnUpstreamLimit;
  /** Hears how a body broke off, or proved wrong, while it was read; not that its reader gave it up. */
  readonly onBroken: (failure: FailureKind) => void;
}

/** What the port promises: decoded, secrets taken out, hop-by-hop lines gone. */
export function upstreamResponse(head: ReceivedHead, body: ReceivedBody): UpstreamResponse {
  const { status, framing, times, attempts } = head;
  const codings = codingsToTakeOff(head, body.redactor);
  const endFields = endToEnd(head.fields);
  const decoded = codings.length > 0;
  const fields = body.redactor.fields(validatorsAsStored(decoded ? decodedFields(endFields) : endFields, head));
  const redact = body.redactor.active && isText(fields);
  const chunks = (): AsyncIterable<Buffer> => {
    let chain: AsyncIterable<Buffer> = body.queue.read();
    if (decoded) chain = decodeStream(chain, codings, body.maxBytes);
    if (redact) chain = body.redactor.stream(chain);
    return releasing(chain, body);
  };
  const framed = framing.kind !== 'close' || head.trusted;
  const length = lengthOf(framing, decoded);
  const cancel = (): void => body.queue.cancel();
  const port: UpstreamBody = { length, framed, chunks, cancel, streamed: body.streamed };
  return { kind: 'response', status, fields, body: port, attempts, ...times };
}

/**
 * Which codings are taken off. Also where untouched bytes were asked for, but an error or redirect of an upstream with
 * credentials may quote them. A part of a coded representation (206) cannot be decoded.
 */
function codingsToTakeOff(head: ReceivedHead, redactor: Redactor): NonNullable<ReturnType<typeof codingsOf>> {
  const wanted = head.call.decode || (redactor.active && head.status >= 300);
  if (!wanted || head.status === 206 || head.status === 304) return [];
  return codingsOf(head.fields) ?? [];
}

/**
 * A 304 confirms the coded representation by its strong validator; what we hold is its decoded form under the weak one
 * that we asked with. Answering with the strong one would mark our bytes as upstream's (RFC 9110 §8.8.3). Where bytes are
 * left alone a strong tag confirms nothing that is weak (RFC 9111 §4.3.4), and the client gets what upstream said.
 */
function validatorsAsStored(fields: FieldLines, head: ReceivedHead): FieldLines {
  if (head.status !== 304 || !head.call.decode) return fields;
  const asked = fieldValue(head.call.fields, 'if-none-match') ?? '';
  return fields.map(([name, value]): readonly [string, string] =>
    name === 'etag' && asked.includes(weakEtag(value)) ? [name, weakEtag(value)] : [name, value],
  );
}

function lengthOf(framing: ResponseFraming, decoded: boolean): number | undefined {
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
  { queue, onLimit, onBroken }: Pick<ReceivedBody, 'queue' | 'onLimit' | 'onBroken'>,
): AsyncGenerator<Buffer, void, void> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof UpstreamBodyError) {
      if (error.failure === 'too-large') onLimit('upstreams.maxBodyBytes');
      if (error.failure !== 'aborted') onBroken(error.failure);
    }
    throw error;
  } finally {
    queue.cancel();
  }
}
