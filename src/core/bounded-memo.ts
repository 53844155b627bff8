/**
 * What was worked out for texts, kept for the next time, for texts that clients write: it never holds more than `maxEntries`,
 * and what is asked for again and again stays. A client that sends ever new texts makes others be worked out anew, no more.
 *
 * Two halves: what is new goes into the young one. Once that is full it becomes the old one, and the old one is forgotten but
 * for what was asked for meanwhile. A find costs one look-up and moves nothing, unlike in a list by last use.
 */
export class BoundedMemo<T extends object | string | number | true> {
  readonly #halfEntries: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  /** @param maxEntries two or more */
  constructor(maxEntries: number) {
    this.#halfEntries = Math.floor(maxEntries / 2);
  }

  /** Entries now. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(text: string): T | undefined {
    const young = this.#young.get(text);
    if (young !== undefined) return young;
    const old = this.#old.get(text);
    if (old !== undefined) this.set(text, old);
    return old;
  }

  set(text: string, value: T): void {
    this.#old.delete(text);
    if (this.#young.size >= this.#halfEntries && !this.#young.has(text)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, value);
  }
}
