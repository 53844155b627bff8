// Kept to syntax that any Node since 18 can read, like main.ts.
import { setFlagsFromString } from 'node:v8';

/**
 * What V8 does for speed and a start gains nothing by: loading files and reading YAML is run once. The compilers and their
 * code take 12 MiB of a process that is idle afterwards, and one more what Sparkplug makes of all that runs some times. V8 looks
 * these up each time that it decides. Compiled functions are taken only under the flags that they were made with: the build makes
 * them under these as well, in a directory that Node finds by the flags.
 */
const startFlags = ['--no-opt', '--no-maglev', '--no-sparkplug'] as const;
export const usualFlags = ['--opt', '--maglev', '--sparkplug'] as const;

/**
 * What keeps a process small that serves (docs/decisions/0018-what-the-process-takes.md): a young generation that stays at
 * the MiB that it starts with, where V8 would let it grow to 52 in a flood of misses; jobs of a compiler that are forgotten
 * where they end, as on a busy core the thread that is to do that later gets no turn, and 25 MiB pile up; as much room
 * until the next collection as is in use, where V8 would let 38 MiB in use grow to 134; compiled functions that are kept, since
 * purges come seldom and hold up all traffic while they are compiled (0023); and one thread beside the one that serves to
 * mark what is in use, none to collect a MiB: four took its core from it where it has one only.
 */
const smallFlags = [
  '--semi-space-growth-factor=1',
  '--no-maglev-destroy-on-background',
  '--heap-growing-percent=100',
  '--no-flush-bytecode',
  '--no-parallel-scavenge',
  '--concurrent-marking-max-worker-num=1',
] as const;
const largeFlags = [
  '--semi-space-growth-factor=2',
  '--maglev-destroy-on-background',
  '--heap-growing-percent=0',
  '--flush-bytecode',
  '--parallel-scavenge',
  '--concurrent-marking-max-worker-num=7',
] as const;

/** All that a start is under. */
export const leanFlags = [...startFlags, ...smallFlags] as const;

/**
 * Half of what is left after a collection is room until the next; V8's own measure lets 13 MiB grow to 60 where there is
 * much memory. It costs a miss some 5 % of its time. A fifth where the whole process is small: 20 MiB in use would grow to 30.
 */
export const tightFlags = { some: '--heap-growing-percent=50', small: '--heap-growing-percent=20' } as const;

let isLean = false;
let isTight = false;

/** Whoever gives Node options of their own gets those and nothing else. */
export function startLean(): void {
  if (hasOwnOptions()) return;
  for (const flag of leanFlags) setFlagsFromString(flag);
  isLean = true;
}

/**
 * Before anything serves, and before there is a second thread: flags are the whole process's. `staysSmall` is for a process
 * that serves alone: what is compiled for threads is made under V8's own flags.
 */
export function endLean({ staysSmall }: { readonly staysSmall: boolean }): void {
  if (!isLean) return;
  for (const flag of staysSmall ? usualFlags : [...usualFlags, ...largeFlags]) setFlagsFromString(flag);
  isLean = false;
}

/** For a process whose heap takes what its memory tier could use. Has V8 collect sooner from now on; the first call counts. */
export function collectSooner(room: keyof typeof tightFlags): void {
  if (isTight || hasOwnOptions()) return;
  setFlagsFromString(tightFlags[room]);
  isTight = true;
}

/** Flags of V8 are whoever's who gives some. */
export function hasOwnOptions(): boolean {
  return process.execArgv.length > 0 || Boolean(process.env['NODE_OPTIONS']);
}
