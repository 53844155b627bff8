import { copyOf } from './fast-lane-copies.ts';
import type { Wire } from './fast-lane-wire.ts';

/** So many answers under way hold 4 MiB of blocks at most. */
const MOST_LENT = 64;

/**
 * Answers whose bytes the kernel has not taken at once: a client reads too slowly. As long as one is under way its whole block is kept
 * (`fast-lane-slab.ts`), whatever becomes of what else was in that, so that 1,000 clients could hold 64 MiB with 1 KB each. Past so many of
 * them a copy is sent, which holds itself alone.
 */
export class Lending {
  #lent = 0;

  /** What is to be written of the answer. */
  bytesOf({ first }: Wire): Buffer {
    return this.#lent < MOST_LENT ? first : copyOf(first, first.length);
  }

  /** Those have not left at once. What it gives is to be called once they have, or never will. */
  lend(wire: Wire, bytes: Buffer): () => void {
    if (bytes !== wire.first) return () => {};
    wire.isLent = true;
    this.#lent += 1;
    return () => {
      this.#lent -= 1;
    };
  }
}
