/**
 * Work that runs once at a time. Who asks for it while it is under way gets the next run, together with all others who ask
 * until that begins: it holds what was there when they asked, which the one under way may not.
 */
export class SharedRun<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined = undefined;
  #queued: Promise<T> | undefined = undefined;

  /** `work` must not reject: what is queued behind it would never begin. */
  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  run(): Promise<T> {
    if (this.#queued !== undefined) return this.#queued;
    if (this.#running === undefined) return this.#begin();
    this.#queued = this.#running.then(() => this.#begin());
    return this.#queued;
  }

  #begin(): Promise<T> {
    this.#queued = undefined;
    const run = this.#work().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }
}
