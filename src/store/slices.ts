import type { Clock } from '../cache/ports.ts';

/** One slice of background work never takes much longer than this. */
const sliceMs = 2;

/** Steps in a slice at most, so that a clock that stands still ends it too. */
const sliceSteps = 4096;

/** The clock is read once for so many steps; a step takes about a microsecond. */
const stepsPerLook = 64;

/** Runs the steps until they are done or the slice is over; true when done. */
export function runSlice(work: Iterator<unknown>, clock: Clock): boolean {
  const endMs = clock.monotonicMs() + sliceMs;
  for (let steps = 1; ; steps += 1) {
    if (work.next().done === true) return true;
    if (steps >= sliceSteps) return false;
    if (steps % stepsPerLook === 0 && clock.monotonicMs() >= endMs) return false;
  }
}

/** Runs work in slices, others' turns between them. Resolves when it is done. */
export async function runInSlices(work: Iterator<unknown>, clock: Clock): Promise<void> {
  while (!runSlice(work, clock)) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
