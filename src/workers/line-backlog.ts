/** Characters of lines that a worker may have sent and the coordinator has not written. */
export const MAX_BACKLOG = 2 ** 20;

/**
 * What of a worker's lines is on its way to the thread that writes them. That one stands still while nobody reads the log; its queue would
 * grow with every request meanwhile. So a worker waits then, as a proxy of one thread does.
 */
export class LineBacklog {
  /** Characters that were written since the worker's start; wraps around. */
  readonly #written: Int32Array;
  #sent = 0;

  /** `words`: one, which both threads have. */
  constructor(words: SharedArrayBuffer) {
    this.#written = new Int32Array(words);
  }

  /** In the worker, when it has sent so many characters. Returns when no more are on their way than may be. */
  sent(length: number): void {
    this.#sent = (this.#sent + length) | 0;
    for (;;) {
      const written = Atomics.load(this.#written, 0);
      if (((this.#sent - written) | 0) <= MAX_BACKLOG) return;
      Atomics.wait(this.#written, 0, written);
    }
  }

  /** In the coordinator, when it has written so many. */
  written(length: number): void {
    Atomics.add(this.#written, 0, length);
    Atomics.notify(this.#written, 0);
  }
}
