import type { Repeats } from '../cache/ports.ts';

/** Upper bounds of the duration buckets, in seconds: 50 to 300 µs resolve hits from memory, the rest upstream calls. */
export const durationBounds: readonly number[] = [
  0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  30,
];

/** Durations in buckets. Adding one touches two numbers and makes no object. */
export class DurationTally {
  /** One for each of {@link durationBounds}, then those past the last; not cumulative. */
  readonly buckets = new Float64Array(durationBounds.length + 1);
  sumSeconds = 0;

  add(durationMs: number): void {
    const seconds = secondsOf(durationMs);
    bump(this.buckets, bucketOf(seconds));
    this.sumSeconds += seconds;
  }

  get count(): number {
    return sum(this.buckets);
  }
}

const bytesPlace = 0;
const secondsPlace = 1;
const firstBucket = 2;

/**
 * Counts of requests that are alike, in one short stretch of memory: a hit that walks through the tallies of its route pays
 * for some twenty lines of memory that the kernel has driven out of the nearest cache since the last one (measured: 2
 * microseconds).
 */
export class RepeatTally implements Repeats {
  readonly #numbers = new Float64Array(firstBucket + durationBounds.length + 1);

  repeated(bytesSent: number, durationMs: number): void {
    const numbers = this.#numbers;
    const seconds = secondsOf(durationMs);
    bump(numbers, bytesPlace, bytesSent);
    bump(numbers, secondsPlace, seconds);
    bump(numbers, firstBucket + bucketOf(seconds));
  }

  /** Adds the durations to those, and begins anew. Answers what else was counted. */
  moveTo(durations: DurationTally): { readonly count: number; readonly bytes: number } {
    const [bytes = 0, seconds = 0, ...buckets] = this.#numbers;
    for (const [index, count] of buckets.entries()) bump(durations.buckets, index, count);
    durations.sumSeconds += seconds;
    this.#numbers.fill(0);
    return { count: sum(buckets), bytes };
  }
}

/** A clock that jumped must not make a sum that never recovers. */
function secondsOf(durationMs: number): number {
  return durationMs > 0 && Number.isFinite(durationMs) ? durationMs / 1000 : 0;
}

function bucketOf(seconds: number): number {
  let index = 0;
  while (index < durationBounds.length && seconds > (durationBounds[index] ?? 0)) index += 1;
  return index;
}

/** How often something was met, for who counts it often: it is looked for once. */
export interface Count {
  value: number;
}

/** Counts by tokens that come from code or configuration. Bounded all the same: past the bound, or odd, is `other`. */
export class TokenTally {
  readonly #counts = new Map<string, Count>();
  readonly #maxTokens: number;

  constructor(maxTokens = 64) {
    this.#maxTokens = maxTokens;
  }

  add(token: string, amount = 1): void {
    this.of(token).value += amount;
  }

  /** Of one token, from now on. */
  of(token: string): Count {
    const known = this.#counts.get(token);
    if (known !== undefined) return known;
    const name = this.#nameFor(token);
    let count = this.#counts.get(name);
    if (count === undefined) this.#counts.set(name, (count = { value: 0 }));
    return count;
  }

  *entries(): Iterable<readonly [token: string, count: number]> {
    for (const [token, { value }] of this.#counts) yield [token, value];
  }

  #nameFor(token: string): string {
    return this.#counts.size < this.#maxTokens && /^[\x20-\x7e]{1,100}$/.test(token) ? token : 'other';
  }
}

/** Adds to one place of an array of counts. */
export function bump(counts: Float64Array, index: number, amount = 1): void {
  counts[index] = (counts[index] ?? 0) + amount;
}

export function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
