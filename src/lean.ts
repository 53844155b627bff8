// Kept to syntax that any Node since 18 can read, like main.ts.
import { setFlagsFromString } from 'node:v8';

/**
 * Flags for what a start runs often and no request ever does: loading files, reading YAML. V8 does not compile it to
 * machine code for speed meanwhile, and leaves its young generation as it is: the compilers and their code take 12 MiB of a
 * process that is idle afterwards, a young generation that has grown another 3. V8 looks these up each time that it
 * decides. Compiled functions are taken only under the flags that they were made with: the build makes them under these
 * as well, in a directory that Node finds by the flags.
 */
export const leanFlags = ['--no-opt', '--no-maglev', '--semi-space-growth-factor=1'] as const;
const usualFlags = ['--opt', '--maglev', '--semi-space-growth-factor=2'] as const;

let isLean = false;

/** Whoever gives Node options of their own gets those and nothing else. */
export function startLean(): void {
  if (process.execArgv.length > 0 || process.env['NODE_OPTIONS']) return;
  for (const flag of leanFlags) setFlagsFromString(flag);
  isLean = true;
}

/** Before anything serves, and before there is a second thread: flags are the whole process's. */
export function endLean(): void {
  if (!isLean) return;
  for (const flag of usualFlags) setFlagsFromString(flag);
  isLean = false;
}
