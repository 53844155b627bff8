import type { ReadFor } from '../../cache/fleet-ports.ts';
import type { MaybePromise, StoreRead } from '../../cache/ports.ts';
import type { Answered, GateRead, Reader } from './gate-reading.ts';
import type { HashWords } from '../text-hash.ts';
import type { LastValue } from './last-value.ts';
import { readOf, type RedisLink, type ReplyHearer } from './link.ts';

/** Where the value of a key is, as one store says, and what it was when it was read last; with the hash of the key, once that is known. */
export class Place implements HashWords {
  readonly store: object;
  readonly entry: string;
  last: LastValue | undefined = undefined;
  isHashed = false;
  low = 0;
  high = 0;

  constructor(store: object, entry: string) {
    this.store = store;
    this.entry = inOnePiece(entry);
  }
}

/** It was put together from pieces, which V8 would go through each time that it is sent. Names are ASCII (`keys.ts`). */
function inOnePiece(entry: string): string {
  return Buffer.from(entry, 'latin1').toString('latin1');
}

/** Of what is not there. */
export const nothing: Open = () => undefined;

/** What was read, opened and judged; a promise where a large body has to be decompressed. */
export type Open = () => MaybePromise<StoreRead | undefined>;

/** What is looked up for whom. `isLeased`: whether the lease is held, where that is known in this step. */
export interface EntryAsked {
  readonly key: string;
  readonly asked: ReadFor | undefined;
  readonly isLeased: boolean | undefined;
}

/** Who waits for an entry: as a {@link Reader}, but is given what it has to call once to have it opened. */
export interface OpenReader<R> {
  finish(open: Open): MaybePromise<R>;
  resolve(result: MaybePromise<R>): void;
  reject(error: unknown): void;
}

/** What an answer comes to. */
export type Opening = (answer: Answered<Buffer | null>, sought: EntryAsked) => MaybePromise<StoreRead | undefined>;

/** A look at one entry: one object in the place of a closure for each step. */
export class EntryRead<R> implements GateRead<Buffer | null>, Reader<Buffer | null, R> {
  readonly operation = 'get';
  readonly key: string;
  readonly #sought: EntryAsked;
  readonly #reader: OpenReader<R>;
  readonly #opening: Opening;

  constructor(
    entry: string,
    sought: EntryAsked,
    { reader, opening }: { readonly reader: OpenReader<R>; readonly opening: Opening },
  ) {
    this.key = entry;
    this.#sought = sought;
    this.#reader = reader;
    this.#opening = opening;
  }

  get waitedMs(): number {
    return this.#sought.asked?.waitedMs ?? 0;
  }

  get isLeased(): boolean | undefined {
    return this.#sought.isLeased;
  }

  send(link: RedisLink, hearer: ReplyHearer<Buffer | null>): Promise<Buffer | null> | undefined {
    return readOf(link, this.key, hearer);
  }

  finish(answer: Answered<Buffer | null> | undefined): MaybePromise<R> {
    return this.#reader.finish(answer === undefined ? nothing : () => this.#opening(answer, this.#sought));
  }

  resolve(result: MaybePromise<R>): void {
    this.#reader.resolve(result);
  }

  reject(error: unknown): void {
    this.#reader.reject(error);
  }
}
