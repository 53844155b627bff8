import type { RedisFailureKind, RedisResult, RedisStatus } from '../../cache/fleet-ports.ts';
import type { Clock, MaybePromise, Observer } from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import type { BreakerOptions, Health } from './breaker.ts';
import { type GateNode, GateNodes } from './gate-nodes.ts';
import {
  type Answered,
  type Failed,
  type GateCall,
  type GateRead,
  type Reader,
  Reading,
  type ReadSteps,
  type RedisOperation,
  type Sent,
} from './gate-reading.ts';
import { RedisFailure, type RedisLink, type ReplyHearer } from './link.ts';
import { ReadBudgets } from './read-budgets.ts';

export interface GateOptions {
  readonly link: RedisLink;
  readonly config: Pick<RedisConfig, 'timeoutMs' | 'maxPendingBytes' | 'breaker'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** Without a lease nothing is sent: nothing that came back could be served. */
  readonly leased: () => boolean;
  readonly observer: Pick<Observer, 'fleet' | 'limit'>;
  /** From 0 to below 1. */
  readonly random?: () => number;
  /** Hears what went wrong in the proxy itself, where nobody waits who could be told; the request goes on without Redis. */
  readonly onBug?: (error: unknown) => void;
}

/** Of the budget, for a question that comes after another one that was answered. */
const leastPart = 0.2;

/** A node that answered quickly is near for so long. */
const nearForMs = 1000;

/**
 * The way to Redis on the request path. Nothing here rejects, and no read takes longer than its budget, whatever Redis does.
 * What fails is told to the observer; what succeeds its caller tells, who knows what it was ({@link tell}).
 */
