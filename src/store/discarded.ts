/** Memory of a table, in pieces. */
export type Pieces = readonly (Uint32Array<ArrayBuffer> | undefined)[];

/** Steps for one piece, which takes some 20 µs, as a step of background work is to take a few. */
const stepsPerPiece = 4;

/**
 * Tables of what was let go of all at once, some 160 bytes a response. V8 would find them later than a flood has filled new ones, and to give
 * each piece back in that moment would be a walk: so they count until they are given back, piece by piece. Whoever still looks into
 * one reads nothing, as past the end of an array.
 */
export class Discarded {
  readonly #tables: Iterator<Pieces[number]>[] = [];
  #bytes = 0;

  /** What is not given back yet, by what it counted for in use: less than the pieces where those were not written to their ends. */
  get bytes(): number {
    return this.#bytes;
  }

  /** There is a piece left. */
  get isThere(): boolean {
    return this.#tables.length > 0;
  }

  /** `bytes`: what all of them count for, asked for before they are let go of. */
  add(bytes: number, tables: readonly Pieces[]): void {
    if (bytes === 0) return;
    for (const table of tables) if (table.length > 0) this.#tables.push(table.values());
    this.#bytes += bytes;
  }

  /** Gives one piece back, at once. */
  giveBack(): void {
    for (let pieces = this.#tables.at(-1); pieces !== undefined; pieces = this.#tables.at(-1)) {
      const next = pieces.next();
      if (next.done === true) {
        this.#tables.pop();
      } else if (next.value !== undefined) {
        this.#bytes = Math.max(0, this.#bytes - next.value.byteLength);
        next.value.buffer.transfer(0);
        return;
      }
    }
    this.#bytes = 0;
  }

  /** Gives all of it back, in short steps. */
  *steps(): Generator<void, void, void> {
    while (this.isThere) {
      this.giveBack();
      for (let step = 0; step < stepsPerPiece; step += 1) yield;
    }
  }
}
