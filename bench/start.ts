import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * How long a start takes, what it costs, and what is resident when nothing happens: the built program with the reference
 * configuration beside a bare Node that serves HTTP, in alternating starts. Exit code 1 where a bar is missed.
 *
 *   npm run build && node bench/start.ts
 */
const starts = 20;
const idleMs = 3000;
const bars = { readyMs: 150, idleMiB: 64, megabytes: 15 };
const root = fileURLToPath(new URL('..', import.meta.url));

interface Start {
  readonly readyMs: number;
  /** Of all its threads, by the time that it is ready. */
  readonly cpuMs: number;
  readonly idleMiB: number | undefined;
}

const folder = mkdtempSync(join(tmpdir(), 'forecache-bench-'));
const bare = join(folder, 'bare.cjs');
writeFileSync(bare, `require('node:http').createServer().listen(0, '127.0.0.1', () => console.log('ready'));\n`);
const program = ['dist/main.js', 'serve', '--config', 'config/forecache.yaml'].map((part, index) =>
  index === 0 || index === 3 ? join(root, part) : part,
);

const rows = { forecache: [] as Start[], 'bare node:http': [] as Start[] };
for (let round = 0; round < starts; round += 1) {
  rows.forecache.push(await start(program, round < 3));
  rows['bare node:http'].push(await start([bare], round < 3));
}
rmSync(folder, { recursive: true });

for (const [name, taken] of Object.entries(rows)) {
  const idle = taken.flatMap((one) => one.idleMiB ?? []);
  const ready = taken.map((one) => one.readyMs);
  process.stdout.write(
    `${name.padEnd(15)} ready ${median(ready).toFixed(0)} ms (${Math.min(...ready).toFixed(0)} to ${Math.max(...ready).toFixed(0)}),` +
      ` CPU ${median(taken.map((one) => one.cpuMs)).toFixed(0)} ms, idle ${median(idle).toFixed(1)} MiB\n`,
  );
}
const megabytes = sizeOf(join(root, 'dist')) / 1e6;
process.stdout.write(`dist            ${megabytes.toFixed(1)} MB, and no packages beside it\n`);
const readyMs = median(rows.forecache.map((taken) => taken.readyMs));
const idleMiB = median(rows.forecache.flatMap((taken) => taken.idleMiB ?? []));
const missed = readyMs > bars.readyMs || idleMiB > bars.idleMiB || megabytes > bars.megabytes;
process.stdout.write(
  `bars            ready ${bars.readyMs} ms, idle ${bars.idleMiB} MiB, ${bars.megabytes} MB: ${missed ? 'missed' : 'held'}\n`,
);
process.exitCode = missed ? 1 : 0;

async function start(args: readonly string[], waits: boolean): Promise<Start> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'] ?? '', FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    await once(child.stdout, 'data');
    const taken = { readyMs: performance.now() - startedMs, cpuMs: cpuOf(child) };
    if (waits) await delay(idleMs);
    return { ...taken, idleMiB: waits ? residentOf(child) : undefined };
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

/** proc(5): nanoseconds on a processor, by thread. */
function cpuOf({ pid }: ChildProcess): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = tasks.map((task) =>
    Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
}

function residentOf({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

function sizeOf(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
