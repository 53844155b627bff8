import type { Pieces } from './discarded.ts';

/**
 * 1,024 rows: few enough that one response which stays for long holds little that others have left. With 256 they are so small that the
 * allocator puts them between bodies that come and go, and keeps what it has left there: up to 190 bytes more a response.
 */
const chunkShift = 10;
const chunkRows = 1 << chunkShift;
const chunkMask = chunkRows - 1;

/** What is known of a chunk beside its words. */
interface Chunk {
  /** Its rows in use. */
  size: number;
  /** One of its rows that is free and was used before; the first word of each names the next. 0: there is none. */
  free: number;
}

/**
 * Rows of 32-bit words, named by whole numbers from 1 on; 0 names none. All words of a row lie side by side, so that a look
 * at one is a cache line or two however many there are, and V8 sees a few hundred buffers where it saw millions of objects.
 * Grows by chunks: nothing is ever copied, which a doubling array would do in one go.
 *
 * A chunk of which no row is in use any more is given back. So that there come to be some, rows are taken of the lowest chunk that has
 * a free one: the others run empty as what is in them goes.
 */
export class Rows {
  readonly #width: number;
  readonly #hasDoubles: boolean;
  #words: (Uint32Array<ArrayBuffer> | undefined)[] = [];
  #doubles: (Float64Array | undefined)[] = [];
  #chunks: Chunk[] = [];
  /** A bit for each chunk that has a free row which was used before, 32 to a number: there may be thousands of chunks. */
  #withFree: number[] = [];
  /** All numbers of {@link #withFree} before it are 0. */
  #lowest = 0;
  /** Of the chunk that is being written for the first time: its number and that of its next row. */
  #open = -1;
  #next = chunkRows;
  /** A chunk without rows that is kept, as coming and going at its edge would else make it again and again. */
  #spare = -1;
  #written = 0;
  #size = 0;

