import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Cores } from './cores.ts';

/** What one run of the load came to. Latencies in milliseconds. */
export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  /** Connections that failed, answers of 400 and above, time-outs. */
  readonly errors: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** How the load asks. */
export interface LoadMode {
  readonly name: string;
  readonly connections: number;
  /** Pause of a connection between answer and next request, on average; 0: none, so it asks as fast as it is answered. */
  readonly thinkMs: number;
}

export interface LoadOptions {
  readonly wrk: string;
  readonly url: string;
  readonly mode: LoadMode;
  readonly seconds: number;
  readonly cores: Cores;
}

const run = promisify(execFile);
const script = fileURLToPath(new URL('report.lua', import.meta.url));

/** Asks for one URL, each connection sending its next request when it has the answer (a closed loop). */
export async function runLoad({ wrk, url, mode, seconds, cores }: LoadOptions): Promise<LoadResult> {
  const options = ['--threads', '1', '--connections', String(mode.connections), '--duration', `${seconds}s`];
  const command = ['--cpu-list', String(cores.load), wrk, ...options, '--timeout', '5s', '--script', script, url];
  const { stdout } = await run('taskset', command, {
    timeout: (seconds + 15) * 1000,
    env: { ...process.env, THINK_MS: String(mode.thinkMs) },
  });
  return parseResult(stdout);
}

/** Reads the line that `report.lua` prints; throws where there is none. */
export function parseResult(text: string): LoadResult {
  const line = /^RESULT (\{.*\})$/m.exec(text)?.[1];
  if (line === undefined) throw new Error(`no result from wrk:\n${text}`);
  const values = new Map<string, unknown>(Object.entries(JSON.parse(line)));
  const number = (name: string): number => Number(values.get(name));
  return {
    requests: number('requests'),
    perSecond: number('requests') / (number('durationUs') / 1e6),
    errors: number('errors'),
    p50: number('p50') / 1000,
    p90: number('p90') / 1000,
    p99: number('p99') / 1000,
    p999: number('p999') / 1000,
    max: number('max') / 1000,
  };
}
