import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';

import { endLean } from '../src/lean.ts';
import { serve } from '../src/serve.ts';

const machine = vi.hoisted(() => ({ cores: 1 }));
vi.mock(import('node:os'), async (original) => ({ ...(await original()), availableParallelism: () => machine.cores }));
vi.mock(import('../src/lean.ts'), async (original) => ({ ...(await original()), endLean: vi.fn<typeof endLean>() }));

function configWith(workers: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(
    file,
    `server: { workers: ${workers} }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: one, match: /one, upstream: api, ttl: 1h }]
`,
  );
  return file;
}

/** It has been asked to stop before it has begun, so that it starts nothing. */
const never = new Promise<never>(() => {});
const asks = { first: never, second: never, heard: () => true, release: () => undefined };

test.each([
  [1, 4, true],
  [2, 4, false],
  [0, 4, false],
  [0, 1, true],
  [2, 1, false],
])('workers: %i on %i cores keeps the heap of one thread small: %s', async (workers, cores, staysSmall) => {
  machine.cores = cores;
  expect(await serve(configWith(workers), {}, asks)).toBe(0);
  expect(vi.mocked(endLean)).toHaveBeenLastCalledWith({ staysSmall });
});
