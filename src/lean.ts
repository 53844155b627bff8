import { setFlagsFromString } from 'node:v8';

/**
 * Runs what a start runs often and no request ever does: reading YAML. V8 does not compile it to machine code for speed
 * meanwhile, and leaves its young generation as it is: the compilers and their code take 13 MiB of a process that is
 * idle afterwards, and a young generation that has grown another 5 MiB. Whoever gives Node options of their own gets
 * those and nothing else.
 */
export function lean<Result>(work: () => Result): Result {
  if (process.execArgv.length > 0 || process.env['NODE_OPTIONS']) return work();
  // Flags that V8 looks up each time that it decides. Not around what is loaded: compiled functions are taken only under
  // the flags that they were made with.
  for (const flag of ['--no-opt', '--no-maglev', '--semi-space-growth-factor=1']) setFlagsFromString(flag);
  try {
    return work();
  } finally {
    for (const flag of ['--opt', '--maglev', '--semi-space-growth-factor=2']) setFlagsFromString(flag);
  }
}
