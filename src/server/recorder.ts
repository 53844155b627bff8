import type { IncomingMessage } from 'node:http';

import type { RelayDecision } from '../cache/handled.ts';
import type { Clock, Observer, ProxyResponse, ResponseMeta, UpstreamCallRecord } from '../cache/ports.ts';
import type { RelayResult } from '../cache/relay-types.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { special } from '../core/special-fields.ts';
import { traceIdOf } from '../core/trace.ts';
import type { Unread } from './client-error.ts';
import type { Sent } from './write-response.ts';

/** One request on its way, and what its record will need. */
export interface Transit {
  readonly req: IncomingMessage;
  readonly listener: string;
  /** The last request that its connection serves. */
  readonly last: boolean;
  startedMs: number;
  request: ProxyRequest | undefined;
  /** Set where the server answers in the place of the relay. */
  refusal: Problem | undefined;
  /** Upstream's answer to a relayed request has come, and was told. */
  answered: boolean;
  /** What the server sends, or sent, itself. */
  reply: { readonly response: ProxyResponse; sent: Sent } | undefined;
  recorded: boolean;
  /** All of its content was read here, so that its connection is where the next request begins. */
  contentRead: boolean;
  /** Whoever let it in tells the sender of its end. */
  watched: boolean;
}

/** What it tells an observer. */
type Told = Pick<Observer, 'request' | 'upstreamCall' | 'brokenBody' | 'limit'>;

interface RecorderOptions {
  readonly observer: Told;
  readonly clock: Clock;
}

/** Tells the observer of each request once, and of each relayed call. */
export class Recorder {
  readonly #observer: Told;
  readonly #clock: Clock;

  constructor({ observer, clock }: RecorderOptions) {
    this.#observer = observer;
    this.#clock = clock;
  }

  begin(req: IncomingMessage, listener: string, last: boolean): Transit {
    return {
      req,
      listener,
      last,
      startedMs: this.#clock.monotonicMs(),
      request: undefined,
      refusal: undefined,
      answered: false,
      reply: undefined,
      recorded: false,
      contentRead: false,
      watched: false,
    };
  }

  /** Its connection ended before its turn came. */
  dropped(transit: Transit): void {
    const meta = { outcome: 'aborted', url: '-', route: undefined, upstream: undefined, problem: undefined } as const;
    this.request(transit, { ...meta, tier: undefined, fwd: undefined }, { status: 0, bytes: 0 });
  }

  /** What could not be read as a request, or was not read at all, got this answer. Its method is mostly unknown. */
  unread({ problem, bytes }: Unread, listener: string, method = '-'): void {
    this.#observer.request({
      outcome: 'rejected',
      method,
      route: undefined,
      upstream: undefined,
      tier: undefined,
      fwd: undefined,
      status: problem.status,
      durationMs: 0,
      bytesSent: bytes,
      problem: problem.code,
      url: '-',
      traceId: undefined,
      listener,
    });
  }

  request(transit: Transit, meta: ResponseMeta, sent: { readonly status: number; readonly bytes: number }): void {
    if (transit.recorded) return;
    transit.recorded = true;
    this.#observer.request({
      outcome: meta.outcome,
      method: transit.req.method ?? '',
      route: meta.route,
      upstream: meta.upstream,
      tier: meta.tier,
      fwd: meta.fwd,
      status: sent.status,
      durationMs: this.#clock.monotonicMs() - transit.startedMs,
      bytesSent: sent.bytes,
      problem: meta.problem,
      url: meta.url,
      traceId: transit.request === undefined ? undefined : traceOf(transit.request),
      listener: transit.listener,
    });
  }

  /** A relayed request has its answer's head: the call is told now, since its body may go on for hours. */
  answered(
    transit: Transit,
    relay: RelayDecision,
    answer: { readonly status: number; readonly attempts: number },
  ): void {
    transit.answered = true;
    this.#call(transit, relay, { ...answer, failure: undefined, reason: undefined });
  }

  relayed(transit: Transit, relay: RelayDecision, result: RelayResult): void {
    const { attempts, unsent, failure, reason } = result;
    if (transit.answered) {
      // What ends a switched connection is no end of an answer.
      if (failure !== undefined && result.status !== 101) {
        this.#observer.brokenBody({ upstream: relay.route.upstream, failure, reason });
      }
    } else if (attempts > 0) {
      const clientGone = isLeft(transit, result);
      const attempted = { attempts, unsent, clientGone };
      this.#call(transit, relay, { status: undefined, failure: failure ?? 'aborted', reason, ...attempted });
    }
    const { refusal } = transit;
    const problem = refusal?.code ?? result.problem;
    if (problem === 'content-too-large') this.#observer.limit('server.limits.maxBodyBytes');
    const meta: ResponseMeta = {
      outcome: refusal === undefined ? outcomeOf(result) : 'rejected',
      route: relay.route.name,
      upstream: relay.route.upstream,
      tier: undefined,
      fwd: relay.fwd,
      problem,
      url: relay.url,
    };
    this.request(transit, meta, { status: refusal?.status ?? result.status, bytes: result.bytesSent });
  }

  #call(
    transit: Transit,
    relay: RelayDecision,
    result: Pick<UpstreamCallRecord, 'status' | 'failure' | 'reason' | 'attempts' | 'unsent' | 'clientGone'>,
  ): void {
    this.#observer.upstreamCall({
      upstream: relay.route.upstream,
      route: relay.route.name,
      purpose: 'interactive',
      ...result,
      durationMs: this.#clock.monotonicMs() - transit.startedMs,
      url: relay.url,
    });
  }
}

function traceOf({ fields, special: found }: ProxyRequest): string | undefined {
  return found !== undefined && (found & special.traceparent) === 0 ? undefined : traceIdOf(fields);
}

/** Nothing went wrong with the call: its client went. */
function isLeft({ refusal }: Transit, { failure, aborted }: RelayResult): boolean {
  return failure === undefined && aborted && refusal === undefined;
}

function outcomeOf(result: RelayResult): ResponseMeta['outcome'] {
  if (result.aborted) return 'aborted';
  if (result.problem !== undefined) return result.status < 500 ? 'rejected' : 'error';
  // Upstream broke off its answer. A switched connection may end as it likes.
  return result.failure === undefined || result.status === 101 ? 'relayed' : 'error';
}
