/**
 * Requirements 6 and 7 over HTTP: what a hit costs when a million is stored, purges of 100,000, and a flood of keys:
 * `node bench/growth.ts`.
 */
import { performance } from 'node:perf_hooks';
import { callJson, get } from '../src/demo/http-get.ts';
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import { roundsOf, type Bar, type BenchOptions, type Figure, type Round } from './bars.ts';
import { memoryMib } from './http/cores.ts';
import { fill } from './http/fill.ts';
import { runLoad, type Load } from './http/load.ts';
import { alternate, beside, hotPaths, startAll, warm, withoutOrigin } from './http/measure.ts';
import { refuseUnlike, runOpenLoop } from './http/open-loop.ts';
import { lagMs } from './http/scrape.ts';
import {
  originCounts,
  startBareRelay,
  startForecache,
  startOrigin,
  type ForecacheServer,
  type Server,
} from './http/servers.ts';

async function startOne(
  stack: AsyncDisposableStack,
  { cores }: BenchOptions,
  memory: string,
): Promise<{ readonly origin: Server; readonly forecache: ForecacheServer }> {
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const env = { FORECACHE_MEMORY: memory };
  const [forecache] = await startAll(stack, [() => startForecache({ origin: origin.origin, core: cores.server, env })]);
  if (forecache === undefined) throw new Error('there is no server');
  return { origin, forecache };
}

const many = 1_000_000;
const between = 10_000;
const few = 1000;
const hot = 200;

/**
 * Processes of the program with 1,000, 10,000 and 1,000,000 stored. Asked for are 200 URLs across what is stored, as in the bars of
 * hits, so that what is beside them is told apart from what is asked for; and all that is stored, each URL as likely as any other.
 */
async function runStored(options: BenchOptions): Promise<readonly Figure[]> {
  const { cores, seconds, say } = options;
  await using stack = new AsyncDisposableStack();
  const wrk = await systemTool('wrk');
  const { origin, forecache: small } = await startOne(stack, options, '4GiB');
  const another = (): Promise<ForecacheServer> =>
    startForecache({ origin: origin.origin, core: cores.server, env: { FORECACHE_MEMORY: '4GiB' } });
  const [middle, large] = await startAll(stack, [another, another]);
  if (middle === undefined || large === undefined) throw new Error('there is no server');
  await warm(small, hotPaths(1024, few));
  await warm(middle, hotPaths(1024, between));
  const filling = { wrk, prefix: 'city', bytes: 1024, core: cores.load, say };
  // What the process needs to fill at all, garbage that is not collected yet included, is there after the first part.
  const part = await fill(large, { ...filling, responses: many / 10 });
  const partMib = memoryMib(large.pid).now;
  const all = await fill(large, { ...filling, responses: many, after: part });
  const grownMib = memoryMib(large.pid).now - partMib;
  const eachBytes = (grownMib * 1024 * 1024) / (all - part);
  await warm(large, hotPaths(1024, hot, many / hot));
  // What the filling has cut off is asked for once more, and the end of that one by one: a single miss would refuse the bar.
  await fill(large, { ...filling, responses: many });
  await warm(large, hotPaths(1024, many).slice(-2000));
  const loadFor = (stored: number): Load => {
    const env = { SIZE: '1024', COUNT: String(hot), STEP: String(stored / hot) };
    return { wrk, script: 'urls.lua', env, connections: 32, seconds, core: cores.load };
  };
  const uniform = (count: number): Load => {
    const env = { SIZE: '1024', COUNT: String(count) };
    return { wrk, script: 'uniform.lua', env, connections: 32, seconds, core: cores.load };
  };
  const contenders = [
    { server: { ...large, name: 'a million' }, load: loadFor(many) },
    { server: { ...small, name: 'a thousand' }, load: loadFor(few) },
    { server: { ...small, name: 'any of 1,000' }, load: uniform(few) },
    { server: { ...middle, name: 'any of 10,000' }, load: uniform(between) },
    { server: { ...large, name: 'any of 1,000,000' }, load: uniform(many) },
  ];
  const costs = await withoutOrigin(origin, 'city', () => alternate(contenders, options));
  const cpu = { bar: 'stored-1m', requirement: 6, unit: 'µs', limit: 1.15 } as const;
  return [
    {
      ...cpu,
      what: 'CPU a hit with 1,000,000 stored, 200 URLs',
      rival: '1,000 stored, 200 URLs',
      rounds: beside(costs.get('a million'), costs.get('a thousand')),
    },
    ...(['any of 10,000', 'any of 1,000,000'] as const).map((name) => ({
      ...cpu,
      what: `CPU a hit, ${name} stored`,
      rival: 'any of 1,000 stored',
      rounds: beside(costs.get(name), costs.get('any of 1,000')),
    })),
    {
      bar: 'stored-1m',
      requirement: 7,
      what: 'RSS a stored response beyond body and fields',
      unit: 'B',
      rounds: roundsOf([eachBytes - (await storedBytes(origin))]),
      limit: 500,
    },
  ];
}

