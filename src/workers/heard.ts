/**
 * Whether what a worker has told of its counts has been heard. A coordinator that stands still, since nobody reads the log, hears nothing: its
 * queue would grow with every count.
 */
export class Heard {
  /** Counts that were heard since the worker's start; wraps around. */
  readonly #heard: Int32Array;
  #told = 0;

  /** `words`: one, which both threads have. */
  constructor(words: SharedArrayBuffer) {
    this.#heard = new Int32Array(words);
  }

  /** In the worker: nothing that it has told is still on its way. */
  get isAll(): boolean {
    return Atomics.load(this.#heard, 0) === this.#told;
  }

  /** In the worker, when it tells. */
  told(): void {
    this.#told = (this.#told + 1) | 0;
  }

  /** In the coordinator, when it has heard. */
  heard(): void {
    Atomics.add(this.#heard, 0, 1);
  }
}
