import { setTimeout as sleep } from 'node:timers/promises';

import type { Random } from './random.ts';
import type { Recorded } from './traffic.ts';

/** Something bad that can be done to the fleet and be undone. */
export interface Fault {
  readonly kind: string;
  /** Does it, to whatever it picks, holds it for the time, undoes it; answers with what it was done to. */
  inflict(hold: Hold): Promise<string>;
}

export interface Hold {
  readonly random: Random;
  /** Resolves after a random part of the usual time; at once where the run ends, so that nothing stays broken. */
  readonly wait: (leastMs: number, mostMs: number) => Promise<void>;
  /** The run ends. */
  readonly signal: AbortSignal;
}

/** Faults that come one after another; several lanes go at the same time. */
export interface Lane {
  readonly faults: readonly Fault[];
  /** Quiet time between two faults. */
  readonly leastCalmMs: number;
  readonly mostCalmMs: number;
}

/** Inflicts the lane's faults until the signal, in an order in which all come up before any comes again. */
export async function runLane(
  { faults, leastCalmMs, mostCalmMs }: Lane,
  { recorded, random, signal }: { readonly recorded: Recorded; readonly random: Random; readonly signal: AbortSignal },
): Promise<void> {
  const wait = async (leastMs: number, mostMs: number): Promise<void> => {
    await sleep(random.whole(leastMs, mostMs), undefined, { signal }).catch(() => {
      // The run ends.
    });
  };
  let deck: Fault[] = [];
  await wait(leastCalmMs, mostCalmMs);
  while (!signal.aborted && faults.length > 0) {
    if (deck.length === 0) deck = random.shuffled(faults);
    const fault = deck.pop();
    if (fault === undefined) break;
    const startMs = performance.now();
    const what = await fault.inflict({ random, wait, signal });
    recorded.faults.push({ startMs, endMs: performance.now(), kind: fault.kind, what });
    await wait(leastCalmMs, mostCalmMs);
  }
}
