import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Handled } from '../../src/cache/handled.ts';
import type { MaybePromise, Observer, ProxyResponse } from '../../src/cache/ports.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';
import { idleLoad } from '../../src/server/load.ts';
import type { Relay } from '../../src/server/relay-port.ts';
import { ExchangeHandler } from '../../src/server/request-handler.ts';
import { systemClock } from '../../src/system-clock.ts';
import { ask } from '../support/http.ts';
import { cacheOffRoute } from '../support/relay-route.ts';

const meta: ProxyResponse['meta'] = {
  outcome: 'miss',
  route: 'a',
  upstream: 'api',
  tier: undefined,
  fwd: undefined,
  problem: undefined,
  url: '/',
};

const good: ProxyResponse = {
  status: 200,
  fields: [['content-length', '2']],
  body: { kind: 'bytes', bytes: Buffer.from('ok') },
  meta,
};
/** No response that HTTP could carry. */
const unsendable: ProxyResponse = { ...good, fields: [['x-broken', 'a\nb']] };

const noRelay: Relay = {
  web: () => Promise.reject(new Error('the relay is broken')),
  upgrade: () => Promise.reject(new Error('the relay is broken')),
};

const nothing = (): void => {};

/** Stands for whatever goes wrong in metrics or log. */
const throwing = (): never => {
  throw new Error('a full disk');
};

async function* onePiece(): AsyncGenerator<Buffer> {
  yield Buffer.from('never sent');
}

interface Bench {
  readonly url: string;
  readonly bugs: readonly unknown[];
  readonly records: readonly RequestRecord[];
  readonly load: { readonly requestsInFlight: number };
}

interface BenchOptions {
  readonly handle: () => MaybePromise<Handled>;
  readonly relay?: Relay;
  readonly observer?: Partial<Observer>;
}

/** A handler behind a plain server. What nobody catches ends the test run, as it would end the process. */
async function bench({ handle, relay = noRelay, observer }: BenchOptions): Promise<Bench> {
  const bugs: unknown[] = [];
  const records: RequestRecord[] = [];
  const load = idleLoad();
  const handler = new ExchangeHandler({
    config: {
      listeners: [],
      limits: {
        maxHeaderFields: 100,
        maxTargetBytes: 9999,
        maxHeaderBytes: 16_384,
        maxRequestsPerConnection: 0,
        maxPipelined: 8,
        maxHops: 8,
        maxBodyBytes: 10,
        maxContentBytes: 10,
        maxConnections: 10,
      },
      timeouts: { sendMs: 5000, headersMs: 5000, keepAliveMs: 5000, requestMs: 5000 },
      drainDelayMs: 0,
      graceMs: 0,
      fastLane: true,
      workers: 1,
    },
    handle,
    relay,
    observer: {
      request: (record) => records.push(record),
      upstreamCall: nothing,
      brokenBody: nothing,
      storage: nothing,
      purge: nothing,
      warm: nothing,
      limit: nothing,
      fleet: nothing,
      ...observer,
    },
    clock: systemClock,
    load,
    onBug: (error) => bugs.push(error),
  });
  const server = createServer((req: IncomingMessage, res: ServerResponse) => handler.request(req, res, 'default'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return { url: `http://127.0.0.1:${address.port}`, bugs, records, load };
}

const responses = (response: ProxyResponse): Handled => ({ kind: 'response', response });
const relayed: Handled = {
  kind: 'relay',
  relay: {
    route: cacheOffRoute,
    target: '/',
    url: '/',
    fwd: 'bypass',
    cacheStatus: 'forecache; fwd=bypass',
    settled: () => ({ ready: undefined, tap: undefined }),
  },
};

describe.each([
  ['at once', (handled: () => Handled): MaybePromise<Handled> => handled()],
  ['later', (handled: () => Handled): MaybePromise<Handled> => Promise.resolve().then(handled)],
])('A bug that shows %s', (_when, given) => {
  it.each([
    [
      'in the exchange',
      (): Handled => {
        throw new Error('a bug');
      },
    ],
    ['in a response that cannot be sent', () => responses(unsendable)],
    ['in the relay', () => relayed],
  ])('%s is one 500, told and recorded once; the process goes on', async (_where, handled) => {
    const { url, bugs, records, load } = await bench({ handle: () => given(handled) });
    const reply = await ask(url, '/x');
    expect([reply.status, JSON.parse(reply.text)]).toMatchObject([500, { type: 'urn:forecache:problem:internal' }]);
    expect(bugs).toHaveLength(1);
    await expect.poll(() => records.map(({ status, problem }) => [status, problem])).toEqual([[500, 'internal']]);
    expect(load.requestsInFlight).toBe(0);
  });
});

describe('A bug behind the head of an answer', () => {
  it('cuts the connection, and is recorded as an error', async () => {
    const relay: Relay = {
      ...noRelay,
      web: (_req, res) => {
        res.writeHead(200, { 'content-length': '10' });
        res.write('begin');
        return Promise.reject(new Error('a bug'));
      },
    };
    const { url, bugs, records } = await bench({ handle: () => relayed, relay });
    await expect(ask(url, '/x')).rejects.toThrow(/aborted|hang up|RESET/);
    expect(bugs).toHaveLength(1);
    await expect.poll(() => records.map(({ outcome }) => outcome)).toEqual(['error']);
  });

  it('that stops a stream tells its source to end', async () => {
    let cancelled = 0;
    const body = {
      kind: 'stream',
      chunks: onePiece(),
      length: undefined,
      cancel: () => void (cancelled += 1),
    } as const;
    const { url } = await bench({ handle: () => responses({ ...unsendable, body }) });
    expect((await ask(url, '/x')).status).toBe(500);
    expect(cancelled).toBe(1);
  });
});

describe('An observer that throws', () => {
  it.each([
    ['of a response', () => responses(good), 200],
    ['of a relayed call', () => relayed, 200],
  ])('when it hears %s is told to the log, and the client gets its answer', async (_what, handle, status) => {
    const relay: Relay = {
      ...noRelay,
      web: (_req, res, plan) => {
        plan.onHead({ status: 200, fields: [], requestTimeMs: 0, responseTimeMs: 0 }, 1);
        res.end('ok');
        const result = {
          status: 200,
          bytesSent: 2,
          problem: undefined,
          failure: undefined,
          reason: undefined,
          aborted: false,
          attempts: 1,
        };
        return once(res, 'close').then(() => result);
      },
    };
    const observer = { request: throwing, upstreamCall: throwing, limit: throwing };
    const { url, bugs, load } = await bench({ handle, relay, observer });
    const reply = await ask(url, '/x');
    expect([reply.status, reply.text]).toEqual([status, 'ok']);
    await expect.poll(() => bugs.length).toBeGreaterThan(0);
    expect(load.requestsInFlight).toBe(0);
    expect((await ask(url, '/x')).status).toBe(status);
  });
});
