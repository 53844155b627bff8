import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { systemTool } from '../support/system-tools.ts';
import { endWithParent } from './children.ts';

const execute = promisify(execFile);

/** A fail-over takes some seconds, and a busy machine its time. */
const patienceMs = 60_000;

/** A redis-server or sentinel in a process of its own, which can be stopped, killed and started again on its port. */
export interface RedisNode extends AsyncDisposable {
  readonly port: number;
  /** The answer of one command, as `redis-cli` writes it. Rejects where there is none within two seconds. */
  command(...words: readonly string[]): Promise<string>;
  freeze(): void;
  thaw(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it anew; resolves when it answers. */
  start(): Promise<void>;
  /** Forgets what it had saved, so that the next start is empty. Cluster nodes keep their identity. */
  empty(): void;
  /** Saves now, and keeps that aside. */
  saveAside(): Promise<void>;
  /** The next start is from what was kept aside. */
  restoreAside(): void;
}

export interface RedisNodeOptions {
  /** Made where it is not there. */
  readonly folder: string;
  readonly settings: readonly string[];
  readonly sentinel?: boolean;
  readonly port?: number;
}

export async function startRedisNode(options: RedisNodeOptions): Promise<RedisNode> {
  const { folder, settings, sentinel = false, port = await freePort() } = options;
  const program = await systemTool('redis-server');
  mkdirSync(folder, { recursive: true });
  const file = `${folder}/node.conf`;
  const persistence = sentinel ? [] : ['save ""', 'appendonly no', 'dbfilename dump.rdb'];
  writeFileSync(
    file,
    [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `logfile ${folder}/log`, ...persistence, ...settings].join(
      '\n',
    ),
  );
  let child: ChildProcess | undefined;
  const command = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await execute('redis-cli', ['-p', String(port), ...words], { timeout: 2_000 });
    return stdout.trim();
  };
  const node: RedisNode = {
    port,
    command,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async kill() {
      const dying = child;
      child = undefined;
      if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return;
      dying.kill('SIGKILL');
      await once(dying, 'exit');
    },
    async start() {
      child = spawn(program, [file, ...(sentinel ? ['--sentinel'] : [])], { stdio: 'ignore' });
      endWithParent(child);
      await waitUntil(async () => (await command('ping')) === 'PONG', `a Redis node on port ${port}`);
    },
    empty: () => rmSync(`${folder}/dump.rdb`, { force: true }),
    async saveAside() {
      await command('save');
      copyFileSync(`${folder}/dump.rdb`, `${folder}/aside.rdb`);
    },
    restoreAside() {
      if (existsSync(`${folder}/aside.rdb`)) copyFileSync(`${folder}/aside.rdb`, `${folder}/dump.rdb`);
    },
    [Symbol.asyncDispose]: () => node.kill(),
  };
  try {
    await node.start();
    return node;
  } catch (error) {
    await node.kill();
    throw error;
  }
}

/** Asks until it is so, or the signal says that nobody waits any more; what rejects is not so yet. Rejects after a minute. */
export async function waitUntil(isSo: () => Promise<boolean>, what: string, signal?: AbortSignal): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  const isOver = (): boolean => signal?.aborted === true;
  while (!isOver() && !(await isSo().catch(() => false))) {
    if (performance.now() > untilMs) throw new Error(`${what} is not there after ${patienceMs} ms`);
    await sleep(25);
  }
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
