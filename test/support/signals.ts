import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

/** So long behind a signal another one says that nobody wants to wait (src/stop-signal.ts says 250 ms). */
export const anotherAskMs = 260;

/** Waits until no signal of the process is pending (proc(5), `ShdPnd`): one of the same kind would become one with it. */
export async function untilTaken(pid: number): Promise<void> {
  while (/^ShdPnd:\s*0*[1-9a-f]/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await turn();
}
