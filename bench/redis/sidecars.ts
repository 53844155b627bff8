import { once } from 'node:events';
import { Agent, createServer } from 'node:http';
import { ask, json } from '../../test/support/http.ts';
import { startProgram } from '../../test/support/program.ts';
import { forecastJson } from '../forecast.ts';

/** One proxy of a fleet, in a process of its own. */
export interface Sidecar {
  readonly proxy: string;
  readonly admin: string;
  readonly pid: number;
  signal(name: NodeJS.Signals): void;
  /** `location` and `bytes` make what is asked for. */
  get(target: string): Promise<{ readonly cacheStatus: string; readonly text: string; readonly tookMs: number }>;
  /** A purge by the admin API, as an operator's client sees it. */
  purge(body: Readonly<Record<string, unknown>>): Promise<PurgeTaken>;
}

export interface PurgeTaken {
  readonly tookMs: number;
  readonly status: number;
  /** How many said that they had applied it. */
  readonly sidecars: number;
  readonly missing: number;
}

/** The built program so many times on one Redis; ready when all hold a lease, gone when the stack is disposed of. */
export async function startSidecars(
  count: number,
  { redisUrl, originUrl }: { readonly redisUrl: string; readonly originUrl: string },
  stack: AsyncDisposableStack,
): Promise<readonly Sidecar[]> {
  const text = configText(redisUrl, originUrl);
  const sidecars: Sidecar[] = [];
  // One after the other: ten Nodes that start at once on two cores start no sooner, and some run into the time limit.
  for (let index = 0; index < count; index += 1) {
    const program = stack.use(await startProgram({ config: { text }, env: { NODE_ENV: 'production' } }));
    const agent = new Agent({ keepAlive: true });
    stack.defer(() => agent.destroy());
    sidecars.push({
      proxy: program.proxy,
      admin: program.admin,
      pid: program.pid,
      signal: (name) => program.signal(name),
      get: async (target) => {
        const startMs = performance.now();
        const reply = await ask(program.proxy, target, { agent });
        if (reply.status !== 200) throw new Error(`${target}: ${reply.status} ${reply.text.slice(0, 200)}`);
        return { cacheStatus: reply.cacheStatus, text: reply.text, tookMs: performance.now() - startMs };
      },
      purge: async (body) => purge(program.admin, agent, body),
    });
  }
  for (const sidecar of sidecars) await leased(sidecar.admin);
  return sidecars;
}

async function purge(admin: string, agent: Agent, body: Readonly<Record<string, unknown>>): Promise<PurgeTaken> {
  const startMs = performance.now();
  const reply = await ask(admin, '/api/purge', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    agent,
  });
  const tookMs = performance.now() - startMs;
  const answer = Object(json(reply));
  return { tookMs, status: reply.status, sidecars: lengthOf(answer.sidecars), missing: lengthOf(answer.missing) };
}

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

async function leased(admin: string): Promise<void> {
  const giveUpAtMs = performance.now() + 15_000;
  while (!/^forecache_lease_held 1$/m.test((await ask(admin, '/metrics')).text)) {
    if (performance.now() > giveUpAtMs) throw new Error('a sidecar has no lease');
  }
}

function configText(redisUrl: string, originUrl: string): string {
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: error }
store:
  memory: { maxBytes: 128MiB }
  redis: { url: "${redisUrl}" }
upstreams:
  api: { origin: "${originUrl}" }
routes:
  - name: forecast
    match: /forecast
    upstream: api
    ttl: 1h
    query:
      location: { type: text, required: true }
      bytes: { type: integer, default: 1024 }
    tags: ["location:{location}"]
`;
}

export interface BenchOrigin extends AsyncDisposable {
  readonly url: string;
  /** Calls so far; each answer holds the number of its call. */
  readonly calls: () => number;
}

/** An API that takes its time: a forecast of `bytes` bytes, `delayMs` after it was asked. */
export async function startOrigin(delayMs: number): Promise<BenchOrigin> {
  const bodies = new Map<number, string>();
  let calls = 0;
  const server = createServer((request, response) => {
    calls += 1;
    const call = calls;
    const bytes = Number(new URL(request.url ?? '/', 'http://origin').searchParams.get('bytes') ?? 1024);
    const body = bodies.get(bytes) ?? forecastJson(bytes, 1);
    bodies.set(bytes, body);
    setTimeout(() => {
      response.setHeader('content-type', 'application/json');
      response.setHeader('etag', `"${call}"`);
      response.end(`{"call":${call},"forecast":${body}}`);
    }, delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    calls: () => calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
