import type { CoherenceStatus, FleetEvent, RedisStatus } from '../../src/cache/fleet-ports.ts';
import { createMetrics, type Metrics, type MetricsOptions } from '../../src/metrics/metrics.ts';
import { FakeClock } from './clock.ts';
import { someStoreStats } from './records.ts';

const epoch = '0123456789abcdef';

/** A process that holds its lease, and has one purge to apply. */
export const someCoherence: CoherenceStatus = {
  leased: true,
  leaseAgeMs: 250,
  leaseMs: 2000,
  epoch,
  applied: 41,
  lag: 1,
  floor: 3,
  scopes: 7,
  skewMs: -1500,
};

export const someRedis: RedisStatus = { breaker: 'closed', pendingBytes: 1024, maxPendingBytes: 8_388_608 };

/** One of each kind. */
export const someEvents: readonly FleetEvent[] = [
  { kind: 'lease', state: 'gained' },
  { kind: 'epoch', reason: 'new', epoch },
  { kind: 'sync', result: 'ok', durationMs: 1 },
  { kind: 'acknowledged', sidecars: [{ appliedMs: 4 }], missing: 1 },
  { kind: 'refused', reason: 'epoch' },
  { kind: 'redis', operation: 'get', result: 'hit', durationMs: 0.4, bytes: 900 },
  { kind: 'unusable', reason: 'foreign' },
  { kind: 'breaker', state: 'half-open' },
  { kind: 'job', name: 'warm:hourly:0', result: 'ours' },
  { kind: 'purge-refused', code: 'purge-unsure', source: 'api' },
];

const open: Metrics[] = [];

/** Metrics that {@link stopMetrics} stops. */
export function startMetrics(options: Partial<MetricsOptions>): Metrics {
  const made = createMetrics({
    routes: [{ name: 'weather' }],
    upstreams: new Map([['met', {}]]),
    jobs: [{ name: 'hourly' }],
    clock: new FakeClock(),
    storeStats: () => someStoreStats,
    load: () => ({ requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 }),
    version: '1.2.3',
    ...options,
  });
  open.push(made);
  return made;
}

export function stopMetrics(): void {
  for (const made of open.splice(0)) made[Symbol.dispose]();
}
