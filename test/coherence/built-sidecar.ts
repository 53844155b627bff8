import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

import { undiciForCalls } from '../../build/undici.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

let built: Promise<string> | undefined;

/**
 * The path of the sidecar in few files, as the program itself is built, made once for this process: from some hundred sources a
 * start takes twice the time of a core, and a test file starts dozens. They are removed when this process ends.
 */
export function builtSidecar(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-sidecar-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const dist = join(folder, 'dist');
  const bundle = await rolldown({
    cwd: root,
    // A thread is started from the file of that name beside the one that starts it.
    input: { sidecar: 'test/coherence/sidecar.ts', worker: 'src/workers/worker.ts' },
    platform: 'node',
    plugins: [undiciForCalls()],
    logLevel: 'silent',
  });
  await bundle.write({ dir: dist, format: 'cjs' });
  await bundle.close();
  writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
  // Where the program looks for its version.
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
  return join(dist, 'sidecar.js');
}
