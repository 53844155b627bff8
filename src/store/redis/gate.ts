import type { FleetEvent, RedisFailureKind, RedisResult, RedisStatus } from '../../cache/fleet-ports.ts';
import type { Clock, MaybePromise, Observer } from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import { Breaker, type BreakerState, type Health } from './breaker.ts';
import { RedisFailure, type RedisLink } from './link.ts';
import { ReadBudgets, type Waiting } from './read-budgets.ts';

export type RedisOperation = Extract<FleetEvent, { kind: 'redis' }>['operation'];

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

export interface GateCall<T> {
  readonly operation: RedisOperation;
  /** A key that the call is about: it tells the node. */
  readonly key: string;
  readonly send: (link: RedisLink) => Promise<T>;
}

export interface GateRead<T> extends GateCall<T> {
  /** Milliseconds that its request has waited for Redis before; they are off the budget. */
  readonly waitedMs?: number;
  /** Sent beside another question that waits as long: silence counts once. */
  readonly isBeside?: boolean;
  /** Hears an answer that came after the budget, where it left something behind in Redis. */
  readonly late?: (value: T) => void;
}

/** What Redis said, and after how long. */
export interface Answered<T> {
  readonly value: T;
  readonly durationMs: number;
}

/** Of the budget, for a question that comes after another one that was answered. */
const leastPart = 0.2;

/** A node that answered quickly is near for so long. */
const nearForMs = 1000;

/** What is known of one node. Times are monotonic. */
interface Node {
  readonly breaker: Breaker;
  /** When it last answered. */
  answeredMs: number;
  /** When it last answered within the part of a budget that {@link leastPart} is. */
  nearMs: number;
}

/** Nodes with breakers of their own at most; nodes that come and go under new names must not pile up. */
const maxBreakers = 256;

/**
 * The way to Redis on the request path. Nothing here rejects, and no read takes longer than its budget, whatever Redis does.
 * What fails is told to the observer; what succeeds its caller tells, who knows what it was ({@link tell}).
 */
