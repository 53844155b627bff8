import type { PurgeRecord, StoreStats, UpstreamCallRecord } from '../../src/cache/ports.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';

/** A hit from memory, changed as told. */
export function requestRecord(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    outcome: 'hit',
    method: 'GET',
    route: 'weather',
    upstream: 'met',
    tier: 'memory',
    fwd: undefined,
    status: 200,
    durationMs: 0.2,
    bytesSent: 1000,
    problem: undefined,
    url: '/weather?location=berlin',
    traceId: undefined,
    listener: 'default',
    ...changes,
  };
}

/** An interactive call that was answered with 200 after 100 ms, changed as told. */
export function callRecord(changes: Partial<UpstreamCallRecord> = {}): UpstreamCallRecord {
  return {
    upstream: 'met',
    route: 'weather',
    purpose: 'interactive',
    status: 200,
    failure: undefined,
    durationMs: 100,
    attempts: 1,
    url: '/weather?location=berlin',
    reason: undefined,
    ...changes,
  };
}

/** A hard purge by tag through the API, changed as told. */
export function purgeRecord(changes: Partial<PurgeRecord> = {}): PurgeRecord {
  return {
    id: 'p1',
    by: 'tags',
    what: 'location:berlin',
    soft: false,
    matched: 3,
    durationMs: 1,
    source: 'api',
    complete: true,
    missing: [],
    ...changes,
  };
}

/** A store with a little in it. */
export const someStoreStats: StoreStats = {
  responses: 12,
  bytes: 34_567,
  maxBytes: 1_000_000,
  grantedBytes: 600_000,
  tags: 5,
  evictedCapacity: 1,
  evictedRetention: 2,
  evictedRouteLimit: 4,
  refusedTooLarge: 8,
};
