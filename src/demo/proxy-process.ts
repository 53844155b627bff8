import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { get } from './http-get.ts';

/** How a process ended: its exit code, or the signal that ended it. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A proxy in a process of its own. */
export interface ProxyProcess {
  /** Base URL for agents, without a slash at the end. */
  readonly proxy: string;
  /** Base URL of the admin listener. */
  readonly admin: string;
  readonly pid: number;
  /** Everything that it printed so far, both streams, as far back as the last 1 MiB. */
  output(): string;
  /** Settles when the process is gone. */
  readonly ended: Promise<ProcessEnd>;
  signal(name: NodeJS.Signals): void;
  /** Asks it to end, and after `patienceMs` (5 s unless told otherwise) makes it. */
  stop(patienceMs?: number): Promise<ProcessEnd>;
  /** Ends it without its drain delay and grace, for when its clients are gone: the second signal says so. */
  stopAtOnce(): Promise<ProcessEnd>;
}

export interface ProxyStart {
  /** The built `main.js`. */
  readonly main: string;
  readonly args: readonly string[];
  /** The whole environment beside `PATH`. */
  readonly env: Readonly<Record<string, string>>;
  /** The Node to run it with; this one unless told otherwise. */
  readonly node?: string;
  /** User and group to run as, which only root may set. */
  readonly user?: number;
  /** Until `GET /readyz` answers 200; 15 s unless told otherwise. */
  readonly timeoutMs?: number;
}

const maxOutput = 1024 * 1024;
const pollMs = 20;
/** Long enough for one that has nothing to wait for to end by itself, and twice what it takes both signals for one in (stop-signal.ts), late as it may hear the first. */
const secondSignalAfterMs = 500;
const addressLine = /\bproxy (https?:\/\/\S+?)\/? .*\badmin (https?:\/\/\S+?)\/?\s/;

/**
 * Starts the program and resolves when it is ready. Rejects with what it printed where it ends or hangs before.
 * It runs in a process group of its own, so that Ctrl-C in a terminal reaches it once, through whoever started it.
 */
export async function startProxy(start: ProxyStart): Promise<ProxyProcess> {
  const child = spawn(start.node ?? process.execPath, [start.main, ...start.args], {
    // The channel tells it when this process is gone, however it went.
    env: { PATH: process.env['PATH'] ?? '', FORECACHE_PARENT: 'ipc', ...start.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
    ...(start.user === undefined ? {} : { uid: start.user, gid: start.user }),
  });
  const output = collectOutput(child);
  const ended = endOf(child);
  const stop = async (patienceMs = 5000): Promise<ProcessEnd> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    const end = await ended;
    clearTimeout(timer);
    return end;
  };
  const addresses = await readyAddresses(output, ended, start.timeoutMs ?? 15_000);
  if (addresses === undefined) {
    const { code, signal } = await stop();
    throw new Error(`the proxy did not become ready (ended with ${code ?? signal ?? 'nothing'}):\n${output()}`);
  }
  return {
    ...addresses,
    pid: child.pid ?? 0,
    output,
    ended,
    signal: (name) => void child.kill(name),
    stop,
    stopAtOnce: async () => {
      const timer = setTimeout(() => child.kill('SIGTERM'), secondSignalAfterMs);
      const end = await stop();
      clearTimeout(timer);
      return end;
    },
  };
}

/** Waits for the line with both addresses and for readiness; `undefined` where the process ends or time runs out first. */
async function readyAddresses(
  output: () => string,
  ended: Promise<ProcessEnd>,
  timeoutMs: number,
): Promise<{ readonly proxy: string; readonly admin: string } | undefined> {
  const over = new AbortController();
  void ended.then(() => over.abort());
  const giveUpAtMs = performance.now() + timeoutMs;
  while (performance.now() < giveUpAtMs && !over.signal.aborted) {
    const [, proxy, admin] = addressLine.exec(output()) ?? [];
    if (proxy !== undefined && admin !== undefined && (await isReady(admin))) return { proxy, admin };
    await delay(pollMs);
  }
  return undefined;
}

function endOf(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    const settle = (): void => resolve({ code: child.exitCode, signal: child.signalCode });
    child.once('close', settle);
    // A process that could not be started has no `close`.
    child.once('error', settle);
  });
}

function collectOutput(child: ChildProcess): () => string {
  let text = '';
  const collect = (chunk: Buffer): void => {
    text = (text + chunk.toString()).slice(-maxOutput);
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  child.on('error', (error) => collect(Buffer.from(`${error.message}\n`)));
  return () => text;
}

async function isReady(admin: string): Promise<boolean> {
  const answer = await get(`${admin}/readyz`).catch(() => undefined);
  return answer?.status === 200;
}
