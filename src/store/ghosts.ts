const ways = 4;

/**
 * Remembers which keys left the small queue of late: four bytes for each, of fixed number, oldest forgotten first within sets
 * of four. A false memory (one in some hundred million) only lets a response into the main queue.
 */
export class Ghosts {
  readonly #prints: Uint32Array;

  /** One for each 4 KiB of the tier, from `least` (a power of 2, at least 4) to 262,144. */
  constructor(maxBytes: number, least = 1024) {
    const wanted = Math.min(Math.max(maxBytes / 4096, least), 262_144);
    this.#prints = new Uint32Array(2 ** Math.ceil(Math.log2(wanted)));
  }

  add(key: string): void {
    const print = fingerprint(key);
    const first = this.#setOf(print);
    this.#prints.copyWithin(first + 1, first, first + ways - 1);
    this.#prints[first] = print;
  }

  /** Whether the key is remembered; if so it is forgotten. */
  take(key: string): boolean {
    const print = fingerprint(key);
    const first = this.#setOf(print);
    for (let index = first; index < first + ways; index += 1) {
      if (this.#prints[index] !== print) continue;
      this.#prints.copyWithin(index, index + 1, first + ways);
      this.#prints[first + ways - 1] = 0;
      return true;
    }
    return false;
  }

  #setOf(print: number): number {
    return (print & (this.#prints.length / ways - 1)) * ways;
  }
}

/** FNV-1a with a last mix (the low bits choose the set); never 0, which marks a free place. */
function fingerprint(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return hash >>> 0 || 1;
}
