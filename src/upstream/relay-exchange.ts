import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';

import type { Clock } from '../cache/ports.ts';
import type { RelayFollowUp, RelayTap } from '../cache/handled.ts';
import type { RelayPlan, RelayResult } from '../cache/relay-types.ts';
import { contentTooLarge } from '../core/content-key.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { FailureKind } from '../core/failure.ts';
import { failureProblem } from '../core/failure-policy.ts';
import { interimFields, MAX_INTERIM_RESPONSES } from '../core/interim.ts';
import type { Problem } from '../core/problem.ts';
import { withoutTagFields } from '../core/upstream-tags.ts';
import { watchClosingAlert } from './closing-alert.ts';
import { describe, nameFailure, pastLimit, type NamedFailure, type OnUpstreamLimit } from './failure.ts';
import type { Redactor } from './redact.ts';
import {
  passedAnswer,
  readAnswerHead,
  type AnswerHead,
  type AnswerRules,
  type AnswerSource,
  type PassedAnswer,
} from './relay-answer.ts';
import { passContent } from './relay-content.ts';
import { RelayReply } from './relay-reply.ts';
import { ContentTooLargeError } from './relay-request.ts';
import { RelayTimer, type RelayTimers } from './relay-timer.ts';
import { limitOfStage, phaseOf, type Stage, type UpstreamEnd } from './relay-stage.ts';
import { fieldLinesOf } from './response-head.ts';
import { readBehindWrites } from './write-fault.ts';

export interface RelayExchangeOptions {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly plan: RelayPlan;
  /** The request that goes upstream has no content. */
  readonly isBare?: boolean;
  readonly config: UpstreamConfig;
  readonly clock: Clock;
  readonly timers: RelayTimers;
  readonly redactor: Redactor;
  readonly onLimit: OnUpstreamLimit;
}

/**
 * One relayed request: the client's side of it and the time that upstream takes. Whatever upstream does, exactly one
 * answer begins, and an answer that cannot be completed ends with the client's connection, never with silence.
 */
export class RelayExchange {
  readonly result: Promise<RelayResult>;
  readonly #options: RelayExchangeOptions;
  readonly #reply: RelayReply;
  readonly #timer: RelayTimer;
  #stage: Stage = 'connecting';
  /** Status of upstream's answer, fit to be passed on or not. */
  #fwdStatus: number | undefined;
  #upstream: UpstreamEnd | undefined;
  /** Not a function that tells whether it is complete: with one, a quarter of what exchanges make lived until a full collection. */
  #answer: AnswerSource | undefined;
  /** The end of its content is told by its framing, and not by that of the connection alone. */
  #isFramed = false;
  #failure: NamedFailure | undefined;
  /** All of the answer was passed on. */
  #isWhole = false;
  #attempts = 0;
  #unsent: true | undefined = undefined;
  #requestTimeMs = 0;
  #interims = 0;

  constructor(options: RelayExchangeOptions) {
    this.#options = options;
    const reply = new RelayReply(options.req, options.res, options.plan);
    this.#reply = reply;
    this.#timer = new RelayTimer(options.timers, () => this.#idle());
    const { promise, resolve } = Promise.withResolvers<RelayResult>();
    this.result = promise;
    const { res } = options;
    const closed = (): void => {
      // Somebody else may have answered in our place: then the response is finished and the call is not.
      const unfinished = this.#stage !== 'over' || !res.writableFinished;
      this.end();
      if (unfinished) this.#upstream?.destroy();
      resolve({
        status: reply.status,
        bytesSent: reply.bytesSent,
        problem: reply.problem,
        failure: this.#failure?.failure,
        reason: this.#failure?.detail,
        aborted: reply.aborted,
        attempts: this.#attempts,
        unsent: this.#unsent,
      });
    };
    if (res.closed || res.destroyed) closed();
    else res.once('close', closed);
  }

  /** No answer has begun, and the client is there. */
  get open(): boolean {
    return this.#stage !== 'over' && this.#stage !== 'body' && this.#reply.open;
  }

