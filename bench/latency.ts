/**
 * Requirement 5: latency in an open loop at half of what nginx can, and pauses while much is stored: `node bench/latency.ts`.
 */
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import { roundsOf, type Bar, type BenchOptions, type Figure, type Round } from './bars.ts';
import { coreWaitMs } from './http/cores.ts';
import { fill } from './http/fill.ts';
import { runLoad } from './http/load.ts';
import { hotPaths, startAll, warm, withoutOrigin } from './http/measure.ts';
import { refuseUnlike, runOpenLoop, type OpenLoopResult } from './http/open-loop.ts';
import { lagMs, storedBy } from './http/scrape.ts';
import { startForecache, startNginx, startOrigin, startSimulators, type Server } from './http/servers.ts';

/** As often as h2load looks at its clock: requests of a connection are not due in bursts then. */
const perConnection = 100;
const quantiles = ['p50', 'p99', 'p999'] as const;

async function startBoth(
  stack: AsyncDisposableStack,
  { cores }: BenchOptions,
  memory: string,
): Promise<{
  readonly origin: Server;
  readonly forecache: Server & { readonly admin: string };
  readonly nginx: Server;
}> {
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const env = { FORECACHE_MEMORY: memory };
  const [forecache] = await startAll(stack, [() => startForecache({ origin: origin.origin, core: cores.server, env })]);
  const [nginx] = await startAll(stack, [() => startNginx(origin.origin, cores.server)]);
  if (forecache === undefined || nginx === undefined) throw new Error('a server is missing');
  for (const server of [forecache, nginx]) await warm(server, hotPaths(1024));
  return { origin, forecache, nginx };
}

async function runLatency(options: BenchOptions): Promise<readonly Figure[]> {
  const { rounds, seconds, cores, say } = options;
  await using stack = new AsyncDisposableStack();
  const { origin, forecache, nginx } = await startBoth(stack, options, '256MiB');
  const [wrk, h2load] = [await systemTool('wrk'), await systemTool('h2load')];
  const closed = { wrk, script: 'urls.lua', connections: 32, core: cores.load };
  for (const server of [forecache, nginx]) await runLoad(server.origin, { ...closed, seconds: 2 });
  const saturation = (await runLoad(nginx.origin, { ...closed, seconds })).perSecond;
  const perSecond = Math.round(saturation / 2);
  say(`nginx answers ${saturation.toFixed(0)} a second at most; the open loop asks for ${perSecond}`);
  const results: { readonly ours: OpenLoopResult; readonly rival: OpenLoopResult }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const ask = async ({ origin: base, name }: Server): Promise<OpenLoopResult> => {
      const urls = hotPaths(1024).map((path) => base + path);
      const result = await runOpenLoop({ h2load, perSecond, perConnection, urls, seconds, core: cores.load });
      say(
        `${name}: ${result.perSecond.toFixed(0)} a second, ${quantilesOf(result)}, load ${percent(result.loadBusy)} busy`,
      );
      refuseUnlike(name, result, perSecond);
      return result;
    };
    const pair = await withoutOrigin(origin, 'city', async () => {
      // Each of the two goes first every other time.
      if (round % 2 === 0) return { ours: await ask(forecache), rival: await ask(nginx) };
      const rival = await ask(nginx);
      return { ours: await ask(forecache), rival };
    });
    results.push(pair);
  }
  const pairsOf = (of: (result: OpenLoopResult) => number): readonly Round[] =>
    results.map(({ ours, rival }) => ({ ours: of(ours), rival: of(rival) }));
  const common = { bar: 'latency', requirement: 5, rival: 'nginx' };
  return [
    ...quantiles.map((quantile) => ({
      ...common,
      what: `${label(quantile)} of a hit at half of nginx's rate`,
      unit: 'ms',
      rounds: pairsOf((result) => result[quantile]),
      limit: 1.2,
    })),
    {
      ...common,
      what: 'requests a second that the open loop reached',
      unit: '/s',
      rounds: pairsOf((r) => r.perSecond),
    },
    { ...common, what: 'the load, of its core', unit: '%', rounds: pairsOf((r) => r.loadBusy * 100) },
  ];
}

function label(quantile: (typeof quantiles)[number]): string {
  return quantile === 'p999' ? 'p99.9' : quantile;
}

