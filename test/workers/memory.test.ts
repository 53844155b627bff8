import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import type { SharedBounds } from '../../src/process-memory.ts';
import { samples } from '../support/metrics.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { startWorkersProxy } from '../support/workers.ts';

// Threads are started, and a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const mebibyte = 2 ** 20;
const body = 'x'.repeat(100_000);
let origin: Origin;

beforeAll(async () => {
  origin = await startOrigin((_request, peer) => peer.respond(200, {}, body));
});

afterAll(async () => {
  await origin?.close();
});

/** What two workers with 32 MiB have in their tiers when they were asked for 20 MB. */
async function filled(bounds: SharedBounds | undefined) {
  const yaml = `
server: { listen: 127.0.0.1:0, workers: 2 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
store: { memory: { maxBytes: ${32 * mebibyte} } }
upstreams: { api: { origin: "${origin.url}", timeout: 5s } }
routes: [{ name: all, match: /all/*, upstream: api, ttl: 1h }]
`;
  await using proxy = await startWorkersProxy(yaml, undefined, bounds);
  for (let asked = 0; asked < 200; asked += 1) {
    expect((await proxy.get(`/all/${asked}`)).text).toHaveLength(body.length);
  }
  const now = await samples(proxy.admin);
  const of = (name: string) => now.get(`forecache_store_${name}{tier="memory"}`) ?? Number.NaN;
  return { bytes: of('bytes'), granted: of('granted_bytes'), most: of('max_bytes') };
}

it('workers of a process that is full keep to the least that each has', async () => {
  const { bytes, granted, most } = await filled({ mostBytes: 1, leastBytes: 2 * mebibyte });
  expect(most).toBe(32 * mebibyte);
  expect(granted).toBeGreaterThan(2 * mebibyte);
  expect(granted).toBeLessThanOrEqual(4 * mebibyte);
  expect(bytes).toBeLessThanOrEqual(granted);
});

it('workers of a process that has room take what they are given', async () => {
  const { bytes, granted } = await filled({ mostBytes: 2 ** 40, leastBytes: 2 * mebibyte });
  expect(bytes).toBeGreaterThan(18 * mebibyte);
  expect(granted).toBeGreaterThanOrEqual(bytes);
});

it('workers that are not bounded by their process have all of their parts at once', async () => {
  const { granted, most } = await filled(undefined);
  expect(granted).toBe(most);
});
