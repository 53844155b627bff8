import type { Config, RedisConfig, ServerLimits, UpstreamConfig } from './config.ts';
import type { Route } from './route.ts';

/** What the workers of one process have to share, since the sum over them is what was configured. */
export interface Shared {
  readonly server: { readonly limits: Pick<ServerLimits, 'maxConnections' | 'maxContentBytes'> };
  readonly store: {
    readonly memory: { readonly maxBytes: number };
    readonly redis?: Pick<RedisConfig, 'maxPendingBytes' | 'maxObjectBytes'> | undefined;
  };
  readonly upstreams: ReadonlyMap<string, Pick<UpstreamConfig, 'name' | 'maxConnections'>>;
  readonly routes: readonly (Pick<Route, 'name' | 'maxKeys'> & {
    readonly content?: { readonly maxBytes: number } | undefined;
  })[];
}

/** A limit that can be divided among so many workers. */
export interface WorkerBound {
  /** Name of the option, as in the file. */
  readonly option: string;
  readonly workers: number;
}

/** The least that a memory tier may be configured with, and so the least for a worker's part of it. Bytes. */
const leastMemoryBytes = 65_536;

/** The option that the fewest workers can share: each must be able to hold one thing of every kind. */
export function fewestSharedBy({ server, store, upstreams, routes }: Shared): WorkerBound {
  const { limits } = server;
  const { redis } = store;
  const largestContent = Math.max(1, ...routes.map((route) => route.content?.maxBytes ?? 1));
  const bounds: WorkerBound[] = [
    { option: 'store.memory.maxBytes', workers: store.memory.maxBytes / leastMemoryBytes },
    { option: 'server.limits.maxConnections', workers: limits.maxConnections },
    { option: 'server.limits.maxContentBytes', workers: limits.maxContentBytes / largestContent },
    ...[...upstreams.values()].map(({ name, maxConnections }) => ({
      option: `upstreams.${name}.maxConnections`,
      workers: maxConnections,
    })),
    ...routes.map(({ name, maxKeys }) => ({ option: `maxKeys of the route ${name}`, workers: maxKeys })),
    ...(redis === undefined
      ? []
      : [{ option: 'store.redis.maxPendingBytes', workers: redis.maxPendingBytes / redis.maxObjectBytes }]),
  ];
  const least = bounds.reduce((fewest, bound) => (bound.workers < fewest.workers ? bound : fewest));
  return { option: least.option, workers: Math.max(1, Math.floor(least.workers)) };
}

/** How many workers serve. `cores`: what the machine has for this process; with `workers: 0` no more than can share. */
export function workersOf(config: Pick<Config, 'server' | 'store' | 'upstreams' | 'routes'>, cores: number): number {
  const asked = config.server.workers;
  return asked === 0 ? Math.max(1, Math.min(cores, fewestSharedBy(config).workers)) : asked;
}

/** The configuration of one worker (`place` from 0) of `count`: with its part of all that is limited for the whole process. */
export function shareOf(config: Config, place: number, count: number): Config {
  const part = (whole: number): number => Math.floor(whole / count) + (place < whole % count ? 1 : 0);
  const { server, store, upstreams, routes } = config;
  const { maxConnections, maxContentBytes } = server.limits;
  const { redis } = store;
  return {
    ...config,
    server: {
      ...server,
      limits: { ...server.limits, maxConnections: part(maxConnections), maxContentBytes: part(maxContentBytes) },
    },
    store: {
      memory: { maxBytes: part(store.memory.maxBytes) },
      redis: redis && { ...redis, maxPendingBytes: part(redis.maxPendingBytes) },
    },
    upstreams: new Map(
      [...upstreams].map(([name, one]) => [name, { ...one, maxConnections: part(one.maxConnections) }]),
    ),
    routes: routes.map((route) => ({ ...route, maxKeys: part(route.maxKeys) })),
  };
}
