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
import { bareSocket, type Server, startBareSocket, startNginx, startOrigin } from './http/servers.ts';

/**
 * Requirement 13: one worker against two, in alternating rounds: `node bench/workers.ts`.
 *
 * The load takes its share of the cores, so three things are told. Cores: one worker and its load on one core, against two
 * workers and theirs on two, a worker and a half of the load pinned to each; that is what a second core brings to a machine that
 * makes its load itself. CPU: the server's CPU time for each request; what two workers take more than one is what they cost each
 * other, and what it costs the kernel that half of the connections lead from one core to the other, where those of one worker and
 * its load lead nowhere. Capacity: how many requests a second of the server's own CPU time answers, of two cores beside one, with
 * the load on both cores in either case, so that as many connections lead from one to the other: what the workers cost each other.
 * nginx and a bare socket of Node are measured in the same way in the same rounds: what they lose is the machine's.
 */
const connections = 128;

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Contender {
  readonly server: Server;
  readonly workers: number;
  /** That the load is on. */
  readonly cores: readonly number[];
  readonly measured: Measured[];
}

/** Of one program. */
interface Contest {
  readonly one: Contender;
  /** The same server, asked from both cores. */
  readonly spread: Contender;
  readonly two: Contender;
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

async function startSockets(cores: readonly number[]): Promise<Server> {
  const server = await startBareSocket(1024, cores);
  pinThreads(server.pid, cores.length === 1 ? 'node-MainThread' : 'WorkerThread', cores);
  return server;
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
  const contend = async (startOn: (on: readonly number[]) => Promise<Server>): Promise<Contest> => {
    const started = async (on: readonly number[]): Promise<Server> => {
      const server = await startOn(on);
      stack.defer(() => server.stop());
      return server;
    };
    const [single, pair] = [await started(one), await started(both)];
    const contest: Contest = {
      one: { server: single, workers: 1, cores: one, measured: [] },
      spread: { server: single, workers: 1, cores: both, measured: [] },
      two: { server: pair, workers: 2, cores: both, measured: [] },
    };
    for (const contender of [contest.one, contest.two]) {
      await warm(contender.server, hotPaths(1024));
      // Compilers and every worker's memory.
      await measure(contender, wrk, 4);
    }
    return contest;
  };
  const ours = await contend((on) => startWorkers(folder, origin.origin, on));
  const nginx = await contend((on) => startNginx(origin.origin, on));
  const sockets = await contend((on) => startSockets(on));
  const all = [ours, nginx, sockets].flatMap(({ one: single, spread, two }) => [single, spread, two]);
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of all) contender.measured.push(await measure(contender, wrk, seconds));
    say(`round ${round + 1} of ${rounds}: ${all.map(lastOf).join(', ')}`);
  }
  return [
    ...figures(ours, ''),
    ...figures(nginx, 'the same of nginx, '),
    ...figures(sockets, `the same of a ${bareSocket}, `),
  ];
}

function lastOf({ server, workers, cores, measured }: Contender): string {
  const { perSecond = 0, cpuUs = 0 } = measured.at(-1) ?? {};
  const load = cores.length === workers ? '' : ` asked from ${cores.length} cores`;
  return `${server.name} on ${workers}${load} ${Math.round(perSecond)}/s ${cpuUs.toFixed(1)} µs`;
}

type Of = (measured: Measured, contender: Contender) => number;

const perSecond: Of = (measured) => measured.perSecond;
const cpuUs: Of = (measured) => measured.cpuUs;
/** Requests that a second of all its cores' time answers. */
const capacity: Of = (measured, { workers }) => (workers * 1e6) / measured.cpuUs;

function beside(ours: Contender, rival: Contender, of: Of): readonly Round[] {
  return ours.measured.flatMap((one, round) => {
    const other = rival.measured[round];
    return other === undefined ? [] : [{ ours: of(one, ours), rival: of(other, rival) }];
  });
}

/** `prefix`: of what has no limit. */
function figures({ one, spread, two }: Contest, prefix: string): readonly Figure[] {
  const common = { bar: 'workers', requirement: 13, rival: 'one on one' } as const;
  const limit = prefix === '' ? ({ limit: 1.7, bound: 'least' } as const) : {};
  return [
    {
      ...common,
      what: `${prefix}hits a second, two workers and the load on two cores`,
      unit: '/s',
      rounds: beside(two, one, perSecond),
      ...limit,
    },
    {
      ...common,
      rival: 'one, its load on both',
      what: `${prefix}hits that a second of CPU answers, two workers, all their cores`,
      unit: '/s',
      rounds: beside(two, spread, capacity),
    },
    { ...common, what: `${prefix}CPU a hit, two workers`, unit: 'µs', rounds: beside(two, one, cpuUs) },
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
