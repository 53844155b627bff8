/** Lets at most so many calls be under way at once; the others wait in order. */
export class Slots {
  readonly #size: number;
  #taken = 0;
  readonly #waiting = new Set<() => boolean>();

  constructor(size: number) {
    this.#size = size;
  }

  /** Takes a slot at once, or `false`: then {@link wait}. */
  tryTake(): boolean {
    if (this.#taken >= this.#size) return false;
    this.#taken += 1;
    return true;
  }

  /**
   * Calls back when a slot is free and taken for the caller, who says whether it is needed still; the function returned gives up the
   * place in the queue.
   */
  wait(granted: () => boolean): () => void {
    this.#waiting.add(granted);
    return () => this.#waiting.delete(granted);
  }

  release(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      if (next()) return;
    }
    this.#taken -= 1;
  }
}
