import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProxy, type ProxyProcess } from '../../src/demo/proxy-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** Builds where there is no build or a source file is newer; over the old one, since another test may be loading from it. */
const buildWhereStale = `
  if [ -e dist/main.js ] && [ -z "$(find src build -type f -newer dist/main.js -print -quit)" ]; then exit 0; fi
  exec "$NODE" build/build.ts --over
`;

let built: Promise<string> | undefined;

/**
 * The path of the built `main.js`. `npm ci` leaves a build; a stale one is renewed once, whatever the number of test
 * files that ask. Each file looks once: no source file changes while it runs.
 */
export function builtMain(): Promise<string> {
  built ??= renewedMain();
  return built;
}

async function renewedMain(): Promise<string> {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  await run('flock', [join(cache, 'forecache-build.lock'), 'bash', '-euc', buildWhereStale], {
    cwd: root,
    env: { ...process.env, NODE: process.execPath },
  });
  return join(root, 'dist/main.js');
}

export interface ProgramOptions {
  /** The text of the configuration, or the path of one. */
  readonly config: { readonly text: string } | { readonly file: string };
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Runs `forecache serve` as built, on free ports where the configuration leaves them to the environment; ready when it resolves; disposing of it ends it at once. */
export async function startProgram(options: ProgramOptions): Promise<ProxyProcess & AsyncDisposable> {
  const main = await builtMain();
  const { file, remove } = fileOf(options.config);
  try {
    const program = await startProxy({
      main,
      args: ['serve', '--config', file],
      env: { FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0', ...options.env },
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
    void program.ended.then(remove);
    return {
      ...program,
      [Symbol.asyncDispose]: async () => void (await program.stopAtOnce()),
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Of a text there is a file in a folder of its own, until that is removed. */
function fileOf(config: ProgramOptions['config']): { readonly file: string; readonly remove: () => void } {
  if ('file' in config) return { file: config.file, remove: () => {} };
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(file, config.text);
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
