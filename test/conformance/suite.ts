import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

/** The suite could not be run; its message says why and what to do. */
export class SuiteError extends Error {
  override readonly name = 'SuiteError';
}

export interface SuiteTest {
  readonly id: string;
  readonly name: string;
  readonly kind: 'required' | 'optimal' | 'check';
  /** Ids of the tests that must have passed for this one to mean anything. */
  readonly dependsOn: readonly string[];
}

export interface SuiteGroup {
  readonly id: string;
  readonly tests: readonly SuiteTest[];
}

/** By id of the test: `true`, or what went wrong. */
export type SuiteResults = ReadonlyMap<string, true | readonly [name: string, message: string]>;

/** A checkout that is complete. */
export interface Suite {
  readonly folder: string;
  readonly version: string;
  /** Without the tests that only browsers can run. */
  readonly groups: readonly SuiteGroup[];
  /** Absolute paths of its two programs. */
  readonly server: string;
  readonly cli: string;
}

/** Looks at a checkout. Throws {@link SuiteError} where it is none, or where its packages are not installed. */
export async function openSuite(directory: string): Promise<Suite> {
  const folder = resolve(directory);
  const about = packageOf(folder);
  const scripts = recordOf(about['scripts']);
  const server = scriptFile(folder, scripts['server']);
  const cli = scriptFile(folder, scripts['cli']);
  const index = join(folder, 'tests/index.mjs');
  if (server === undefined || cli === undefined || !existsSync(index)) {
    throw new SuiteError(`${folder} is no checkout of http-tests/cache-tests: its server, cli or tests are not there`);
  }
  const missing = Object.keys(recordOf(about['dependencies'])).filter(
    (name) => !existsSync(join(folder, 'node_modules', name)),
  );
  if (missing.length > 0) {
    throw new SuiteError(`${folder} lacks ${missing.join(', ')}: run \`npm install\` in it`);
  }
  const { version } = about;
  const groups = await groupsOf(index);
  return { folder, version: typeof version === 'string' ? version : 'of no version', groups, server, cli };
}

function packageOf(folder: string): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
  } catch (error) {
    throw new SuiteError(`${folder} is no checkout of http-tests/cache-tests: it has no package.json to read`, {
      cause: error,
    });
  }
}

/** The file that an npm script of the suite runs: its place has moved between versions. */
function scriptFile(folder: string, script: unknown): string | undefined {
  const name = typeof script === 'string' ? /\S+\.m?js\b/.exec(script)?.[0] : undefined;
  if (name === undefined) return undefined;
  const file = join(folder, name);
  return existsSync(file) ? file : undefined;
}

async function groupsOf(index: string): Promise<readonly SuiteGroup[]> {
  const list = recordOf(await importOf(index))['default'];
  if (!Array.isArray(list)) throw new SuiteError(`${index} lists no groups of tests`);
  return list.map((item): SuiteGroup => {
    const group = recordOf(item);
    const tests = Array.isArray(group['tests']) ? group['tests'].map(recordOf) : [];
    return { id: String(group['id']), tests: tests.filter((test) => test['browser_only'] !== true).map(testOf) };
  });
}

async function importOf(index: string): Promise<unknown> {
  try {
    return await import(pathToFileURL(index).href);
  } catch (error) {
    throw new SuiteError(`${index} cannot be read: ${String(error)}`, { cause: error });
  }
}

