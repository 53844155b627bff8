import type { FleetEvent, RedisFailureKind } from '../../cache/fleet-ports.ts';
import type { MaybePromise } from '../../cache/ports.ts';
import type { GateNode } from './gate-nodes.ts';
import type { RedisLink, ReplyHearer } from './link.ts';
import type { Waiting } from './read-budgets.ts';

export type RedisOperation = Extract<FleetEvent, { kind: 'redis' }>['operation'];

export interface GateCall<T> {
  readonly operation: RedisOperation;
  /** A key that the call is about: it tells the node. */
  readonly key: string;
  /** `undefined`: it is told to the hearer. */
  send(link: RedisLink, hearer: ReplyHearer<T>): Promise<T> | undefined;
}

export interface GateRead<T> extends GateCall<T> {
  /** Milliseconds that its request has waited for Redis before; they are off the budget. */
  readonly waitedMs?: number;
  /** That the lease is held, where its caller has found so in this very step. */
  readonly isLeased?: boolean | undefined;
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

export interface Failed {
  readonly failure: RedisFailureKind;
  readonly durationMs: number;
  readonly isUnsent: boolean;
}

/** A read that was sent. Times are monotonic. */
export interface Sent<T> {
  readonly call: GateRead<T>;
  /** Which was asked: the key may be another's by the time that it answers. */
  readonly node: GateNode;
  readonly startMs: number;
  readonly budgetMs: number;
}

/** What the gate does for a read. */
export interface ReadSteps {
  nowMs(): number;
  end(reading: Waiting): void;
  settle<T>(sent: Sent<T>, answer: Answered<T> | Failed, nowMs: number): Answered<T> | undefined;
  failed(error: unknown, durationMs: number): Failed;
  overBudget<T>(sent: Sent<T>): undefined;
  hearLate<T>(call: GateRead<T>, answer: Answered<T> | Failed): void;
  bug(error: unknown): void;
}

/** Who waits for a read. Of the last two one is called, once. */
export interface Reader<T, R> {
  /** `undefined`: there is no answer. */
  finish(answer: Answered<T> | undefined): MaybePromise<R>;
  resolve(result: MaybePromise<R>): void;
  reject(error: unknown): void;
}

/** A read that waits for its answer: one object in the place of a closure for each step. */
export class Reading<T, R> implements Waiting, ReplyHearer<T> {
  readonly dueMs: number;
  isOver = false;
  readonly #steps: ReadSteps;
  readonly #sent: Sent<T>;
  readonly #reader: Reader<T, R>;

  constructor(steps: ReadSteps, sent: Sent<T>, reader: Reader<T, R>) {
    this.dueMs = sent.startMs + sent.budgetMs;
    this.#steps = steps;
    this.#sent = sent;
    this.#reader = reader;
  }

  replied(value: T): void {
    this.#hear({ value, durationMs: this.#steps.nowMs() - this.#sent.startMs });
  }

  failed(error: unknown): void {
    this.#hear(this.#steps.failed(error, this.#steps.nowMs() - this.#sent.startMs));
  }

  giveUp(): void {
    this.#finish(undefined);
  }

  #hear(answer: Answered<T> | Failed): void {
    const isLate = this.isOver;
    this.#steps.end(this);
    if (isLate) this.#steps.hearLate(this.#sent.call, answer);
    else this.#finish(answer);
  }

  /** `undefined`: its budget is over. What is thrown where nobody awaits it would end the process. */
  #finish(heard: Answered<T> | Failed | undefined): void {
    const reader = this.#reader;
    const answer = this.#judged(heard);
    let result: MaybePromise<R>;
    try {
      result = reader.finish(answer);
    } catch (error) {
      reader.reject(error);
      return;
    }
    reader.resolve(result);
  }

  /** Whoever waits is told in any case, once: others may wait with it. */
  #judged(heard: Answered<T> | Failed | undefined): Answered<T> | undefined {
    const steps = this.#steps;
    try {
      return heard === undefined
        ? steps.overBudget(this.#sent)
        : steps.settle(this.#sent, heard, this.#sent.startMs + heard.durationMs);
    } catch (error) {
      steps.bug(error);
      return undefined;
    }
  }
}
