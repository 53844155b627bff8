import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { startProxy, type ProxyProcess } from '../src/demo/proxy-process.ts';

/**
 * One worker against two, in alternating rounds: `node bench/workers.ts [--rounds 5] [--seconds 4] [--connections 128]`, on a
 * machine with at least two cores, with wrk and taskset. Reads `dist/`, so build first.
 *
 * The load takes its share of the cores, so two things are told. Cores: one worker and its load on one core, against two
 * workers and theirs on two; that is what a second core brings. CPU: the server's CPU time for each request; what two workers
 * take more than one is what they cost each other.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '128' },
  },
});
const rounds = Number(values.rounds);
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
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

const contenders: readonly Contender[] = [
  { name: 'one worker, one core', cores: '0', workers: 1 },
  { name: 'two workers, two cores', cores: '0,1', workers: 2 },
  { name: 'one worker, two cores', cores: '0,1', workers: 1 },
];

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

async function measure(proxy: ProxyProcess, { cores }: Contender, lua: string, seconds: number): Promise<Measured> {
  const threads = String(cores.split(',').length);
  const before = cpuTicks(proxy.pid);
  const { stdout } = await run(
    'taskset',
    [
      '-c',
      cores,
      'wrk',
      '-t',
      threads,
      '-c',
      values.connections,
      '-d',
      `${seconds}s`,
      '--timeout',
      '20s',
      '-s',
      lua,
      proxy.proxy,
    ],
    { timeout: (seconds + 20) * 1000 },
  );
  const ticks = cpuTicks(proxy.pid) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
  return { perSecond, cpuUs: (ticks * TICK_US) / requests };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function spread(numbers: readonly number[]): string {
  return `${median(numbers).toFixed(2)} (${Math.min(...numbers).toFixed(2)} to ${Math.max(...numbers).toFixed(2)})`;
}

async function bench(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'forecache-workers-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const lua = join(folder, 'urls.lua');
  writeFileSync(lua, script);
  const upstream = createServer((_request, response) => void response.end('x'.repeat(1024)));
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  stack.defer(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const address = upstream.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
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
  for (const { contender, proxy } of all) await measure(proxy, contender, lua, 4);
  for (let round = 0; round < rounds; round += 1) {
    for (const { contender, proxy, measured } of all) {
      measured.push(await measure(proxy, contender, lua, Number(values.seconds)));
    }
    const told = all.map(({ contender, measured }) => {
      const { perSecond = 0, cpuUs = 0 } = measured.at(-1) ?? {};
      return `${contender.name} ${Math.round(perSecond)}/s ${cpuUs.toFixed(1)} µs`;
    });
    process.stdout.write(`round ${round + 1}: ${told.join(', ')}\n`);
  }
  const [one = [], two = [], plain = []] = all.map(({ measured }) => measured);
  const ratios = (of: (round: number) => number): readonly number[] => one.map((_none, round) => of(round));
  const cores = ratios((round) => (two[round]?.perSecond ?? 0) / (one[round]?.perSecond ?? 0));
  const cpu = ratios((round) => (two[round]?.cpuUs ?? 0) / (one[round]?.cpuUs ?? 0));
  const beside = ratios((round) => (two[round]?.perSecond ?? 0) / (plain[round]?.perSecond ?? 0));
  process.stdout.write(`requests a second, two on two cores of one on one core: ${spread(cores)} (bar: 1.7)\n`);
  process.stdout.write(`CPU a request, two of one: ${spread(cpu)}\n`);
  process.stdout.write(`requests a second where the load has what one worker leaves of two cores: ${spread(beside)}\n`);
}

await bench();
