import { execFile } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

/** An open loop: requests are due at a rate, whether answers come or not. By h2load, over HTTP/1.1. */
export interface OpenLoop {
  readonly h2load: string;
  /** All requests a second, of all connections. */
  readonly perSecond: number;
  /** Requests a second of a connection, at most 100: h2load looks at the time every 10 ms. */
  readonly perConnection: number;
  /** Asked for in turn by each connection. */
  readonly urls: readonly string[];
  readonly seconds: number;
  /** Core of the load. */
  readonly core: number;
}

/** Latencies in milliseconds, from when a request was due to the last byte of its answer. */
export interface OpenLoopResult {
  readonly sent: number;
  readonly failed: number;
  /** Below what was asked for where the server, or the load itself, did not keep up. */
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** Share of its core that the load took, 0 to 1: near 1 it measures itself. */
  readonly loadBusy: number;
}

/** Less of the rate than this, and it is another load that was measured. */
const leastOfRate = 0.97;
/** Beyond it the generator's own waits for its core are in the latencies. */
const mostBusy = 0.95;

/**
 * Throws where an open loop says nothing of the server at that rate: it did not reach it, its own core was full, or requests
 * failed. Latencies are good at a lower rate, so such a run must never count as one that meets a bar.
 */
export function refuseUnlike(
  name: string,
  { sent, failed, perSecond, loadBusy }: Pick<OpenLoopResult, 'sent' | 'failed' | 'perSecond' | 'loadBusy'>,
  askedPerSecond: number,
): void {
  const not = `${name} could not be measured:`;
  if (failed > 0) throw new Error(`${not} ${failed} of ${sent} requests failed`);
  // Not the other way round: a number that is none is refused too.
  if (!(perSecond >= askedPerSecond * leastOfRate)) {
    throw new Error(`${not} the open loop asked for ${askedPerSecond} a second and reached ${perSecond.toFixed(0)}`);
  }
  if (!(loadBusy <= mostBusy)) {
    throw new Error(`${not} the load took ${(loadBusy * 100).toFixed(0)} % of its core`);
  }
}

const run = promisify(execFile);
/** Hundreds of connections are opened at once: what that does to the first requests is not asked for. */
const settleSeconds = 1;

export async function runOpenLoop(loop: OpenLoop): Promise<OpenLoopResult> {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-bench-load-'));
  try {
    const urls = join(folder, 'urls');
    const log = join(folder, 'log');
    writeFileSync(urls, `${loop.urls.join('\n')}\n`);
    const connections = Math.max(1, Math.round(loop.perSecond / loop.perConnection));
    const options = [
      '--h1',
      '-t1',
      `-c${connections}`,
      `--rps=${loop.perConnection}`,
      `-D${loop.seconds + settleSeconds}`,
    ];
    const command = [loop.h2load, ...options, `--log-file=${log}`, '-i', urls];
    // Bash tells the processor time of what it ran, which Node does not.
    const script = 'TIMEFORMAT="CPU %U %S"; time taskset --cpu-list "$@"';
    const { stderr } = await run('bash', ['-euc', script, 'bash', String(loop.core), ...command], {
      timeout: (loop.seconds + 30) * 1000,
      maxBuffer: 16 * 1024 * 1024,
    });
    const [user = Number.NaN, system = Number.NaN] = (/^CPU (\S+) (\S+)$/m.exec(stderr)?.slice(1) ?? []).map(Number);
    const lines = createInterface({ input: createReadStream(log) });
    const latencies = await readLog(lines, { intervalUs: 1e6 / loop.perConnection, settleUs: settleSeconds * 1e6 });
    return { ...latencies, loadBusy: (user + system) / (loop.seconds + settleSeconds) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Reads h2load's log from `settleUs` on: start in µs, status, duration in µs. Starts of a connection that waits for an answer are late:
 * the requests that were due meanwhile are counted with the rest of that wait, as HdrHistogram's
 * `recordValueWithExpectedInterval` does; without it a pause of a second would count as one slow request.
 */
export async function readLog(
  lines: AsyncIterable<string>,
  { intervalUs, settleUs }: { readonly intervalUs: number; readonly settleUs: number },
): Promise<Omit<OpenLoopResult, 'loadBusy'>> {
  const histogram = createHistogram();
  let beganUs: number | undefined;
  let [sent, failed, firstUs, lastUs] = [0, 0, Infinity, 0];
  for await (const line of lines) {
    const [startUs = Number.NaN, status = Number.NaN, durationUs = Number.NaN] = line.split('\t').map(Number);
    beganUs ??= startUs;
    if (startUs < beganUs + settleUs) continue;
    sent += 1;
    if (status !== 200) failed += 1;
    firstUs = Math.min(firstUs, startUs);
    lastUs = Math.max(lastUs, startUs);
    recordWithInterval(histogram, durationUs, intervalUs);
  }
  if (sent === 0) throw new Error('the open loop sent nothing');
  const atMs = (percentile: number): number => histogram.percentile(percentile) / 1000;
  const perSecond = (sent - 1) / ((lastUs - firstUs) / 1e6);
  return { sent, failed, perSecond, p50: atMs(50), p99: atMs(99), p999: atMs(99.9), max: histogram.max / 1000 };
}

/** Node's histograms take whole numbers from 1 on. */
function recordWithInterval(histogram: RecordableHistogram, valueUs: number, intervalUs: number): void {
  for (let us = valueUs; us >= intervalUs || us === valueUs; us -= intervalUs)
    histogram.record(Math.max(1, Math.round(us)));
}
