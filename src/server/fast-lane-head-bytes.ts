import type { HeadRows, Sought } from './fast-lane-rows.ts';
import type { Block, Resident, Slab } from './fast-lane-slab.ts';

/** Whose head is kept. */
interface Keeper extends Resident {
  /** 0: nothing is kept of it. */
  row: number;
}

/** Bytes of heads in blocks, and their rows. */
export class HeadBytes {
  readonly #slab: Slab;
  readonly #rows: HeadRows;

  constructor(slab: Slab, rows: HeadRows) {
    this.#slab = slab;
    this.#rows = rows;
  }

  add(keeper: Keeper, { words, bytes, hash }: Sought): void {
    const block = this.#take(keeper, bytes);
    const at = this.#slab.at / 4;
    block.words.set(words.subarray(0, Math.ceil(bytes / 4)), at);
    keeper.row = this.#rows.add(bytes, hash, block.number, at);
  }

  remove(keeper: Keeper): void {
    const { row } = keeper;
    const block = this.#slab.get(this.#rows.placeOf(row).block);
    const bytes = this.#rows.bytesOf(row);
    this.#rows.remove(row);
    keeper.row = 0;
    if (block !== undefined) this.#slab.giveBack(block, bytes);
  }

  /** Out of that block, where it is there. */
  move(keeper: Keeper, from: Block): void {
    const { row } = keeper;
    if (row === 0) return;
    const place = this.#rows.placeOf(row);
    if (place.block !== from.number) return;
    const bytes = this.#rows.bytesOf(row);
    const block = this.#take(keeper, bytes);
    const at = this.#slab.at / 4;
    block.words.set(from.words.subarray(place.at, place.at + Math.ceil(bytes / 4)), at);
    this.#rows.keep(row, block.number, at);
    this.#slab.giveBack(from, bytes);
  }

  #take(keeper: Keeper, bytes: number): Block {
    const block = this.#slab.take(bytes, keeper);
    // Never: heads have 4 KiB at most (`fast-lane.ts`).
    if (block === undefined) throw new RangeError('a head that is too long to be kept');
    return block;
  }
}