function quantilesOf(result: OpenLoopResult): string {
  return quantiles.map((quantile) => `${label(quantile)} ${result[quantile].toFixed(3)} ms`).join(', ');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

const stored = 100_000;
const pauseSeconds = 60;
/** With some 1 ms for a miss, each connection has a hundred a second: more than are needed, since a busy machine has fewer. */
const missConnections = 12;
const missThinkMs = 9;
const hitsPerSecond = 5000;
/** Storing is what makes the pauses, so fewer would be an easier bar. */
const leastStoredPerSecond = 950;

/** Throws where too little was stored beside the hits for their longest wait to say anything. */
export function refuseFewStored(storedPerSecond: number): void {
  if (storedPerSecond >= leastStoredPerSecond) return;
  throw new Error(
    `pauses could not be measured: ${storedPerSecond.toFixed(0)} misses a second were stored, at least ${leastStoredPerSecond} are needed`,
  );
}

/** Hits in an open loop beside a thousand misses a second that are stored: what the slowest hit waited. */
async function pauseOf(
  server: Server,
  { cores, say }: BenchOptions,
  filled: () => Promise<unknown>,
): Promise<OpenLoopResult> {
  const [wrk, h2load] = [await systemTool('wrk'), await systemTool('h2load')];
  await fill(server, { wrk, prefix: 'city', responses: stored, bytes: 1024, core: cores.load, say });
  await filled();
  const urls = hotPaths(1024).map((path) => server.origin + path);
  const env = { PREFIX: 'new', THINK_MS: String(missThinkMs) };
  const missLoad = { wrk, script: 'distinct.lua', env, connections: missConnections, core: cores.load };
  const [hits, misses] = await Promise.all([
    runOpenLoop({ h2load, perSecond: hitsPerSecond, perConnection, urls, seconds: pauseSeconds, core: cores.load }),
    runLoad(server.origin, { ...missLoad, seconds: pauseSeconds }),
  ]);
  if (misses.errors > 1) throw new Error(`${server.name}: ${misses.errors} misses failed`);
  say(`${server.name}: ${misses.perSecond.toFixed(0)} misses a second, hits ${quantilesOf(hits)}, max ${hits.max} ms`);
  refuseUnlike(server.name, hits, hitsPerSecond);
  return hits;
}

async function runPauses(options: BenchOptions): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const { forecache, nginx } = await startBoth(stack, options, '1GiB');
  const nginxPause = await pauseOf(nginx, options, async () => {});
  // The metric covers the time since the last scrape: what the filling did to it is not asked for.
  let storedBefore = 0;
  let waitedBeforeMs = 0;
  const ours = await pauseOf(forecache, options, async () => {
    storedBefore = await storedBy(forecache.admin);
    await lagMs(forecache.admin);
    waitedBeforeMs = coreWaitMs(forecache.pid);
  });
  const waitedMs = coreWaitMs(forecache.pid) - waitedBeforeMs;
  // First, as each scrape begins the metric anew.
  const ownLagMs = await lagMs(forecache.admin);
  const storedPerSecond = ((await storedBy(forecache.admin)) - storedBefore) / pauseSeconds;
  refuseFewStored(storedPerSecond);
  const common = { bar: 'pauses', requirement: 5, unit: 'ms' } as const;
  return [
    { ...common, what: 'longest wait of a hit in 60 s', rounds: roundsOf([ours.max]), limit: 20, judge: 'worst' },
    { ...common, what: "event-loop lag, longest, by the program's metric", rounds: roundsOf([ownLagMs]) },
    { ...common, what: 'p99.9 of those hits', rounds: roundsOf([ours.p999]) },
    {
      ...common,
      what: 'the server was ready and had no core, of that time',
      unit: '%',
      rounds: roundsOf([(100 * waitedMs) / (pauseSeconds * 1000)]),
    },
    { ...common, what: 'longest wait, same load at nginx', rounds: roundsOf([nginxPause.max]) },
    { ...common, what: 'p99.9, same load at nginx', rounds: roundsOf([nginxPause.p999]) },
    { ...common, what: 'misses stored a second', unit: '/s', rounds: roundsOf([storedPerSecond]) },
  ];
}

const asked = '/v1/forecast?location=berlin&days=7&units=metric';

/** One forecast with the cache and without, from simulators that take 80 to 400 ms as such an API does. */
async function runNoCache(options: BenchOptions): Promise<readonly Figure[]> {
  const { rounds, seconds, cores, say } = options;
  await using stack = new AsyncDisposableStack();
  const wrk = await systemTool('wrk');
  const [without] = await startAll(stack, [() => startSimulators(cores.load)]);
  if (without === undefined) throw new Error('there is no simulator');
  const [forecache] = await startAll(stack, [() => startForecache({ origin: without.origin, core: cores.server })]);
  if (forecache === undefined) throw new Error('there is no server');
  await warm(forecache, [asked]);
  const figures: Figure[] = [];
  for (const { connections, thinkMs, name } of [
    { connections: 1, thinkMs: 0, name: '1 connection' },
    // Some 2,000 requests a second: what 64 busy agents ask, far below what a core can answer.
    { connections: 64, thinkMs: 32, name: '64 connections that pause' },
  ]) {
    const env = { THINK_MS: String(thinkMs), TARGET: asked };
    const load = { wrk, script: 'one.lua', env, connections, seconds, core: cores.load };
    const both: Round[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const ours = await runLoad(forecache.origin, load);
      const none = await runLoad(without.origin, load);
      if (ours.errors > 0) throw new Error(`${ours.errors} of ${ours.requests} requests failed`);
      both.push({ ours: ours.p50, rival: none.p50 });
      say(`${name}: p50 ${ours.p50.toFixed(3)} ms with the cache, ${none.p50.toFixed(0)} ms without`);
    }
    const common = { bar: 'no-cache', requirement: 5, unit: 'ms' } as const;
    figures.push(
      { ...common, what: `p50 of a hit, ${name}`, rounds: both.map(({ ours }) => ({ ours })), limit: 1 },
      { ...common, what: `p50 of a request, ${name}`, rival: 'no cache', rounds: both },
    );
  }
  return figures;
}

export const latencyBars: readonly Bar[] = [
  {
    name: 'no-cache',
    requirement: 5,
    title: 'a hit beside the same question to an API that takes 80 to 400 ms',
    run: runNoCache,
  },
  {
    name: 'latency',
    requirement: 5,
    title: "latency of hits in an open loop at half of nginx's saturation rate, beside nginx",
    run: runLatency,
  },
  {
    name: 'pauses',
    requirement: 5,
    title: `pauses in ${pauseSeconds} s with ${stored} stored and 1,000 misses a second stored beside the hits`,
    run: runPauses,
  },
];

if (import.meta.main) await runAlone(latencyBars);
