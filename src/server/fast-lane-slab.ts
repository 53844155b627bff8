/**
 * Of a block. To empty one took half a millisecond where it was full of heads that share an answer, and 0.04 ms with answers of 1 KB; one of
 * 256 KiB took 1.6.
 */
export const BLOCK_BYTES = 64 * 1024;

/** What is larger has memory of its own: this much may stay unused at the end of a block. */
const MOST_TAKEN = BLOCK_BYTES / 4;

/** Heads are read as words of four bytes; copies go by eight. */
const ALIGN = 8;

/** So much of all that is used may be bytes that nobody has any more, or a block. */
const MOST_DEAD_PART = 1 / 8;

/** Has bytes in a block. */
export interface Resident {
  /** Takes other bytes in the place of those that it has in the block, if it has any there. */
  leave(block: Block): void;
}

/** Memory for many. What of it was given away once is not written to again but by whom it was given: it may be under way to a client. */
export class Block {
  readonly bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  /** The same memory. */
  readonly words = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, BLOCK_BYTES / 4);
  readonly number: number;
  /** From here on nothing was given away. */
  used = 0;
  /** Of what was given away so much has not been given back. */
  live = 0;
  readonly residents: Resident[] = [];

  constructor(number: number) {
    this.number = number;
  }
}

/**
 * Bytes of heads and answers, side by side in few blocks. Each in memory of its own lay anywhere among what the process has stored, in pages
 * of its own, whose places the processor had to look up anew for each hit: those of 200 URLs are in some 70 pages here.
 *
 * First come, first in a block. A block of which nothing is used any more is let go, never used again. As heads are forgotten in the order in which they
 * came, that comes by itself; where what is left in blocks keeps too much that is dead, they are moved together.
 */
export class Slab {
  /** Where what was taken last begins, in bytes. */
  at = 0;
  readonly #blocks: (Block | undefined)[] = [];
  #open: Block | undefined;
  #dead = 0;
  #live = 0;
  #isMoving = false;

  /** Bytes of blocks that nobody has any more. */
  get dead(): number {
    return this.#dead;
  }

  /** Bytes of all blocks. */
  get bytes(): number {
    return this.#blocks.reduce((sum, block) => sum + (block === undefined ? 0 : BLOCK_BYTES), 0);
  }

  wordsOf(block: number): Int32Array {
    return this.#blocks[block]?.words ?? NONE;
  }

  get(block: number): Block | undefined {
    return this.#blocks[block];
  }

  /** So many bytes, at {@link at}; `undefined`: more than is worth a place here. */
  take(bytes: number, resident: Resident): Block | undefined {
    const size = sizeOf(bytes);
    if (size > MOST_TAKEN) return undefined;
    let block = this.#open;
    if (block === undefined || block.used + size > BLOCK_BYTES) {
      this.#letGoIfEmpty(block, undefined);
      block = this.#begin();
    }
    this.at = block.used;
    block.used += size;
    block.live += size;
    this.#live += size;
    block.residents.push(resident);
    return block;
  }

  /** May move others, and who gives back: to be called when all that is to be read from there was. */
  giveBack(block: Block, bytes: number): void {
    const size = sizeOf(bytes);
    block.live -= size;
    this.#live -= size;
    this.#dead += size;
    this.#letGoIfEmpty(block, this.#open);
    this.#moveTogether();
  }

  #begin(): Block {
    let number = this.#blocks.indexOf(undefined);
    if (number === -1) number = this.#blocks.length;
    const block = new Block(number);
    this.#blocks[number] = block;
    this.#open = block;
    return block;
  }

  #letGoIfEmpty(block: Block | undefined, open: Block | undefined): void {
    if (block === undefined || block.live > 0 || block === open || this.#blocks[block.number] !== block) return;
    this.#dead -= block.used;
    this.#blocks[block.number] = undefined;
    if (this.#open === block) this.#open = undefined;
  }

  #moveTogether(): void {
    // Whoever moves gives back where it was.
    if (this.#isMoving) return;
    this.#isMoving = true;
    try {
      while (this.#dead > Math.max(BLOCK_BYTES, this.#live * MOST_DEAD_PART) && this.#emptySparsest());
    } finally {
      // Also where there is no memory for another block: else nothing would be moved any more.
      this.#isMoving = false;
    }
  }

  /** False: there was none. */
  #emptySparsest(): boolean {
    const block = this.#sparsest();
    if (block === undefined) return false;
    // No other block gets what is in this one.
    if (this.#open === block) this.#open = undefined;
    for (const resident of block.residents) resident.leave(block);
    this.#letGoIfEmpty(block, undefined);
    // Not empty: never, as all that is used of it is a resident's.
    return block.live === 0;
  }

  #sparsest(): Block | undefined {
    let sparsest: Block | undefined;
    for (const block of this.#blocks) {
      if (block !== undefined && (sparsest === undefined || deadIn(block) > deadIn(sparsest))) sparsest = block;
    }
    return sparsest;
  }
}

const NONE = new Int32Array(0);

function deadIn({ used, live }: Block): number {
  return used - live;
}

function sizeOf(bytes: number): number {
  return Math.ceil(bytes / ALIGN) * ALIGN;
}
