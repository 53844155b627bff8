/**
 * Requirement 4: CPU of the server for a miss that is fetched, stored and answered, and for a relayed request, beside a relay by
 * http-proxy-3 that does nothing else: `node bench/miss.ts`.
 */
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import type { Bar, BenchOptions, Figure } from './bars.ts';
import { alternate, figuresBeside, startAll, type Contender } from './http/measure.ts';
import type { Load } from './http/load.ts';
import { originCounts, startBareProxy, startForecache, startOrigin, type Server } from './http/servers.ts';

interface Beside {
  readonly name: string;
  readonly what: string;
  readonly limit: number;
  readonly loads: (load: Omit<Load, 'script'>, names: readonly string[]) => readonly Load[];
}

/** Measures one kind of request of Forecache and of the bare relay, in alternating rounds, with all of them reaching the origin. */
export async function measureMiss(
  options: BenchOptions,
  { name, what, limit, loads }: Beside,
): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const { cores, seconds } = options;
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const servers = await startAll<Server>(stack, [
    () => startForecache({ origin: origin.origin, core: cores.server }),
    () => startBareProxy(origin.origin, cores.server),
  ]);
  const wrk = await systemTool('wrk');
  const each = loads(
    { wrk, connections: 32, seconds, core: cores.load },
    servers.map((server) => server.name),
  );
  const contenders = servers.map((server, place): Contender => {
    const load = each[place];
    if (load === undefined) throw new Error(`no load for ${server.name}`);
    return { server, load };
  });
  const costs = await alternate(contenders, options);
  await reached(
    origin,
    [...costs.values()].flat().reduce((sum, { load }) => sum + load.requests, 0),
  );
  return figuresBeside(costs, { bar: name, requirement: 4, what }, { 'bare http-proxy-3': limit });
}

/** Rejects where fewer requests came to the origin than were answered: then something else was measured. */
async function reached(origin: Server, requests: number): Promise<void> {
  const counts = await originCounts(origin);
  const asked = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (asked < requests) throw new Error(`only ${asked} of ${requests} requests reached the origin`);
}

const miss: Beside = {
  name: 'miss',
  what: 'CPU a miss that is stored, 1 KB',
  limit: 1,
  loads: (load, names) =>
    names.map((_name, place) => ({ ...load, script: 'misses.lua', env: { PREFIX: prefixes[place] ?? '' } })),
};

/** Letters: the origin counts by them. */
const prefixes = ['ours', 'theirs'];

const relay: Beside = {
  name: 'relay',
  what: 'CPU a relayed request, 1 KB',
  limit: 1.1,
  loads: (load, names) => names.map(() => ({ ...load, script: 'urls.lua', env: { TARGET: '/relayed/forecast' } })),
};

export const missBars: readonly Bar[] = [
  {
    name: miss.name,
    requirement: 4,
    title: 'CPU of a miss that is fetched, stored and answered, 1 KB, every URL new, 32 connections',
    run: (options) => measureMiss(options, miss),
  },
  {
    name: relay.name,
    requirement: 4,
    title: 'CPU of a relayed request, 1 KB, 32 connections',
    run: (options) => measureMiss(options, relay),
  },
];

if (import.meta.main) await runAlone(missBars);
