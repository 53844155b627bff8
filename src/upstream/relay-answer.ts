import { appendCacheStatus } from '../core/cache-status.ts';
import type { IncomingMessage } from 'node:http';

import { UpstreamBodyError } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { withoutFields, type FieldLines } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import type { Route } from '../core/route.ts';
import { decodedFields } from '../core/response-fields.ts';
import { withoutTagFields } from '../core/upstream-tags.ts';
import { cutOf } from './closing-alert.ts';
import { codingsOf, decodeStream, type Coding } from './decode.ts';
import { describe, type NamedFailure } from './failure.ts';
import { locationOnProxy } from '../core/location.ts';
import { VIA } from '../core/via.ts';
import { readToEnd } from './read-to-end.ts';
import { confirmedFields } from './confirmed-fields.ts';
import type { Redactor } from './redact.ts';
import { refusedHead } from './refused-head.ts';
import { fieldLinesOf, framingOf, type ResponseFraming } from './response-head.ts';
import { hasWriteFault } from './write-fault.ts';

/** Hears the content of an answer. */
export interface ContentSink {
  chunk(chunk: Buffer): void;
  /** It is all there. */
  end(): void;
  /** It broke off. */
  cut(): void;
}

/** Upstream's answer, whoever brings it. */
export interface AnswerSource extends AsyncIterable<Buffer> {
  readonly statusCode: number | undefined;
  /** Names and values by turns. */
  readonly rawHeaders: readonly (string | Buffer)[];
  /** All of it has come, as its framing says. */
  readonly complete: boolean;
  /** It has ended, complete or not. */
  readonly destroyed: boolean;
  /** What broke it, where nobody has told of that yet. */
  readonly fault: Error | undefined;
  /** Set by whoever has read its head. */
  framing: ResponseFraming | undefined;
  destroy(): void;
  pause(): void;
  resume(): void;
  /** Tells of the content from here on; asked once. Ends with `end` or `cut`; what is told behind that says nothing new. */
  flow(sink: ContentSink): void;
}

/** The answer to a request of `node:http`. */
export class NodeAnswer implements AnswerSource {
  /** Its request tells at once. */
  readonly fault = undefined;
  framing: ResponseFraming | undefined;
  readonly #answer: IncomingMessage;

  constructor(answer: IncomingMessage) {
    this.#answer = answer;
    readToEnd(answer.socket);
  }

  get statusCode(): number | undefined {
    return this.#answer.statusCode;
  }

  get rawHeaders(): readonly string[] {
    return this.#answer.rawHeaders;
  }

