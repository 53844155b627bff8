#!/usr/bin/env node
// Kept to syntax and modules that any Node since 18 can load: on an older one this file only finds a newer one.

import { useCompiledCode } from './compiled-code.ts';
import { startLean } from './lean.ts';
import { hearStopAsks, stopSignals } from './stop-signal.ts';

/** undici 8 and http-proxy-3 do not load on anything older (package.json `engines`). */
const OLDEST_NODE = 24;

if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) {
  // First: the compiled functions are found by the flags.
  if (process.argv[2] === 'serve') startLean();
  useCompiledCode();
  void onThisNode();
} else {
  void onNewerNode();
}

/**
 * Signals are heard before the program is read, which takes a while: what has no handler yet ends any process but the
 * first one of a container, which never gets it. The other commands are to end as programs do: nothing may hear a signal of
 * theirs for a moment either, nor a parent be told that this process hears what comes through the channel.
 */
async function onThisNode(): Promise<void> {
  const asks = hearStopAsks(process.argv[2] === 'serve');
  try {
    const { run } = await import('./run.ts');
    process.exitCode = await run(process.argv.slice(2), asks);
  } finally {
    asks.release();
  }
}

/** Runs the same command on the Node that `npm ci` installed beside the program, and ends as it ends. */
async function onNewerNode(): Promise<void> {
  // Not above: node:child_process would cost each start on a Node that is new enough 5 ms.
  const { spawn } = await import('node:child_process');
  const { existsSync } = await import('node:fs');
  const { constants } = await import('node:os');
  const node = `${import.meta.dirname}/../node_modules/node/bin/node`;
  if (!existsSync(node)) {
    process.stderr.write(`forecache needs Node ${OLDEST_NODE} or newer; this is ${process.version}.\n`);
    process.exitCode = 64;
    return;
  }
  // The channel tells the child when this process is gone, however it went.
  const child = spawn(node, [import.meta.filename, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // As in the image: one arena in glibc's allocator keeps a flood 7 MiB smaller, and pages of the memory tier that are given back go to
    // the system (docs/decisions/0018). It can be said to a new process alone.
    env: {
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '1048576',
      MALLOC_TRIM_THRESHOLD_: '2097152',
      ...process.env,
      FORECACHE_PARENT: 'ipc',
    },
  });
  let serves = false;
  child.on('message', () => (serves = true));
  // A terminal, or a service manager, sends the signal to the child as well. What comes through the channel is counted
  // by itself (serve.ts): forwarded as a signal it would look like the second one, which ends everything at once.
  for (const signal of stopSignals) {
    process.on(signal, () => void (serves && child.connected ? child.send(signal) : child.kill(signal)));
  }
  process.on('SIGUSR2', () => child.kill('SIGUSR2'));
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal ?? 'SIGTERM']);
  });
}
