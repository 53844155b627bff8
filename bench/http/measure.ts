import { Agent } from 'node:http';
import { get } from '../../src/demo/http-get.ts';
import type { BenchOptions, Figure, Round } from '../bars.ts';
import { costOf, runLoad, type Cost, type Load } from './load.ts';
import { bareSocket, originCounts, type Server } from './servers.ts';

/** One of the servers that are measured beside each other. */
export interface Contender {
  readonly server: Server;
  readonly load: Load;
}

/**
 * Measures each contender once in each round, one after the other; every round starts with another one, so that none is
 * always measured just after the busiest. Before the first round each answers `warmUp` requests (100,000), which compilers
 * and caches need: a time would be too little for a server that shares its core with others.
 */
export async function alternate(
  contenders: readonly Contender[],
  { rounds, say, warmUp = 100_000 }: Pick<BenchOptions, 'rounds' | 'say'> & { readonly warmUp?: number },
): Promise<ReadonlyMap<string, readonly Cost[]>> {
  for (const contender of contenders) await warmUpTo(contender, warmUp);
  const costs = new Map<string, Cost[]>(contenders.map(({ server }) => [server.name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let place = 0; place < contenders.length; place += 1) {
      const contender = contenders[(round + place) % contenders.length];
      if (contender === undefined) continue;
      costs
        .get(contender.server.name)
        ?.push(await costOf(contender.server, { ...contender.load, run: warmUpSeconds + round }));
    }
    const told = [...costs].map(([name, all]) => `${name} ${all.at(-1)?.cpuUs.toFixed(1)}`);
    say(`round ${round + 1} of ${rounds}, CPU µs a request: ${told.join(', ')}`);
  }
  return costs;
}

/** A server that answers a thousand a second or less is as warm as it gets in half a minute. */
const warmUpSeconds = 30;

async function warmUpTo({ server, load }: Contender, requests: number): Promise<void> {
  let answered = 0;
  for (let second = 0; second < warmUpSeconds && answered < requests; second += 1) {
    answered += (await runLoad(server.origin, { ...load, run: second, seconds: 1 })).requests;
  }
}

/** The rounds of two contenders beside each other. */
export function beside(ours: readonly Cost[] = [], rivals: readonly Cost[] = [], of = cpuOf): readonly Round[] {
  return ours.map((cost, round) => {
    const rival = rivals[round];
    return rival === undefined ? { ours: of(cost) } : { ours: of(cost), rival: of(rival) };
  });
}

const cpuOf = (cost: Cost): number => cost.cpuUs;

/** Asks once for each path, so that all of them are stored; rejects where an answer is not 200. */
export async function warm(server: Server, paths: readonly string[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const path of paths) {
    const { status } = await get(server.origin + path, { agent });
    if (status !== 200) throw new Error(`${server.name} answers ${status} to ${path}`);
  }
  agent.destroy();
}

/** The paths that `urls.lua` asks for. */
export function hotPaths(bytes: number, count = 200, step = 1): readonly string[] {
  return Array.from({ length: count }, (_, i) => `/v1/forecast?location=city${(i + 1) * step}&size=${bytes}&days=7`);
}

/** Runs what must not reach the origin with locations of a kind; rejects where it did: then it was no cache that answered. */
export async function withoutOrigin<T>(origin: Server, kind: string, measured: () => Promise<T>): Promise<T> {
  const before = (await originCounts(origin)).get(kind) ?? 0;
  const result = await measured();
  const reached = ((await originCounts(origin)).get(kind) ?? 0) - before;
  if (reached > 0) throw new Error(`${reached} requests for what is stored reached the origin`);
  return result;
}

/** Starts servers one by one; all are stopped with the stack, the last one first. */
export async function startAll<S extends Server>(
  stack: AsyncDisposableStack,
  starts: readonly (() => Promise<S>)[],
): Promise<readonly S[]> {
  const servers: S[] = [];
  for (const begin of starts) {
    const server = await begin();
    stack.defer(() => server.stop());
    servers.push(server);
  }
  return servers;
}

/** Figures of one thing that is measured beside several rivals, those without a limit only told. `name`: whose. */
export function figuresBeside(
  costs: ReadonlyMap<string, readonly Cost[]>,
  figure: Omit<Figure, 'rounds' | 'rival' | 'limit' | 'unit'>,
  limits: Readonly<Record<string, number | undefined>>,
  name = 'forecache',
): readonly Figure[] {
  return Object.entries(limits).map(([rival, limit]) => ({
    ...figure,
    rival,
    unit: 'µs',
    rounds: beside(costs.get(name), costs.get(rival)),
    ...(limit === undefined ? {} : { limit }),
  }));
}

/** What a bare socket of Node takes beside the rivals, in the same rounds: what a program on Node can reach of their limits. Told, not judged. */
export function leastOfNode(
  costs: ReadonlyMap<string, readonly Cost[]>,
  { bar, requirement, what }: Pick<Figure, 'bar' | 'requirement' | 'what'>,
  rivals: readonly string[],
): readonly Figure[] {
  const limits = Object.fromEntries(rivals.map((rival) => [rival, undefined]));
  return figuresBeside(costs, { bar, requirement, what: `${what}, of a ${bareSocket}` }, limits, bareSocket);
}
