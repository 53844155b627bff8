import type { Clock } from './ports.ts';

/** When its request was sent, by the wall clock. */
interface Asked {
  readonly requestTimeMs: number;
}

/**
 * Whether what is known was asked for after what comes now, and so stays (RFC 9111 §4 prefers the newer). A known time in the
 * future means that the clock was set back since: then it says nothing. The script that writes to Redis says the same.
 */
export function wasAskedLater(known: Asked, coming: Asked, clock: Pick<Clock, 'nowMs'>): boolean {
  // The clock is looked at last: hardly ever is that needed.
  return known.requestTimeMs > coming.requestTimeMs && known.requestTimeMs <= clock.nowMs();
}
