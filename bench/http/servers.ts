import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { callJson, get } from '../../src/demo/http-get.ts';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { leanFlags, tightFlags, usualFlags } from '../../src/lean.ts';
import { builtMain } from '../../test/support/program.ts';
import { systemTool } from '../../test/support/system-tools.ts';
import { pin } from './cores.ts';

/** A server process, pinned to a core. Whoever started it stops it; what is left when the bench ends is killed. */
export interface Server {
  readonly name: string;
  /** Without a slash at the end. */
  readonly origin: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Forecache, with its admin listener. */
export interface ForecacheServer extends Server {
  readonly admin: string;
}

const running = new Set<ChildProcess>();
let tidies = false;

/** A server must not outlive the bench, however that ends. */
function tidyUpAtExit(): void {
  if (tidies) return;
  tidies = true;
  process.once('exit', () => {
    for (const child of running) child.kill('SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
}

/** Runs a program on one core, and so all that it starts. */
function spawnPinned({ command, args, core, env }: Spawned): ChildProcess {
  tidyUpAtExit();
  const child = spawn('taskset', ['--cpu-list', String(core), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_ENV: 'production', ...env },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** What is started. */
export interface Spawned {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** One, or a list as `taskset` takes it. */
  readonly core: number | string;
  /** Where it listens; absent where it prints that itself. */
  readonly port?: number;
  /** Removed when it has ended. */
  readonly folder?: string;
  /** Beside that of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a server until it is stopped; rejects where it does not come to listen. */
export async function start(spawned: Spawned): Promise<Server> {
  const { name, port, folder } = spawned;
  const child = spawnPinned(spawned);
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-100_000);
    });
  }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(timer);
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  const origin = await listening(child, () =>
    port === undefined ? /\b(?:origin|bare|weather) (http:\/\/\S+)/.exec(printed)?.[1] : `http://127.0.0.1:${port}`,
  );
  if (origin !== undefined) return { name, origin, pid: child.pid ?? 0, stop };
  await stop();
  throw new Error(`${name} did not start:\n${printed}`);
}

/** Varnish compiles its configuration before it listens, which takes seconds on a busy machine. */
const startPatienceMs = 20_000;

async function listening(child: ChildProcess, origin: () => string | undefined): Promise<string | undefined> {
  const giveUpAtMs = performance.now() + startPatienceMs;
  while (performance.now() < giveUpAtMs && child.exitCode === null) {
    const url = origin();
    if (url !== undefined && (await get(`${url}/counts`).catch(() => undefined)) !== undefined) return url;
    await delay(20);
  }
  return undefined;
}

function besideThisFile(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** The origin of all servers under test, on the load's core: it is idle once their caches are warm. */
export function startOrigin(core: number): Promise<Server> {
  return start({ name: 'origin', command: process.execPath, args: [besideThisFile('origin.ts')], core });
}

/** How often the origin was asked for locations of each kind. */
export async function originCounts(origin: Server): Promise<ReadonlyMap<string, number>> {
  const counts = await callJson(`${origin.origin}/counts`);
  return new Map([...counts].map(([kind, count]) => [kind, Number(count)]));
}

/** A handler of node:http that answers 1 KB and does nothing else: what Node itself takes for a request. */
export function startBareNode(core: number): Promise<Server> {
  return start({ name: 'bare node:http', command: process.execPath, args: [besideThisFile('bare.ts')], core });
}

export const bareSocket = 'bare Node socket';

/** The least that Node does for an answer of so many bytes, in as many threads as there are cores. */
export function startBareSocket(bytes: number, cores: number | readonly number[]): Promise<Server> {
  const list = [cores].flat();
  const args = [besideThisFile('bare-socket.ts'), String(bytes), String(list.length)];
  return start({ name: bareSocket, command: process.execPath, args, core: list.join(',') });
}

/** A relay by http-proxy-3 alone: what the package itself takes for a request. */
export function startBareProxy(origin: string, core: number): Promise<Server> {
  const args = [besideThisFile('bare-proxy.ts'), origin];
  return start({ name: 'bare http-proxy-3', command: process.execPath, args, core });
}

/**
 * A relay by undici alone, under the flags of V8 that a small process of the program has; `compiles`: with V8's optimising compilers, as
 * that has them while it serves.
 */
export function startBareRelay(
  origin: string,
  { core, compiles }: { core: number; compiles: boolean },
): Promise<Server> {
  const flags = [[...leanFlags, tightFlags.small], compiles ? usualFlags : []].map((list) => list.join(' '));
  const args = [besideThisFile('bare-relay.cjs'), origin, ...flags];
  const name = compiles ? 'bare relay' : 'bare relay, nothing compiled';
  return start({ name, command: process.execPath, args, core, env: allocator });
}

/** The weather simulator in a process of its own: what agents would ask without a cache, 80 to 400 ms away. */
export async function startSimulators(core: number): Promise<Server> {
  const simulators = join(await builtMain(), '../demo/simulators.js');
  const args = [simulators, '--weather-port', '0', '--events-port', '0'];
  return start({ name: 'no cache', command: process.execPath, args, core });
}

export interface ForecacheStart {
  readonly origin: string;
  readonly core: number;
  /** Beside those that the configuration needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** As the image sets it. */
const allocator = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '1048576',
  MALLOC_TRIM_THRESHOLD_: '2097152',
};

/** Arguments and environment of the program for the configuration beside this file. */
export function forecacheServe(origin: string): {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  const listen = { FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0' };
  return {
    args: ['serve', '--config', besideThisFile('forecache.yaml')],
    env: { ...listen, NODE_ENV: 'production', ...allocator, WEATHER_ORIGIN: origin },
  };
}

/** The built program with the configuration beside this file. */
export async function startForecache({ origin, core, env = {} }: ForecacheStart): Promise<ForecacheServer> {
  const serve = forecacheServe(origin);
  const proxy = await startProxy({ main: await builtMain(), args: serve.args, env: { ...serve.env, ...env } });
  pin(proxy.pid, core);
  const stop = async (): Promise<void> => void (await proxy.stopAtOnce());
  return { name: 'forecache', origin: proxy.proxy, admin: proxy.admin, pid: proxy.pid, stop };
}

/** A configuration of a rival with its places filled in, in a folder of its own on a memory file system where there is one. */
function configure(file: string, values: Readonly<Record<string, string>>): { folder: string; path: string } {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'forecache-bench-'));
  // Varnish reads its configuration as a user of its own when root starts it.
  chmodSync(folder, 0o755);
  const path = join(folder, file);
  writeFileSync(path, fillIn(readFileSync(besideThisFile(`rivals/${file}`), 'utf8'), { ...values, FOLDER: folder }));
  return { folder, path };
}

/** Replaces each `${NAME}`; throws where there is no value for one. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{([A-Z_]+)\}/g, (_place, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for \${${name}}`);
    return value;
  });
}

/** `cores`: one, or a list with a worker for each. */
export async function startNginx(origin: string, cores: number | readonly number[]): Promise<Server> {
  const list = [cores].flat();
  const command = await systemTool('nginx');
  const port = await freePort();
  const { folder, path } = configure('nginx.conf', {
    PORT: String(port),
    ORIGIN: new URL(origin).host,
    WORKERS: String(list.length),
    // One mask of cores for each worker, the lowest core last.
    MASKS: list.map((core) => `1${'0'.repeat(core)}`).join(' '),
    USER: process.getuid?.() === 0 ? 'user root;' : '',
  });
  const args = ['-p', folder, '-c', path, '-e', join(folder, 'error.log')];
  return start({ name: 'nginx', command, args, core: list.join(','), port, folder });
}

export async function startHaproxy(origin: string, core: number): Promise<Server> {
  const command = await systemTool('haproxy');
  const port = await freePort();
  const { folder, path } = configure('haproxy.cfg', { PORT: String(port), ORIGIN: new URL(origin).host });
  return start({ name: 'HAProxy', command, args: ['-db', '-f', path], core, port, folder });
}

/** What Varnish writes to its shared log for a hit: it cannot be turned off, but nothing of a request needs to be in it. */
const varnishTags =
  'ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset RespProtocol RespStatus RespReason RespHeader RespUnset ' +
  'VCL_call VCL_return Hit Timestamp ReqAcct Begin End Link SessOpen SessClose';

export async function startVarnish(origin: string, core: number): Promise<Server> {
  const command = await systemTool('varnishd');
  const port = await freePort();
  const { hostname, port: originPort } = new URL(origin);
  const { folder, path } = configure('varnish.vcl', { HOST: hostname, ORIGIN_PORT: originPort });
  const state = join(folder, 'state');
  const mask = varnishTags.replaceAll(/(\S+) ?/g, '-$1,').slice(0, -1);
  const args = ['-F', '-a', `127.0.0.1:${port}`, '-f', path, '-s', 'malloc,256m', '-n', state];
  const parameters = ['-p', 'thread_pools=1', '-p', `vsl_mask=${mask}`, '-p', 'timeout_idle=300'];
  return start({ name: 'Varnish', command, args: [...args, ...parameters], core, port, folder });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
