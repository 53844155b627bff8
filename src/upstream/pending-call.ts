import type { Clock } from '../cache/ports.ts';
import type { UpstreamAnswer, UpstreamCall } from '../cache/upstream-ports.ts';
import type { FailureKind } from '../core/failure.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { BodyQueue } from './body-queue.ts';
import {
  describe,
  nameFailure,
  pastLimit,
  type CallPhase,
  type NamedFailure,
  type OnUpstreamLimit,
} from './failure.ts';
import type { Redactor } from './redact.ts';
import { fieldLineBytes, fieldLinesOf, framingOf } from './response-head.ts';
import type { Slots } from './slots.ts';
import { upstreamResponse } from './upstream-response.ts';

/** What a call needs of its connection; undici's controller has it. */
export interface ConnectionControl {
  readonly rawHeaders?: unknown;
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

export interface PendingCallOptions {
  readonly call: UpstreamCall;
  readonly config: UpstreamConfig;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly slots: Slots;
  /** Hands the call to a connection; `fresh`: to one that has served nothing yet. */
  readonly dispatch: (handler: PendingCall, fresh: boolean) => void;
  readonly signal: AbortSignal;
  readonly onLimit: OnUpstreamLimit;
  readonly onBroken: (failure: FailureKind) => void;
}

/** One call from the wait for a connection to the end of the body; the `on…` methods are undici's handler interface. */
export class PendingCall {
  /** Set by the connection that takes the call: whether it has served another before. Asked when the request is written. */
  takesReused: () => boolean = () => false;
  /** Set by the connection that takes the call: whether it ended by an error. */
  brokeOff: () => boolean = () => false;
  readonly answer: Promise<UpstreamAnswer>;
  readonly #options: PendingCallOptions;
  readonly #settle: (answer: UpstreamAnswer) => void;
  readonly #requestTimeMs: number;
  readonly #onAbort = (): void => this.#stop(describe('aborted'));
  #phase: CallPhase = 'connecting';
  #control: ConnectionControl | undefined;
  #reused = false;
  #firstByte = false;
  #attempts = 0;
  #stopped = false;
  #holdsSlot = false;
  #leaveQueue: (() => unknown) | undefined;
  #queue: BodyQueue | undefined;
  #stopTimer: (() => void) | undefined;
  #timerStartedMs = 0;
  #leftMs: number;
  #unbound = false;

  constructor(options: PendingCallOptions) {
    this.#options = options;
    this.#leftMs = options.config.totalTimeoutMs;
    this.#requestTimeMs = options.clock.nowMs();
    const { promise, resolve } = Promise.withResolvers<UpstreamAnswer>();
    this.answer = promise;
    this.#settle = resolve;
  }

  start(): void {
    const { signal, slots } = this.#options;
    if (signal.aborted) {
      this.#stop(describe('aborted'));
      return;
    }
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#startTimer();
    if (slots.tryTake()) {
      this.#send();
      return;
    }
    this.#options.onLimit('upstreams.maxConnections');
    this.#leaveQueue = slots.wait(() => this.#send());
  }

