import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Config } from '../../src/core/config.ts';
import { loadConfigFile } from '../../src/offline.ts';
import { formatIssue } from '../../src/config/issue.ts';
import type { SharedBounds } from '../../src/process-memory.ts';
import { systemClock } from '../../src/system-clock.ts';
import { type Coordinator, startWorkers } from '../../src/workers/coordinator.ts';
import type { PoolTimes } from '../../src/workers/pool.ts';
import { ask, type Ask, type Reply } from './http.ts';
import { samples } from './metrics.ts';

/** Of a machine that may be busy: no worker is taken for one that is stuck. */
export const calm: PoolTimes = {
  stuckMs: 60_000,
  turnMs: 5_000,
  answerMs: 5_000,
  pauseMs: 10,
  longestPauseMs: 50,
  soundMs: 60_000,
  stopMs: 5_000,
};

/** A proxy of several threads in this process, on free ports. */
export interface WorkersProxy extends AsyncDisposable {
  readonly coordinator: Coordinator;
  readonly origin: string;
  readonly admin: string;
  get(target: string, options?: Ask): Promise<Reply>;
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: unknown }>;
}

/** Starts the real thing from real YAML, with as many workers as it says. */
export async function startWorkersProxy(yaml: string, times = calm, bounds?: SharedBounds): Promise<WorkersProxy> {
  const value = loaded(yaml);
  const coordinator = await startWorkers({
    config: value,
    count: value.server.workers,
    clock: systemClock,
    bounds,
    times,
  });
  const [listener] = coordinator.listeners;
  if (listener === undefined) throw new Error('no listener');
  const origin = `http://${listener.host}:${listener.port}`;
  const admin = `http://${coordinator.admin.host}:${coordinator.admin.port}`;
  return {
    coordinator,
    origin,
    admin,
    get: (target, options) => ask(origin, target, options),
    async call(method, path, body) {
      const reply = await ask(admin, path, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      return { status: reply.status, body: JSON.parse(reply.text) };
    },
    [Symbol.asyncDispose]: () => coordinator.stop(),
  };
}

function loaded(yaml: string): Config {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  try {
    const file = join(folder, 'forecache.yaml');
    writeFileSync(file, yaml);
    const config = loadConfigFile(file, {});
    if (!config.ok) throw new Error(config.error.map(formatIssue).join('\n'));
    return config.value;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests that each worker has served, by its number; those that have served none are left out. */
export async function servedBy(admin: string): Promise<ReadonlyMap<string, number>> {
  const served = new Map<string, number>();
  for (const [name, value] of await samples(admin)) {
    const worker = /^forecache_worker_requests_total\{worker="(\d+)"\}$/.exec(name)?.[1];
    if (worker !== undefined && value > 0) served.set(worker, value);
  }
  return served;
}

/**
 * Asks on new connections, which the kernel shares out among the workers, until each of them has answered; all answers. Throws
 * where one of them is never met.
 */
export async function askEach(
  { origin, admin }: Pick<WorkersProxy, 'origin' | 'admin'>,
  workers: number,
  target: string,
  options?: Ask,
): Promise<readonly Reply[]> {
  const before = await servedBy(admin);
  const replies: Reply[] = [];
  for (let round = 0; round < 50; round += 1) {
    replies.push(...(await Promise.all(Array.from({ length: 4 * workers }, () => ask(origin, target, options)))));
    const now = await servedBy(admin);
    const met = [...now].filter(([worker, served]) => served > (before.get(worker) ?? 0));
    if (met.length === workers) return replies;
  }
  throw new Error(`not all of ${workers} workers were met with ${replies.length} connections`);
}
