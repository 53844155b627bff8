import type { Pieces } from './discarded.ts';
import type { Rows } from './rows.ts';

const headsShift = 12;
const headsMask = (1 << headsShift) - 1;

/** Slots that are kept when little is left. */
const leastSlots = 1;

/**
 * Slots for a row, and from which on chains are joined. With one for a row whoever looks for what is not there looks at a row on
 * average, and each is a line of memory that has gone cold.
 */
const slotsForRow = 2;
const mostSlotsForRow = 8;

/** A row's part of all slots. Bytes. */
export const slotBytes = slotsForRow * 4;

/** How many slots may come or go with one row. */
const splitsAtOnce = 2;
const joinsAtOnce = 12;

/**
 * Finds rows by hash: linear hashing (Litwin, 1980). With each row that comes one chain is split in two, with each that goes
 * one pair may be joined, so that no put pays for all: V8 rehashes a Map of a million entries in one go of 260 ms.
 */
export class HashChains {
  readonly #rows: Rows;
  /** Words of a row: its hash, and the next row of its chain. */
  readonly #hashWord: number;
  readonly #nextWord: number;
  readonly #heads: Uint32Array<ArrayBuffer>[] = [new Uint32Array(1 << headsShift)];
  #slots = leastSlots;
  /** The highest power of two that is not above the slots. */
  #power = 1;
  #size = 0;

  constructor(rows: Rows, words: { readonly hash: number; readonly next: number }) {
    this.#rows = rows;
    this.#hashWord = words.hash;
    this.#nextWord = words.next;
  }

  get bytes(): number {
    return this.#size === 0 ? 0 : this.#slots * 4;
  }

  /** Its memory, for when it is used no more. */
  get pieces(): Pieces {
    return this.#heads;
  }

  /** The first row of the chain in which those of this hash are; 0: none. */
  first(hash: number): number {
    return this.#head(this.#slotOf(hash));
  }

  /** The row after it in its chain; 0: none. */
  next(row: number): number {
    return this.#rows.get(row, this.#nextWord);
  }

  /** Its hash is in the row. */
  add(row: number): void {
    this.#size += 1;
    for (let times = 0; times < splitsAtOnce && this.#slots < this.#size * slotsForRow; times += 1) this.#split();
    this.#push(this.#slotOf(this.#hashOf(row)), row);
  }

  remove(row: number): void {
    const slot = this.#slotOf(this.#hashOf(row));
    let before = 0;
    let found = this.#head(slot);
    while (found !== row && found !== 0) {
      before = found;
      found = this.next(found);
    }
    if (found === 0) return;
    if (before === 0) this.#setHead(slot, this.next(row));
    else this.#rows.set(before, this.#nextWord, this.next(row));
    this.#size -= 1;
    // Only far below, so that comings and goings do not split and join all the time; so often that it keeps up then.
    for (
      let times = 0;
      times < joinsAtOnce && this.#slots > leastSlots && this.#size < this.#slots / mostSlotsForRow;
      times += 1
    )
      this.#join();
  }

  #hashOf(row: number): number {
    return this.#rows.get(row, this.#hashWord);
  }

  #slotOf(hash: number): number {
    const slot = hash & (2 * this.#power - 1);
    return slot < this.#slots ? slot : slot & (this.#power - 1);
  }

  #head(slot: number): number {
    return this.#heads[slot >>> headsShift]?.[slot & headsMask] ?? 0;
  }

  #setHead(slot: number, row: number): void {
    const heads = this.#heads[slot >>> headsShift];
    if (heads !== undefined) heads[slot & headsMask] = row;
  }

  #push(slot: number, row: number): void {
    this.#rows.set(row, this.#nextWord, this.#head(slot));
    this.#setHead(slot, row);
  }

  #split(): void {
    const added = this.#slots;
    if (added >>> headsShift >= this.#heads.length) this.#heads.push(new Uint32Array(1 << headsShift));
    const divided = added - this.#power;
    this.#slots += 1;
    if (this.#slots === 2 * this.#power) this.#power *= 2;
    let row = this.#head(divided);
    this.#setHead(divided, 0);
    while (row !== 0) {
      const next = this.next(row);
      this.#push(this.#slotOf(this.#hashOf(row)), row);
      row = next;
    }
  }

  #join(): void {
    const last = this.#slots - 1;
    let row = this.#head(last);
    this.#setHead(last, 0);
    this.#slots = last;
    if (last < this.#power) this.#power /= 2;
    while (row !== 0) {
      const next = this.next(row);
      this.#push(this.#slotOf(this.#hashOf(row)), row);
      row = next;
    }
    if ((last & headsMask) === 0 && last >>> headsShift > 0) this.#heads.pop();
  }
}
