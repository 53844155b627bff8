import type { Clock } from './cache/ports.ts';

/** `setTimeout` fires at once for anything longer (a signed 32-bit number of milliseconds, 24.8 days). */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

// As a global it is a getter, which would be called for each look.
const { performance } = globalThis;

/** A timer that goes off later than this had to wait for something else; what came meanwhile has not been read. Milliseconds. */
const LATE_MS = 10;

// One for all clocks that are made of this one: a thread has one that it serves by.
let isHeld = false;
let heldMs: number | undefined;

/**
 * The process's own clocks. A timer that is late is told when what has come by then was read: timers go off first, and behind a standstill
 * of the process answers that came in time would be given up for being late.
 */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  heldMs() {
    if (!isHeld) return this.nowMs();
    heldMs ??= this.nowMs();
    return heldMs;
  },
  hold() {
    isHeld = true;
  },
  release() {
    isHeld = false;
    heldMs = undefined;
  },
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    let timer: NodeJS.Timeout;
    let late: NodeJS.Immediate | undefined;
    const dueMs = performance.now() + delayMs;
    const goOff = () => {
      if (performance.now() - dueMs > LATE_MS) late = setImmediate(callback);
      else callback();
    };
    const wait = (restMs: number) => {
      const pieceMs = Math.min(restMs, LONGEST_TIMEOUT_MS);
      timer = setTimeout(() => (restMs > pieceMs ? wait(restMs - pieceMs) : goOff()), pieceMs);
      timer.unref();
    };
    wait(Math.max(0, delayMs));
    return () => {
      clearTimeout(timer);
      clearImmediate(late);
    };
  },
};
