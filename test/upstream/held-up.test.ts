import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { setImmediate as turnEnd } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';

import type { RelayPlan, RelayResult } from '../../src/cache/relay-types.ts';
import { UpstreamBodyError, type UpstreamBody } from '../../src/cache/upstream-ports.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { createRelay } from '../../src/upstream/relay.ts';
import { selfSigned } from '../support/certificate.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { ask, type Ask } from '../support/http.ts';
import { chunk, lastChunk, startOrigin, type Framing, type OriginScript } from '../support/origin.ts';
import { cacheOffRoute } from '../support/relay-route.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const KB = 1024;

const certificate = await selfSigned();
afterAll(() => certificate[Symbol.dispose]());

const schemes = ['http', 'https'] as const;
const framings = ['content-length', 'chunked'] as const;
const connections = ['keep-alive', 'close'] as const;
const ends = ['fin', 'rst'] as const;

interface Message {
  readonly scheme: (typeof schemes)[number];
  readonly framing: Framing;
  readonly connection: (typeof connections)[number];
  /** How its connection ends, right behind it. */
  readonly end: (typeof ends)[number];
  /** Of content. */
  readonly bytes: number;
  /** Of the message, left out at its end. */
  readonly missing?: number;
}

/** All ways of sending content of so many kilobytes. */
function messages(kilobytes: readonly number[]): Message[] {
  return schemes.flatMap((scheme) =>
    framings.flatMap((framing) =>
      connections.flatMap((connection) =>
        ends.flatMap((end) => kilobytes.map((kb) => ({ scheme, framing, connection, end, bytes: kb * KB }))),
      ),
    ),
  );
}

/**
 * Of those, the ones in which all that is sent has come when the connection is reset: of more than is read while its reader holds it
 * up, what stands in between has a part, which is lost then.
 */
function arriving(all: readonly Message[], maxKilobytes: number): Message[] {
  return all.filter(({ scheme, end, bytes }) => scheme === 'http' || end === 'fin' || bytes <= maxKilobytes * KB);
}

function contentOf(bytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_none, at) => (at * 31 + (at >> 12)) & 0xff));
}

function bytesOf({ framing, connection, bytes, missing = 0 }: Message): Buffer {
  const content = contentOf(bytes);
  const lines = {
    'content-length': `Content-Length: ${bytes}\r\n`,
    chunked: 'Transfer-Encoding: chunked\r\n',
    close: '',
  };
  const framed = framing === 'chunked' ? Buffer.concat([chunk(content), Buffer.from(lastChunk)]) : content;
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nConnection: ${connection}\r\n${lines[framing]}\r\n`);
  return Buffer.concat([head, framed]).subarray(0, head.length + framed.length - missing);
}

/** Whatever may come while nobody reads has come. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 60; turn += 1) await turnEnd();
}

/** An upstream that sends the message and ends the connection; `ended` resolves when all of that has come. */
async function upstreamOf(message: Message) {
  const ended = Promise.withResolvers<void>();
  const isSecure = message.scheme === 'https';
  const script: OriginScript = async (_request, peer) => {
    await peer.write(bytesOf(message));
    await settled();
    if (message.end === 'fin') peer.end();
    // A connection with TLS cannot be reset from its own end.
    else if (isSecure) link.cut();
    else peer.reset();
    await settled();
    ended.resolve();
  };
  const tls = isSecure ? { tls: { key: certificate.key, cert: certificate.cert } } : {};
  const origin = await startOrigin(script, tls);
  onTestFinished(() => origin.close());
  const link = await startFaultProxy(origin.port);
  onTestFinished(() => link[Symbol.asyncDispose]());
  const isLinked = isSecure && message.end === 'rst';
  const url = isLinked ? `https://localhost:${link.port}` : origin.url;
  const config = upstreamConfig(url, isSecure ? { caFile: certificate.certFile } : {});
  return { upstreams: new Map([['api', config]]), ended: ended.promise };
}

/** What a reader gets who begins when upstream's connection has ended. */
async function readLate(message: Message) {
  const { upstreams, ended } = await upstreamOf(message);
  const client = createUpstreamClient({ upstreams, clock: systemClock, version: '9.9.9' });
  onTestFinished(() => client[Symbol.asyncDispose]());
  const canonical = { upstream: 'api', method: 'GET', target: '/', fields: [] } as const;
  const call = { canonical, fields: [], decode: true, purpose: 'interactive' } as const;
  const answer = await client.fetch(call, new AbortController().signal);
  if (answer.kind === 'failure') throw new Error(answer.detail);
  await ended;
  return read(answer.body);
}

