import { isSameHead } from './fast-lane-words.ts';
import type { Slab } from './fast-lane-slab.ts';

/** Words of a row, which is as long as a line of memory. Doubles begin at even ones. */
const WIDTH = 16;
// The hash comes first.
/** Of the head. */
const BYTES = 1;
/** Next in its chain. */
const NEXT = 2;
/** Where its head is kept. */
const BLOCK = 3;
/** In words. */
const AT = 4;
/** Since it was last considered. */
const USED = 5;
/** What its answer said last, which holds for these times. */
const TURN = 6;
const SINCE = 8 / 2;
const UNTIL = 10 / 2;
const LAST = 12 / 2;

/** Rows at first; twice as many each time that they are all used. */
const FIRST_ROWS = 256;

/** What the answer to a head says, and for how long: see `Said`. */
export interface Saying {
  readonly turns: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly lastMs: number;
}

/** Bytes of a head that is looked for. */
export interface Sought {
  readonly words: Int32Array;
  readonly bytes: number;
  readonly hash: number;
}

/**
 * What a hit needs to know of heads, in a row for each, and rows by hash: those of a few hundred heads are always at hand, whatever else the
 * process has stored, where objects and their numbers lay in several cold lines of memory each. 0 names no row.
 */
export class HeadRows {
  readonly #slab: Slab;
  #words: Int32Array;
  #doubles: Float64Array;
  /** The latest row of each chain. A power of two. */
  #chains: Int32Array;
  /** Free ones that were used before: each names the next. */
  #free = 0;
  #used = 1;

  constructor(slab: Slab) {
    this.#slab = slab;
    const memory = new ArrayBuffer(0);
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#chains = new Int32Array(1);
  }

  /** The row of that head, which counts as used; 0: there is none. */
  find(words: Int32Array, bytes: number, hash: number): number {
    const rows = this.#words;
    let row = this.#chains[hash & (this.#chains.length - 1)] ?? 0;
    while (row !== 0) {
      const at = row * WIDTH;
      if (rows[at] === hash && this.#isHead(at, words, bytes)) {
        rows[at + USED] = 1;
        return row;
      }
      row = rows[at + NEXT] ?? 0;
    }
    return 0;
  }

  /** Rows of other heads, or that one, with its hash, mostly the latest first (not behind a growth); up to that head's own, and to so many. */
  alike(
    { words, bytes, hash }: Sought,
    most: number,
  ): { readonly last: number; readonly count: number; readonly isSame: boolean } {
    const rows = this.#words;
    let last = 0;
    let count = 0;
    let row = this.#chains[hash & (this.#chains.length - 1)] ?? 0;
    while (row !== 0 && count < most) {
      const at = row * WIDTH;
      if (rows[at] === hash) {
        last = row;
        count += 1;
        if (this.#isHead(at, words, bytes)) return { last, count, isSame: true };
      }
      row = rows[at + NEXT] ?? 0;
    }
    return { last, count, isSame: false };
  }

  /** A row for a head that is kept there; the latest of its chain. */
  add(bytes: number, hash: number, block: number, at: number): number {
    const row = this.#take();
    const from = row * WIDTH;
    const rows = this.#words;
    const chain = hash & (this.#chains.length - 1);
    rows[from] = hash;
    rows[from + BYTES] = bytes;
    rows[from + NEXT] = this.#chains[chain] ?? 0;
    rows[from + USED] = 0;
    this.#chains[chain] = row;
    this.keep(row, block, at);
    this.#doubles[from / 2 + UNTIL] = 0;
    return row;
  }

  remove(row: number): void {
    const rows = this.#words;
    const from = row * WIDTH;
    const chain = (rows[from] ?? 0) & (this.#chains.length - 1);
    let before = 0;
    let one = this.#chains[chain] ?? 0;
    while (one !== row && one !== 0) {
      before = one;
      one = rows[one * WIDTH + NEXT] ?? 0;
    }
    const next = rows[from + NEXT] ?? 0;
    if (before === 0) this.#chains[chain] = next;
    else rows[before * WIDTH + NEXT] = next;
    rows[from + NEXT] = this.#free;
    this.#free = row;
  }

  /** Its head is there now. */
  keep(row: number, block: number, at: number): void {
    this.#words[row * WIDTH + BLOCK] = block;
    this.#words[row * WIDTH + AT] = at;
  }

  placeOf(row: number): { readonly block: number; readonly at: number } {
    return { block: this.#words[row * WIDTH + BLOCK] ?? 0, at: this.#words[row * WIDTH + AT] ?? 0 };
  }

  bytesOf(row: number): number {
    return this.#words[row * WIDTH + BYTES] ?? 0;
  }

  /** Whether it was used since this was last asked. */
  takeUse(row: number): boolean {
    const isUsed = this.#words[row * WIDTH + USED] === 1;
    this.#words[row * WIDTH + USED] = 0;
    return isUsed;
  }

  /** Whether what its answer said last holds at that time. */
  holds(row: number, turns: number, nowMs: number): boolean {
    const from = (row * WIDTH) / 2;
    const times = this.#doubles;
    if (this.#words[row * WIDTH + TURN] !== turns) return false;
    return (
      nowMs >= (times[from + SINCE] ?? 0) && nowMs < (times[from + UNTIL] ?? 0) && nowMs <= (times[from + LAST] ?? 0)
    );
  }

  say(row: number, { turns, sinceMs, untilMs, lastMs }: Saying): void {
    const from = (row * WIDTH) / 2;
    this.#words[row * WIDTH + TURN] = turns;
    this.#doubles[from + SINCE] = sinceMs;
    this.#doubles[from + UNTIL] = untilMs;
    this.#doubles[from + LAST] = lastMs;
  }

  #isHead(at: number, words: Int32Array, bytes: number): boolean {
    const rows = this.#words;
    if (rows[at + BYTES] !== bytes) return false;
    return isSameHead(words, bytes, this.#slab.wordsOf(rows[at + BLOCK] ?? 0), rows[at + AT] ?? 0);
  }

  #take(): number {
    const free = this.#free;
    if (free !== 0) {
      this.#free = this.#words[free * WIDTH + NEXT] ?? 0;
      return free;
    }
    if ((this.#used + 1) * WIDTH > this.#words.length) this.#grow();
    this.#used += 1;
    return this.#used - 1;
  }

  #grow(): void {
    const old = this.#words;
    const rows = Math.max(FIRST_ROWS, (2 * old.length) / WIDTH);
    const memory = new ArrayBuffer(rows * WIDTH * 4);
    this.#words = new Int32Array(memory);
    this.#words.set(old);
    this.#doubles = new Float64Array(memory);
    this.#chains = new Int32Array(rows);
    for (let row = 1; row < this.#used; row += 1) {
      const from = row * WIDTH;
      const chain = (old[from] ?? 0) & (rows - 1);
      this.#words[from + NEXT] = this.#chains[chain] ?? 0;
      this.#chains[chain] = row;
    }
  }
}
