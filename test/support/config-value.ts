import type { Config } from '../../src/core/config.ts';
import { routeOf } from './policy.ts';

/** A parsed configuration of which only the numbers of its parts matter. */
export function configWith(counts: {
  readonly routes: number;
  readonly upstreams: number;
  readonly jobs: number;
  readonly purges: number;
}): Config {
  const upstreams = many(counts.upstreams, (index) => `upstream-${index}`);
  return {
    file: '/etc/forecache.yaml',
    server: {
      listeners: [],
      limits: {
        maxHeaderBytes: 1,
        maxHeaderFields: 1,
        maxTargetBytes: 1,
        maxBodyBytes: 1,
        maxContentBytes: 1,
        maxConnections: 1,
        maxRequestsPerConnection: 1,
        maxPipelined: 1,
        maxHops: 1,
      },
      timeouts: { headersMs: 1, requestMs: 1, keepAliveMs: 1, sendMs: 1 },
      drainDelayMs: 0,
      graceMs: 0,
      fastLane: true,
      workers: 1,
    },
    admin: { host: '127.0.0.1', port: 0, token: undefined, maxBodyBytes: 1 },
    log: { level: 'silent', requests: false },
    store: { memory: { maxBytes: 1 }, redis: undefined },
    upstreams: new Map(
      upstreams.map((name) => [
        name,
        {
          name,
          origin: 'http://127.0.0.1',
          connectTimeoutMs: 1,
          headersTimeoutMs: 1,
          bodyTimeoutMs: 1,
          totalTimeoutMs: 1,
          maxConnections: 1,
          maxHeaderBytes: 1,
          maxBodyBytes: 1,
          acceptEncoding: 'identity',
          framing: 'strict',
          credentials: { query: new Map(), headers: new Map() },
          fields: new Map(),
          caFile: undefined,
        },
      ]),
    ),
    routes: many(counts.routes, (index) => routeOf({}, { name: `route-${index}` })),
    warm: {
      locations: [],
      jobs: many(counts.jobs, (index) => ({
        name: `job-${index}`,
        route: 'route-0',
        with: new Map(),
        everyMs: 1,
        jitterMs: 0,
        zone: 'UTC',
      })),
      concurrency: 1,
      reuseAbove: 0.5,
    },
    notes: [],
    purge: {
      schedule: many(counts.purges, () => ({
        cron: '@daily',
        zone: 'UTC',
        selector: { by: 'all' } as const,
        soft: true,
      })),
    },
  };
}

function many<T>(count: number, make: (index: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
