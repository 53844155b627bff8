import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { builtMain } from '../../test/support/program.ts';
import { freePort, type RedisProcess } from '../../test/support/redis.ts';
import { systemTool } from '../../test/support/system-tools.ts';
import { forecastBody } from '../forecast.ts';
import { pin } from '../http/cores.ts';
import { bareSocket, fillIn, start, type Server } from '../http/servers.ts';

const run = promisify(execFile);

/** Of Debian's packages of nginx' modules. */
const modules = '/usr/lib/nginx/modules';
const packages = ['libnginx-mod-http-lua', 'lua-nginx-redis'];

function besideThisFile(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

export interface OnRedisStart {
  readonly redisUrl: string;
  readonly origin: string;
  readonly core: number;
  /** From which size on bodies are compressed in Redis: as in a configuration. */
  readonly compressAbove: string;
}

/** The built program with the configuration beside this file. */
export async function startForecacheOnRedis(asked: OnRedisStart): Promise<Server> {
  const { redisUrl, origin, core, compressAbove } = asked;
  const proxy = await startProxy({
    main: await builtMain(),
    args: ['serve', '--config', besideThisFile('forecache.yaml')],
    env: {
      FORECACHE_LISTEN: '127.0.0.1:0',
      FORECACHE_ADMIN_LISTEN: '127.0.0.1:0',
      WEATHER_ORIGIN: origin,
      REDIS_URL: redisUrl,
      COMPRESS_ABOVE: compressAbove,
      NODE_ENV: 'production',
    },
  });
  pin(proxy.pid, core);
  return { name: 'forecache', origin: proxy.proxy, pid: proxy.pid, stop: async () => void (await proxy.stopAtOnce()) };
}

/** nginx with the configuration beside this file. Installs what it needs where that is missing, which wants root. */
export async function startNginxOnRedis(redisPort: number, core: number): Promise<Server> {
  const command = await systemTool('nginx');
  await installModules();
  const port = await freePort();
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'forecache-bench-'));
  const path = join(folder, 'nginx.conf');
  const text = fillIn(readFileSync(besideThisFile('nginx-redis.conf'), 'utf8'), {
    FOLDER: folder,
    MODULES: modules,
    PORT: String(port),
    REDIS_PORT: String(redisPort),
    USER: process.getuid?.() === 0 ? 'user root;' : '',
  });
  writeFileSync(path, text);
  const args = ['-p', folder, '-c', path, '-e', join(folder, 'error.log')];
  return start({ name: 'nginx with Lua and Redis', command, args, core, port, folder });
}

/** The least that Node does for an answer out of Redis; asked for what {@link fillForNginx} has put there. */
export function startBareSocketOnRedis(redisPort: number, core: number): Promise<Server> {
  const args = [besideThisFile('bare-socket.ts'), String(redisPort)];
  return start({ name: bareSocket, command: process.execPath, args, core });
}

async function installModules(): Promise<void> {
  const needed = [join(modules, 'ngx_http_lua_module.so'), '/usr/share/lua/5.1/nginx/redis.lua'];
  if (needed.every((path) => existsSync(path))) return;
  const words = ['install', '--yes', '--no-install-recommends', ...packages];
  process.stderr.write(`nginx lacks its modules: apt-get ${words.join(' ')} …\n`);
  await run('apt-get', words, { timeout: 300_000, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}

/** What the configuration of nginx looks for: for each of the URLs of `urls.lua` a string, and a hash under `/fields`. */
export async function fillForNginx(redis: RedisProcess, bytes: number, count: number): Promise<void> {
  const body = forecastBody(bytes).toString('latin1');
  const lua = `for i = 1, tonumber(ARGV[3]) do
  local key = '/v1/forecast?location=city' .. i .. '&size=' .. ARGV[2] .. '&days=7'
  redis.call('SET', key, ARGV[1])
  redis.call('HSET', '/fields' .. key, 'body', ARGV[1], 'type', 'application/json', 'etag', '"1"', 'cache', 'max-age=3600')
end`;
  await redis.cli('eval', lua, '0', body, String(bytes), String(count));
}
