#!/usr/bin/env node
// Kept to syntax and modules that any Node since 18 can load: on an older one this file only finds a newer one.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** undici 8 and http-proxy-3 do not load on anything older (package.json `engines`). */
const OLDEST_NODE = 24;

if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) {
  const { run } = await import('./run.ts');
  process.exitCode = await run(process.argv.slice(2));
} else {
  onNewerNode();
}

/** Runs the same command on the Node that `npm ci` installed beside the program, and ends as it ends. */
function onNewerNode(): void {
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(`forecache needs Node ${OLDEST_NODE} or newer; this is ${process.version}.\n`);
    process.exitCode = 64;
    return;
  }
  const program = fileURLToPath(import.meta.url);
  // The channel tells the child when this process is gone, however it went.
  const child = spawn(node, [program, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, FORECACHE_PARENT: 'ipc' },
  });
  // A terminal sends SIGINT to the child as well; forwarding it would look like a second one.
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => child.kill(signal));
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal ?? 'SIGTERM']);
  });
}