  onRequestStart(control: ConnectionControl): void {
    this.#control = control;
    this.#reused = this.takesReused();
    this.#phase = 'waiting';
    // Given up while the connection was made: nothing is sent.
    if (this.#stopped) control.abort(new Error('given up'));
  }

  onResponseStarted(): void {
    this.#firstByte = true;
  }

  onResponseStart(control: ConnectionControl, status: number): void {
    if (this.#stopped) return;
    if (status < 200) {
      this.#interim(control, status);
      return;
    }
    const { call, config, clock, redactor, onLimit, onBroken } = this.#options;
    this.#phase = 'body';
    const fields = fieldLinesOf(Array.isArray(control.rawHeaders) ? control.rawHeaders : []);
    const framing =
      fields === undefined
        ? undefined
        : framingOf({ method: call.canonical.method, status, fields, rule: config.framing });
    if (fields === undefined || framing === undefined) {
      this.#stop(describe('malformed'));
      return;
    }
    // The parser's own limit leaves out what separates names and values: here the line is drawn exactly.
    if (fieldLineBytes(fields) > config.maxHeaderBytes) {
      this.#stop(pastLimit('maxHeaderBytes'));
      return;
    }
    if (framing.kind === 'length' && framing.bytes > config.maxBodyBytes) {
      this.#stop(pastLimit('maxBodyBytes'));
      return;
    }
    const queue = new BodyQueue(this.#source(control), config.maxBodyBytes);
    this.#queue = queue;
    const times = { requestTimeMs: this.#requestTimeMs, responseTimeMs: clock.nowMs() };
    const streamed = (): void => this.#unbind();
    const head = {
      call,
      status,
      fields,
      framing,
      trusted: config.framing === 'lenient',
      times,
      attempts: this.#attempts,
    };
    const maxBytes = config.maxBodyBytes;
    this.#settle(upstreamResponse(head, { queue, redactor, maxBytes, streamed, onLimit, onBroken }));
  }

  /** It says nothing that a cache could use, and something that a client may (RFC 9110 §15.2). */
  #interim(control: ConnectionControl, status: number): void {
    const { call, redactor } = this.#options;
    if (call.onInterim === undefined) return;
    const fields = fieldLinesOf(Array.isArray(control.rawHeaders) ? control.rawHeaders : []);
    if (fields !== undefined) call.onInterim(status, redactor.fields(endToEnd(fields)));
  }

  onResponseData(_control: ConnectionControl, chunk: Buffer): void {
    this.#queue?.push(chunk);
  }

  onResponseEnd(): void {
    this.#over();
    // Content that ends with its connection is complete unless the connection reports an error (RFC 9112 §8).
    if (this.brokeOff()) this.#fail(describe('reset'));
    else this.#queue?.finish();
  }

  onResponseError(_control: unknown, error: unknown): void {
    const failure = nameFailure(error, this.#phase);
    if (this.#mayRetry(failure.failure)) {
      this.#phase = 'connecting';
      this.#control = undefined;
      this.#attempts += 1;
      this.#options.dispatch(this, true);
      return;
    }
    this.#over();
    this.#fail(failure);
  }

  /**
   * A kept connection may be closed by upstream in the moment in which we write to it (RFC 9112 §9.3.1). Safe methods,
   * of which nothing has come back, are sent once more on a connection that is new. Others are never given a kept one.
   */
  #mayRetry(failure: FailureKind): boolean {
    return failure === 'reset' && this.#reused && !this.#firstByte && this.#attempts === 1 && !this.#stopped;
  }

  #send(): void {
    this.#holdsSlot = true;
    this.#leaveQueue = undefined;
    this.#attempts += 1;
    this.#options.dispatch(this, false);
  }

  /** Ends the call from our side. */
  #stop(failure: NamedFailure): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#unbind();
    this.#fail(failure);
    if (this.#leaveQueue !== undefined) this.#leaveQueue();
    this.#control?.abort(new Error('given up'));
    if (!this.#holdsSlot) this.#over();
  }

  #fail({ failure, detail, limit }: NamedFailure): void {
    if (limit !== undefined) this.#options.onLimit(`upstreams.${limit}`);
    if (this.#queue !== undefined) {
      this.#queue.fail(failure, detail);
      return;
    }
    const responseTimeMs = this.#options.clock.nowMs();
    const times = { requestTimeMs: this.#requestTimeMs, responseTimeMs };
    this.#settle({ kind: 'failure', failure, detail, attempts: this.#attempts, ...times });
  }

  /** The connection is done with this call. */
  #over(): void {
    this.#unbind();
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    if (this.#holdsSlot) this.#options.slots.release();
    this.#holdsSlot = false;
  }

  #startTimer(): void {
    const { clock } = this.#options;
    this.#timerStartedMs = clock.monotonicMs();
    this.#stopTimer = clock.after(this.#leftMs, () => {
      // In the queue it is not upstream that took too long: `maxConnections` was hit, and told, when the wait began.
      this.#stop(this.#leaveQueue === undefined ? pastLimit('totalTimeout') : describe('busy'));
    });
  }

  /** From here on only the time between two pieces is limited. */
  #unbind(): void {
    this.#unbound = true;
    this.#stopTimer?.();
  }

  /** Time in which the reader holds up the body is not upstream's: the timer stands still. */
  #source(control: ConnectionControl): ConstructorParameters<typeof BodyQueue>[0] {
    const { clock } = this.#options;
    return {
      pause: () => {
        this.#stopTimer?.();
        this.#leftMs = Math.max(1, this.#leftMs - (clock.monotonicMs() - this.#timerStartedMs));
        control.pause();
      },
      resume: () => {
        if (!this.#unbound) this.#startTimer();
        control.resume();
      },
      abort: () => this.#stop(describe('aborted')),
    };
  }
}
