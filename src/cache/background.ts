import type { Background } from './ports.ts';

/** Hears of background work that threw; must not throw. */
export type OnBackgroundError = (name: string, error: unknown) => void;

/**
 * Owns work that outlives the request that began it (fills, revalidations, warming), so that shutdown can wait for it
 * and then end it. Nothing in the house starts a promise that nobody owns.
 */
export class BackgroundWork implements Background {
  readonly #running = new Set<Promise<unknown>>();
  readonly #abort = new AbortController();
  readonly #onError: OnBackgroundError;

  constructor(onError: OnBackgroundError) {
    this.#onError = onError;
  }

  /** How much is under way. */
  get size(): number {
    return this.#running.size;
  }

  run(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    const guarded = this.own(name, work).catch((error: unknown) => this.#onError(name, error));
    this.#track(guarded);
  }

  own<T>(_name: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const promise = work(this.#abort.signal);
    // Callers hear of a rejection through the promise itself; this copy is only for counting.
    this.#track(promise.then(ignore, ignore));
    return promise;
  }

  /** Resolves when nothing is under way, work that was begun meanwhile included. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Aborts everything that still runs and waits for its end. Call after {@link idle} has had its deadline. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.idle();
  }

  #track(promise: Promise<unknown>): void {
    this.#running.add(promise);
    void promise.finally(() => this.#running.delete(promise));
  }
}

function ignore(): void {
  // A settled copy carries neither value nor error.
}
