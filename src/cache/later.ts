/** Who is told how it ended: one of the two, once, and not in the step in which it asks. Must not throw. */
export interface LateHearer<T> {
  came(value: T): void;
  failed(error: unknown): void;
}

/**
 * What is told later: a promise without what one makes, of which each answer that is waited for would need several. A class, so that it
 * can be told from what is there at once.
 */
export abstract class Later<T> {
  /** To be called in the step in which it was given. */
  abstract hear(hearer: LateHearer<T>): void;
}

/** The same as a promise. */
export function promiseOf<T>(later: Later<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    later.hear({ came: resolve, failed: reject });
  });
}
