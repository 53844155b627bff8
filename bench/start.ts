import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { builtMain } from '../test/support/program.ts';
import { runAlone } from './alone.ts';
import { roundsOf, type Bar, type BenchOptions, type Figure, type Round } from './bars.ts';
import { memoryMib, threadsCpuMs } from './http/cores.ts';

/**
 * Requirements 7 and 8: how long a start takes, what it costs, and what is resident when nothing happens: the built program
 * with the reference configuration beside a bare Node that serves HTTP, in alternating starts: `node bench/start.ts`.
 */
const startsPerRound = 4;
const idleMs = 3000;
const root = fileURLToPath(new URL('..', import.meta.url));

interface Start {
  readonly readyMs: number;
  /** Of all its threads, by the time that it is ready. */
  readonly cpuMs: number;
  readonly idleMiB: number | undefined;
}

/** What is started: the arguments of Node. */
interface Started {
  readonly program: readonly string[];
  readonly bare: readonly string[];
}

async function started(stack: AsyncDisposableStack): Promise<Started> {
  const main = await builtMain();
  const folder = mkdtempSync(join(tmpdir(), 'forecache-bench-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const bareFile = join(folder, 'bare.cjs');
  writeFileSync(bareFile, `require('node:http').createServer().listen(0, '127.0.0.1', () => console.log('ready'));\n`);
  return { program: [main, 'serve', '--config', join(root, 'config/forecache.yaml')], bare: [bareFile] };
}

/** What is resident when nothing happens, MiB, beside a bare Node that serves HTTP: one start of each. */
export async function idleRound(): Promise<Required<Round>> {
  await using stack = new AsyncDisposableStack();
  const { program, bare } = await started(stack);
  const [ours, rival] = [await start(program, true), await start(bare, true)];
  return { ours: ours.idleMiB ?? Number.NaN, rival: rival.idleMiB ?? Number.NaN };
}

async function runStart({ rounds, say }: BenchOptions): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const { program, bare: bareNode } = await started(stack);
  const [ours, bare]: [Start[], Start[]] = [[], []];
  for (let round = 0; round < rounds * startsPerRound; round += 1) {
    ours.push(await start(program, round < 3));
    bare.push(await start(bareNode, round < 3));
    say(
      `start ${round + 1}: ready after ${ours.at(-1)?.readyMs.toFixed(0)} ms, bare ${bare.at(-1)?.readyMs.toFixed(0)} ms`,
    );
  }
  const idle = (starts: readonly Start[]): readonly Round[] => roundsOf(starts.flatMap(({ idleMiB }) => idleMiB ?? []));
  const common = { bar: 'start', requirement: 8 } as const;
  return [
    { ...common, what: 'ready after', unit: 'ms', rounds: roundsOf(ours.map(({ readyMs }) => readyMs)), limit: 150 },
    { ...common, what: 'idle RSS', requirement: 7, unit: 'MiB', rounds: idle(ours), limit: 64 },
    {
      ...common,
      what: 'size of dist, with all that it needs',
      unit: 'MB',
      rounds: roundsOf([sizeOf(join(root, 'dist')) / 1e6]),
      limit: 15,
    },
    { ...common, what: 'CPU until it is ready', unit: 'ms', rounds: roundsOf(ours.map(({ cpuMs }) => cpuMs)) },
    {
      ...common,
      what: 'bare node:http: ready after',
      unit: 'ms',
      rounds: roundsOf(bare.map(({ readyMs }) => readyMs)),
    },
    {
      ...common,
      what: 'bare node:http: CPU until it is ready',
      unit: 'ms',
      rounds: roundsOf(bare.map(({ cpuMs }) => cpuMs)),
    },
    { ...common, what: 'bare node:http: idle RSS', unit: 'MiB', rounds: idle(bare) },
  ];
}

async function start(args: readonly string[], waits: boolean): Promise<Start> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'] ?? '', FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    await once(child.stdout, 'data');
    const taken = { readyMs: performance.now() - startedMs, cpuMs: threadsCpuMs(child.pid ?? 0) };
    if (waits) await delay(idleMs);
    return { ...taken, idleMiB: waits ? memoryMib(child.pid ?? 0).now : undefined };
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

function sizeOf(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

export const startBars: readonly Bar[] = [
  {
    name: 'start',
    requirement: 8,
    title: 'time until it is ready, memory when idle, size of what is shipped',
    run: runStart,
  },
];

if (import.meta.main) await runAlone(startBars);
