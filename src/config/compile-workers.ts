import { fewestSharedBy, type Shared } from '../core/worker-shares.ts';
import { type Compilation, keysAt, placesAt } from './compilation.ts';
import { keyedBytes } from './compile-content.ts';
import { saysWhereRedisIs } from './redis-location.ts';
import { unlessRefused } from './refused.ts';

/** Whether so many workers can share what is limited for the whole process; adds an issue where they cannot. */
export function checkWorkers(compilation: Compilation): void {
  const workers = unlessRefused(() => compilation.input.server.workers) ?? 0;
  const bound = fewestSharedBy(sharedIn(compilation));
  if (workers <= bound.workers) return;
  compilation.issues.add(
    ['server', 'workers'],
    `${bound.option} can be divided among ${bound.workers} at most: each worker has its part of it`,
  );
}

/** A limit that was refused is none: of the others it can be said all the same. */
function unlimited(read: () => number | undefined): number {
  return unlessRefused(read) ?? Infinity;
}

function sharedIn(compilation: Compilation): Shared {
  const { input } = compilation;
  return {
    server: {
      limits: {
        maxConnections: unlimited(() => input.server.limits.maxConnections),
        maxContentBytes: unlimited(() => input.server.limits.maxContentBytes),
      },
    },
    store: { memory: { maxBytes: unlimited(() => input.store.memory.maxBytes) }, redis: redisIn(compilation) },
    upstreams: new Map(
      keysAt(compilation, ['upstreams']).map((name) => [
        name,
        { name, maxConnections: unlimited(() => input.upstreams[name]?.maxConnections) },
      ]),
    ),
    routes: placesAt(compilation, ['routes']).map((index) => routeIn(compilation, index)),
  };
}

function routeIn(compilation: Compilation, index: number): Shared['routes'][number] {
  const { input } = compilation;
  const maxBytes = unlessRefused(() => input.routes[index]?.content?.maxBytes);
  return {
    name: unlessRefused(() => input.routes[index]?.name) ?? `routes[${index}]`,
    maxKeys: unlimited(() => input.routes[index]?.maxKeys),
    content: maxBytes === undefined ? undefined : { maxBytes: keyedBytes(compilation, maxBytes) },
  };
}

function redisIn(compilation: Compilation): Shared['store']['redis'] {
  return unlessRefused(() => {
    const section = compilation.input.store.redis;
    if (section === undefined || !saysWhereRedisIs(compilation, section)) return undefined;
    return { maxPendingBytes: section.maxPendingBytes, maxObjectBytes: section.maxObjectBytes };
  });
}