async function read(body: UpstreamBody) {
  const parts: Buffer[] = [];
  let failure: string | undefined;
  try {
    for await (const part of body.chunks()) parts.push(part);
  } catch (error) {
    if (!(error instanceof UpstreamBodyError)) throw error;
    failure = error.failure;
  }
  return { content: Buffer.concat(parts), failure };
}

/** What a client gets that takes something only when upstream's connection has ended. */
async function relayLate(message: Message, request: Ask) {
  const { upstreams, ended } = await upstreamOf(message);
  const relay = createRelay({ upstreams, clock: systemClock });
  onTestFinished(() => relay[Symbol.dispose]());
  const result = Promise.withResolvers<RelayResult>();
  // From here on nothing leaves, as with a client whose window is full.
  const hold = ({ socket }: IncomingMessage): void => {
    socket.cork();
    void ended.then(() => socket.uncork());
  };
  const server = createServer((req, res) => {
    hold(req);
    void relay.web(req, res, plan).then(result.resolve);
  });
  server.on('upgrade', (req, socket, head) => {
    hold(req);
    void relay.upgrade({ req, socket, head, plan, onUnsent: () => {} }).then(result.resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  // A client that was cut off gets nothing that it could use.
  const reply = await ask(`http://127.0.0.1:${address.port}`, '/', request).catch(() => undefined);
  return { content: reply?.body, result: await result.promise };
}

const plan: RelayPlan = {
  upstream: 'api',
  target: '/',
  route: cacheOffRoute,
  cacheStatus: 'forecache; fwd=bypass',
  maxBodyBytes: KB,
  onHead: () => ({ ready: undefined, tap: undefined }),
};

// On connections of one kind each: see `relayWeb`.
const requests: readonly Ask[] = [
  { method: 'GET' },
  { method: 'POST', body: 'x' },
  { headers: { connection: 'Upgrade', upgrade: 'websocket' } },
];

describe('a body that has come whole while its reader held it up', () => {
  // The queue holds a connection up at 256 KB, and what waits in the connection's own buffer then is up to 64 KB.
  it.each(arriving(messages([256, 300, 321]), 300))(
    'is whole whatever ends its connection: $scheme, $framing, $connection, $end, $bytes bytes',
    async (message) => {
      const { content, failure } = await readLate(message);
      expect(failure).toBe(undefined);
      expect(content.equals(contentOf(message.bytes))).toBe(true);
    },
  );

  it.each(arriving(messages([64, 129]), 100))(
    'is whole for the client of a relay, too: $scheme, $framing, $connection, $end, $bytes bytes',
    async (message) => {
      for (const request of requests) {
        const { content, result } = await relayLate(message, request);
        const { failure, aborted } = result;
        expect({ failure, aborted }).toEqual({ failure: undefined, aborted: false });
        expect(content?.equals(contentOf(message.bytes))).toBe(true);
      }
    },
  );
});

describe('a body of which the last byte is missing when its connection ends', () => {
  it.each(arriving(messages([300]), 300).map((message) => ({ ...message, missing: 1 })))(
    'has broken off, also where its reader held it up: $scheme, $framing, $connection, $end, $bytes bytes',
    async (message) => {
      const { content, failure } = await readLate(message);
      expect(['truncated', 'reset']).toContain(failure);
      // What came is read before that is told.
      expect(content.length).toBe(message.bytes - (message.framing === 'content-length' ? 1 : 0));
    },
  );

  it.each(arriving(messages([100]), 100).map((message) => ({ ...message, missing: 1 })))(
    'has broken off for the client of a relay, too: $scheme, $framing, $connection, $end, $bytes bytes',
    async (message) => {
      for (const request of requests) {
        const { content, result } = await relayLate(message, request);
        expect(content).toBe(undefined);
        expect(['truncated', 'reset']).toContain(result.failure);
      }
    },
  );
});

describe('a body that ends with its connection', () => {
  it.each(schemes.flatMap((scheme) => ends.map((end) => ({ scheme, end }))))(
    'has broken off where that is a reset, and else is as whole as can be told: $scheme, $end',
    async ({ scheme, end }) => {
      const message: Message = { scheme, end, framing: 'close', connection: 'close', bytes: 288 * KB };
      const { content, failure } = await readLate(message);
      expect(content.length).toBe(message.bytes);
      expect(end === 'fin' ? [undefined] : ['truncated', 'reset']).toContain(failure);
    },
  );
});
