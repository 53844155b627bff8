import type { Clock } from '../cache/ports.ts';
import type { Turn } from '../cache/turn.ts';
import type { UpstreamAnswer, UpstreamCall } from '../cache/upstream-ports.ts';
import type { FailureKind } from '../core/failure.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { Places } from '../core/places.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { BodyQueue } from './body-queue.ts';
import type { CallRequest, CallWire, ConnectionControl } from './call-wire.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import { clientGone, describe, nameFailure, pastLimit, type CallPhase, type NamedFailure } from './failure.ts';
import { refusedHead } from './refused-head.ts';
import { fieldLinesOf, framingOf, isLast, type NamedFields, type ResponseFraming } from './response-head.ts';
import type { Slots } from './slots.ts';
import { upstreamResponse, type ReceivedHead, type ResponseGround } from './upstream-response.ts';

/** What all calls to one upstream have in common. */
export interface CallGround extends ResponseGround {
  readonly config: UpstreamConfig;
  readonly clock: Clock;
  readonly slots: Slots;
  /** In which answers are handed on. */
  readonly turn: Turn;
  /** For `totalTimeout`. */
  readonly deadlines: Deadlines<PendingCall>;
  /** Those that end with the signal. */
  readonly underWay: (signal: AbortSignal) => Places<PendingCall>;
  /** Hands the call to a connection; `fresh`: to one that has served nothing yet. */
  readonly dispatch: (call: PendingCall, fresh: boolean) => void;
}

/** One call from the wait for a connection to the end of the body; the `on…` methods are undici's handler interface. */
export class PendingCall {
  /** Of {@link Deadlines} alone. */
  deadline: Deadline | undefined;
  /** Set by the connection that takes the call. */
  wire: CallWire | undefined;
  readonly request: CallRequest;
  readonly answer: Promise<UpstreamAnswer>;
  readonly #ground: CallGround;
  readonly #call: UpstreamCall;
  readonly #signal: AbortSignal;
  #settle: (answer: UpstreamAnswer) => void = () => {};
  /** From when on what comes back is old (RFC 9111 §4.2.3): no wait of our own before counts. */
  #requestTimeMs: number;
  #phase: CallPhase = 'connecting';
  #control: ConnectionControl | undefined;
  #reused = false;
  #firstByte = false;
  #isRepeated = false;
  #attempts = 0;
  /** Among those that end with its signal. */
  #place: number | undefined;
  #stopped = false;
  #holdsSlot = false;
  #leaveQueue: (() => unknown) | undefined;
  #queue: BodyQueue | undefined;
  #framing: ResponseFraming | undefined;
  /** Of content, as received so far. */
  #bytes = 0;
  /** Until it is handed on. */
  #response: UpstreamAnswer | undefined;
  /** Of a call whose timer stood still for a while. */
  #stopTimer: (() => void) | undefined;
  #timerStartedMs = 0;
  #leftMs = 0;
  #unbound = false;

