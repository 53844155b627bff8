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
  const indexes = Array.from({ length: options.count }, (_, index) => index);
  return Promise.all(indexes.map((index) => startSidecar(options, index)));
}

/** One more process of such a fleet. */
export async function startSidecar(options: FleetOptions, index = 0): Promise<Sidecar> {
  const redis = typeof options.redis === 'string' ? options.redis : options.redis(index);
  const program = await startProgram({ config: { text: yamlOf(options, redis) }, env: options.env ?? {} });
  onTestFinished(async () => program[Symbol.asyncDispose]());
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

function yamlOf({ origin, routes = everythingRoute, more = '' }: FleetOptions, redis: string): string {
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, requests: true }
store:
  memory: { maxBytes: 64MiB }
  redis: ${redis}
upstreams:
  api: { origin: "${origin}", timeout: 5s }
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
  }
}
