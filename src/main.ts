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
  let serves = false;
  child.on('message', () => (serves = true));
  // A terminal, or a service manager, sends the signal to the child as well. What comes through the channel is counted
  // by itself (serve.ts): forwarded as a signal it would look like the second one, which ends everything at once.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => void (serves && child.connected ? child.send(signal) : child.kill(signal)));
  }
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal ?? 'SIGTERM']);
  });
}
