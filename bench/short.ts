import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { builtMain } from '../test/support/program.ts';
import { systemTool } from '../test/support/system-tools.ts';
import { judge, type Figure, type Round } from './bars.ts';
import { chooseCores, threadsCpuMs, type Cores } from './http/cores.ts';
import type { Load } from './http/load.ts';
import { alternate, beside, hotPaths, startAll, warm } from './http/measure.ts';
import {
  forecacheServe,
  startBareNode,
  startBareProxy,
  startForecache,
  startOrigin,
  type Server,
} from './http/servers.ts';
import { idleRound } from './start.ts';
import { figureLines } from './table.ts';

/** The ratios of an earlier run, by what they are. */
type Recorded = Readonly<Record<string, number>>;

const file = new URL('short.json', import.meta.url);
const [hitLabel, relayLabel, startLabel] = ['CPU a hit, 1 KB', 'CPU a relayed request, 1 KB', 'CPU until it is ready'];
const idleLabel = 'idle RSS';

/**
 * A ratio beyond this many times the recorded one is a gross regression; less may be the machine's doing. A relay and its rival do the
 * same on the same core, so they are disturbed alike; a hit that takes a few microseconds is doubled by a neighbour's cache misses. What is
 * resident is within a hundredth of the same on all machines so far: a file too many at the start was 4 %, and went unseen for hours.
 */
export const tolerances: Readonly<Record<string, number>> = {
  [hitLabel]: 2,
  [relayLabel]: 1.5,
  [startLabel]: 1.5,
  [idleLabel]: 1.03,
};
const rounds = 3;
const seconds = 2;
const starts = 5;

/**
 * A minute of what must not get grossly worse unseen: a hit beside a bare handler of node:http, a relayed request beside a
 * bare http-proxy-3, a start beside a bare Node, and what is resident behind it. Each side by the best of its rounds, since on a shared machine a round can only
 * be worse than it should. Resolves to whether each is within its tolerance of the ratio in `short.json`, which `record` writes.
 */
export async function runShort(say: (line: string) => void, record: boolean): Promise<boolean> {
  const cores = chooseCores();
  const measured = [...(await requests(cores, say)), await startTimes(), await idleMemory()];
  if (record) {
    const ratios = measured.map(({ what, rounds: all }) => {
      const { ours, rival } = bestOf(all);
      return [what, Number((ours / rival).toFixed(3))];
    });
    writeFileSync(file, `${JSON.stringify(Object.fromEntries(ratios), undefined, 2)}\n`);
  }
  const recorded: Recorded = JSON.parse(readFileSync(file, 'utf8'));
  const figures = measured.map((figure) => withinRecorded(figure, recorded));
  process.stdout.write(`${figureLines(figures).join('\n')}\n`);
  const worse = figures.filter((figure) => judge(figure).verdict !== 'met');
  for (const { what, limit } of worse) {
    process.stdout.write(
      `GROSS REGRESSION: ${what}: even the best round is beyond ${limit}, ${tolerances[what]} times what it was\n`,
    );
  }
  return worse.length === 0;
}

/** The figure of the best rounds, with its tolerance times the recorded ratio as its limit; missed where there is none recorded. */
export function withinRecorded(figure: Figure, recorded: Recorded): Figure {
  return {
    ...figure,
    rounds: [bestOf(figure.rounds)],
    limit: Number(((recorded[figure.what] ?? Number.NaN) * (tolerances[figure.what] ?? Number.NaN)).toFixed(2)),
  };
}

/** The best of each side: the best ratio of a round would be that in which the rival was disturbed most. */
function bestOf(all: readonly Round[]): Required<Round> {
  return {
    ours: Math.min(...all.map(({ ours }) => ours)),
    rival: Math.min(...all.map(({ rival = Number.NaN }) => rival)),
  };
}

async function requests(cores: Cores, say: (line: string) => void): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const wrk = await systemTool('wrk');
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const [forecache, node, proxy] = await startAll<Server>(stack, [
    () => startForecache({ origin: origin.origin, core: cores.server }),
    () => startBareNode(cores.server),
    () => startBareProxy(origin.origin, cores.server),
  ]);
  if (forecache === undefined || node === undefined || proxy === undefined) throw new Error('a server is missing');
  await warm(forecache, hotPaths(1024));
  const hit: Load = { wrk, script: 'urls.lua', connections: 32, seconds, core: cores.load };
  const relay: Load = { ...hit, env: { TARGET: '/relayed/forecast' } };
  const measure = async (what: string, load: Load, rival: Server): Promise<Figure> => {
    const contenders = [forecache, rival].map((server) => ({ server, load }));
    const costs = await alternate(contenders, { rounds, say, warmUp: 30_000 });
    const both = beside(costs.get('forecache'), costs.get(rival.name));
    return { bar: 'short', requirement: 12, what, rival: rival.name, unit: 'µs', rounds: both };
  };
  return [await measure(hitLabel, hit, node), await measure(relayLabel, relay, proxy)];
}

/** Alive until it is ended: a process that is gone has no time that could be read. */
const bareNode = 'console.log("ready"); setInterval(() => {}, 1e9)';

async function startTimes(): Promise<Figure> {
  const main = await builtMain();
  const { args, env } = forecacheServe('http://127.0.0.1:9');
  const both: Round[] = [];
  for (let round = 0; round < starts; round += 1) {
    const ours = await cpuMsUntil(/\bproxy http\S+/, [main, ...args], env);
    both.push({ ours, rival: await cpuMsUntil(/ready/, ['-e', bareNode], {}) });
  }
  return { bar: 'short', requirement: 12, what: startLabel, rival: 'bare node', unit: 'ms', rounds: both };
}

async function idleMemory(): Promise<Figure> {
  const round = await idleRound();
  return { bar: 'short', requirement: 7, what: idleLabel, rival: 'bare node:http', unit: 'MiB', rounds: [round] };
}

/** Processor time in milliseconds that a Node process has used when it prints something; it is ended then. */
async function cpuMsUntil(
  printed: RegExp,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  const ended = once(child, 'exit');
  const deadline = setTimeout(() => child.kill('SIGKILL'), 30_000);
  let text = '';
  const usedMs = await new Promise<number | undefined>((resolve) => {
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      if (printed.test(text)) resolve(threadsCpuMs(child.pid ?? 0));
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => resolve(undefined));
  });
  clearTimeout(deadline);
  child.kill('SIGKILL');
  await ended;
  if (usedMs === undefined) throw new Error(`it did not become ready:\n${text}`);
  return usedMs;
}
