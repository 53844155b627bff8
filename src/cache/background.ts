import { Places } from '../core/places.ts';
import type { Background } from './ports.ts';

/** Hears of background work that threw; must not throw. */
export type OnBackgroundError = (name: string, error: unknown) => void;

/**
 * Owns work that outlives the request that began it (fills, revalidations, warming), so that shutdown can wait for it
 * and then end it. Nothing in the house starts a promise that nobody owns.
 */
export class BackgroundWork implements Background {
  readonly #running = new Places<Promise<unknown>>();
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
    this.#track(promise);
    return promise;
  }

  /** Resolves when nothing is under way, work that was begun meanwhile included. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  /** Aborts everything that still runs and waits for its end. Call after {@link idle} has had its deadline. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.idle();
  }

  #track(promise: Promise<unknown>): void {
    const place = this.#running.add(promise);
    const over = (): void => this.#running.free(place);
    // Of a rejection callers hear through the promise itself.
    promise.then(over, over);
  }
}
