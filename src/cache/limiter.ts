/** Runs work at most so many at once; the rest waits in the order in which it came. */
export type Limiter = <T>(work: () => Promise<T>) => Promise<T>;

/** `most` is at least 1. */
export function createLimiter(most: number): Limiter {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async (work) => {
    if (running >= most) {
      // Whoever ends hands its place on, so `running` is not changed and nobody who comes between can take it.
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      await promise;
    } else {
      running += 1;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
