import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Mode } from './backend.ts';
import { seededRandom } from './random.ts';
import { startBackend } from './start-backend.ts';

async function backendOf(mode: Mode) {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-backend-'));
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => {
    await stack.disposeAsync();
    rmSync(folder, { recursive: true, force: true });
  });
  return startBackend({ mode, folder, leaseMs: 200, stack });
}

const hold = { random: seededRandom(1), wait: async () => {} };

function moved(mode: Mode): RegExp {
  return mode === 'standalone' ? /^redis$/ : /^(?:master|owner) (\d+), then (?!\1)\d+$/;
}

describe('the Redis of a run', () => {
  it.each(['standalone', 'cluster'] as const)('is whole again after a fault (%s)', async (mode) => {
    const backend = await backendOf(mode);
    const [fault] = backend.faults;
    const what = await fault?.inflict({ ...hold, signal: new AbortController().signal });
    expect(what).toMatch(moved(mode));
    const { wires, redis } = await backend.connectSidecar();
    expect(wires).toHaveLength(mode === 'standalone' ? 1 : 6);
    expect(redis).toContain(String(wires.at(-1)?.port));
  });

  it('has another master after a fault, and mends no further where the run ends (sentinel)', async () => {
    const backend = await backendOf('sentinel');
    const [fault] = backend.faults;
    const ended = new AbortController();
    const wait = async (): Promise<void> => ended.abort();
    expect(await fault?.inflict({ ...hold, wait, signal: ended.signal })).toMatch(moved('sentinel'));
    const { wires, redis } = await backend.connectSidecar();
    expect(wires).toHaveLength(6);
    expect(redis).toMatch(/^sentinels: \["127\.0\.0\.1:\d+", .*minReplicas: 1/);
  });
});
