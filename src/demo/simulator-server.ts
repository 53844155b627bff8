import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { hashOf } from './seeded.ts';
import { parseControl, type SimulatorFault } from './simulator-control.ts';

export interface LatencyRange {
  readonly minMs: number;
  readonly maxMs: number;
}

export interface SimulatorOptions {
  /** Address to bind; 127.0.0.1 unless told otherwise. */
  readonly host?: string;
  /** 0, the default: any free port. */
  readonly port?: number;
  /** Moves answers and delays; the same seed gives the same bytes and delays. */
  readonly seed?: number;
  /** Each request waits a time between these two, always the same for the same question. 80 to 400 ms by default. */
  readonly latency?: LatencyRange;
}

/** A running simulator. */
export interface Simulator {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  /** Requests so far, refused and failed ones included, `/_control` not. */
  calls(): number;
  /** Calls by path and query, the latter without the API key. */
  targets(): ReadonlyMap<string, number>;
  /** Calls that carried the right API key; 0 where the API has none. */
  authorised(): number;
  /** Replaces the fault that is set; `{}` ends it. */
  setFault(fault: SimulatorFault): void;
  /** Ends every connection and frees the port. */
  close(): Promise<void>;
}

export interface SimulatedRequest {
  readonly method: string;
  readonly path: string;
  readonly params: URLSearchParams;
  readonly fields: IncomingHttpHeaders;
}

export interface SimulatedAnswer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Buffer | AsyncIterable<string>;
}

/** One API: how it answers a question, and how it says that it cannot. */
export interface SimulatedApi {
  readonly apiKey: string | undefined;
  answer(request: SimulatedRequest): SimulatedAnswer;
  failure(status: number, request: SimulatedRequest): SimulatedAnswer;
}

const usualLatency: LatencyRange = { minMs: 80, maxMs: 400 };
/** Shorter bodies are not worth coding. */
const gzipFromBytes = 1024;
const maxControlBytes = 4096;

export function jsonAnswer(
  status: number,
  value: unknown,
  fields: Readonly<Record<string, string>> = {},
): SimulatedAnswer {
  return {
    status,
    fields: { 'content-type': 'application/json; charset=utf-8', ...fields },
    body: Buffer.from(JSON.stringify(value)),
  };
}

/** Starts one API on loopback; resolves when it listens. */
export async function startSimulator(api: SimulatedApi, options: SimulatorOptions): Promise<Simulator> {
  const state = new SimulatorState(api, options);
  const server = createServer((request, response) => {
    void handle(state, request, response);
  });
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    origin: `http://${host}:${port}`,
    calls: () => state.calls,
    targets: () => state.targets,
    authorised: () => state.authorised,
    setFault: (fault) => {
      state.fault = fault;
    },
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** How long the answer to a question takes: always the same for the same question, from `minMs` to `maxMs`. */
export function latencyMsOf(target: string, latency: LatencyRange, seed: number): number {
  return latency.minMs + (hashOf(target, seed) % (latency.maxMs - latency.minMs + 1));
}

class SimulatorState {
  readonly api: SimulatedApi;
  readonly #seed: number;
  readonly #latency: LatencyRange;
  calls = 0;
  authorised = 0;
  fault: SimulatorFault = {};
  readonly targets = new Map<string, number>();

  constructor(api: SimulatedApi, options: SimulatorOptions) {
    this.api = api;
    this.#seed = options.seed ?? 0;
    this.#latency = options.latency ?? usualLatency;
  }

  count(target: string, request: SimulatedRequest): void {
    this.calls += 1;
    this.targets.set(target, (this.targets.get(target) ?? 0) + 1);
    if (this.api.apiKey !== undefined && request.params.get('apikey') === this.api.apiKey) this.authorised += 1;
  }

  latencyMs(target: string): number {
    return this.fault.latencyMs ?? latencyMsOf(target, this.#latency, this.#seed);
  }

  reset(): void {
    this.calls = 0;
    this.authorised = 0;
    this.targets.clear();
    this.fault = {};
  }

  report(): Record<string, unknown> {
    return {
      calls: this.calls,
      authorised: this.authorised,
      fault: this.fault,
      targets: Object.fromEntries(this.targets),
    };
  }
}

async function handle(state: SimulatorState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://simulator.invalid');
  if (url.pathname === '/_control') {
    await control(state, request, response);
    return;
  }
  const asked: SimulatedRequest = {
    method: request.method ?? 'GET',
    path: url.pathname,
    params: url.searchParams,
    fields: request.headers,
  };
  const target = targetWithoutKey(url);
  state.count(target, asked);
  if (state.fault.down === true) {
    request.socket.resetAndDestroy();
    return;
  }
  request.resume();
  await delay(state.latencyMs(target));
  if (request.socket.destroyed) return;
  const { status } = state.fault;
  const answer = status === undefined ? state.api.answer(asked) : state.api.failure(status, asked);
  await send(asked, answer, response);
}

function targetWithoutKey(url: URL): string {
  const params = new URLSearchParams(url.searchParams);
  params.delete('apikey');
  const query = params.toString();
  return query === '' ? url.pathname : `${url.pathname}?${query}`;
}

async function send(request: SimulatedRequest, answer: SimulatedAnswer, response: ServerResponse): Promise<void> {
  const fields: Record<string, string> = { ...answer.fields };
  if (!Buffer.isBuffer(answer.body)) {
    response.writeHead(answer.status, fields);
    // A client that goes away ends the stream; that is no fault of the simulator.
    await pipeline(Readable.from(answer.body), response).catch(() => response.destroy());
    return;
  }
  let body = answer.body;
  if (body.length >= gzipFromBytes) {
    fields['vary'] = 'Accept-Encoding';
    if (/\bgzip\b/i.test(request.fields['accept-encoding']?.toString() ?? '')) {
      body = gzipSync(body);
      fields['content-encoding'] = 'gzip';
    }
  }
  if (answer.status !== 304) fields['content-length'] = String(body.length);
  response.writeHead(answer.status, fields);
  response.end(request.method === 'HEAD' || answer.status === 304 ? undefined : body);
}

/** `GET /_control` tells the counts; `POST` sets the fault (`{latencyMs?, status?, down?}`) or, with `{reset: true}`, starts over. Loopback only. */
async function control(state: SimulatorState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const local = ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(request.socket.remoteAddress ?? '');
  if (!local) {
    response.writeHead(403).end();
    return;
  }
  if (request.method === 'POST') {
    const wanted = parseControl(await readText(request));
    if (wanted === undefined) {
      response.writeHead(400, { 'content-type': 'text/plain' });
      response.end('expected a JSON object with latencyMs, status, down or reset\n');
      return;
    }
    if (wanted.kind === 'reset') state.reset();
    else state.fault = wanted.fault;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(state.report())}\n`);
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > maxControlBytes) return '';
  }
  return text;
}
