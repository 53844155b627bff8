/**
 * What is under way, by numbered places that are used again. For what comes and goes with each request this is to be used in the
 * place of a `Set` or of a `Map`: of those V8 makes a new table ever so often, to which the one before it leads. Once one of these
 * tables is old, each later one, and what was in it when it was left, counts as reachable until the next full collection: a third
 * of all that requests had made was copied twice and kept for seconds, which was most of the time that went into collections.
 */
export class Places<T extends object> {
  readonly #taken: (T | undefined)[] = [];
  readonly #free: number[] = [];

  /** How many are there. */
  get size(): number {
    return this.#taken.length - this.#free.length;
  }

  /** Its place, until it is let go. */
  add(one: T): number {
    const place = this.#free.pop() ?? this.#taken.length;
    this.#taken[place] = one;
    return place;
  }

  get(place: number): T | undefined {
    return this.#taken[place];
  }

  /** Nobody is in that place any more. One that is free stays so. */
  free(place: number): void {
    if (this.#taken[place] === undefined) return;
    this.#taken[place] = undefined;
    this.#free.push(place);
  }

  /** In no order. Of those who come meanwhile some are met. */
  *[Symbol.iterator](): Generator<T, void, void> {
    for (let place = 0; place < this.#taken.length; place += 1) {
      const one = this.#taken[place];
      if (one !== undefined) yield one;
    }
  }
}
