import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { get } from '../../src/demo/http-get.ts';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { builtMain } from '../../test/support/program.ts';
import { pin } from './cores.ts';

/** A server process under test. */
export interface Server {
  readonly name: string;
  readonly origin: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

/** The weather simulator in a process of its own: what agents would ask without a cache, 80 to 400 ms away. */
export async function startUpstream(core: number): Promise<Server> {
  await builtMain();
  const args = [join(dist, 'demo/simulators.js'), '--weather-port', '0', '--events-port', '0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const origin = await readOrigin(child);
  return pinned({ name: 'no cache', origin, child, core });
}

async function readOrigin(child: ChildProcess): Promise<string> {
  let printed = '';
  if (child.stdout !== null) {
    for await (const chunk of child.stdout) {
      printed += String(chunk);
      const origin = /weather (\S+)/.exec(printed)?.[1];
      if (origin !== undefined) return origin;
    }
  }
  throw new Error(`the simulators did not start: ${printed}`);
}

/** The built proxy with the configuration beside this file. */
export async function startForecache(upstream: string, core: number): Promise<Server> {
  const proxy = await startProxy({
    main: await builtMain(),
    args: ['serve', '--config', fileURLToPath(new URL('forecache.yaml', import.meta.url))],
    env: {
      FORECACHE_LISTEN: '127.0.0.1:0',
      FORECACHE_ADMIN_LISTEN: '127.0.0.1:0',
      WEATHER_ORIGIN: upstream,
      NODE_ENV: 'production',
    },
  });
  pin(proxy.pid, core);
  return { name: 'forecache', origin: proxy.proxy, pid: proxy.pid, stop: async () => void (await proxy.stopAtOnce()) };
}

/** nginx with one worker and its cache on a memory file system where there is one. */
export async function startNginx(binary: string, upstream: string, core: number): Promise<Server> {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'forecache-bench-nginx-'));
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig(folder, port, upstream));
  const child = spawn(binary, ['-p', folder, '-c', file, '-e', join(folder, 'error.log')], { stdio: 'inherit' });
  const origin = `http://127.0.0.1:${port}`;
  const giveUpAtMs = performance.now() + 5000;
  while (performance.now() < giveUpAtMs && child.exitCode === null) {
    if ((await get(`${origin}/ping`).catch(() => undefined)) !== undefined) break;
    await delay(20);
  }
  const server = pinned({ name: 'nginx', origin, child, core });
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { ...server, stop };
}

function nginxConfig(folder: string, port: number, upstream: string): string {
  return `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/json;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  proxy_cache_path ${folder}/cache keys_zone=hot:10m max_size=256m inactive=1h;
  server {
    listen 127.0.0.1:${port};
    location = /ping { return 200; }
    location / {
      proxy_pass ${upstream};
      proxy_cache hot;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 1h;
      add_header X-Cache-Status $upstream_cache_status;
    }
  }
}
`;
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

function pinned({
  name,
  origin,
  child,
  core,
}: {
  name: string;
  origin: string;
  child: ChildProcess;
  core: number;
}): Server {
  const pid = child.pid ?? 0;
  pin(pid, core);
  const ended = once(child, 'exit');
  return {
    name,
    origin,
    pid,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
      if (child.exitCode === null && child.signalCode === null) await ended;
      clearTimeout(timer);
    },
  };
}
