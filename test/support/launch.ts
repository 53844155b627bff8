import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

import type { ProcessEnd } from '../../src/demo/proxy-process.ts';
import { builtMain } from './program.ts';

/** A process of the built program whose two output streams are told apart. */
export interface Launched {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves with the match as soon as the stream so far matches; rejects where the process ends before. */
  says(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray>;
  signal(name: NodeJS.Signals): void;
  /** Whether its standard error is read. */
  listen(listens: boolean): void;
  /** Closes the channel to it, as the death of its parent would. */
  disconnect(): void;
  /** Settles when the process, and whoever else holds its output, is gone. */
  readonly ended: Promise<ProcessEnd>;
}

export interface Launch {
  /** Behind `node dist/main.js`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The Node to run it with, and its own options; this one without options unless told otherwise. */
  readonly node?: readonly [command: string, ...options: string[]];
  /** With the channel by which the program hears that its parent is gone. */
  readonly channel?: boolean;
}

/** Starts the built program and does not wait for anything that it does. It is gone at the end of the test. */
export async function launch({
  args,
  env = {},
  node = [process.execPath],
  channel = false,
}: Launch): Promise<Launched> {
  const [command, ...options] = node;
  const main = await builtMain();
  const child = spawn(command, [...options, main, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...(channel ? { FORECACHE_PARENT: 'ipc' } : {}), ...env },
    stdio: ['ignore', 'pipe', 'pipe', channel ? 'ipc' : 'ignore'],
    // A group of its own: at the end of the test nothing of it may be left, whatever it started itself.
    detached: true,
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('a piped stream is not there');
  const text = { stdout: '', stderr: '' };
  let ended = false;
  const listeners = new Set<() => void>();
  const changed = (): void => listeners.forEach((listener) => listener());
  const collect = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    text[name] += chunk.toString();
    changed();
  };
  stdout.on('data', collect('stdout'));
  stderr.on('data', collect('stderr'));
  // Not `close`, which never comes once this side has closed the channel.
  const gone = [once(child, 'exit'), once(stdout, 'close'), once(stderr, 'close')];
  const end = Promise.all(gone).then((): ProcessEnd => {
    ended = true;
    changed();
    return { code: child.exitCode, signal: child.signalCode };
  });
  onTestFinished(async () => {
    if (child.pid !== undefined && !ended) killGroup(child.pid);
    await end;
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    says: (name, pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(text[name]);
          if (found === null && !ended) return;
          listeners.delete(look);
          if (found !== null) resolve(found);
          else reject(new Error(`ended without saying ${String(pattern)}:\n${text.stdout}${text.stderr}`));
        };
        listeners.add(look);
        look();
      }),
    signal: (name) => void child.kill(name),
    listen: (listens) => void (listens ? stderr.resume() : stderr.pause()),
    disconnect: () => child.disconnect(),
    ended: end,
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in this very moment.
  }
}

/** How a command of the program went. */
interface CommandRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the built program to its end. */
export async function runProgram(args: readonly string[], env: Launch['env'] = {}): Promise<CommandRun> {
  const launched = await launch({ args, env });
  const { code } = await launched.ended;
  return { code, stdout: launched.stdout(), stderr: launched.stderr() };
}

/** A serving program with its addresses. */
export interface Served extends Launched {
  /** Base URL for agents. */
  readonly proxy: string;
  readonly admin: string;
}

/** Launches `serve` with this configuration and waits for the line that says where it listens. */
export async function launchServe(yaml: string, options: Omit<Launch, 'args'> = {}): Promise<Served> {
  const launched = await launch({ args: ['serve', '--config', configFile(yaml)], ...options });
  const [, proxy = '', admin = ''] = await launched.says('stdout', /proxy (http:\S+).* admin (http:\S+)\n/);
  return { ...launched, proxy, admin };
}

/** The text in a file of its own, until the end of the test. */
export function configFile(yaml: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(file, yaml);
  return file;
}
