import { TextHash } from './text-hash.ts';

const ways = 4;

/** A tier remembers one key for so many of its bytes. */
export const bytesForGhost = 4096;

/**
 * Remembers which keys left the small queue of late: four bytes for each, of fixed number, oldest forgotten first within sets
 * of four. A false memory (one in some hundred million) only lets a response into the main queue.
 */
export class Ghosts {
  readonly #size: number;
  /**
   * Made when there is something to remember: the MiB that it is for a large tier has to be made again when everything is purged, and
   * that waits for it.
   */
  #prints: Uint32Array | undefined;
  readonly #hash = new TextHash();

  /** One for each 4 KiB of the tier, from `least` (a power of 2, at least 4) to 262,144. */
  constructor(maxBytes: number, least = 1024) {
    const wanted = Math.min(Math.max(maxBytes / bytesForGhost, least), 262_144);
    this.#size = 2 ** Math.ceil(Math.log2(wanted));
  }

  /** The key, or 32 bits of its hash where those are known. */
  add(key: string | number): void {
    const print = this.#printOf(key);
    const first = this.#setOf(print);
    this.#prints ??= new Uint32Array(this.#size);
    this.#prints.copyWithin(first + 1, first, first + ways - 1);
    this.#prints[first] = print;
  }

  /** Whether the key is remembered; if so it is forgotten. */
  take(key: string | number): boolean {
    const prints = this.#prints;
    if (prints === undefined) return false;
    const print = this.#printOf(key);
    const first = this.#setOf(print);
    for (let index = first; index < first + ways; index += 1) {
      if (prints[index] !== print) continue;
      prints.copyWithin(index, index + 1, first + ways);
      prints[first + ways - 1] = 0;
      return true;
    }
    return false;
  }

  #setOf(print: number): number {
    return (print & (this.#size / ways - 1)) * ways;
  }

  /** Never 0, which marks a free place. */
  #printOf(key: string | number): number {
    const hash = typeof key === 'string' ? this.#hash.take(key).low : key;
    return hash === 0 ? 1 : hash;
  }
}
