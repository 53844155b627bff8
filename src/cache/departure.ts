import type { Flight } from './collapse.ts';
import type { Clock } from './ports.ts';

/**
 * Without a lease nobody may join a fetch that has been sent, so a burst of requests is one call only where its fetch is
 * not sent with the first of them: it is sent when this long nobody has come.
 */
const QUIET_MS = 2;
/** Never later than this after the first: beside it, what upstream takes hardly counts. */
const LONGEST_BURST_MS = 25;

/** Resolves when the burst that the flight belongs to seems over, or the signal is aborted. */
export async function burstOver(
  flight: Pick<Flight<unknown>, 'boarders'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const lastMs = clock.monotonicMs() + LONGEST_BURST_MS;
  for (;;) {
    const leftMs = lastMs - clock.monotonicMs();
    if (leftMs <= 0 || signal.aborted) return;
    const before = flight.boarders;
    await pause(clock, Math.min(QUIET_MS, leftMs), signal);
    if (flight.boarders === before) return;
  }
}

/** Resolves when the flight has landed, however. */
export async function landed(flight: Pick<Flight<unknown>, 'result'>): Promise<void> {
  await Promise.allSettled([flight.result]);
}

/** Resolves after that long, or when the signal is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
