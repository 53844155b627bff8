import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

import type { ProxyProcess } from '../../src/demo/proxy-process.ts';
import { ask, json, type Ask, type Reply } from './http.ts';
import { startProgram } from './program.ts';

/** One process of a fleet. */
export interface Sidecar {
  readonly pid: number;
  readonly proxy: string;
  readonly admin: string;
  readonly process: ProxyProcess;
  get(target: string, options?: Ask): Promise<Reply>;
  /** A JSON call to the admin listener; a GET where there is no body. */
  call(path: string, body?: unknown): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>;
  metrics(): Promise<string>;
}

export interface FleetOptions {
  readonly count: number;
  /** `store.redis` in flow style, such as `{ url: "redis://127.0.0.1:6379" }`; by process where they differ. */
  readonly redis: string | ((index: number) => string);
  readonly origin: string;
  /** Of the upstream; `5s` unless told otherwise. */
  readonly timeout?: string;
  /** Routes in YAML; one of everything under `/` unless told otherwise. */
  readonly routes?: string;
  readonly more?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** All that is asked for under `/`, fresh for an hour, with a tag of its `location`. */
const everythingRoute = `
  - name: forecast
    match: /*
    upstream: api
    ttl: 1h
    query: { location: { type: text, fold: true } }
    tags: ["location:{location}"]
`;

/** The built program, several times, on one Redis. All are gone at the end of the test. */
export async function startFleet(options: FleetOptions): Promise<readonly Sidecar[]> {
  return startAll(options, endWithTest);
}

/** As {@link startFleet}, for all tests of a file: all are gone when it is disposed of. */
export async function openFleet(
  options: FleetOptions,
): Promise<{ readonly fleet: readonly Sidecar[] } & AsyncDisposable> {
  const programs: AsyncDisposable[] = [];
  const end = () => endAll(programs);
  try {
    const fleet = await startAll(options, (program) => void programs.push(program));
    return { fleet, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** One more process of such a fleet. */
export async function startSidecar(options: FleetOptions, index = 0): Promise<Sidecar> {
  return startOne(options, index, endWithTest);
}

/** Of the test that runs. */
const running: AsyncDisposable[] = [];

/** All that the test has started end at the same time: each takes a while. */
function endWithTest(program: AsyncDisposable): void {
  running.push(program);
  onTestFinished(() => endAll(running));
}

async function endAll(programs: AsyncDisposable[]): Promise<void> {
  await Promise.all(programs.splice(0).map((program) => program[Symbol.asyncDispose]()));
}

type Keep = (program: AsyncDisposable) => void;

/** Resolves or rejects when all have come up or failed, so that none is left that nobody ends. */
async function startAll(options: FleetOptions, keep: Keep): Promise<readonly Sidecar[]> {
  const indexes = Array.from({ length: options.count }, (_, index) => index);
  const starts = indexes.map((index) => startOne(options, index, keep));
  await Promise.allSettled(starts);
  return Promise.all(starts);
}

async function startOne(options: FleetOptions, index: number, keep: Keep): Promise<Sidecar> {
  const redis = typeof options.redis === 'string' ? options.redis : options.redis(index);
  const program = await startProgram({ config: { text: yamlOf(options, redis) }, env: options.env ?? {} });
  keep(program);
  const { proxy, admin } = program;
  return {
    pid: program.pid,
    proxy,
    admin,
    process: program,
    get: (target, more) => ask(proxy, target, more),
    async call(path, body) {
      const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const reply = await ask(admin, path, body === undefined ? {} : post);
      return { status: reply.status, body: Object(json(reply)) };
    },
    metrics: async () => (await ask(admin, '/metrics')).text,
  };
}

function yamlOf({ origin, timeout = '5s', routes = everythingRoute, more = '' }: FleetOptions, redis: string): string {
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, requests: true }
store:
  memory: { maxBytes: 64MiB }
  redis: ${redis}
upstreams:
  api: { origin: "${origin}", timeout: ${timeout} }
routes:
${routes}
${more}
`;
}

/** Resolves when this process may serve from store again. */
export async function leased(sidecar: Sidecar, patienceMs = 10_000): Promise<void> {
  const until = Date.now() + patienceMs;
  while (!/^forecache_lease_held 1$/m.test(await sidecar.metrics())) {
    if (Date.now() > until) throw new Error('no lease');
    await sleep(10);
  }
}