  /** Connections that the call was handed to so far. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Wall clock when the request was handed to a connection, the latest where there were two. */
  get requestTimeMs(): number {
    return this.#requestTimeMs;
  }

  /** A connection is being made; `isCounted`: for one attempt more. */
  connecting(isCounted = true): void {
    if (isCounted) this.#attempts += 1;
    this.#requestTimeMs = this.#options.clock.nowMs();
    this.#stage = 'connecting';
    this.#timer.limit(this.#options.config.connectTimeoutMs);
  }

  /** The request has its connection, which may still be on the way. */
  connected(upstream: ClientRequest): void {
    this.#upstream = upstream;
    if (!this.open) {
      upstream.destroy();
      return;
    }
    const { socket } = upstream;
    if (socket !== null) readBehindWrites(socket);
    watchClosingAlert(socket);
    const ready = 'encrypted' in (socket ?? {}) ? 'secureConnect' : 'connect';
    if (upstream.reusedSocket || socket === null) this.#sending(upstream);
    else socket.once(ready, () => this.#sending(upstream));
  }

  /** The request goes to a connection that may have to be made first; {@link sent} tells when it is. */
  dialled(upstream: UpstreamEnd): void {
    this.#upstream = upstream;
  }

  /** The request has no content, and its head is being sent. */
  sent(): void {
    if (!this.open) return;
    this.#stage = 'waiting';
    this.#timer.limit(this.#options.config.headersTimeoutMs);
  }

  /** Content moves, either way. */
  touch(): void {
    this.#timer.touch();
  }

  /** Content of upstream's answer is passed on. */
  get passing(): boolean {
    return this.#stage === 'body';
  }

  /** The content that was passed on is all of it, as its framing says. */
  get whole(): boolean {
    return this.#isWhole && this.#hasAll();
  }

  /** All content was passed on. */
  finish(): void {
    this.#isWhole = true;
    this.end();
    this.#reply.end();
  }

  /** Passes on an interim response (RFC 9110 §15.2), unless it is about this hop or nothing can come of it any more. What names tags stays here. */
  interim(status: number, raw: readonly (string | Buffer)[]): void {
    const { plan, redactor } = this.#options;
    if (this.#interims >= MAX_INTERIM_RESPONSES || !this.open || this.#stage === 'settling') return;
    const received = fieldLinesOf(raw);
    const fields = received && interimFields(status, redactor.fields(received));
    if (fields === undefined) return;
    this.#interims += 1;
    plan.onInterim?.(status, withoutTagFields(plan.route, fields));
  }

  /** Passes on upstream's answer. Never throws. */
  respond(answer: AnswerSource): void {
    if (!this.open) {
      answer.destroy();
      return;
    }
    this.#fwdStatus = answer.statusCode;
    const head = readAnswerHead(answer, this.#rules());
    if (!('kind' in head)) {
      this.fail(head);
      return;
    }
    // An end that only the connection's end tells may be the cut of a reset: node calls that complete, too.
    this.#answer = answer;
    answer.framing = head.framing;
    this.#isFramed = head.framing.kind !== 'close';
    const onChunk = (): void => this.#timer.touch();
    const passed = passedAnswer(answer, head, { ...this.#rules(), onChunk });
    const { ready, tap } = this.#settle(head, passed);
    const begin = (): void => this.#begin(answer, head, passed, tap);
    // What comes in the same read as the head may be broken: where it is, the client gets to know in words.
    if (ready === undefined) process.nextTick(begin);
    else void ready.then(begin);
  }

  /** Something broke: of upstream's connection, or of the client's content. */
  broke(error: unknown): void {
    if (error instanceof ContentTooLargeError) {
      const problem = contentTooLarge(this.#options.plan.maxBodyBytes);
      if (this.open) {
        this.refuse(problem);
      } else if (this.#stage === 'body') {
        // Upstream had begun to answer what it will never have whole.
        this.#reply.problem = problem.code;
        this.#tear();
      }
      this.#upstream?.destroy();
      return;
    }
    // The answer is whole, as its framing says; what breaks now is the rest of an upload that upstream did not wait for.
    if (this.#hasAll()) return;
    this.fail(nameFailure(error, phaseOf(this.#stage)));
  }

  /** Ends the exchange for a fault of upstream: with a problem where nothing was sent, else by cutting the connection. */
  fail(named: NamedFailure): void {
    const { failure, limit } = named;
    if (this.#stage === 'over') return;
    if (limit !== undefined) this.#options.onLimit(`upstreams.${limit}`);
    this.#failure ??= named;
    if (this.open) this.refuse(failureProblem(failure), failure);
    else this.#tear();
    this.#upstream?.destroy();
  }

  /** Answers with a problem of our own. `failure`: upstream's. */
  refuse(problem: Problem, failure?: FailureKind): void {
    this.end();
    this.#reply.refuse(problem, { sent: this.#upstream !== undefined, fwdStatus: this.#fwdStatus, failure });
  }

  /** Nothing more is timed; the connection was handed over, or all is said. */
  end(): void {
    if (this.#stage === 'connecting') this.#unsent = true;
    this.#stage = 'over';
    this.#timer.stop();
  }

  /** Tells of the head, and holds it back until the client's next request cannot meet what it made invalid. */
  #settle(head: AnswerHead, passed: PassedAnswer): RelayFollowUp {
    const { plan, clock } = this.#options;
    this.#stage = 'settling';
    this.#timer.stop();
    const told = { status: head.status, fields: passed.received, requestTimeMs: this.#requestTimeMs };
    return plan.onHead({ ...told, responseTimeMs: clock.nowMs() }, this.#attempts);
  }

  #begin(answer: AnswerSource, head: AnswerHead, passed: PassedAnswer, tap: RelayTap | undefined): void {
    // Broken or cut off meanwhile; of its head nothing has been sent, so the client gets to know in words.
    if (answer.fault !== undefined) this.broke(answer.fault);
    if (answer.destroyed && !answer.complete) this.fail(describe('truncated'));
    if (!this.open) {
      tap?.end(false);
      answer.destroy();
      return;
    }
    this.#stage = 'body';
    this.#timer.limit(this.#options.config.bodyTimeoutMs);
    this.#reply.head(head.status, passed.fields);
    // Before the head is sent, so that what has come with it also leaves with it.
    passContent(answer, passed, { to: this, reply: this.#reply, tap });
    this.#reply.flush();
  }

  #rules(): AnswerRules & Pick<RelayExchangeOptions, 'plan'> {
    const { req, config, redactor, plan } = this.#options;
    return { method: req.method ?? '', ifNoneMatch: req.headers['if-none-match'], config, redactor, plan };
  }

  #sending(upstream: ClientRequest): void {
    if (!this.open) return;
    // Without content the head is all there is to be sent.
    if (this.#options.isBare === true) return this.sent();
    this.#stage = 'sending';
    this.#timer.limit(this.#options.config.bodyTimeoutMs);
    const sent = (): void => {
      if (this.#stage !== 'sending') return;
      this.#stage = 'waiting';
      this.#timer.limit(this.#options.config.headersTimeoutMs);
    };
    if (upstream.writableFinished) sent();
    else upstream.once('finish', sent);
  }

  /** Nothing has happened for the stage's limit; a client that does not send or take is not upstream's fault. */
  #idle(): void {
    const { config } = this.#options;
    const clientsTurn =
      (this.#stage === 'sending' && this.#upstream?.writableNeedDrain === false) ||
      (this.#stage === 'body' && this.#reply.held);
    if (clientsTurn) this.#timer.limit(config.bodyTimeoutMs);
    else this.fail(pastLimit(limitOfStage[this.#stage]));
  }

  /** The answer is complete, as its framing says. */
  #hasAll(): boolean {
    return this.#isFramed && this.#answer?.complete === true;
  }

  #tear(): void {
    this.end();
    this.#reply.tear();
  }
}
