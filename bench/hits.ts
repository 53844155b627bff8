/**
 * Requirement 1 and 2: CPU of the server for a hit, beside nginx, HAProxy and Varnish: `node bench/hits.ts`.
 */
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import type { Bar, BenchOptions, Figure } from './bars.ts';
import {
  alternate,
  beside,
  figuresBeside,
  hotPaths,
  leastOfNode,
  startAll,
  warm,
  withoutOrigin,
} from './http/measure.ts';
import type { Load } from './http/load.ts';
import {
  bareSocket,
  startBareSocket,
  startForecache,
  startHaproxy,
  startNginx,
  startOrigin,
  startVarnish,
  type Server,
} from './http/servers.ts';

type Rival = 'nginx' | 'HAProxy' | 'Varnish';
const startRival = { nginx: startNginx, HAProxy: startHaproxy, Varnish: startVarnish } as const;

async function loadOf({ seconds, cores }: BenchOptions, bytes: number): Promise<Load> {
  const env = { SIZE: String(bytes) };
  return { wrk: await systemTool('wrk'), script: 'urls.lua', env, connections: 32, seconds, core: cores.load };
}

/** All servers warm for the 200 URLs. */
async function startWarm(
  stack: AsyncDisposableStack,
  { cores }: BenchOptions,
  { rivals, bytes }: { readonly rivals: readonly Rival[]; readonly bytes: number },
): Promise<{ readonly origin: Server; readonly servers: readonly Server[] }> {
  const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
  if (origin === undefined) throw new Error('there is no origin');
  const servers = await startAll<Server>(stack, [
    () => startForecache({ origin: origin.origin, core: cores.server }),
    ...rivals.map((name) => () => startRival[name](origin.origin, cores.server)),
  ]);
  for (const server of servers) await warm(server, hotPaths(bytes));
  return { origin, servers };
}

interface HitBar {
  readonly name: string;
  readonly size: string;
  readonly bytes: number;
  readonly limits: Partial<Record<Rival, number | undefined>>;
}

function hitBar({ name, size, bytes, limits }: HitBar): Bar {
  const run = async (options: BenchOptions): Promise<readonly Figure[]> => {
    await using stack = new AsyncDisposableStack();
    const rivals = (['nginx', 'HAProxy', 'Varnish'] as const).filter((rival) => rival in limits);
    const { origin, servers } = await startWarm(stack, options, { rivals, bytes });
    const least = await startAll(stack, [() => startBareSocket(bytes, options.cores.server)]);
    const load = await loadOf(options, bytes);
    const costs = await withoutOrigin(origin, 'city', () =>
      alternate(
        [...servers, ...least].map((server) => ({ server, load })),
        options,
      ),
    );
    const cpu = { bar: name, requirement: 1, what: `CPU a hit, ${size}` };
    const rates = rivals.map((rival): Figure => ({
      bar: name,
      requirement: 1,
      what: `hits a second, ${size}`,
      rival,
      unit: '/s',
      rounds: beside(costs.get('forecache'), costs.get(rival), (cost) => cost.load.perSecond),
    }));
    return [
      ...figuresBeside(costs, cpu, { ...limits, [bareSocket]: undefined }),
      ...leastOfNode(costs, cpu, rivals),
      ...rates,
    ];
  };
  const title = `CPU of a fresh hit, ${size}, 200 URLs, 32 connections, beside ${Object.keys(limits).join(', ')}`;
  return { name, requirement: 1, title, run };
}

/**
 * Varnish cannot know that two spellings are one request, so it is asked for the same URLs in one spelling each: what it
 * has to do less than Forecache is to its advantage.
 */
async function runSpellings(options: BenchOptions): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const { origin, servers } = await startWarm(stack, options, { rivals: ['Varnish', 'nginx'], bytes: 1024 });
  const plain = await loadOf(options, 1024);
  const spelt = { ...plain, script: 'spellings.lua' };
  const costs = await withoutOrigin(origin, 'city', () =>
    alternate(
      servers.map((server) => ({ server, load: server.name === 'forecache' ? spelt : plain })),
      options,
    ),
  );
  const what = 'CPU a hit that is spelt as never before, 1 KB';
  return figuresBeside(costs, { bar: 'spellings', requirement: 2, what }, { Varnish: 1.25, nginx: undefined });
}

export const hitBars: readonly Bar[] = [
  hitBar({ name: 'hit-1k', size: '1 KB', bytes: 1024, limits: { nginx: 0.75, HAProxy: 1, Varnish: 0.5 } }),
  hitBar({ name: 'hit-10k', size: '10 KB', bytes: 10_240, limits: { nginx: 0.75, HAProxy: 1, Varnish: 0.5 } }),
  hitBar({
    name: 'hit-100k',
    size: '100 KB',
    bytes: 102_400,
    limits: { nginx: 1.2, HAProxy: undefined, Varnish: undefined },
  }),
  {
    name: 'spellings',
    requirement: 2,
    title: 'CPU of a hit whose every request is spelt differently, beside Varnish asked in one spelling',
    run: runSpellings,
  },
];

if (import.meta.main) await runAlone(hitBars);
