import { type LateHearer, Later } from '../cache/later.ts';
import type { Clock, MaybePromise, StoreRead } from '../cache/ports.ts';
import { type HandedOn, Turn } from '../cache/turn.ts';
import type { HashWords } from './text-hash.ts';

type Read = StoreRead | undefined;

/** What is being looked up, with the hash of its key. */
export interface Sought {
  readonly key: string;
  readonly url: string;
  readonly hash: HashWords;
}

/** What becomes of an answer of Redis. */
export type Finish = (open: () => MaybePromise<Read>, late: LateRead) => MaybePromise<Read>;

/** What all reads have in common. */
export interface LateWays {
  readonly finish: Finish;
  /** Where what has come waits to be told. */
  readonly turn: Turn;
  /** Hears of those that throw when they are told: the others are told all the same. */
  readonly onBug: (error: unknown) => void;
}

/**
 * What has come from Redis in one step is told in the next one, all together: each thing that is done with an answer is done for all of
 * them in a row. By one microtask, and not within the reading of the replies, where nobody may ask Redis anew.
 */
export function turnOfStep(clock: Pick<Clock, 'hold' | 'release'> = {}): Turn {
  return new Turn((end) => {
    // A look at the wall clock takes a tenth of a microsecond, and each answer would take two beside those of the lease.
    clock.hold?.();
    queueMicrotask(() => {
      try {
        end();
      } finally {
        clock.release?.();
      }
    });
  });
}

/** A look at Redis that is under way, and whoever waits for it: one object, where a promise was several. */
export class LateRead extends Later<Read> implements Sought, HandedOn {
  readonly key: string;
  readonly url: string;
  readonly hash: HashWords;
  /** What memory has of it, and is not good enough. */
  readonly near: Read;
  readonly #ways: LateWays;
  #hearer: LateHearer<Read> | undefined = undefined;
  /** Who waits with the first. */
  #others: LateHearer<Read>[] | undefined = undefined;
  #read: Read = undefined;
  #error: unknown = undefined;
  #isFailed = false;

  constructor({ key, url, hash }: Sought, near: Read, ways: LateWays) {
    super();
    this.key = key;
    this.url = url;
    this.hash = hash;
    this.near = near;
    this.#ways = ways;
  }

  hear(hearer: LateHearer<Read>): void {
    if (this.#hearer === undefined) this.#hearer = hearer;
    else (this.#others ??= []).push(hearer);
  }

  finish(open: () => MaybePromise<Read>): MaybePromise<Read> {
    return this.#ways.finish(open, this);
  }

  resolve(read: MaybePromise<Read>): void {
    if (read instanceof Promise) {
      read.then(
        (late) => this.resolve(late),
        (error: unknown) => this.reject(error),
      );
      return;
    }
    this.#read = read;
    this.#ways.turn.add(this);
  }

  reject(error: unknown): void {
    this.#isFailed = true;
    this.#error = error;
    this.#ways.turn.add(this);
  }

  /** To all who wait, once it is its turn. */
  handOn(): void {
    const [first, others] = [this.#hearer, this.#others];
    // Its budget may hold it for a while still.
    this.#hearer = undefined;
    this.#others = undefined;
    if (first !== undefined) this.#tellOne(first);
    if (others !== undefined) for (const other of others) this.#tellOne(other);
    this.#read = undefined;
  }

  #tellOne(hearer: LateHearer<Read>): void {
    try {
      if (this.#isFailed) hearer.failed(this.#error);
      else hearer.came(this.#read);
    } catch (error) {
      this.#ways.onBug(error);
    }
  }
}
