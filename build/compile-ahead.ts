import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Runs the built program once through what most processes do, so that the functions for it are compiled when it starts the
 * next time (`src/compiled-code.ts`): Node writes them at the end of the process. Throws where the program fails at it.
 */
export async function compileAhead(dist: string): Promise<void> {
  const compiled = join(dist, 'compiled');
  const folder = mkdtempSync(join(tmpdir(), 'forecache-build-'));
  mkdirSync(compiled, { recursive: true });
  const upstream = await startUpstream();
  try {
    const main = join(dist, 'main.js');
    const run = (args: readonly string[]): Promise<void> => runProgram([main, ...args]);
    for (const [name, more] of configurations) {
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, configuration(upstream, more));
      const serve = ['serve', '--config', file];
      // Under the flags of a start; the second run replaces what is only read after it, since that does not fit.
      await runProgram([join(import.meta.dirname, 'lean-run.ts'), main, ...serve]);
      await run(serve);
      // For whoever gives Node options, and for threads.
      await runProgram(['--no-deprecation', main, ...serve]);
      await run(['check', '--config', file]);
    }
    await run(['--help']);
  } finally {
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
  // Node writes them for their user alone; in an image others read them.
  for (const path of readdirSync(compiled, { recursive: true, encoding: 'utf8', withFileTypes: true })) {
    chmodSync(join(path.parentPath, path.name), path.isDirectory() ? 0o755 : 0o644);
  }
}

/** The second one has a Redis that cannot be reached: its client is loaded all the same. */
const configurations = new Map([
  ['memory', ''],
  ['redis', 'store: { redis: { url: "redis://127.0.0.1:1" } }'],
]);

function configuration(upstream: Server, more: string): string {
  const address = upstream.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: warn }
upstreams: { api: { origin: "http://127.0.0.1:${port}" } }
routes:
  - name: stored
    match: /stored/:name
    upstream: api
    ttl: 1h
    storeIf: { absent: ["$.error"] }
    query: { at: { type: decimal, places: 2 }, list: { type: set } }
    tags: ["name:{name}"]
  - { name: relayed, match: /relayed, upstream: api, cache: off }
purge: { schedule: [{ cron: "0 6 * * *", route: stored, soft: true }] }
${more}
`;
}

async function startUpstream(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end('{"value":1}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

async function runProgram(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const read = (chunk: Buffer): void => {
    const before = printed;
    printed += chunk.toString();
    const [, proxy, admin] = ready.exec(printed) ?? [];
    if (proxy === undefined || admin === undefined || ready.test(before)) return;
    ask(proxy, admin).then(
      () => child.kill('SIGTERM'),
      () => child.kill('SIGKILL'),
    );
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const patience = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [code, signal] = await once(child, 'close');
  clearTimeout(patience);
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code ?? signal}:\n${printed}`);
}

const ready = /ready: proxy (http:\S+) admin (http:\S+)\n/;

/** A miss, hits, a relayed request, and what operators ask for. */
async function ask(proxy: string, admin: string): Promise<void> {
  const paths = ['/stored/a?at=1.234&list=b,a', '/stored/a?list=a,b&at=1.2340', '/relayed', '/none'];
  for (const path of [...paths, ...paths]) await (await fetch(new URL(path, proxy))).arrayBuffer();
  for (const path of [
    '/healthz',
    '/readyz',
    '/metrics',
    '/api/metrics/cache',
    '/api/stored',
    '/',
    '/dashboard.js',
    '/dashboard.css',
    '/openapi.json',
  ]) {
    await (await fetch(new URL(path, admin))).arrayBuffer();
  }
  const question = { method: 'POST', body: '{"url":"/stored/a"}', headers: { 'content-type': 'application/json' } };
  await (await fetch(new URL('/api/explain', admin), question)).arrayBuffer();
}
