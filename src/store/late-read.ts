import { type LateHearer, Later } from '../cache/later.ts';
import type { MaybePromise, StoreRead } from '../cache/ports.ts';

type Read = StoreRead | undefined;

/** What is being looked up, with the hash of its key. */
export interface Sought {
  readonly key: string;
  readonly url: string;
  readonly hash: number;
}

/** What becomes of an answer of Redis. */
export type Finish = (open: () => MaybePromise<Read>, late: LateRead) => MaybePromise<Read>;

/** Where what has come waits for its turn. */
export interface Turn {
  tell(late: LateRead): void;
}

/** A look at Redis that is under way, and whoever waits for it: one object, where a promise was several. */
export class LateRead extends Later<Read> implements Sought {
  readonly key: string;
  readonly url: string;
  readonly hash: number;
  /** What memory has of it, and is not good enough. */
  readonly near: Read;
  readonly #finish: Finish;
  readonly #turn: Turn;
  #hearer: LateHearer<Read> | undefined = undefined;
  /** Who waits with the first. */
  #others: LateHearer<Read>[] | undefined = undefined;
  #read: Read = undefined;
  #error: unknown = undefined;
  #isFailed = false;

  constructor(
    { key, url, hash }: Sought,
    near: Read,
    { finish, turn }: { readonly finish: Finish; readonly turn: Turn },
  ) {
    super();
    this.key = key;
    this.url = url;
    this.hash = hash;
    this.near = near;
    this.#finish = finish;
    this.#turn = turn;
  }

  hear(hearer: LateHearer<Read>): void {
    if (this.#hearer === undefined) this.#hearer = hearer;
    else (this.#others ??= []).push(hearer);
  }

  finish(open: () => MaybePromise<Read>): MaybePromise<Read> {
    return this.#finish(open, this);
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
    this.#turn.tell(this);
  }

  reject(error: unknown): void {
    this.#isFailed = true;
    this.#error = error;
    this.#turn.tell(this);
  }

  /** Tells all who wait, once it is its turn. `onBug` hears of those that throw: the others are told all the same. */
  tell(onBug: (error: unknown) => void): void {
    const [first, others] = [this.#hearer, this.#others];
    // Its budget may hold it for a while still.
    this.#hearer = undefined;
    this.#others = undefined;
    if (first !== undefined) this.#tellOne(first, onBug);
    if (others !== undefined) for (const other of others) this.#tellOne(other, onBug);
    this.#read = undefined;
  }

  #tellOne(hearer: LateHearer<Read>, onBug: (error: unknown) => void): void {
    try {
      if (this.#isFailed) hearer.failed(this.#error);
      else hearer.came(this.#read);
    } catch (error) {
      onBug(error);
    }
  }
}

/**
 * What has come from Redis in one step is told in the next one, all together: each thing that is done with an answer is done for all of
 * them in a row. By one microtask, and not within the reading of the replies, where nobody may ask Redis anew.
 */
export class LateTurn implements Turn {
  readonly #onBug: (error: unknown) => void;
  #due: LateRead[] = [];
  /** Kept, as it would be made anew with each turn. */
  #spare: LateRead[] = [];

  constructor(onBug: (error: unknown) => void) {
    this.#onBug = onBug;
  }

  tell(late: LateRead): void {
    if (this.#due.push(late) === 1) queueMicrotask(() => this.#tellAll());
  }

  #tellAll(): void {
    const due = this.#due;
    this.#due = this.#spare;
    try {
      for (const late of due) late.tell(this.#onBug);
    } finally {
      // It keeps nothing alive until it is used again.
      due.length = 0;
      this.#spare = due;
    }
  }
}
