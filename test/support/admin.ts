import { Buffer } from 'node:buffer';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { adminLimits, createAdminServer, type AdminLimits, type AdminServer } from '../../src/admin/admin-server.ts';
import type { AdminServices } from '../../src/admin/services.ts';
import type { Explanation, PurgeAnswer } from '../../src/cache/operations.ts';
import type { StoredSummary } from '../../src/cache/ports.ts';
import { ok } from '../../src/core/problem.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { FakeClock } from './clock.ts';
import { someStoreStats } from './records.ts';

/** A complete purge of three. */
export const completePurge: PurgeAnswer = {
  id: 'e1:7',
  complete: true,
  matched: 3,
  dryRun: false,
  soft: false,
  sidecars: [{ id: 'a', appliedMs: 0.1 }],
  missing: [],
};

const someExplanation: Explanation = {
  method: 'GET',
  route: 'weather',
  key: 'weather|/weather?location=berlin',
  url: '/weather?location=berlin',
  tags: ['route:weather'],
  upstream: { name: 'met', method: 'GET', target: 'http://met.test/v1?location=berlin&apikey=***' },
  steps: [{ part: 'query', name: 'location', before: 'Berlin', after: 'berlin', rule: 'text' }],
  stored: null,
  coherence: null,
  decision: { would: 'miss', fwd: 'uri-miss', reason: 'nothing is stored' },
  problem: null,
  sent: { status: null, cacheStatus: 'forecache; fwd=uri-miss' },
  notes: [{ topic: 'failure', text: 'if upstream cannot be reached: 502: nothing stored' }],
  answer: null,
};

/** Calls that reached the services, as `[name, argument]`. */
type Calls = (readonly [string, unknown])[];

export interface AdminRig {
  readonly port: number;
  readonly calls: Calls;
  readonly errors: unknown[];
  readonly limitHits: readonly string[];
  readonly clock: FakeClock;
  readonly server: AdminServer;
}

const open: AdminServer[] = [];

/** Starts an admin server on a free port of loopback, with services that record what they are asked. */
export async function startAdmin(
  options: {
    readonly token?: string;
    readonly services?: Partial<AdminServices>;
    readonly host?: string;
    readonly limits?: Partial<AdminLimits>;
  } = {},
): Promise<AdminRig> {
  const calls: Calls = [];
  const errors: unknown[] = [];
  const limitHits: string[] = [];
  const clock = new FakeClock();
  using metrics = createMetrics({
    routes: [{ name: 'weather' }],
    upstreams: new Map(),
    jobs: [],
    clock,
    storeStats: () => someStoreStats,
    load: () => ({ requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 }),
    version: '1.2.3',
  });
  const services: AdminServices = {
    purge: async (command) => {
      calls.push(['purge', command]);
      return ok({ ...completePurge, soft: command.soft, dryRun: command.dryRun });
    },
    warm: async (wanted) => {
      calls.push(['warm', wanted]);
      return ok({ fetched: 1, reused: 0, failed: 0, durationMs: 5, items: [] });
    },
    explain: async (asked) => {
      calls.push(['explain', asked]);
      return ok(someExplanation);
    },
    list: (filter) => {
      calls.push(['list', filter]);
      return [storedSummary(clock.nowMs())];
    },
    metricsReport: metrics.report,
    resetMetrics: () => {
      calls.push(['resetMetrics', undefined]);
      return metrics.resetReport();
    },
    prometheus: metrics.prometheus,
    state: () => 'ready',
    ...options.services,
  };
  const server = createAdminServer({
    config: { host: options.host ?? '127.0.0.1', port: 0, token: options.token, maxBodyBytes: 64 * 1024 },
    services,
    clock,
    log: { error: (fields) => errors.push(fields) },
    version: '1.2.3',
    onLimit: (option) => limitHits.push(option),
    limits: { ...adminLimits, ...options.limits },
  });
  open.push(server);
  const { port } = await server.listen();
  return { port, calls, errors, limitHits, clock, server };
}

/** Closes every server that this file started. */
export async function stopAdmins(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close()));
}

/** A stored response of one minute's age with 59 minutes left. */
export function storedSummary(nowMs: number): StoredSummary {
  const item: StoredResponse = {
    kind: 'response',
    key: 'weather|/weather?location=berlin',
    route: 'weather',
    upstream: 'met',
    url: '/weather?location=berlin',
    tags: ['route:weather', 'location:berlin'],
    position: { epoch: 'e1', seq: 1 },
    status: 200,
    fields: [
      ['content-type', 'application/json'],
      ['x-secret', 'canary'],
    ],
    body: Buffer.from('{"canary":1}'),
    requestTimeMs: nowMs - 60_100,
    responseTimeMs: nowMs - 60_000,
    initialAgeMs: 0,
    freshness: {
      freshUntilMs: nowMs + 3_540_000,
      swrUntilMs: nowMs + 3_540_000,
      sieUntilMs: nowMs + 3_540_000,
      retainUntilMs: nowMs + 86_400_000,
      mustRevalidate: false,
      alwaysValidate: false,
      source: 'rule ttl',
    },
    etag: undefined,
    lastModified: undefined,
  };
  return { item, tier: 'memory', sizeBytes: 512, hits: 4, staleSinceMs: undefined };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body, where it is a JSON object. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** One request on its own connection. */
export function ask(port: number, path: string, question: Question = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body } = question;
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parsedObject(text) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** A POST of JSON. */
export function post(port: number, path: string, value: unknown, headers: Question['headers'] = {}): Promise<Answer> {
  const body = JSON.stringify(value);
  return ask(port, path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
}

/** Sends bytes as they are; resolves with everything that came back until the other side closed. */
export function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let received = '';
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
    socket.write(bytes, 'latin1');
  });
}

function parsedObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
