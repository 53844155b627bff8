import { describe, nameFailure } from './failure.ts';
import type { AnswerSource, ContentSink } from './relay-answer.ts';
import type { RelayPlan } from '../cache/relay-types.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import { targetWithCredentials } from './credentials.ts';
import { rawHeadersOf } from './relay-request.ts';
import { relayedFields } from './request-fields.ts';
import { BodyQueue } from './body-queue.ts';
import type { CallWire, ConnectionControl } from './call-wire.ts';
import type { Redactor } from './redact.ts';
import type { RelayExchange } from './relay-exchange.ts';
import type { RelayLine } from './connection.ts';
import type { RelayLines } from './relay-lines.ts';
import { isLast, type ResponseFraming } from './response-head.ts';

/** What is sent: path and query, and names and values of the fields by turns. */
interface BareRequest {
  readonly path: string;
  readonly headers: string[];
}

/** Where a request goes. */
interface RequestGround {
  readonly config: UpstreamConfig;
  readonly host: string;
  readonly redactor: Pick<Redactor, 'active'>;
}

/** @param fields the client's, as they came */
export function bareRequest(
  { config, host, redactor }: RequestGround,
  { target, mark }: Pick<RelayPlan, 'target' | 'mark'>,
  fields: FieldLines,
): BareRequest {
  const headers = rawHeadersOf([['host', host], ...relayedFields(fields, config, redactor.active, mark)]);
  return { path: targetWithCredentials(target, config.credentials), headers };
}

/** As much as may come of an answer that is held back, and a read more; a chunk takes some memory beside its bytes. */
const MAX_EARLY_BYTES = 256 * 1024;
const CHUNK_BYTES = 256;

/**
 * A relayed GET without content, and upstream's answer to it; the `on…` methods are undici's handler interface. http-proxy-3 makes
 * a `ClientRequest`, an `IncomingMessage` and a dozen listeners for each, which is twice of what undici takes for the whole call.
 */
export class RelayCall implements AnswerSource {
  statusCode: number | undefined;
  rawHeaders: readonly (string | Buffer)[] = [];
  framing: ResponseFraming | undefined;
  /** All of it has come, as its framing says. */
  complete = false;
  /** It has ended, complete or not. */
  destroyed = false;
  readonly #exchange: RelayExchange;
  readonly #lines: RelayLines;
  readonly #line: RelayLine;
  readonly #request: BareRequest;
  #control: ConnectionControl | undefined;
  #reused = false;
  #firstByte = false;
  #sink: ContentSink | undefined;
  /** What came before anybody asked for it. */
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #isPaused = false;
  /** Of content, as received so far. */
  #bytes = 0;

  /** `line`: what it goes on. */
  constructor(exchange: RelayExchange, lines: RelayLines, line: RelayLine, request: BareRequest) {
    this.#exchange = exchange;
    this.#lines = lines;
    this.#line = line;
    this.#request = request;
  }

  get fault(): Error | undefined {
    return this.destroyed ? undefined : this.#line.fault;
  }

  /** @param isCounted it is one more attempt */
  start(isCounted = true): void {
    this.#exchange.connecting(isCounted);
    this.#exchange.dialled(this);
    this.#line.send(this.#request.path, this.#request.headers, this);
  }

  /** Whatever is on its way is no longer wanted. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#line.destroy();
  }

  pause(): void {
    this.#isPaused = true;
    // Its connection may be another call's by now.
    if (!this.destroyed && !isLast(this.framing, this.#bytes)) this.#control?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.destroyed) this.#control?.resume();
  }

  /** Tells of the content from here on, and of what came before; asked once. */
  flow(sink: ContentSink): void {
    this.#sink = sink;
    this.#isPaused = false;
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) sink.chunk(chunk);
    if (this.complete) sink.end();
    else if (this.destroyed) sink.cut();
    else if (!this.#isPaused) this.resume();
  }

  /** In the place of {@link flow}. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    const queue = new BodyQueue(
      { pause: () => this.pause(), resume: () => this.resume(), abort: () => this.destroy() },
      Number.POSITIVE_INFINITY,
    );
    this.flow({
      chunk: (chunk) => queue.push(chunk),
      end: () => queue.finish(),
      cut: () => queue.fail('truncated', describe('truncated').detail),
    });
    return queue.read();
  }

  onRequestStart(control: ConnectionControl): void {
    this.#control = control;
    this.#reused = this.#line.wire.takesReused();
    if (this.destroyed) control.abort(new Error('given up'));
    else this.#exchange.sent();
  }

  onResponseStarted(): void {
    this.#firstByte = true;
  }

  onResponseStart(control: ConnectionControl, status: number): void {
    if (this.destroyed) return;
    const raw: readonly (string | Buffer)[] = Array.isArray(control.rawHeaders) ? control.rawHeaders : [];
    if (status < 200) {
      this.#exchange.interim(status, raw);
      return;
    }
    this.statusCode = status;
    this.rawHeaders = raw;
    this.#exchange.respond(this);
  }

  onResponseData(control: ConnectionControl, chunk: Buffer): void {
    if (this.destroyed) return;
    this.#bytes += chunk.length;
    // Paused between two reads, the parser stops behind the next.
    if (this.#isPaused && isLast(this.framing, this.#bytes)) control.resume();
    if (this.#sink !== undefined) {
      this.#sink.chunk(chunk);
      return;
    }
    // Parsed though nobody takes it yet, as node:http does, too: what is broken in the same read is seen before the head is sent.
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length + CHUNK_BYTES;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.pause();
  }

  onResponseEnd(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    const { broken: isBroken, cut } = this.#line.wire;
    // Content that ends with its connection is complete unless that reports an error (RFC 9112 §8) or, with TLS, was not closed in
    // order (§9.8). Of other content this says nothing: it may come behind all of it.
    this.complete = cut === undefined || this.framing?.kind !== 'close';
    if (!this.complete) this.#cutShort(cut);
    if (isBroken) this.#line.destroy();
    else this.#lines.give(this.#line);
    if (this.complete) this.#sink?.end();
    else this.#sink?.cut();
  }

  /** Its error may be one that ends the connection later. */
  #cutShort(cut: CallWire['cut']): void {
    const { fault } = this.#line;
    if (fault === undefined) this.#exchange.fail(cut ?? describe('reset'));
    else this.#exchange.broke(fault);
  }

  onResponseError(_control: unknown, error: unknown): void {
    // Ended from our side.
    if (this.destroyed) return;
    this.destroyed = true;
    this.#line.destroy();
    if (this.#mayRepeat(error)) {
      const again = new RelayCall(this.#exchange, this.#lines, this.#lines.fresh(), this.#request);
      // What was never written upstream knows nothing of.
      again.start(this.#control !== undefined);
      return;
    }
    // First, since it knows why.
    this.#exchange.broke(error);
    this.#sink?.cut();
  }

  /** A kept connection may be gone when we write to it, or before: of that nothing has come back, and it can safely be sent again. */
  #mayRepeat(error: unknown): boolean {
    if (!this.#exchange.open) return false;
    if (this.#control === undefined) return this.#line.wire.keptBroke;
    if (!this.#reused || this.#firstByte) return false;
    return nameFailure(error, 'waiting').failure === 'reset';
  }
}
