import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cpuSeconds } from './cores.ts';
import type { Server } from './servers.ts';

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

/** What is asked, by wrk: each connection sends its next request when it has the answer (a closed loop). */
export interface Load {
  readonly wrk: string;
  /** Name of a script beside this file, whose `request` is used. */
  readonly script: string;
  /** What the script reads from its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Which run it is, from 0 on: scripts that must not ask the same twice, or in the same order, begin with it. What is measured twice
   * with one number gets the same requests twice.
   */
  readonly run?: number;
  readonly connections: number;
  readonly seconds: number;
  /** Core of the load. */
  readonly core: number;
}

const execute = promisify(execFile);

/** Puts the load on a server; rejects where wrk gives no result. */
export async function runLoad(origin: string, load: Load): Promise<LoadResult> {
  const options = ['--threads', '1', '--connections', String(load.connections), '--duration', `${load.seconds}s`];
  const script = fileURLToPath(new URL('wrk.lua', import.meta.url));
  const command = [
    '--cpu-list',
    String(load.core),
    load.wrk,
    ...options,
    '--timeout',
    '10s',
    '--script',
    script,
    origin,
  ];
  const { stdout } = await execute('taskset', command, {
    timeout: (load.seconds + 30) * 1000,
    env: {
      ...process.env,
      RUN: String(load.run ?? 0),
      ...load.env,
      SCRIPT: fileURLToPath(new URL(load.script, import.meta.url)),
    },
  });
  return parseResult(stdout);
}

/** What a server took for a load. */
export interface Cost {
  /** Processor time of the server, microseconds a request. */
  readonly cpuUs: number;
  readonly load: LoadResult;
}

/** Fewer ticks of /proc's 10 ms clock than this are noise. */
const minCpuSeconds = 0.1;
/** On a busy machine a server may get next to nothing of its core for some seconds. */
const maxStretches = 5;

/**
 * Asks again for as long where the server used too little to be told by the clock of /proc. Rejects where requests fail, or
 * where it stays too little: such a number would say nothing.
 */
export async function costOf(server: Server, load: Load): Promise<Cost> {
  const beforeSeconds = cpuSeconds(server.pid);
  let requests = 0;
  for (let stretch = 0; stretch < maxStretches; stretch += 1) {
    const run = (load.run ?? 0) * maxStretches + stretch;
    const result = await runLoad(server.origin, { ...load, run });
    const usedSeconds = cpuSeconds(server.pid) - beforeSeconds;
    requests += result.requests;
    // A connection that wrk cuts off at its end may count as one.
    if (result.errors > 1) throw new Error(`${server.name}: ${result.errors} of ${result.requests} requests failed`);
    if (usedSeconds >= minCpuSeconds && requests > 0) return { cpuUs: (usedSeconds * 1e6) / requests, load: result };
  }
  throw new Error(`${server.name} answered ${requests} requests and used too little to be measured`);
}

/** Reads the line that `wrk.lua` prints; throws where there is none. */
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