export class RedisGate implements Disposable {
  readonly #options: GateOptions;
  readonly #nodes = new Map<string, Node>();
  readonly #budgets: ReadBudgets;
  #pendingBytes = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#budgets = new ReadBudgets(options.clock);
    options.link.onReady(() => this.wake());
  }

  /** Of several nodes the worst counts. */
  status(): RedisStatus {
    const states = new Set<BreakerState>(Array.from(this.#nodes.values(), ({ breaker: { state } }) => state));
    const breaker = states.has('open') ? 'open' : states.has('half-open') ? 'half-open' : 'closed';
    return { breaker, pendingBytes: this.#pendingBytes, maxPendingBytes: this.#options.config.maxPendingBytes };
  }

  /** Whether the breaker keeps reads of the key from being sent. */
  isLeftAlone(key: string): boolean {
    return this.#node(key).breaker.state !== 'closed';
  }

  /** Redis is believed to be back (a connection, a lease): open breakers find out at once. */
  wake(): void {
    for (const { breaker } of this.#nodes.values()) breaker.wake();
  }

  /** `undefined`: it was not sent, failed, or was not answered within the budget. */
  read<T>(call: GateRead<T>): Promise<Answered<T> | undefined> {
    return this.readAs(call, (answer) => answer);
  }

  /** As {@link read}, but gives what `finish` makes of that, in the step in which it is known: one promise less to wait for. */
  readAs<T, R>(call: GateRead<T>, finish: (answer: Answered<T> | undefined) => MaybePromise<R>): Promise<R> {
    const refusal = this.#refusal(call.key);
    if (refusal !== undefined) {
      this.tell(call.operation, refusal);
      return unanswered.then(finish);
    }
    const budgetMs = this.#budgetMs(call);
    if (budgetMs <= 0) {
      this.tell(call.operation, 'over-budget');
      return unanswered.then(finish);
    }
    const startMs = this.#options.clock.monotonicMs();
    // One promise, and no race: each promise more is paid for by every answer from Redis.
    return new Promise((resolve, reject) => {
      // What is thrown where nobody awaits it would end the process.
      const settle = (result: () => Answered<T> | undefined): void => {
        try {
          resolve(finish(result()));
        } catch (error) {
          reject(error);
        }
      };
      const giveUp = (): void => settle(() => this.#overBudget(call, budgetMs, startMs));
      const waiting: Waiting = { dueMs: startMs + budgetMs, isOver: false, giveUp };
      this.#budgets.begin(waiting, budgetMs);
      this.#send(call, startMs, (answer) => {
        const isLate = waiting.isOver;
        this.#budgets.end(waiting);
        if (isLate) this.#hearLate(call, answer);
        else settle(() => this.#settle(call, answer));
      });
    });
  }

  /** Its reader has gone on without it. */
  #hearLate<T>({ late }: GateRead<T>, answer: Answered<T> | Failed): void {
    try {
      if (late !== undefined && 'value' in answer) late(answer.value);
    } catch (error) {
      this.bug(error);
    }
  }

  #overBudget<T>(call: GateRead<T>, budgetMs: number, startMs: number): undefined {
    const durationMs = this.#options.clock.monotonicMs() - startMs;
    // A process that stood still itself (stopped, or busy) finds all its timers due and has not yet read what has come.
    // What had but the rest of a budget says nothing of one that is far away and well.
    const { timeoutMs } = this.#options.config;
    if (durationMs < 2 * timeoutMs && budgetMs >= timeoutMs && call.isBeside !== true)
      this.#node(call.key).breaker.failed();
    this.tell(call.operation, 'over-budget', { durationMs });
    return undefined;
  }

  /**
   * Whether two questions after each other may take longer than a budget, by how its answers came lately. One that has not
   * been asked lately counts as far: at worst a command too many is sent.
   */
  isFar(key: string): boolean {
    const isFar = this.#options.clock.monotonicMs() - this.#node(key).nearMs > nearForMs;
    return isFar && this.#refusal(key) === undefined;
  }

  /** For what no request waits for: as long as the connection lets it take. `undefined`: not sent, or failed. */
  async write<T>(call: GateCall<T>): Promise<Answered<T> | undefined> {
    const refusal = this.#refusal(call.key);
    if (refusal === undefined) return this.#settle(call, await this.#sent(call));
    this.tell(call.operation, refusal);
    return undefined;
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

  tell(operation: RedisOperation, result: RedisResult, { durationMs = 0, bytes = 0 } = {}): void {
    this.#options.observer.fleet({ kind: 'redis', operation, result, durationMs, bytes });
  }

  [Symbol.dispose](): void {
    for (const { breaker } of this.#nodes.values()) breaker[Symbol.dispose]();
    this.#nodes.clear();
  }

  /**
   * What is left of the request's budget. A process with a burst on its hands is late to see answers that came in time, and the
   * wait looks like Redis': where the node answered just now, a further question may take a fifth of the budget all the same.
   */
  #budgetMs({ key, waitedMs = 0 }: Pick<GateRead<unknown>, 'key' | 'waitedMs'>): number {
    const { timeoutMs } = this.#options.config;
    const leftMs = timeoutMs - waitedMs;
    const leastMs = timeoutMs * leastPart;
    if (leftMs >= leastMs) return leftMs;
    return this.#options.clock.monotonicMs() - this.#node(key).answeredMs <= leastMs ? leastMs : leftMs;
  }

  #refusal(key: string): 'lease' | 'breaker' | undefined {
    if (!this.#options.leased()) return 'lease';
    return this.#node(key).breaker.state === 'closed' ? undefined : 'breaker';
  }

  /** `hear` is called once, and never in the step in which it was sent. */
  #send<T>({ send }: GateCall<T>, startMs: number, hear: (answer: Answered<T> | Failed) => void): void {
    const { link, clock } = this.#options;
    const fail = (error: unknown): void => {
      const durationMs = clock.monotonicMs() - startMs;
      if (error instanceof RedisFailure) {
        hear({ failure: error.kind, durationMs });
        return;
      }
      this.bug(error);
      hear({ failure: 'other', durationMs });
    };
    try {
      send(link).then((value) => hear({ value, durationMs: clock.monotonicMs() - startMs }), fail);
    } catch (error) {
      queueMicrotask(() => fail(error));
    }
  }

  #sent<T>(call: GateCall<T>): Promise<Answered<T> | Failed> {
    return new Promise((resolve) => this.#send(call, this.#options.clock.monotonicMs(), resolve));
  }

  #settle<T>(call: GateCall<T>, answer: Answered<T> | Failed): Answered<T> | undefined {
    const node = this.#node(call.key);
    if (!('failure' in answer)) {
      node.breaker.succeeded();
      const { clock, config } = this.#options;
      node.answeredMs = clock.monotonicMs();
      if (answer.durationMs <= config.timeoutMs * leastPart) node.nearMs = node.answeredMs;
      return answer;
    }
    if (isUnwell(answer.failure)) node.breaker.failed();
    else node.breaker.succeeded();
    this.tell(call.operation, answer.failure, { durationMs: answer.durationMs });
    return undefined;
  }

  /** One for each node of a cluster, so that a shard that is down does not keep anyone from the others. */
  #node(key: string): Node {
    const { link } = this.#options;
    const name = link.nodeOf?.(key) ?? '';
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    if (this.#nodes.size >= maxBreakers) this[Symbol.dispose]();
    const never = Number.NEGATIVE_INFINITY;
    const node: Node = { breaker: this.#breaker(key), answeredMs: never, nearMs: never };
    this.#nodes.set(name, node);
    return node;
  }

  #breaker(key: string): Breaker {
    const { config, clock, observer, random = Math.random } = this.#options;
    return new Breaker({
      ...config.breaker,
      clock,
      random,
      probe: () => this.#probe(key),
      onState: (state) => observer.fleet({ kind: 'breaker', state }),
    });
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

const unanswered: Promise<undefined> = Promise.resolve(undefined);

interface Failed {
  readonly failure: RedisFailureKind;
  readonly durationMs: number;
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
