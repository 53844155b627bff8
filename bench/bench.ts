import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { get } from '../src/demo/http-get.ts';
import { hasSystemTool, systemTool } from '../test/support/system-tools.ts';
import { chooseCores, cpuSeconds, type Cores } from './http/cores.ts';
import { runLoad, type LoadMode } from './http/load.ts';
import { startForecache, startNginx, startUpstream, type Server } from './http/servers.ts';
import { ratioLines, tableLines, type Row } from './http/table.ts';

const usage = `usage: npm run bench -- [--seconds N] [--fetch]

Measures one cached answer over HTTP at 1 and 64 connections, and the same question without a cache,
and with nginx in front where that is installed. One server at a time; server and load pinned to a core each.
Latencies in milliseconds. At 64 connections twice: paced (some 2,000 requests a second, what a hit takes)
and flat out (how many requests a core answers; the latency is then the queue's). Exit 1 where the p50
of a hit is 1 ms or more at 1 connection or at 64 paced ones, or where a request failed.

  --seconds N   how long each row is measured (5; 1 to 10)
  --fetch       get nginx from Debian's package, unpacked and not installed, where it is missing
`;

const target = '/v1/forecast?location=berlin&days=7&units=metric';
const one: LoadMode = { name: '1', connections: 1, thinkMs: 0 };
/** Some 2,000 requests a second: what 64 busy agents ask, far below what a core can answer. */
const paced: LoadMode = { name: '64, paced', connections: 64, thinkMs: 32 };
/** As many requests as a core can answer; then latency is time in the queue, 64 divided by the requests a second. */
const flatOut: LoadMode = { name: '64, flat out', connections: 64, thinkMs: 0 };
const warmUpSeconds = 1;
/** Fewer ticks of /proc's 10 ms clock than this are noise. */
const minCpuSeconds = 0.1;

interface Tools {
  readonly wrk: string;
  readonly cores: Cores;
  readonly seconds: number;
}

async function measure(server: Server, modes: readonly LoadMode[], tools: Tools): Promise<readonly Row[]> {
  const { wrk, cores, seconds } = tools;
  const rows: Row[] = [];
  for (const mode of modes) {
    const load = { wrk, url: server.origin + target, mode, cores };
    await runLoad({ ...load, seconds: warmUpSeconds });
    const beforeSeconds = cpuSeconds(server.pid);
    const result = await runLoad({ ...load, seconds });
    const usedSeconds = cpuSeconds(server.pid) - beforeSeconds;
    const cpuUs = usedSeconds < minCpuSeconds ? Number.NaN : (usedSeconds * 1e6) / result.requests;
    rows.push({ server: server.name, mode, load: result, cpuUs });
    process.stdout.write(`  ${server.name}, connections ${mode.name}: ${result.perSecond.toFixed(0)} requests/s\n`);
  }
  return rows;
}

/** Asks twice: the second answer must come from store, or the bench measures something else. */
async function warm(server: Server, field: string): Promise<number> {
  await get(server.origin + target);
  const { status, fields, body } = await get(server.origin + target);
  const said = fields[field]?.toString() ?? '';
  if (status !== 200 || !/\bhit\b/i.test(said)) {
    throw new Error(`${server.name} does not answer from store: ${status} ${field}: ${said}`);
  }
  return body.length;
}

async function nginxBinary(fetch: boolean): Promise<string | undefined> {
  if (fetch || hasSystemTool('nginx')) return systemTool('nginx');
  process.stdout.write(
    'nginx is not installed, so it is not in the table: apt-get install nginx-light, or npm run bench -- --fetch\n',
  );
  return undefined;
}

async function measureAll(seconds: number, fetch: boolean): Promise<readonly Row[]> {
  const wrk = await systemTool('wrk');
  const nginx = await nginxBinary(fetch);
  const cores = chooseCores();
  await using stack = new AsyncDisposableStack();
  const started = async (server: Promise<Server>): Promise<Server> => {
    const running = await server;
    stack.defer(() => running.stop());
    return running;
  };
  const upstream = await started(startUpstream(cores.server));
  const forecache = await started(startForecache(upstream.origin, cores.server));
  const bytes = await warm(forecache, 'cache-status');
  process.stdout.write(
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}, servers on core ${cores.server}, load on core ${cores.load}` +
      `${cores.server === cores.load ? ' (only one core: they share it)' : ''}\n` +
      `GET ${target}: ${bytes} bytes; each row ${seconds} s after ${warmUpSeconds} s of warming up\n`,
  );
  const tools = { wrk, cores, seconds };
  const rows = [...(await measure(forecache, [one, paced, flatOut], tools))];
  if (nginx !== undefined) {
    const other = await started(startNginx(nginx, upstream.origin, cores.server));
    await warm(other, 'x-cache-status');
    rows.push(...(await measure(other, [one, paced, flatOut], tools)));
  }
  rows.push(...(await measure(upstream, [one, flatOut], tools)));
  return rows;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    fetch: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const seconds = Number(values.seconds);
if (values.help || !(seconds >= 1 && seconds <= 10)) {
  process.stdout.write(usage);
  process.exitCode = values.help ? 0 : 64;
} else {
  const rows = await measureAll(seconds, values.fetch);
  process.stdout.write(`\n${[...tableLines(rows), '', ...ratioLines(rows)].join('\n')}\n`);
  // Where every connection asks as fast as it can, latency says how long the queue is, not how long a hit takes.
  const slow = rows.filter(({ server, mode, load }) => server === 'forecache' && mode !== flatOut && load.p50 >= 1);
  const failed = rows.filter(({ load }) => load.errors > 0);
  for (const { mode } of slow) {
    process.stdout.write(`MISSED: p50 of a hit is not below 1 ms (connections ${mode.name})\n`);
  }
  for (const { server, mode } of failed) process.stdout.write(`ERRORS: ${server} (connections ${mode.name})\n`);
  process.exitCode = slow.length + failed.length === 0 ? 0 : 1;
}