/** Bytes of body and field lines (name and value) that a cache stores of an answer of the origin. */
async function storedBytes(origin: Server): Promise<number> {
  const { fields, body } = await get(origin.origin + (hotPaths(1024, 1)[0] ?? ''));
  const names = ['content-type', 'cache-control', 'content-length', 'date'];
  return names.reduce((sum, name) => sum + name.length + String(fields[name] ?? '').length, body.length);
}

const floodsMib = [16, 64, 256] as const;

async function runFloods(options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const mib of floodsMib) figures.push(...(await runFlood(options, mib)));
  for (const compiles of [true, false]) figures.push(await runFloodBeside(options, compiles));
  return figures;
}

/** Fewer, as what compiles nothing takes 200 microseconds for each. */
const besideKeys = 100_000;

/** What a process of Node takes in a flood that stores nothing at all: what a program on Node can reach of the limit. Told, not judged. */
async function runFloodBeside({ cores, say }: BenchOptions, compiles: boolean): Promise<Figure> {
  await using stack = new AsyncDisposableStack();
  const wrk = await systemTool('wrk');
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const [relay] = await startAll(stack, [() => startBareRelay(origin.origin, { core: cores.server, compiles })]);
  if (relay === undefined) throw new Error('there is no server');
  await fill(relay, { wrk, prefix: 'flood', responses: besideKeys, bytes: 1024, core: cores.load, say });
  const what = `RSS of a ${relay.name}, which stores nothing, 100,000 keys`;
  return { bar: 'flood', requirement: 7, what, unit: 'MiB', rounds: roundsOf([memoryMib(relay.pid).peak]) };
}

/** A million keys that are asked for once, and 200 URLs that are asked for again and again meanwhile. */
async function runFlood(options: BenchOptions, floodMib: number): Promise<readonly Figure[]> {
  const { cores, say } = options;
  await using stack = new AsyncDisposableStack();
  const wrk = await systemTool('wrk');
  const { origin, forecache } = await startOne(stack, options, `${floodMib}MiB`);
  const idleMib = memoryMib(forecache.pid).now;
  await warm(forecache, hotPaths(1024, hot));
  await warm(forecache, hotPaths(1024, hot));
  const flooded = new AbortController();
  let hotRequests = 0;
  const before = (await originCounts(origin)).get('city') ?? 0;
  const keepHot = async (): Promise<void> => {
    // Some 400 a second: each of the 200 URLs every half second.
    const env = { SIZE: '1024', COUNT: String(hot), THINK_MS: '4' };
    while (!flooded.signal.aborted) {
      const load = { wrk, script: 'urls.lua', env, connections: 2, seconds: 2, core: cores.load };
      hotRequests += (await runLoad(forecache.origin, load)).requests;
    }
  };
  const flood = async (): Promise<void> => {
    try {
      await fill(forecache, { wrk, prefix: 'flood', responses: many, bytes: 1024, core: cores.load, say });
    } finally {
      flooded.abort();
    }
  };
  await Promise.all([flood(), keepHot()]);
  const missed = ((await originCounts(origin)).get('city') ?? 0) - before;
  const { peak } = memoryMib(forecache.pid);
  const common = { bar: 'flood', requirement: 7 } as const;
  return [
    {
      ...common,
      what: `RSS beyond maxBytes (${floodMib} MiB), 1,000,000 keys`,
      unit: 'MiB',
      rounds: roundsOf([peak - floodMib]),
      limit: 64,
      judge: 'worst',
    },
    {
      ...common,
      what: `hits of a hot set in that flood, ${floodMib} MiB`,
      unit: '%',
      rounds: roundsOf([100 * (1 - missed / hotRequests)]),
      limit: 95,
      bound: 'least',
      judge: 'worst',
    },
    { ...common, what: `RSS before it, ${floodMib} MiB`, unit: 'MiB', rounds: roundsOf([idleMib]) },
  ];
}

const members = 100_000;
/** That come to the end of their retention one after another, up to the purge: a count must leave out what is not removed yet. */
const expired = 10_000;
interface BenchPurge {
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly expired: number;
}
const first: BenchPurge = { name: 'a tag of 100,000', body: { tag: 'days:7' }, expired: 0 };
const purges: readonly BenchPurge[] = [
  first,
  { name: 'everything', body: { all: true }, expired: 0 },
  { name: 'a tag of 100,000, 10,000 expired', body: { tag: 'days:7' }, expired },
  { name: 'everything, 10,000 expired', body: { all: true }, expired },
];