  /** Words of a row, and whether pairs of them are used as doubles: their number must be even then. */
  constructor(width: number, hasDoubles = false) {
    this.#width = width;
    this.#hasDoubles = hasDoubles;
  }

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** No row in use has a higher number. */
  get last(): number {
    return (this.#words.length << chunkShift) - 1;
  }

  /** Bytes of one row. */
  get rowBytes(): number {
    return this.#width * 4;
  }

  /** Bytes that were ever written to: what a chunk has beyond them the system has not given yet. */
  get bytes(): number {
    return this.#written * this.rowBytes;
  }

  /** Bytes that so many rows more would take. */
  needs(rows: number): number {
    return Math.max(0, rows - (this.#written - this.#size)) * this.rowBytes;
  }

  /** A row of zeros. */
  take(): number {
    if (this.#size === this.#written) return this.#takeUnwritten();
    const chunk = this.#chunks[this.#lowestWithFree()];
    // Never: what is written and not in use is free in some chunk.
    if (chunk === undefined) throw new RangeError('no free row');
    const row = chunk.free;
    chunk.free = this.get(row, 0);
    if (chunk.free === 0) this.#mark(row >>> chunkShift, false);
    this.set(row, 0, 0);
    chunk.size += 1;
    this.#size += 1;
    return row;
  }

  release(row: number): void {
    this.#size -= 1;
    if (this.#size === 0) {
      this.clear();
      return;
    }
    const number = row >>> chunkShift;
    const chunk = this.#chunks[number];
    if (chunk === undefined) return;
    const from = (row & chunkMask) * this.#width;
    this.#words[number]?.fill(0, from, from + this.#width);
    this.set(row, 0, chunk.free);
    if (chunk.free === 0) this.#mark(number, true);
    chunk.free = row;
    chunk.size -= 1;
    if (chunk.size === 0 && (number !== this.#open || this.#next === chunkRows)) this.#keepOrGiveBack(number);
  }

  /** Lets go of all rows: each reads as zeros from now on. Their memory is for the caller to give back, or for V8 to find. */
  clear(): Pieces {
    const pieces = this.#words;
    this.#words = [];
    this.#doubles = [];
    this.#chunks = [];
    this.#withFree = [];
    this.#lowest = 0;
    this.#open = -1;
    this.#next = chunkRows;
    this.#spare = -1;
    this.#written = 0;
    this.#size = 0;
    return pieces;
  }

  get(row: number, word: number): number {
    return this.#words[row >>> chunkShift]?.[(row & chunkMask) * this.#width + word] ?? 0;
  }

  set(row: number, word: number, value: number): void {
    const chunk = this.#words[row >>> chunkShift];
    if (chunk !== undefined) chunk[(row & chunkMask) * this.#width + word] = value;
  }

  /** The double that begins at an even word. */
  double(row: number, word: number): number {
    return this.#doubles[row >>> chunkShift]?.[((row & chunkMask) * this.#width + word) >> 1] ?? 0;
  }

  setDouble(row: number, word: number, value: number): void {
    const chunk = this.#doubles[row >>> chunkShift];
    if (chunk !== undefined) chunk[((row & chunkMask) * this.#width + word) >> 1] = value;
  }

  /** The first row from this one on that may be in use: a walk need not look at chunks that were given back. */
  firstFrom(row: number): number {
    let number = row >>> chunkShift;
    if (this.#words[number] !== undefined) return row;
    while (number < this.#words.length && this.#words[number] === undefined) number += 1;
    return number << chunkShift;
  }

  #lowestWithFree(): number {
    while (this.#withFree[this.#lowest] === 0) this.#lowest += 1;
    const bits = this.#withFree[this.#lowest] ?? 0;
    return this.#lowest * 32 + 31 - Math.clz32(bits & -bits);
  }

  #mark(chunk: number, hasFree: boolean): void {
    const at = chunk >>> 5;
    const bit = 1 << (chunk & 31);
    const others = (this.#withFree[at] ?? 0) & ~bit;
    this.#withFree[at] = hasFree ? others | bit : others;
    if (hasFree && at < this.#lowest) this.#lowest = at;
  }

  #takeUnwritten(): number {
    if (this.#next === chunkRows) this.#openChunk();
    const chunk = this.#chunks[this.#open];
    if (chunk !== undefined) chunk.size += 1;
    const row = (this.#open << chunkShift) + this.#next;
    this.#next += 1;
    this.#written += 1;
    this.#size += 1;
    return row;
  }

  /** In the lowest place that is free. */
  #openChunk(): void {
    let number = 0;
    while (this.#words[number] !== undefined) number += 1;
    const buffer = new ArrayBuffer(chunkRows * this.rowBytes);
    this.#words[number] = new Uint32Array(buffer);
    if (this.#hasDoubles) this.#doubles[number] = new Float64Array(buffer);
    this.#chunks[number] = { size: 0, free: 0 };
    this.#withFree[number >>> 5] ??= 0;
    this.#open = number;
    // Row 0 names none.
    this.#next = number === 0 ? 1 : 0;
  }

  #keepOrGiveBack(emptied: number): void {
    const spare = this.#spare;
    const isThere =
      spare >= 0 && spare !== emptied && this.#words[spare] !== undefined && this.#chunks[spare]?.size === 0;
    this.#spare = isThere ? Math.min(spare, emptied) : emptied;
    if (isThere) this.#giveBack(Math.max(spare, emptied));
  }

  #giveBack(number: number): void {
    // At once, where a collection would come much later.
    this.#words[number]?.buffer.transfer(0);
    this.#words[number] = undefined;
    if (this.#hasDoubles) this.#doubles[number] = undefined;
    this.#chunks[number] = { size: 0, free: 0 };
    this.#mark(number, false);
    this.#written -= number === 0 ? chunkRows - 1 : chunkRows;
    while (this.#words.length > 0 && this.#words.at(-1) === undefined) {
      this.#words.pop();
      this.#doubles.pop();
      this.#chunks.pop();
    }
  }
}
