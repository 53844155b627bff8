import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProxy, type ProxyProcess } from '../../src/demo/proxy-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/**
 * The path of the built `main.js`. `npm ci` leaves a build; where a source file is newer it is built again, once,
 * whatever the number of test files that ask.
 */
export async function builtMain(): Promise<string> {
  const main = join(root, 'dist/main.js');
  if (isFresh(main)) return main;
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const check = `import('${fileURLToPath(import.meta.url)}').then(({ buildIfStale }) => buildIfStale())`;
  await run('flock', [join(cache, 'forecache-build.lock'), process.execPath, '--eval', check], { cwd: root });
  return main;
}

/** Builds `dist/` where it is older than the sources. Only with the lock of {@link builtMain} held. */
export async function buildIfStale(): Promise<void> {
  if (isFresh(join(root, 'dist/main.js'))) return;
  // Over the old build, not after removing it: another test's process may be loading from there.
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: root,
  });
}

function isFresh(main: string): boolean {
  const builtMs = statSync(main, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true });
  return sources
    .filter((entry) => entry.isFile())
    .every((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs < builtMs);
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
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  let file = join(folder, 'forecache.yaml');
  if ('file' in options.config) ({ file } = options.config);
  else writeFileSync(file, options.config.text);
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

/** Runs a command of the built program to its end. */
export async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const main = await builtMain();
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, ...args],
      { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: 30_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr });
      },
    );
  });
}