/**
 * Purges through the admin interface beside an open loop: how long the answer takes, and how long a request waits. The
 * loop asks for what the program answers by itself (404), since what is purged is fetched anew, which is no pause.
 */
async function runPurges(options: BenchOptions): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const servers = await startOne(stack, options, '1GiB');
  const figures: Figure[] = [...(await runFirstPurges(options))];
  for (const purge of purges) {
    const rounds: Purged[] = [];
    for (let round = 0; round < options.rounds; round += 1) rounds.push(await purgeOnce(servers, purge, options));
    figures.push(...purgeFigures(`purge of ${purge.name}`, rounds));
  }
  return figures;
}

const firstProcesses = 3;

/** The first of a process: of several processes, and asked for as by an operator, after a scrape or two of the metrics. */
async function runFirstPurges(options: BenchOptions): Promise<readonly Figure[]> {
  const rounds: Purged[] = [];
  for (let process = 0; process < Math.min(firstProcesses, options.rounds); process += 1) {
    await using stack = new AsyncDisposableStack();
    const servers = await startOne(stack, options, '1GiB');
    rounds.push(await purgeOnce(servers, { ...first, name: `${first.name}, the first` }, options));
  }
  return purgeFigures(`first purge of a process, of ${first.name}`, rounds);
}

/** Milliseconds. */
interface Purged {
  readonly answered: number;
  readonly longestWait: number;
  readonly lag: number;
}

async function purgeOnce(
  { origin, forecache }: { readonly origin: Server; readonly forecache: ForecacheServer },
  { name, body, expired: short }: BenchPurge,
  { cores, say }: BenchOptions,
): Promise<Purged> {
  const [wrk, h2load] = [await systemTool('wrk'), await systemTool('h2load')];
  const filling = { wrk, bytes: 1024, core: cores.load, say: () => {} };
  await fill(forecache, { ...filling, prefix: 'city', responses: members });
  if (short > 0) await fill(forecache, { ...filling, path: '/v1/short', prefix: 'short', responses: short });
  await lagMs(forecache.admin);
  const urls = [`${forecache.origin}/no-route`];
  const asked = runOpenLoop({ h2load, perSecond: 1000, perConnection: 100, urls, seconds: 4, core: cores.load });
  await new Promise((resolve) => {
    setTimeout(resolve, 1500);
  });
  // What this process compiles for its first calls with content, of a server that is not measured, is no part of the answer.
  for (let call = 0; call < 100; call += 1) await callJson(`${origin.origin}/counts`, body);
  const beganMs = performance.now();
  const answer = await callJson(`${forecache.admin}/api/purge`, body);
  const answered = performance.now() - beganMs;
  if (Number(answer.get('matched')) < members) throw new Error(`purged ${String(answer.get('matched'))} only`);
  const heard = await asked;
  // Each of its answers is a 404.
  refuseUnlike('forecache', { ...heard, failed: 0 }, 1000);
  say(`purge of ${name}: ${answered.toFixed(2)} ms, longest wait of a request ${heard.max.toFixed(1)} ms`);
  return { answered, longestWait: heard.max, lag: await lagMs(forecache.admin) };
}

function purgeFigures(what: string, purged: readonly Purged[]): readonly Figure[] {
  const common = { bar: 'purge', requirement: 6, unit: 'ms' } as const;
  const rounds = (of: (one: Purged) => number): readonly Round[] => roundsOf(purged.map(of));
  return [
    { ...common, what: `${what}: answered after`, rounds: rounds(({ answered }) => answered), limit: 5 },
    { ...common, what: `${what}: longest wait of a request`, rounds: rounds((one) => one.longestWait), limit: 10 },
    { ...common, what: `${what}: event-loop lag`, rounds: rounds(({ lag }) => lag) },
  ];
}

export const growthBars: readonly Bar[] = [
  {
    name: 'stored-1m',
    requirement: 6,
    title: 'CPU of a hit with 1,000,000 responses stored, beside 1,000 stored: 200 URLs, and all (some minutes)',
    run: runStored,
  },
  {
    name: 'purge',
    requirement: 6,
    title:
      'purge of a tag with 100,000 members and of everything, also where some of it has expired, beside 1,000 requests a second',
    run: runPurges,
  },
  {
    name: 'flood',
    requirement: 7,
    title:
      'a flood of 1,000,000 keys with 16, 64 and 256 MiB: memory, and the hits of a hot set beside it (some minutes)',
    run: runFloods,
  },
];

if (import.meta.main) await runAlone(growthBars);