export class RedisGate implements Disposable {
  readonly #options: GateOptions;
  readonly #nodes: GateNodes;
  readonly #budgets: ReadBudgets;
  readonly #steps: ReadSteps = {
    nowMs: () => this.#options.clock.monotonicMs(),
    end: (reading) => this.#budgets.end(reading),
    settle: ({ call, node }, answer, nowMs) => this.#settle(call.operation, { node, nowMs }, answer),
    failed: (error, durationMs) => this.#failed(error, durationMs),
    overBudget: (sent) => this.#overBudget(sent),
    hearLate: (call, answer) => this.#hearLate(call, answer),
    bug: (error) => this.bug(error),
  };
  #pendingBytes = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#budgets = new ReadBudgets(options.clock);
    this.#nodes = new GateNodes(options.link, (key) => this.#breakerFor(key));
    options.link.onReady(() => this.wake());
  }

  /** Of several nodes the worst counts. */
  status(): RedisStatus {
    const breaker = this.#nodes.state();
    return { breaker, pendingBytes: this.#pendingBytes, maxPendingBytes: this.#options.config.maxPendingBytes };
  }

  /** Whether the breaker keeps reads of the key from being sent. */
  isLeftAlone(key: string): boolean {
    return this.#nodes.of(key).breaker.state !== 'closed';
  }

  /** Redis is believed to be back (a connection, a lease): open breakers find out at once. */
  wake(): void {
    this.#nodes.wake();
  }

  /** `undefined`: it was not sent, failed, or was not answered within the budget. */
  read<T>(call: GateRead<T>): Promise<Answered<T> | undefined> {
    return this.readAs(call, (answer) => answer);
  }

  /** As {@link read}, but gives what `finish` makes of that, in the step in which it is known: one promise less to wait for. */
  readAs<T, R>(call: GateRead<T>, finish: (answer: Answered<T> | undefined) => MaybePromise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      this.readFor(call, { finish, resolve, reject });
    });
  }

  /** As {@link readAs}, but tells the reader, and not in this step. */
  readFor<T, R>(call: GateRead<T>, reader: Reader<T, R>): void {
    const node = this.#nodes.of(call.key);
    const refusal = this.#refusal(node, call.isLeased);
    if (refusal !== undefined) {
      this.tell(call.operation, refusal);
      finishUnanswered(reader);
      return;
    }
    const startMs = this.#options.clock.monotonicMs();
    const budgetMs = this.#budgetMs(node, call.waitedMs ?? 0, startMs);
    if (budgetMs <= 0) {
      this.tell(call.operation, 'spent');
      finishUnanswered(reader);
      return;
    }
    // No promise, and no race: each promise is paid for by every answer from Redis.
    const reading = new Reading(this.#steps, { call, node, startMs, budgetMs }, reader);
    this.#budgets.begin(reading, budgetMs);
    this.#send(call, reading);
  }

  /** Its reader has gone on without it. */
  #hearLate<T>({ late }: GateRead<T>, answer: Answered<T> | Failed): void {
    try {
      if (late !== undefined && 'value' in answer) late(answer.value);
    } catch (error) {
      this.bug(error);
    }
  }

  #overBudget<T>({ call, node, startMs, budgetMs }: Sent<T>): undefined {
    const durationMs = this.#options.clock.monotonicMs() - startMs;
    // A process that stood still itself (stopped, or busy) finds all its timers due and has not yet read what has come.
    // What had but the rest of a budget says nothing of one that is far away and well.
    const { timeoutMs } = this.#options.config;
    if (durationMs < 2 * timeoutMs && budgetMs >= timeoutMs && call.isBeside !== true) node.breaker.failed();
    this.tell(call.operation, 'over-budget', { durationMs });
    return undefined;
  }

  /**
   * Whether two questions after each other may take longer than a budget, by how its answers came lately. One that has not
   * been asked lately counts as far: at worst a command too many is sent.
   */
  isFar(key: string): boolean {
    const node = this.#nodes.of(key);
    const isFar = this.#options.clock.monotonicMs() - node.nearMs > nearForMs;
    return isFar && this.#refusal(node) === undefined;
  }

  /** For what no request waits for: as long as the connection lets it take. `undefined`: not sent, or failed. */
  async write<T>(call: GateCall<T>): Promise<Answered<T> | undefined> {
    const refusal = this.#refusal(this.#nodes.of(call.key));
    if (refusal !== undefined) {
      this.tell(call.operation, refusal);
      return undefined;
    }
    const answer = await this.#sent(call);
    const heard = { node: this.#nodes.of(call.key), nowMs: this.#options.clock.monotonicMs() };
    return this.#settle(call.operation, heard, answer);
  }

  /**
   * For an operator's eyes, who may look whatever lease or breaker say: nothing is told, and the breaker learns nothing. As
   * long as the connection lets it take; `undefined`: it failed.
   */
  async look<T>(call: GateCall<T>): Promise<T | undefined> {
    const answer = await this.#sent(call);
    return 'failure' in answer ? undefined : answer.value;
  }

  /**
   * Books bytes that are on their way to Redis until they are given back; `undefined` where that would be more than may be
   * under way. Else a slow Redis would have this process hold everything that was fetched meanwhile.
   */
  hold(bytes: number): Disposable | undefined {
    const { config, observer } = this.#options;
    if (this.#pendingBytes + bytes > config.maxPendingBytes) {
      observer.limit('store.redis.maxPendingBytes');
      return undefined;
    }
    this.#pendingBytes += bytes;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#pendingBytes -= bytes;
        isHeld = false;
      },
    };
  }

  /** A bug of ours on the way to Redis: much of it is not awaited, and a rejection there would end the process. */
  bug(error: unknown): void {
    this.#options.onBug?.(error);
  }

  /** Without `durationMs`: the call was not made. */
  tell(operation: RedisOperation, result: RedisResult, { durationMs, bytes = 0 }: Cost = notMade): void {
    this.#options.observer.fleet({ kind: 'redis', operation, result, durationMs, bytes });
  }

  [Symbol.dispose](): void {
    this.#nodes[Symbol.dispose]();
  }

  /**
   * What is left of the request's budget. A process with a burst on its hands is late to see answers that came in time, and the
   * wait looks like Redis': where the node answered just now, a further question may take a fifth of the budget all the same.
   */
  #budgetMs(node: GateNode, waitedMs: number, nowMs: number): number {
    const { timeoutMs } = this.#options.config;
    const leftMs = timeoutMs - waitedMs;
    const leastMs = timeoutMs * leastPart;
    if (leftMs >= leastMs) return leftMs;
    return nowMs - node.answeredMs <= leastMs ? leastMs : leftMs;
  }

  #refusal(node: GateNode, isLeased = this.#options.leased()): 'lease' | 'breaker' | undefined {
    if (!isLeased) return 'lease';
    return node.breaker.state === 'closed' ? undefined : 'breaker';
  }

  #send<T>(call: GateCall<T>, hearer: ReplyHearer<T>): void {
    try {
      const reply = call.send(this.#options.link, hearer);
      if (reply === undefined) return;
      reply.then(
        (value) => hearer.replied(value),
        (error: unknown) => hearer.failed(error),
      );
    } catch (error) {
      queueMicrotask(() => hearer.failed(error));
    }
  }

  #sent<T>(call: GateCall<T>): Promise<Answered<T> | Failed> {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    return new Promise((resolve) => {
      this.#send(call, {
        replied: (value) => resolve({ value, durationMs: clock.monotonicMs() - startMs }),
        failed: (error) => resolve(this.#failed(error, clock.monotonicMs() - startMs)),
      });
    });
  }

  #failed(error: unknown, durationMs: number): Failed {
    if (error instanceof RedisFailure) return { failure: error.kind, durationMs, isUnsent: error.isUnsent };
    this.bug(error);
    return { failure: 'other', durationMs, isUnsent: false };
  }

  #settle<T>(operation: RedisOperation, { node, nowMs }: Heard, answer: Answered<T> | Failed): Answered<T> | undefined {
    if (!('failure' in answer)) {
      node.breaker.succeeded();
      node.answeredMs = nowMs;
      if (answer.durationMs <= this.#options.config.timeoutMs * leastPart) node.nearMs = nowMs;
      return answer;
    }
    if (isUnwell(answer.failure)) node.breaker.failed();
    else node.breaker.succeeded();
    this.tell(operation, answer.failure, answer.isUnsent ? notMade : answer);
    return undefined;
  }

  #breakerFor(key: string): BreakerOptions {
    const { config, clock, observer, random = Math.random } = this.#options;
    return {
      ...config.breaker,
      clock,
      random,
      probe: () => this.#probe(key),
      onState: (state) => observer.fleet({ kind: 'breaker', state }),
    };
  }

  async #probe(key: string): Promise<Health> {
    const { clock, config, leased } = this.#options;
    if (!leased()) return 'unknown';
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = clock.after(config.timeoutMs, () => resolve(undefined));
    // A lock is a few bytes at most, and in the same slot as what the key names.
    const probe = this.#sent({ operation: 'get', key, send: (link) => link.get(`${key}:l`) });
    const answer = await Promise.race([probe, promise]);
    cancel();
    if (answer === undefined) return 'unwell';
    return 'failure' in answer && isUnwell(answer.failure) ? 'unwell' : 'well';
  }
}

/** Of a call. */
interface Cost {
  readonly durationMs?: number;
  /** Of the value that was read or written. */
  readonly bytes?: number;
}

const notMade: Cost = {};

/** From which node something was heard, and when (monotonic). */
interface Heard {
  readonly node: GateNode;
  readonly nowMs: number;
}

const unanswered: Promise<undefined> = Promise.resolve(undefined);

function finishUnanswered<T, R>(reader: Reader<T, R>): void {
  unanswered
    .then(() => reader.finish(undefined))
    .then(
      (result) => reader.resolve(result),
      (error: unknown) => reader.reject(error),
    );
}

/** Failures for which other calls would wait in vain. The others are quick answers: a full or demoted Redis still reads. */
function isUnwell(failure: RedisFailureKind): boolean {
  switch (failure) {
    case 'closed':
    case 'timeout':
    case 'loading':
    case 'clusterdown':
    case 'auth':
      return true;
    case 'readonly':
    case 'oom':
    case 'noreplicas':
    case 'other':
      return false;
  }
}
