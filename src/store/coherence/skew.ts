import type { Instant } from './protocol.ts';

interface Sample {
  readonly offsetMs: number;
  /** Half of the round trip: the offset is wrong by no more, but for the rounding to milliseconds. */
  readonly errorMs: number;
  readonly atMs: number;
}

/** An old sample does not speak for clocks that drift: 60 s at 100 parts in a million are 6 ms. */
const sampleAgeMs = 60_000;

/**
 * What the clock of Redis is ahead of this one by, from the answers that came fastest. A sample that contradicts the best one
 * means that a clock was set, and takes its place.
 */
export class Skew {
  #best: Sample | undefined;

  /** Milliseconds; 0 before the first answer. */
  get ms(): number {
    // Not -0, which is another value to whoever compares.
    return Math.round(this.#best?.offsetMs ?? 0) + 0;
  }

  note(sent: Instant, received: Instant, redisMs: number): void {
    const roundTripMs = Math.max(0, received.monoMs - sent.monoMs);
    const sample = {
      // Redis said whole milliseconds, cut off; the process' clock is read at the sending, so that a step in between cannot halve.
      offsetMs: redisMs + 0.5 - (sent.wallMs + roundTripMs / 2),
      errorMs: roundTripMs / 2 + 1,
      atMs: received.monoMs,
    };
    const best = this.#best;
    const contradicts = best !== undefined && Math.abs(best.offsetMs - sample.offsetMs) > best.errorMs + sample.errorMs;
    const isOld = best !== undefined && sample.atMs - best.atMs > sampleAgeMs;
    if (best === undefined || contradicts || isOld || sample.errorMs <= best.errorMs) this.#best = sample;
  }
}
