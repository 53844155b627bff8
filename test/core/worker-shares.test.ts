import { assert, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Config } from '../../src/core/config.ts';
import { fewestSharedBy, shareOf, workersOf } from '../../src/core/worker-shares.ts';
import { configWith } from '../support/config-value.ts';
import { routeOf } from '../support/policy.ts';

interface Limits {
  readonly maxBytes: number;
  readonly maxConnections: number;
  readonly maxContentBytes: number;
  readonly slots: number;
  readonly maxKeys: number;
}

function configOf({ maxBytes, maxConnections, maxContentBytes, slots, maxKeys }: Limits, workers = 1): Config {
  const config = configWith({ routes: 1, upstreams: 2, jobs: 0, purges: 0 });
  const { server, upstreams } = config;
  return {
    ...config,
    server: { ...server, workers, limits: { ...server.limits, maxConnections, maxContentBytes } },
    store: { memory: { maxBytes }, redis: undefined },
    upstreams: new Map([...upstreams].map(([name, one]) => [name, { ...one, maxConnections: slots }])),
    routes: [{ ...routeOf({}, { name: 'only' }), maxKeys }],
  };
}

/** What of a configuration is divided. */
function numbersOf({ server, store, upstreams, routes }: Config): readonly number[] {
  const { maxConnections, maxContentBytes } = server.limits;
  const slots = [...upstreams.values()].map((upstream) => upstream.maxConnections);
  return [store.memory.maxBytes, maxConnections, maxContentBytes, ...slots, ...routes.map((route) => route.maxKeys)];
}

const limits = record({
  maxBytes: integer({ min: 65_536, max: 2 ** 40 }),
  maxConnections: integer({ min: 1, max: 100_000 }),
  maxContentBytes: integer({ min: 1, max: 2 ** 30 }),
  slots: integer({ min: 1, max: 1000 }),
  maxKeys: integer({ min: 1, max: 1_000_000 }),
});

describe('the shares of workers', () => {
  it('add up to what was configured, and differ by one at most', () => {
    assert(
      property(limits, integer({ min: 1, max: 256 }), (drawn, count) => {
        const config = configOf(drawn);
        const shares = Array.from({ length: count }, (_none, place) => numbersOf(shareOf(config, place, count)));
        for (const [index, whole] of numbersOf(config).entries()) {
          const parts = shares.map((share) => share[index] ?? Number.NaN);
          expect(parts.reduce((sum, part) => sum + part, 0)).toBe(whole);
          expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
        }
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  it('leave each worker something of everything, with as many as the scarcest can be divided among', () => {
    assert(
      property(limits, (drawn) => {
        const config = configOf(drawn);
        const { workers } = fewestSharedBy(config);
        const last = shareOf(config, workers - 1, workers);
        expect(Math.min(...numbersOf(last))).toBeGreaterThanOrEqual(1);
        expect(last.store.memory.maxBytes).toBeGreaterThanOrEqual(65_536);
      }),
      { seed: 6, numRuns: 200 },
    );
  });

  const plenty = { maxBytes: 2 ** 28, maxConnections: 1000, maxContentBytes: 2 ** 26, slots: 64, maxKeys: 100_000 };

  it.each([
    [{ maxBytes: 3 * 65_536 }, 'store.memory.maxBytes', 3],
    [{ maxConnections: 5 }, 'server.limits.maxConnections', 5],
    [{ slots: 2 }, 'upstreams.upstream-0.maxConnections', 2],
    [{ maxKeys: 4 }, 'maxKeys of the route only', 4],
  ] as const)('are bounded by the option that can be divided least (%j)', (scarce, option, workers) => {
    expect(fewestSharedBy(configOf({ ...plenty, ...scarce }))).toEqual({ option, workers });
  });

  it('are as many as was said, or one for each core that there is something for', () => {
    expect(workersOf(configOf(plenty, 3), 16)).toBe(3);
    expect(workersOf(configOf(plenty, 0), 16)).toBe(16);
    expect(workersOf(configOf({ ...plenty, slots: 2 }, 0), 16)).toBe(2);
    expect(workersOf(configOf({ ...plenty, slots: 1 }, 0), 16)).toBe(1);
  });
});
