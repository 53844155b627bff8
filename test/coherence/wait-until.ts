import { setTimeout as sleep } from 'node:timers/promises';

/** A fail-over takes some seconds, and a busy machine its time. */
const patienceMs = 60_000;

/** Asks until it is so, or the signal says that nobody waits any more; what rejects is not so yet. Rejects after a minute. */
export async function waitUntil(isSo: () => Promise<boolean>, what: string, signal?: AbortSignal): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  const isOver = (): boolean => signal?.aborted === true;
  while (!isOver() && !(await isSo().catch(() => false))) {
    if (performance.now() > untilMs) throw new Error(`${what} is not there after ${patienceMs} ms`);
    await sleep(25);
  }
}