  get complete(): boolean {
    if (!this.#answer.complete || this.framing?.kind !== 'close') return this.#answer.complete;
    // What writing met first, reading is told of as an end in order.
    const { socket } = this.#answer;
    return cutOf(socket, hasWriteFault(socket)) === undefined;
  }

  get destroyed(): boolean {
    return this.#answer.destroyed;
  }

  destroy(): void {
    this.#answer.destroy();
  }

  pause(): void {
    this.#answer.pause();
  }

  resume(): void {
    this.#answer.resume();
  }

  /** Not by `for await`: the iterator of a stream costs as much as all the rest of a relayed answer. */
  flow(sink: ContentSink): void {
    const answer = this.#answer;
    const cut = (): void => sink.cut();
    answer.on('data', (chunk: Buffer) => sink.chunk(chunk));
    answer.once('end', () => {
      if (this.complete) sink.end();
      else sink.cut();
    });
    answer.once('error', cut);
    answer.once('close', cut);
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this.#answer[Symbol.asyncIterator]();
  }
}

/** What decides how an answer is passed on. */
export interface AnswerRules {
  readonly method: string;
  /** As the client sent it. */
  readonly ifNoneMatch: string | undefined;
  readonly config: UpstreamConfig;
  readonly redactor: Redactor;
  readonly plan: { readonly route: Route };
}

/** The head of upstream's answer, as it came. */
export interface AnswerHead {
  readonly kind: 'head';
  readonly status: number;
  readonly fields: FieldLines;
  readonly framing: ResponseFraming;
}

/** On `cache: off` routes answers may be endless: they are carried in bounded memory, and are what these routes are for. */
function maxAnswerBytes({ plan, config }: Pick<AnswerRules, 'plan' | 'config'>): number {
  return plan.route.cache === 'off' ? Number.POSITIVE_INFINITY : config.maxBodyBytes;
}

/** The head, or why it cannot be passed on. */
export function readAnswerHead(
  answer: Pick<AnswerSource, 'statusCode' | 'rawHeaders'>,
  rules: AnswerRules,
): AnswerHead | NamedFailure {
  const status = answer.statusCode ?? 0;
  const fields = fieldLinesOf(answer.rawHeaders);
  const framing =
    fields === undefined ? undefined : framingOf({ method: rules.method, status, fields, rule: rules.config.framing });
  if (fields === undefined || framing === undefined || status < 200) return describe('malformed');
  const { config, redactor } = rules;
  const refusal = refusedHead({ status, fields, framing }, { config, redactor, maxBodyBytes: maxAnswerBytes(rules) });
  return refusal ?? { kind: 'head', status, fields, framing };
}

/** What goes to the client. */
export interface PassedAnswer {
  readonly fields: FieldLines;
  /** The end-to-end fields that upstream sent, as they hold for `chunks`; no secret is in them. */
  readonly received: FieldLines;
  /**
   * What is made of the content; throws {@link UpstreamBodyError} past a limit or where the coding is malformed. `undefined`: it is
   * passed on as it comes, up to `maxBytes`.
   */
  readonly chunks: AsyncIterable<Buffer> | undefined;
  readonly maxBytes: number;
}

/** What decides how it is passed on, beside the head. */
interface PassingRules extends AnswerRules {
  readonly plan: { readonly route: Route; readonly cacheStatus: string };
  readonly onChunk: () => void;
}

/**
 * Whatever an upstream with credentials answers is decoded where needed, since it may quote them. An error in some coding is bounded
 * on every route, as nobody needs one without an end.
 */
export function passedAnswer(answer: AsyncIterable<Buffer>, head: AnswerHead, rules: PassingRules): PassedAnswer {
  const { config, redactor } = rules;
  const { status } = head;
  const { fields: received, codings } = receivedFields(head, rules);
  const isRedacted = redactor.searches(received);
  const maxBytes = maxAnswerBytes(rules);
  let chunks: AsyncIterable<Buffer> | undefined;
  if (codings.length > 0 || isRedacted) {
    const limited = within(maxBytes, answer, rules.onChunk);
    const decoded =
      codings.length > 0 ? decodeStream(limited, codings, status < 300 ? maxBytes : config.maxBodyBytes) : limited;
    chunks = isRedacted ? redactor.stream(decoded, received) : decoded;
  }
  return { fields: sentFields(status, received, rules), received, chunks, maxBytes };
}

/** The end-to-end fields as they hold for what is passed on, without secrets, and the codings that are taken off for it. */
export function receivedFields(
  head: AnswerHead,
  rules: AnswerRules,
): { readonly fields: FieldLines; readonly codings: readonly Coding[] } {
  const { redactor } = rules;
  const codings = redactor.active && head.status !== 304 ? (codingsOf(head.fields) ?? []) : [];
  return { fields: redactor.fields(endToEnd(fieldsHere(head, codings, rules))), codings };
}

function fieldsHere(
  { status, fields }: AnswerHead,
  codings: readonly Coding[],
  { redactor, ifNoneMatch }: Pick<AnswerRules, 'redactor' | 'ifNoneMatch'>,
): FieldLines {
  if (!redactor.active) return fields;
  if (codings.length > 0) return decodedFields(fields);
  // Who is told of ranges would ask for the whole many times over: see `plainFields`.
  const whole = withoutFields(fields, ofRanges);
  return status === 304 ? confirmedFields(whole, ifNoneMatch) : whole;
}

const ofRanges: ReadonlySet<string> = new Set(['accept-ranges']);

function sentFields(status: number, received: FieldLines, { config, plan }: PassingRules): FieldLines {
  const clean = locationOnProxy(withoutTagFields(plan.route, received), config, plan.route);
  const fields = status === 204 ? withoutFields(clean, new Set(['content-length'])) : clean;
  return appendCacheStatus([...fields, VIA], plan.cacheStatus);
}

async function* within(
  maxBytes: number,
  answer: AsyncIterable<Buffer>,
  onChunk: () => void,
): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  for await (const chunk of answer) {
    onChunk();
    bytes += chunk.length;
    if (bytes > maxBytes) throw new UpstreamBodyError('too-large', 'the body is larger than allowed');
    yield chunk;
  }
}