function testOf(test: Readonly<Record<string, unknown>>): SuiteTest {
  const kind = test['kind'] ?? 'required';
  if (kind !== 'required' && kind !== 'optimal' && kind !== 'check') {
    throw new SuiteError(`the suite has a kind of test that is not known here: ${JSON.stringify(kind)}`);
  }
  const dependsOn = Array.isArray(test['depends_on']) ? test['depends_on'].map(String) : [];
  return { id: String(test['id']), name: String(test['name']), kind, dependsOn };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

const serverPatienceMs = 15_000;
const pollMs = 25;

/** Starts the suite's server on this port. Throws {@link SuiteError} where it does not listen. Disposing ends it. */
export async function startServer(suite: Suite, port: number): Promise<AsyncDisposable> {
  const scratch = mkdtempSync(join(tmpdir(), 'conformance-'));
  folders.add(scratch);
  const pidfile = join(scratch, 'pid');
  const child = start(suite, suite.server, { protocol: 'http', port: String(port), pidfile });
  const stop = async (): Promise<void> => {
    await child.stop();
    remove(scratch);
  };
  const giveUpAtMs = performance.now() + serverPatienceMs;
  while (!(await listens(port))) {
    if (child.over || performance.now() > giveUpAtMs) {
      await stop();
      throw new SuiteError(`the suite's server does not listen on port ${port}:\n${child.stderr()}${child.stdout()}`);
    }
    await delay(pollMs);
  }
  return { [Symbol.asyncDispose]: stop };
}

/**
 * Runs the suite's client against a proxy, to its end, and gives what it found. Throws {@link SuiteError} where it gives
 * nothing, or takes longer than `patienceMs`.
 */
export async function runClient(suite: Suite, base: string, patienceMs: number): Promise<SuiteResults> {
  const child = start(suite, suite.cli, { base, id: '' });
  const timer = new AbortController();
  const late = await Promise.race([
    child.ended.then(() => false),
    delay(patienceMs, true, { signal: timer.signal }).catch(() => false),
  ]);
  timer.abort();
  await child.stop();
  if (late) throw new SuiteError(`the suite had not ended after ${patienceMs / 1000} s`);
  return resultsOf(child.stdout(), child.stderr());
}

function resultsOf(stdout: string, stderr: string): SuiteResults {
  const noResults = (cause: unknown): SuiteError =>
    new SuiteError(`the suite gave no results:\n${`${stderr}${stdout}`.slice(-2000)}`, { cause });
  let parsed: unknown;
  try {
    // Its client may say other things first.
    parsed = JSON.parse(stdout.slice(stdout.search(/^\{/m)));
  } catch (error) {
    throw noResults(error);
  }
  const results = new Map<string, true | readonly [string, string]>();
  for (const [id, result] of Object.entries(recordOf(parsed))) {
    if (result === true) results.set(id, true);
    else if (Array.isArray(result)) results.set(id, [String(result[0]), String(result[1])]);
    else throw noResults(undefined);
  }
  if (results.size === 0) throw noResults(undefined);
  return results;
}

interface SuiteProcess {
  readonly over: boolean;
  readonly ended: Promise<void>;
  stdout(): string;
  stderr(): string;
  /** Ends it and resolves when it is gone. */
  stop(): Promise<void>;
}

/** The suite reads its settings as npm passes them on; what an npm around this process has set must not reach it. */
function start(suite: Suite, file: string, settings: Readonly<Record<string, string>>): SuiteProcess {
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'] ?? '' };
  for (const [name, value] of Object.entries(settings)) {
    // Both: an empty one counts as not set.
    env[`npm_config_${name}`] = value;
    env[`npm_package_config_${name}`] = value;
  }
  const child = spawn(process.execPath, ['--no-warnings', file], {
    cwd: suite.folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  let over = false;
  const ended = new Promise<void>((resolved) => {
    const end = (): void => {
      over = true;
      forget(child);
      resolved();
    };
    child.once('close', end);
    child.once('error', end);
  });
  running.add(child);
  return {
    get over() {
      return over;
    },
    ended,
    stdout,
    stderr,
    stop: async () => {
      if (!over) child.kill('SIGKILL');
      await ended;
    },
  };
}

const running = new Set<ChildProcess>();

function forget(child: ChildProcess): void {
  running.delete(child);
}

/** Folders that are not removed yet. */
const folders = new Set<string>();

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** Ends whatever of the suite still runs and removes what is temporary, for when this process must go at once. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
  for (const folder of folders) remove(folder);
}

/** The server writes of each odd request, the client of each failure: the beginning of one is not what is missed. */
const maxText = 16 * 1024 * 1024;

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (data: Buffer) => {
    text = (text + data.toString()).slice(-maxText);
  });
  return () => text;
}

/** A port on which nothing listens now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolved, reject) => {
    server.once('error', reject);
    server.listen(0, () => resolved());
  });
  const address = server.address();
  await new Promise<void>((resolved) => {
    server.close(() => resolved());
  });
  if (address === null || typeof address === 'string') throw new SuiteError('there is no free port');
  return address.port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolved) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolved(true);
    });
    socket.once('error', () => resolved(false));
  });
}
