/**
 * Requirement 3: CPU of the server for a hit from Redis, beside nginx that answers from the same Redis by Lua:
 * `node bench/redis-nginx.ts`. 2,000 URLs, of which memory can hold some 25.
 */
import { Agent } from 'node:http';
import { get } from '../src/demo/http-get.ts';
import { startRedis } from '../test/support/redis.ts';
import { systemTool } from '../test/support/system-tools.ts';
import { runAlone } from './alone.ts';
import type { Bar, BenchOptions, Figure } from './bars.ts';
import { pin } from './http/cores.ts';
import type { Load } from './http/load.ts';
import { alternate, figuresBeside, hotPaths, leastOfNode, startAll, warm, withoutOrigin } from './http/measure.ts';
import { bareSocket, startOrigin, type Server } from './http/servers.ts';
import { fillForNginx, startBareSocketOnRedis, startForecacheOnRedis, startNginxOnRedis } from './redis/servers.ts';

const urls = 2000;

interface RedisBar {
  readonly name: string;
  readonly size: string;
  readonly bytes: number;
  /** As in a configuration; nginx has its values as they are. */
  readonly compressAbove: string;
}

function redisBar({ name, size, bytes, compressAbove }: RedisBar): Bar {
  const title = `CPU of a hit from Redis, ${size}, ${urls} URLs and a memory tier of 64 KiB, beside nginx with lua-resty-redis`;
  const run = async (options: BenchOptions): Promise<readonly Figure[]> => {
    await using stack = new AsyncDisposableStack();
    const { cores, seconds, say } = options;
    const redis = stack.use(await startRedis());
    pin(redis.pid, cores.load);
    const [origin] = await startAll(stack, [() => startOrigin(cores.load)]);
    if (origin === undefined) throw new Error('there is no origin');
    const [ours, nginx, socket] = await startAll(stack, [
      () => startForecacheOnRedis({ redisUrl: redis.url, origin: origin.origin, core: cores.server, compressAbove }),
      () => startNginxOnRedis(redis.port, cores.server),
      () => startBareSocketOnRedis(redis.port, cores.server),
    ]);
    if (ours === undefined || nginx === undefined || socket === undefined)
      throw new Error('not all servers have started');
    await fillForNginx(redis, bytes, urls);
    const env = { SIZE: String(bytes), COUNT: String(urls) };
    const load: Load = {
      wrk: await systemTool('wrk'),
      script: 'urls.lua',
      env,
      connections: 32,
      seconds,
      core: cores.load,
    };
    for (const server of [ours, nginx, socket]) await warm(server, hotPaths(bytes, urls));
    const fields = { ...nginx, name: 'the same with three fields of a hash' };
    const costs = await withoutOrigin(origin, 'city', () =>
      alternate(
        [
          { server: ours, load },
          { server: nginx, load },
          { server: fields, load: { ...load, env: { ...env, TARGET: '/fields/v1/forecast' } } },
          { server: socket, load },
        ],
        options,
      ),
    );
    say(`${await shareFromRedis(ours, bytes)} % of the answers came from Redis`);
    const what = `CPU a hit from Redis, ${size}`;
    const beside = { [nginx.name]: 1, [fields.name]: undefined, [bareSocket]: undefined };
    return [
      ...figuresBeside(costs, { bar: name, requirement: 3, what }, beside),
      ...leastOfNode(costs, { bar: name, requirement: 3, what }, [nginx.name]),
    ];
  };
  return { name, requirement: 3, title, run };
}

/** In per cent, of every seventh URL; rejects where so many come from memory that something else would be measured. */
async function shareFromRedis(server: Server, bytes: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const paths = hotPaths(bytes, Math.floor(urls / 7), 7);
  let hits = 0;
  for (const path of paths) {
    const { fields } = await get(server.origin + path, { agent });
    if (/; hit;.*detail=redis/.test(String(fields['cache-status']))) hits += 1;
  }
  agent.destroy();
  const share = Math.round((100 * hits) / paths.length);
  if (share < 95) throw new Error(`only ${share} % of the answers came from Redis`);
  return share;
}

export const redisBars: readonly Bar[] = [
  redisBar({ name: 'redis-1k', size: '1 KB', bytes: 1024, compressAbove: '2KiB' }),
  redisBar({ name: 'redis-10k', size: '10 KB as it is', bytes: 10_240, compressAbove: 'off' }),
  redisBar({ name: 'redis-10k-packed', size: '10 KB compressed', bytes: 10_240, compressAbove: '2KiB' }),
];

if (import.meta.main) await runAlone(redisBars);
