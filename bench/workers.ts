import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { startProxy, type ProxyProcess } from '../src/demo/proxy-process.ts';
import { builtMain } from '../test/support/program.ts';
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import type { Bar, BenchOptions, Figure, Round } from './bars.ts';

/**
 * Requirement 13: one worker against two, in alternating rounds: `node bench/workers.ts`.
 *
 * The load takes its share of the cores, so two things are told. Cores: one worker and its load on one core, against two
 * workers and theirs on two; that is what a second core brings. CPU: the server's CPU time for each request; what two workers
 * take more than one is what they cost each other.
 */
const connections = 128;
const run = promisify(execFile);
/** Of Linux, in which /proc tells times: USER_HZ is 100 on every architecture that Node runs on. */
const TICK_US = 10_000;

const script = `
local at = 0
request = function()
  at = at % 200 + 1
  return wrk.format("GET", "/v1/forecast?location=city" .. at)
end
`;

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Contender {
  readonly name: string;
  readonly cores: string;
  readonly workers: number;
}

function yamlOf(port: number, workers: number): string {
  return `
server: { listen: "127.0.0.1:0", workers: ${workers} }
admin: { listen: "127.0.0.1:0" }
log: { level: warn }
upstreams: { api: { origin: "http://127.0.0.1:${port}", timeout: 5s } }
routes:
  - { name: forecast, match: /v1/forecast, upstream: api, ttl: 1h, query: { location: { type: text } } }
`;
}

function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold anything: user and system time are the 12th and 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

interface WorkersLoad {
  readonly wrk: string;
  readonly lua: string;
  readonly seconds: number;
}

async function measure(
  proxy: ProxyProcess,
  { cores }: Contender,
  { wrk, lua, seconds }: WorkersLoad,
): Promise<Measured> {
  const threads = String(cores.split(',').length);
  const before = cpuTicks(proxy.pid);
  const options = ['-t', threads, '-c', String(connections), '-d', `${seconds}s`, '--timeout', '20s', '-s', lua];
  const { stdout } = await run('taskset', ['-c', cores, wrk, ...options, proxy.proxy], {
    timeout: (seconds + 20) * 1000,
  });
  const ticks = cpuTicks(proxy.pid) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
  return { perSecond, cpuUs: (ticks * TICK_US) / requests };
}

/** Answers every path with 1 KB. */
async function startUpstream(stack: AsyncDisposableStack): Promise<number> {
  const upstream = createServer((_request, response) => void response.end('x'.repeat(1024)));
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  stack.defer(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const address = upstream.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function runWorkers({ rounds, seconds, cores, say }: BenchOptions): Promise<readonly Figure[]> {
  if (cores.server === cores.load) throw new Error('there is one core, and two workers want two');
  await using stack = new AsyncDisposableStack();
  const [one, both] = [String(cores.server), `${cores.server},${cores.load}`];
  const contenders: readonly Contender[] = [
    { name: 'one worker, one core', cores: one, workers: 1 },
    { name: 'two workers, two cores', cores: both, workers: 2 },
    { name: 'one worker, two cores', cores: both, workers: 1 },
  ];
  const folder = mkdtempSync(join(tmpdir(), 'forecache-workers-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const lua = join(folder, 'urls.lua');
  writeFileSync(lua, script);
  const [main, wrk, port] = [await builtMain(), await systemTool('wrk'), await startUpstream(stack)];
  const all = await Promise.all(
    contenders.map(async (contender, index) => {
      const file = join(folder, `${index}.yaml`);
      writeFileSync(file, yamlOf(port, contender.workers));
      const proxy = await startProxy({ main, args: ['serve', '--config', file], env: {} });
      stack.defer(async () => void (await proxy.stopAtOnce()));
      await run('taskset', ['-a', '-c', '-p', contender.cores, String(proxy.pid)]);
      return { contender, proxy, measured: [] as Measured[] };
    }),
  );
  // Compilers and every worker's memory.
  for (const { contender, proxy } of all) await measure(proxy, contender, { wrk, lua, seconds: 4 });
  for (let round = 0; round < rounds; round += 1) {
    for (const { contender, proxy, measured } of all) {
      measured.push(await measure(proxy, contender, { wrk, lua, seconds }));
    }
    const told = all.map(({ contender, measured }) => {
      const { perSecond = 0, cpuUs = 0 } = measured.at(-1) ?? {};
      return `${contender.name} ${Math.round(perSecond)}/s ${cpuUs.toFixed(1)} µs`;
    });
    say(`round ${round + 1} of ${rounds}: ${told.join(', ')}`);
  }
  const [single = [], two = [], plain = []] = all.map(({ measured }) => measured);
  const beside = (rivals: readonly Measured[], of: (measured: Measured) => number): readonly Round[] =>
    two.flatMap((ours, round) => {
      const rival = rivals[round];
      return rival === undefined ? [] : [{ ours: of(ours), rival: of(rival) }];
    });
  const common = { bar: 'workers', requirement: 13 } as const;
  return [
    {
      ...common,
      what: 'hits a second, two workers and the load on two cores',
      rival: 'one on one',
      unit: '/s',
      rounds: beside(single, ({ perSecond }) => perSecond),
      limit: 1.7,
      bound: 'least',
    },
    {
      ...common,
      what: 'CPU a hit, two workers',
      rival: 'one on one',
      unit: 'µs',
      rounds: beside(single, ({ cpuUs }) => cpuUs),
    },
    {
      ...common,
      what: 'hits a second, two workers and the load on two cores',
      rival: 'one on two',
      unit: '/s',
      rounds: beside(plain, ({ perSecond }) => perSecond),
    },
  ];
}

export const workersBars: readonly Bar[] = [
  {
    name: 'workers',
    requirement: 13,
    title: 'two workers and their load on two cores, beside one and its load on one',
    run: runWorkers,
  },
];

if (import.meta.main) await runAlone(workersBars);