  constructor(ground: CallGround, call: UpstreamCall, request: CallRequest, signal: AbortSignal) {
    this.#ground = ground;
    this.#call = call;
    this.request = request;
    this.#signal = signal;
    this.#requestTimeMs = ground.clock.nowMs();
    this.answer = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  start(): void {
    const { slots, deadlines, underWay, onLimit } = this.#ground;
    if (this.#signal.aborted) {
      this.#stop(describe('aborted'));
      return;
    }
    this.#place = underWay(this.#signal).add(this);
    deadlines.add(this);
    this.#call.whenGone?.(() => {
      // What it went on may be another call's by now.
      if (this.#place !== undefined) this.#stop(clientGone);
    });
    // Whoever it is for may have gone before it was made.
    if (this.#stopped) return;
    if (slots.tryTake()) {
      this.#send();
      return;
    }
    onLimit('upstreams.maxConnections');
    this.#leaveQueue = slots.wait(() => this.#granted());
  }

  /** It waits for a connection that is free. */
  get isQueued(): boolean {
    return this.#leaveQueue !== undefined;
  }

  /** The total timeout is over. */
  expire(): void {
    // In the queue it is not upstream that took too long: `maxConnections` was hit, and told, when the wait began.
    this.#stop(this.isQueued ? describe('busy') : pastLimit('totalTimeout'));
  }

  /** Nobody wants it any more: its signal was aborted, or its body given up. */
  abort(): void {
    this.#stop(describe('aborted'));
  }

  /** The reader holds the body up; time in which it does is not upstream's, so the timer stands still. */
  pause(): void {
    const { clock, deadlines } = this.#ground;
    const leftMs = deadlines.take(this) ?? this.#leftMs - (clock.monotonicMs() - this.#timerStartedMs);
    this.#leftMs = Math.max(1, leftMs);
    this.#stopTimer?.();
    if (this.#control !== undefined && !isLast(this.#framing, this.#bytes)) this.#control.pause();
  }

  resume(): void {
    const { clock } = this.#ground;
    if (!this.#unbound) {
      this.#timerStartedMs = clock.monotonicMs();
      this.#stopTimer = clock.after(this.#leftMs, () => this.expire());
    }
    this.#control?.resume();
  }

  onRequestStart(control: ConnectionControl): void {
    this.#control = control;
    this.#reused = this.wire?.takesReused() === true;
    // Given up, or out of time, when the connection was made: nothing is sent.
    if (this.#stopped) control.abort(new Error('given up'));
    else if (this.#isOverdue()) this.expire();
    else this.#phase = 'waiting';
  }

  onResponseStarted(): void {
    this.#firstByte = true;
  }

  /** `named`: the fields as undici has read them. */
  onResponseStart(control: ConnectionControl, status: number, named?: NamedFields): void {
    if (this.#stopped) return;
    if (status < 200) {
      this.#interim(control, status);
      return;
    }
    const { config, clock } = this.#ground;
    this.#phase = 'body';
    const fields = fieldLinesOf(Array.isArray(control.rawHeaders) ? control.rawHeaders : [], named);
    const { method } = this.request;
    const framing = fields === undefined ? undefined : framingOf({ method, status, fields, rule: config.framing });
    if (fields === undefined || framing === undefined) {
      this.#stop(describe('malformed'));
      return;
    }
    const { redactor } = this.#ground;
    const refusal = refusedHead({ status, fields, framing }, { config, redactor, maxBodyBytes: config.maxBodyBytes });
    if (refusal !== undefined) {
      this.#stop(refusal);
      return;
    }
    const queue = new BodyQueue(this, config.maxBodyBytes);
    this.#queue = queue;
    this.#framing = framing;
    const head: ReceivedHead = {
      call: this.#call,
      status,
      fields,
      framing,
      requestTimeMs: this.#requestTimeMs,
      responseTimeMs: clock.nowMs(),
      attempts: this.#attempts,
    };
    this.#response = upstreamResponse(head, this.#ground, queue, this);
    this.#ground.turn.add(this);
  }

  /** To whoever waits for the answer: its head has come, and mostly its body. */
  handOn(): void {
    if (this.#response !== undefined) this.#settle(this.#response);
    this.#response = undefined;
  }

  /** The body is passed on as it comes: from here on only the time between two pieces is limited. */
  streamed(): void {
    this.#unbound = true;
    this.#ground.deadlines.delete(this);
    this.#stopTimer?.();
  }

  /** It says nothing that a cache could use, and something that a client may (RFC 9110 §15.2). */
  #interim(control: ConnectionControl, status: number): void {
    const { onInterim } = this.#call;
    if (onInterim === undefined) return;
    const fields = fieldLinesOf(Array.isArray(control.rawHeaders) ? control.rawHeaders : []);
    if (fields !== undefined) onInterim(status, this.#ground.redactor.fields(endToEnd(fields)));
  }

  onResponseData(_control: ConnectionControl, chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#queue?.push(chunk);
  }

  onResponseEnd(): void {
    this.#over();
    // Content that ends with its connection is complete unless that reports an error (RFC 9112 §8) or, with TLS, was not closed in
    // order (§9.8). Of other content this says nothing: it may come behind all of it.
    const cut = this.#framing?.kind === 'close' ? this.wire?.cut : undefined;
    if (cut !== undefined) this.#fail(cut);
    else this.#queue?.finish();
  }

  onResponseError(_control: unknown, error: unknown): void {
    const failure = nameFailure(error, this.#phase);
    if (this.#mayRetry(failure.failure)) {
      // What was never written upstream knows nothing of.
      if (this.#phase !== 'connecting') this.#attempts += 1;
      this.#phase = 'connecting';
      this.#control = undefined;
      this.#isRepeated = true;
      this.#requestTimeMs = this.#ground.clock.nowMs();
      this.#ground.dispatch(this, true);
      return;
    }
    this.#over();
    // What ended it is told; how its connection ends then says nothing more.
    if (!this.#stopped) this.#fail(failure);
  }

  /**
   * A kept connection may be closed by upstream in the moment in which we write to it (RFC 9112 §9.3.1). Safe methods,
   * of which nothing has come back, are sent once more on a connection that is new. Others are never given a kept one. It may
   * also break while the request still waits to be written to it: undici fails both then.
   */
  #mayRetry(failure: FailureKind): boolean {
    if (this.#isRepeated || this.#stopped || this.#isOverdue()) return false;
    if (this.#phase === 'connecting') return this.wire?.keptBroke === true;
    return failure === 'reset' && this.#reused && !this.#firstByte;
  }

  /** Its turn has come; false where it is not sent, since nobody waits for it any more or there is no time left for it. */
  #granted(): boolean {
    this.#leaveQueue = undefined;
    const isWanted = this.#call.isWanted?.() !== false;
    if (!isWanted || this.#isOverdue()) {
      this.#stop(describe(isWanted ? 'busy' : 'aborted'));
      return false;
    }
    this.#requestTimeMs = this.#ground.clock.nowMs();
    this.#send();
    return true;
  }

  /** Its time is over, though the timer that ends it is late: what was sent now would cost upstream's quota and come to nothing. */
  #isOverdue(): boolean {
    return this.deadline !== undefined && this.deadline.dueMs <= this.#ground.clock.monotonicMs();
  }

  #send(): void {
    this.#holdsSlot = true;
    this.#attempts += 1;
    this.#ground.dispatch(this, false);
  }

  /** Ends the call from our side. */
  #stop(failure: NamedFailure): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.streamed();
    this.#fail(failure);
    if (this.#leaveQueue !== undefined) this.#leaveQueue();
    this.#control?.abort(new Error('given up'));
    if (!this.#holdsSlot) this.#over();
  }

  #fail({ failure, detail, limit, clientGone: isGone }: NamedFailure): void {
    if (limit !== undefined) this.#ground.onLimit(`upstreams.${limit}`);
    if (this.#queue !== undefined) {
      this.#queue.fail(failure, detail);
      return;
    }
    const times = { requestTimeMs: this.#requestTimeMs, responseTimeMs: this.#ground.clock.nowMs() };
    const attempted = { attempts: this.#attempts, unsent: this.#phase === 'connecting' || undefined };
    this.#settle({ kind: 'failure', failure, detail, clientGone: isGone, ...attempted, ...times });
  }

  /** The connection is done with this call. */
  #over(): void {
    this.streamed();
    if (this.#place !== undefined) this.#ground.underWay(this.#signal).free(this.#place);
    this.#place = undefined;
    if (this.#holdsSlot) this.#ground.slots.release();
    this.#holdsSlot = false;
  }
}
