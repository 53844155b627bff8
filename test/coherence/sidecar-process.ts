import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { CoherenceRules } from '../../src/store/coherence/rules.ts';
import type { AlterationName } from './alterations.ts';
import { builtSidecar } from './built-sidecar.ts';
import { endWithParent } from './children.ts';
import type { SidecarOrders, SidecarReady, SidecarStep } from './sidecar.ts';

const program = fileURLToPath(new URL('sidecar.ts', import.meta.url));
const preloaded = new URL('load-altered.ts', import.meta.url).href;
const compiled = fileURLToPath(new URL('../../node_modules/.cache/forecache-sidecar', import.meta.url));

/** A sidecar in a process of its own, which can be stopped, killed and started again. */
export interface SidecarProcess extends AsyncDisposable {
  readonly name: string;
  /** Ports of the running process; `undefined` between its death and its readiness. */
  readonly ports: SidecarReady | undefined;
  readonly pid: number | undefined;
  /** SIGSTOP. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it anew after {@link kill}; resolves when it serves. Rejects where it does not within 40 seconds. */
  start(skewMs?: number): Promise<void>;
  /** Steps its wall clock. */
  step(skewMs: number): void;
  /**
   * What it wrote to its standard error, all incarnations together, but for warnings: nothing, unless it broke. A fleet
   * without Redis has every reason to warn.
   */
  readonly complaints: string;
  /**
   * Whether its log told between the two instants (milliseconds of `performance.now()`) of an unsafe request after which it could not
   * purge, or it was killed right behind them and may have had no time to tell. A line may take long to be read here (that of a worker
   * comes by way of its coordinator), but has the time at which it was written.
   */
  mayHaveRefused(fromMs: number, toMs: number): boolean;
}

export interface SidecarOptions {
  readonly name: string;
  /** An existing folder for its configuration. */
  readonly folder: string;
  readonly yaml: string;
  readonly rules: Partial<CoherenceRules>;
  /** What is altered in the program's text. */
  readonly altered?: readonly AlterationName[];
}

export async function startSidecarProcess(options: SidecarOptions, skewMs: number): Promise<SidecarProcess> {
  const sidecar = createSidecarProcess(options, await programOf(options.altered ?? []));
  try {
    await sidecar.start(skewMs);
    return sidecar;
  } catch (error) {
    await sidecar.kill();
    throw error;
  }
}

function createSidecarProcess({ name, folder, yaml, rules }: SidecarOptions, { args, env }: Program): SidecarProcess {
  const configFile = `${folder}/${name}.yaml`;
  writeFileSync(configFile, yaml);
  let child: ChildProcess | undefined;
  let ports: SidecarReady | undefined;
  let complaints = '';
  const refusalsMs: number[] = [];
  const killsMs: number[] = [];
  let wrongByMs = 0;
  const hear = (line: string): void => {
    if (!line.startsWith('{"level":"warn"')) complaints += `${line}\n`;
    else if (line.includes('"msg":"not invalidated"')) refusalsMs.push(writtenMs(line));
  };
  const kill = async (): Promise<void> => {
    const dying = child;
    child = undefined;
    ports = undefined;
    if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return;
    killsMs.push(performance.now());
    dying.kill('SIGKILL');
    await once(dying, 'exit');
  };
  return {
    name,
    get ports() {
      return ports;
    },
    get pid() {
      return child?.pid;
    },
    get complaints() {
      return complaints;
    },
    mayHaveRefused: (fromMs, toMs) =>
      refusalsMs.some((ms) => ms >= fromMs - clockStepMs && ms <= toMs + clockStepMs) ||
      killsMs.some((ms) => ms >= fromMs && ms <= toMs + logLagMs),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    async start(skewMs = wrongByMs) {
      wrongByMs = skewMs;
      const orders: SidecarOrders = { configFile, skewMs, rules };
      const born = spawn(process.execPath, [...args, JSON.stringify(orders)], {
        env: { PATH: process.env['PATH'] ?? '', ...env },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      child = born;
      endWithParent(born);
      if (born.stderr !== null) createInterface({ input: born.stderr }).on('line', hear);
      // It is asked to step while it dies; nothing is lost then.
      born.on('error', (error) => (complaints += `${error.message}\n`));
      const ready = await readiness(born, () => complaints);
      if (child === born) ports = ready;
      born.once('exit', () => {
        if (child === born) ports = undefined;
      });
    },
    step(skewMs) {
      wrongByMs = skewMs;
      const order: SidecarStep = { skewMs };
      if (child?.connected === true) child.send(order, () => {});
    },
    [Symbol.asyncDispose]: kill,
  };
}

interface Program {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * As it was built, or from its sources where its text is altered: that is done as they are loaded. Each start takes what was
 * compiled for the one before: half of what a start costs. Node looks whether the text is the same.
 */
async function programOf(altered: readonly AlterationName[]): Promise<Program> {
  if (altered.length === 0) {
    const built = await builtSidecar();
    return { args: [built], env: { NODE_COMPILE_CACHE: join(dirname(built), 'compiled') } };
  }
  const env = { ALTERATIONS: altered.join(','), NODE_COMPILE_CACHE: compiled };
  return { args: ['--import', preloaded, program], env };
}

/** What the clock of the log, which has whole milliseconds, and that of this process may differ by. */
const clockStepMs = 5;

/** So long a line may be on its way through a sidecar. */
const logLagMs = 500;

/** By `performance.now()`. */
function writtenMs(line: string): number {
  const { time }: { readonly time: string } = JSON.parse(line);
  return Date.parse(time) - Date.now() + performance.now();
}

async function readiness(child: ChildProcess, complaints: () => string): Promise<SidecarReady> {
  const { promise, resolve, reject } = Promise.withResolvers<SidecarReady>();
  child.once('message', (ready: SidecarReady) => resolve(ready));
  child.once('exit', () => reject(new Error(`the sidecar ended before it was ready: ${complaints()}`)));
  const timer = setTimeout(() => reject(new Error('the sidecar is not ready after 40 s')), 40_000);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
