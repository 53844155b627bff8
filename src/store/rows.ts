const chunkShift = 11;
const chunkMask = (1 << chunkShift) - 1;

/** Where the words of a row are, for as long as the row is in use. */
export interface RowPlace {
  readonly words: Uint32Array;
  /** Of its first word. */
  readonly from: number;
}

/**
 * Rows of 32-bit words, named by whole numbers from 1 on; 0 names none. All words of a row lie side by side, so that a look
 * at one is a cache line or two however many there are, and V8 sees a few hundred buffers where it saw millions of objects.
 * Grows by chunks of 2,048: nothing is ever copied, which a doubling array would do in one go.
 */
export class Rows {
  /** Words of a row; even, where pairs of them are used as doubles. */
  readonly #width: number;
  #words: Uint32Array[] = [];
  #doubles: Float64Array[] = [];
  /** A row that is free; its first word names the next. */
  #free = 0;
  #last = 0;
  #size = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** No row in use has a higher number. */
  get last(): number {
    return this.#last;
  }

  /** Bytes of one row. */
  get rowBytes(): number {
    return this.#width * 4;
  }

  /** Bytes that were ever written to: what a chunk has beyond them the system has not given yet. */
  get bytes(): number {
    return this.#last * this.rowBytes;
  }

  /** Bytes that so many rows more would take. */
  needs(rows: number): number {
    return Math.max(0, rows - (this.#last - this.#size)) * this.rowBytes;
  }

  /** A row of zeros. */
  take(): number {
    this.#size += 1;
    const row = this.#free;
    if (row !== 0) {
      this.#free = this.get(row, 0);
      this.set(row, 0, 0);
      return row;
    }
    this.#last += 1;
    if (this.#last >>> chunkShift >= this.#words.length) {
      const chunk = new ArrayBuffer((1 << chunkShift) * this.rowBytes);
      this.#words.push(new Uint32Array(chunk));
      if (this.#width % 2 === 0) this.#doubles.push(new Float64Array(chunk));
    }
    return this.#last;
  }

  release(row: number): void {
    this.#size -= 1;
    if (this.#size === 0) {
      this.clear();
      return;
    }
    const from = (row & chunkMask) * this.#width;
    this.#words[row >>> chunkShift]?.fill(0, from, from + this.#width);
    this.set(row, 0, this.#free);
    this.#free = row;
  }

  /** Lets go of all rows: each reads as zeros from now on. */
  clear(): void {
    this.#words = [];
    this.#doubles = [];
    this.#free = 0;
    this.#last = 0;
    this.#size = 0;
  }

  get(row: number, word: number): number {
    return this.#words[row >>> chunkShift]?.[(row & chunkMask) * this.#width + word] ?? 0;
  }

  set(row: number, word: number, value: number): void {
    const chunk = this.#words[row >>> chunkShift];
    if (chunk !== undefined) chunk[(row & chunkMask) * this.#width + word] = value;
  }

  placeOf(row: number): RowPlace | undefined {
    const chunk = this.#words[row >>> chunkShift];
    return chunk === undefined ? undefined : { words: chunk, from: (row & chunkMask) * this.#width };
  }

  /** The double that begins at an even word. */
  double(row: number, word: number): number {
    return this.#doubles[row >>> chunkShift]?.[((row & chunkMask) * this.#width + word) >> 1] ?? 0;
  }

  setDouble(row: number, word: number, value: number): void {
    const chunk = this.#doubles[row >>> chunkShift];
    if (chunk !== undefined) chunk[((row & chunkMask) * this.#width + word) >> 1] = value;
  }
}
