import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startProxy } from '../src/demo/proxy-process.ts';
import { builtMain } from '../test/support/program.ts';
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import type { Bar, BenchOptions, Figure, Round } from './bars.ts';
import { cpuSeconds, pinThreads } from './http/cores.ts';
import { runLoad } from './http/load.ts';
import { hotPaths, warm } from './http/measure.ts';
import { type Server, startNginx, startOrigin } from './http/servers.ts';

/**
 * Requirement 13: one worker against two, in alternating rounds: `node bench/workers.ts`.
 *
 * The load takes its share of the cores, so two things are told. Cores: one worker and its load on one core, against two
 * workers and theirs on two, a worker and a half of the load pinned to each; that is what a second core brings. CPU: the
 * server's CPU time for each request; what two workers take more than one is what they cost each other, and what it costs the
 * kernel that half of the connections lead from one core to the other, where those of one worker and its load lead nowhere. So
 * nginx is measured in the same way in the same rounds: what it loses is the machine's.
 */
const connections = 128;

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Contender {
  readonly server: Server;
  readonly cores: readonly number[];
  readonly measured: Measured[];
}

function yamlOf(origin: string, workers: number): string {
  return `
server: { listen: "127.0.0.1:0", workers: ${workers} }
admin: { listen: "127.0.0.1:0" }
log: { level: warn }
upstreams: { api: { origin: "${origin}", timeout: 5s } }
routes:
  - { name: forecast, match: /v1/forecast, upstream: api, ttl: 1h, query: { location: { type: text }, size: { type: integer }, days: { type: integer } } }
`;
}

/** One process of wrk for each core, with its part of the connections. */
async function measure({ server, cores }: Contender, wrk: string, seconds: number): Promise<Measured> {
  const before = cpuSeconds(server.pid);
  const load = { wrk, script: 'urls.lua', connections: connections / cores.length, seconds };
  const results = await Promise.all(cores.map((core) => runLoad(server.origin, { ...load, core })));
  const usedSeconds = cpuSeconds(server.pid) - before;
  const sum = (of: (result: (typeof results)[number]) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  // Each process may cut off a connection at its end.
  if (sum(({ errors }) => errors) > cores.length) throw new Error(`${server.name}: requests failed`);
  return {
    perSecond: sum(({ perSecond }) => perSecond),
    cpuUs: (usedSeconds * 1e6) / sum(({ requests }) => requests),
  };
}

async function startWorkers(folder: string, origin: string, cores: readonly number[]): Promise<Server> {
  const file = join(folder, `${cores.length}.yaml`);
  writeFileSync(file, yamlOf(origin, cores.length));
  const proxy = await startProxy({ main: await builtMain(), args: ['serve', '--config', file], env: {} });
  // One worker serves on the main thread.
  pinThreads(proxy.pid, cores.length === 1 ? 'node-MainThread' : 'WorkerThread', cores);
  return { name: 'forecache', origin: proxy.proxy, pid: proxy.pid, stop: async () => void (await proxy.stopAtOnce()) };
}

async function runWorkers({ rounds, seconds, cores, say }: BenchOptions): Promise<readonly Figure[]> {
  if (cores.server === cores.load) throw new Error('there is one core, and two workers want two');
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'forecache-workers-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [one, both] = [[cores.server], [cores.server, cores.load]];
  const wrk = await systemTool('wrk');
  const origin = await startOrigin(cores.load);
  stack.defer(() => origin.stop());
  const contend = async (server: Server, on: readonly number[]): Promise<Contender> => {
    stack.defer(() => server.stop());
    await warm(server, hotPaths(1024));
    const contender = { server, cores: on, measured: [] };
    // Compilers and every worker's memory.
    await measure(contender, wrk, 4);
    return contender;
  };
  const single = await contend(await startWorkers(folder, origin.origin, one), one);
  const two = await contend(await startWorkers(folder, origin.origin, both), both);
  const singleNginx = await contend(await startNginx(origin.origin, one), one);
  const twoNginx = await contend(await startNginx(origin.origin, both), both);
  const all = [single, two, singleNginx, twoNginx];
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of all) contender.measured.push(await measure(contender, wrk, seconds));
    const told = all.map(({ server, measured, cores: { length } }) => {
      const { perSecond = 0, cpuUs = 0 } = measured.at(-1) ?? {};
      return `${server.name} on ${length} ${Math.round(perSecond)}/s ${cpuUs.toFixed(1)} µs`;
    });
    say(`round ${round + 1} of ${rounds}: ${told.join(', ')}`);
  }
  return figures(beside(two, single), beside(twoNginx, singleNginx));
}

interface Pairs {
  readonly perSecond: readonly Round[];
  readonly cpuUs: readonly Round[];
}

function beside(ours: Contender, rival: Contender): Pairs {
  const pairs = (of: (measured: Measured) => number): readonly Round[] =>
    ours.measured.flatMap((one, round) => {
      const other = rival.measured[round];
      return other === undefined ? [] : [{ ours: of(one), rival: of(other) }];
    });
  return { perSecond: pairs(({ perSecond }) => perSecond), cpuUs: pairs(({ cpuUs }) => cpuUs) };
}

function figures(ours: Pairs, nginx: Pairs): readonly Figure[] {
  const common = { bar: 'workers', requirement: 13, rival: 'one on one' } as const;
  return [
    {
      ...common,
      what: 'hits a second, two workers and the load on two cores',
      unit: '/s',
      rounds: ours.perSecond,
      limit: 1.7,
      bound: 'least',
    },
    { ...common, what: 'CPU a hit, two workers', unit: 'µs', rounds: ours.cpuUs },
    { ...common, what: 'the same of nginx, hits a second', unit: '/s', rounds: nginx.perSecond },
    { ...common, what: 'the same of nginx, CPU a hit', unit: 'µs', rounds: nginx.cpuUs },
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
