import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { runRedisCommand } from './redis-command.ts';
import { systemTool } from './system-tools.ts';

const execute = promisify(execFile);
/** Of util-linux; it becomes the program that it starts, under the same process id. */
const setpriv = '/usr/bin/setpriv';

/** A Redis server of its own: a process on a free port of loopback, gone when it is disposed of. */
export interface RedisProcess extends AsyncDisposable {
  /** Of now: another one after a restart. */
  readonly pid: number;
  readonly port: number;
  /** `redis://`, or `rediss://` with TLS; with the password. */
  readonly url: string;
  readonly password: string | undefined;
  /** Where it keeps its dump. */
  readonly folder: string;
  /** Asks it to end, which saves only what it was told to save; resolves when it has. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay, nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on its port, after ending it where it runs: with its dump if it has one, unless `empty`. */
  restart(options?: { readonly empty?: boolean }): Promise<void>;
  /** One command, as words of redis-cli; what that prints, trimmed. */
  cli(...words: readonly string[]): Promise<string>;
  /** A single value from one section of INFO. */
  info(section: string, field: string): Promise<string>;
}

/** `up, online` when the replica has what the master has, and the master knows it, which may be a second later. */
export async function replicationOf(master: RedisProcess, replica: RedisProcess): Promise<string> {
  const link = await replica.info('replication', 'master_link_status');
  const state = /state=(\w+)/.exec(await master.info('replication', 'slave0'))?.[1];
  return `${link}, ${state ?? 'unknown'}`;
}

/** PEM files of a server. */
export interface RedisTlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Whether clients must have a certificate too. */
  readonly clients?: boolean;
}

export interface RedisOptions {
  readonly port?: number;
  /** Further lines of its configuration: `['maxmemory 30mb']`. */
  readonly config?: readonly string[];
  readonly password?: string;
  /** It takes TLS connections only. */
  readonly tls?: RedisTlsFiles;
  /** Runs as a sentinel. */
  readonly sentinel?: boolean;
}

/** Starts a server anew where somebody else took one of its ports between the look at it and the start. */
export async function onFreePorts(start: () => Promise<RedisProcess>): Promise<RedisProcess> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 3 || !String(error).includes('Address already in use')) throw error;
    }
  }
}

/** Starts one and waits until it answers. Nothing is kept on disk unless `save` is asked for. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisProcess> {
  const { port } = options;
  if (port !== undefined) return startOn(port, options);
  return onFreePorts(async () => startOn(await freePort(), options));
}

async function startOn(port: number, options: RedisOptions): Promise<RedisProcess> {
  const program = await systemTool('redis-server');
  const cliProgram = await systemTool('redis-cli');
  const folder = mkdtempSync(join(tmpdir(), 'forecache-redis-'));
  const server = new Server({ program, cliProgram, folder, port, options });
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

interface Setup {
  readonly program: string;
  readonly cliProgram: string;
  readonly folder: string;
  readonly port: number;
  readonly options: RedisOptions;
}

class Server implements RedisProcess {
  readonly port: number;
  readonly password: string | undefined;
  readonly folder: string;
  readonly #setup: Setup;
  readonly #file: string;
  #child: ChildProcess | undefined;
  /** So that a run that dies itself leaves nothing behind. */
  readonly #onExit = (): void => void this.#child?.kill('SIGKILL');

  constructor(setup: Setup) {
    this.#setup = setup;
    this.port = setup.port;
    this.password = setup.options.password;
    this.folder = setup.folder;
    this.#file = join(setup.folder, 'redis.conf');
    // Once: sentinels and replicas write into it what they have learned.
    writeFileSync(this.#file, this.#lines().join('\n'));
    process.on('exit', this.#onExit);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get url(): string {
    const { tls } = this.#setup.options;
    const credentials = this.password === undefined ? '' : `:${encodeURIComponent(this.password)}@`;
    return tls ? `rediss://${credentials}localhost:${this.port}` : `redis://${credentials}127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const mode = this.#setup.options.sentinel === true ? ['--sentinel'] : [];
    const words = [this.#setup.program, this.#file, ...mode];
    // Killed with this process too, of which no handler would hear.
    const [command = '', ...rest] = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', ...words] : words;
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const untilMs = performance.now() + 10_000;
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`Redis ended at once:\n${said}`);
      const answer = await this.cli('ping').catch(() => '');
      // A server that loads is there.
      if (answer === 'PONG' || answer.startsWith('LOADING')) return;
      if (performance.now() > untilMs) throw new Error(`Redis does not answer:\n${said}`);
      await sleep(10);
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGCONT');
    await this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async restart({ empty = false }: { readonly empty?: boolean } = {}): Promise<void> {
    await this.kill();
    if (empty) rmSync(join(this.folder, 'dump.rdb'), { force: true });
    await this.start();
  }

  async cli(...words: readonly string[]): Promise<string> {
    const { tls } = this.#setup.options;
    // What is asked of redis-cli itself, such as another database or JSON.
    const isOption = words[0]?.startsWith('-') === true;
    if (!isOption) return runRedisCommand({ port: this.port, password: this.password, tls }, words);
    const secure = tls
      ? ['--tls', '--cacert', tls.caFile, ...(tls.clients ? ['--cert', tls.certFile, '--key', tls.keyFile] : [])]
      : [];
    const { stdout } = await execute(
      this.#setup.cliProgram,
      ['-h', tls ? 'localhost' : '127.0.0.1', '-p', String(this.port), ...secure, ...words],
      {
        timeout: 5000,
        killSignal: 'SIGKILL',
        env: { ...process.env, ...(this.password === undefined ? {} : { REDISCLI_AUTH: this.password }) },
      },
    );
    return stdout.trim();
  }

  async info(section: string, field: string): Promise<string> {
    const lines = (await this.cli('info', section)).split(/\r?\n/);
    return lines.find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1) ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#onExit);
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #lines(): readonly string[] {
    const { tls, config = [], sentinel = false } = this.#setup.options;
    const ofServer = [
      'save ""',
      'appendonly no',
      'databases 4',
      'enable-debug-command local',
      'repl-diskless-sync-delay 0',
    ];
    return [
      'bind 127.0.0.1',
      tls ? 'port 0' : `port ${this.port}`,
      ...(tls
        ? [
            `tls-port ${this.port}`,
            `tls-cert-file ${tls.certFile}`,
            `tls-key-file ${tls.keyFile}`,
            `tls-ca-cert-file ${tls.caFile}`,
            `tls-auth-clients ${tls.clients === true ? 'yes' : 'no'}`,
            'tls-replication yes',
            ...(sentinel ? [] : ['tls-cluster yes']),
          ]
        : []),
      `dir ${this.folder}`,
      ...(sentinel ? [] : ofServer),
      ...(this.password === undefined ? [] : [`requirepass "${this.password}"`]),
      ...config,
      '',
    ];
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    server.listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error('no port');
}

// Below those that systems give to whoever asks for any: one of them may be somebody else's before it is used. So are the
// ports of a cluster's nodes for each other, which are 10,000 higher.
const LOWEST_PORT = 12_000;
const PORTS = 10_000;
