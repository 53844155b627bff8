import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';

import { get, startStage } from '../support/hostile.ts';
import { limitHits, outcomes, upstreamCalls } from '../support/metrics.ts';
import {
  afterInterim,
  answer,
  chunk,
  gated,
  huge,
  inTurn,
  lastChunk,
  type OriginScript,
  silent,
  truncated,
} from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { converse, openRaw } from '../support/raw.ts';

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 8MiB }
  - { name: streamed, match: /s/*, upstream: api, ttl: 10m, maxStoredBytes: 4 }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

/** Field lines of exactly that many bytes with their line ends. */
function fieldsOf(bytes: number): Readonly<Record<string, string>> {
  const fixed = 'Content-Length: 2\r\nX-Pad: \r\n'.length;
  return { 'X-Pad': 'p'.repeat(bytes - fixed) };
}

/** Head and a part of the content, then nothing more. */
const stalled: OriginScript = (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin');

/** Pieces in time for the body timeout, without an end. */
const endless: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (const stop = peer.closed(); ;) {
    const gone = await Promise.race([stop.then(() => true), beat()]);
    if (gone) return;
    await peer.write(chunk('piece'));
  }
};

/** The pace of {@link endless}: well below the body timeouts here. */
function beat(): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), 20);
  });
}

/** Answers with as many bytes as the path ends with, in gzip. */
const inGzip: OriginScript = ({ target }, peer) => {
  const content = Buffer.alloc(Number(/(\d+)\?/.exec(target)?.[1] ?? '0'), 'x');
  return peer.respond(target.startsWith('/r/error') ? 400 : 200, { 'Content-Encoding': 'gzip' }, gzipSync(content));
};

interface Row {
  readonly title: string;
  readonly option: string;
  readonly upstream: string;
  readonly at: OriginScript;
  readonly past: OriginScript;
  readonly status: number;
  readonly code: string;
  /** Routes by the first segment of their paths. */
  readonly paths: readonly string[];
}

const rows: readonly Row[] = [
  {
    title: 'a head that comes within headersTimeout is taken, silence past it is a 504',
    option: 'upstreams.headersTimeout',
    upstream: 'headersTimeout: 150ms',
    at: answer(200, {}, 'ok'),
    past: silent,
    status: 504,
    code: 'upstream-timeout',
    paths: ['c', 's', 'h', 'r'],
  },
  {
    title: 'a body that goes on within bodyTimeout is taken, one that stalls before it can be sent is a 504',
    option: 'upstreams.bodyTimeout',
    upstream: 'bodyTimeout: 150ms',
    at: answer(200, {}, 'ok'),
    past: stalled,
    status: 504,
    code: 'upstream-timeout',
    paths: ['c'],
  },
  {
    title: 'a body that is whole within totalTimeout is taken, one that is not is a 504',
    option: 'upstreams.totalTimeout',
    upstream: 'totalTimeout: 200ms, bodyTimeout: 5s',
    at: answer(200, {}, 'ok'),
    past: endless,
    status: 504,
    code: 'upstream-timeout',
    paths: ['c'],
  },
  {
    title: 'field lines of exactly maxHeaderBytes are taken, one byte more is a 502',
    option: 'upstreams.maxHeaderBytes',
    upstream: 'maxHeaderBytes: 2KiB',
    at: answer(200, fieldsOf(2048), 'ok'),
    past: answer(200, fieldsOf(2049), 'ok'),
    status: 502,
    code: 'upstream-malformed',
    paths: ['c', 's', 'h', 'r'],
  },
  {
    title: 'field lines far past maxHeaderBytes, which the parsers already refuse, are a 502',
    option: 'upstreams.maxHeaderBytes',
    upstream: 'maxHeaderBytes: 2KiB',
    at: answer(200, fieldsOf(2048), 'ok'),
    past: answer(200, fieldsOf(9000), 'ok'),
    status: 502,
    code: 'upstream-malformed',
    paths: ['c', 'r'],
  },
  {
    title: 'an answer declared with exactly maxBodyBytes is taken, one byte more is a 502',
    option: 'upstreams.maxBodyBytes',
    upstream: 'maxBodyBytes: 2KiB',
    at: huge(2048, 'content-length'),
    past: huge(2049, 'content-length'),
    status: 502,
    code: 'upstream-too-large',
    paths: ['c', 's', 'h'],
  },
  {
    title: 'an answer in chunks of exactly maxBodyBytes is taken, one byte more is a 502',
    option: 'upstreams.maxBodyBytes',
    upstream: 'maxBodyBytes: 2KiB',
    at: huge(2048, 'chunked'),
    past: huge(2049, 'chunked'),
    status: 502,
    code: 'upstream-too-large',
    paths: ['c'],
  },
];

const cases = rows.flatMap((row) => row.paths.map((path) => ({ ...row, path })));

describe('What upstream may send and take', () => {
  it.each(cases)('$title (/$path)', async ({ option, upstream, at, past, status, code, path }) => {
    await using stage = await startStage({ upstream, routes, script: inTurn(at, past) });
    const within = await stage.converse(get(`/${path}/at`));
    expect(within.replies.map((reply) => reply.status)).toEqual([200]);
    expect(await upstreamHits(stage.admin)).toEqual({});

    const beyond = await stage.converse(get(`/${path}/past`));
    expect(beyond.replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
      [status, 'application/problem+json'],
    ]);
    expect(JSON.parse(beyond.replies[0]?.text ?? '')).toMatchObject({ type: `urn:forecache:problem:${code}`, status });
    expect(await upstreamHits(stage.admin)).toEqual({ [option]: 1 });
    expect(await outcomes(stage.admin)).toMatchObject({ error: 1 });
    // Nothing of what was refused is kept.
    expect((await stage.stored()).filter((key) => key.includes('past'))).toEqual([]);
    await stage.sound();
  });

  it.each(['s', 'h', 'r'])(
    'a body that stalls past bodyTimeout when it is being sent is broken off (/%s)',
    async (path) => {
      await using stage = await startStage({ upstream: 'bodyTimeout: 150ms', routes, script: stalled });
      const { replies, rest } = await stage.converse(get(`/${path}/x`));
      expect(replies).toEqual([]);
      expect(rest.toString()).toMatch(/^HTTP\/1\.1 200 [\s\S]*begin$/);
      expect(await upstreamHits(stage.admin)).toEqual({ 'upstreams.bodyTimeout': 1 });
      expect(await outcomes(stage.admin)).toEqual({ error: 1 });
      await stage.sound();
    },
  );

  it.each(['s', 'h'])('an answer in chunks past maxBodyBytes that is being sent is broken off (/%s)', async (path) => {
    const script = huge(4 * 1024 * 1024, 'chunked');
    await using stage = await startStage({ upstream: 'maxBodyBytes: 1MiB', routes, script });
    const { replies, rest } = await stage.converse(get(`/${path}/x`));
    expect(replies).toEqual([]);
    expect(rest.length).toBeLessThan(1024 * 1024 + 20_000);
    expect(await upstreamHits(stage.admin)).toEqual({ 'upstreams.maxBodyBytes': 1 });
    await expect.poll(() => stage.origin.openConnections).toBe(0);
    await stage.sound();
  });

  it('a relayed answer of a cache: off route may be larger than maxBodyBytes', async () => {
    const total = 1024 * 1024;
    const script = inTurn(huge(total, 'content-length'), huge(total, 'chunked'));
    await using stage = await startStage({ upstream: 'maxBodyBytes: 1KiB', routes, script });
    for (const target of ['/r/sized', '/r/chunked']) {
      const { replies } = await stage.converse(get(target));
      expect(replies.map((reply) => [reply.status, reply.body.length])).toEqual([[200, total]]);
    }
    expect(await limitHits(stage.admin)).toEqual({});
  });

  it('of an upstream with credentials a coded one too, piece by piece, but an error in a coding may not', async () => {
    const most = 64 * 1024;
    const upstream = 'maxBodyBytes: 64KiB, credentials: { query: { k: k3y-12345678 } }';
    await using stage = await startStage({ upstream, routes, script: inGzip });
    for (const [target, status, bytes] of [
      [`/r/${16 * most}`, 200, 16 * most],
      [`/r/error/${most}`, 400, most],
    ] as const) {
      const { replies } = await stage.converse(get(target));
      expect(replies.map((reply) => [reply.status, reply.body.length])).toEqual([[status, bytes]]);
    }
    expect(await limitHits(stage.admin)).toEqual({});
    for (const target of [`/r/error/${most + 1}`, `/h/${most + 1}`]) {
      const { replies } = await stage.converse(get(target));
      expect(replies.filter(({ status }) => status < 500)).toEqual([]);
    }
    expect(await upstreamHits(stage.admin)).toEqual({ 'upstreams.maxBodyBytes': 2 });
  });

  it.each(['s', 'h', 'r'])(
    'an answer that is passed on may take far longer than timeout, while its pieces come in time (/%s)',
    async (path) => {
      const pieces = 40;
      const script: OriginScript = async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
        for (let piece = 0; piece < pieces; piece++) {
          await beat();
          await peer.write(chunk('x'.repeat(10_000)));
        }
        await peer.write(lastChunk);
      };
      await using stage = await startStage({ upstream: 'timeout: 300ms', routes, script });
      const startedMs = performance.now();
      const { replies } = await stage.converse(get(`/${path}/x`));
      expect(replies.map((reply) => [reply.status, reply.body.length])).toEqual([[200, pieces * 10_000]]);
      expect(performance.now() - startedMs).toBeGreaterThan(600);
      expect(await upstreamHits(stage.admin)).toEqual({});
    },
  );

  it('calls past the upstream’s maxConnections wait for their turn', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await startStage({
      upstream: 'maxConnections: 2',
      routes,
      script: gated(gate, answer(200, {}, 'ok')),
    });
    const first = ['/c/1', '/c/2'].map((target) => stage.get(target));
    await stage.origin.arrived(2);
    expect(await limitHits(stage.admin)).toEqual({});
    const third = stage.get('/c/3');
    await expect.poll(() => limitHits(stage.admin)).toEqual({ 'upstreams.maxConnections': 1 });
    expect(stage.asked()).toEqual(['/c/1', '/c/2']);
    open();
    expect((await Promise.all([...first, third])).map((reply) => reply.status)).toEqual([200, 200, 200]);
    expect([stage.asked().length, stage.origin.peakConcurrency]).toEqual([3, 2]);
  });

  it.each(['c', 'r'])('a connection that is not made within connectTimeout is a 504 (/%s)', async (path) => {
    const deaf = await silentServer();
    const yaml = yamlFor('', routes).replace(
      'api: { origin: "", timeout: 5s }',
      `api: { origin: "https://127.0.0.1:${deaf}", connectTimeout: 150ms, timeout: 5s }`,
    );
    await using proxy = await startTestProxy({ yaml });
    const { replies } = await converse(proxy.origin, get(`/${path}/x`));
    expect(replies.map((reply) => reply.status)).toEqual([504]);
    expect(JSON.parse(replies[0]?.text ?? '')).toMatchObject({ type: 'urn:forecache:problem:upstream-timeout' });
    expect(await limitHits(proxy.admin)).toEqual({ 'upstreams.connectTimeout': 1 });
    expect(await upstreamCalls(proxy.admin)).toEqual({ timeout: 1 });
  });
});

/** Takes connections and never says a word, so that no TLS handshake ends. */
async function silentServer(): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Limits of upstreams alone: of those of routes, some are meant to be hit here. */
async function upstreamHits(admin: string): Promise<Readonly<Record<string, number>>> {
  const hits = await limitHits(admin);
  return Object.fromEntries(Object.entries(hits).filter(([option]) => option.startsWith('upstreams.')));
}

describe('Upstream down and nothing stored', () => {
  const scripts: readonly (readonly [how: string, script: OriginScript, status: number, code: string])[] = [
    ['closes without an answer', (_request, peer) => peer.end(), 502, 'upstream-reset'],
    ['resets without an answer', (_request, peer) => peer.reset(), 502, 'upstream-reset'],
    ['answers what is no HTTP', (_request, peer) => peer.write('SSH-2.0-x\r\n\r\n'), 502, 'upstream-malformed'],
    ['breaks off its answer', truncated('content-length', 'fin'), 502, 'upstream-truncated'],
    ['never answers', silent, 504, 'upstream-timeout'],
  ];

  it.each(scripts)('one that %s is a 502 or 504, never a 503', async (_how, script, status, code) => {
    await using stage = await startStage({ upstream: 'timeout: 200ms', routes, script });
    const { replies } = await stage.converse(get('/c/x'));
    expect(replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
      [status, 'application/problem+json'],
    ]);
    expect(JSON.parse(replies[0]?.text ?? '')).toMatchObject({ type: `urn:forecache:problem:${code}`, status });
    expect(replies[0]?.field('cache-status')).toMatch(/^forecache; fwd=uri-miss;(?: fwd-status=200;)? detail=[a-z-]+$/);
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });

  it.each([
    ['refuses connections', 'http://127.0.0.1:1', 'connect'],
    ['has no address', 'http://nowhere.invalid', 'dns'],
  ])('one that %s is a 502 on cached and on relayed routes', async (_how, origin, result) => {
    await using proxy = await startTestProxy({ yaml: yamlFor(origin, routes) });
    for (const target of ['/c/x', '/r/x']) {
      const reply = await proxy.get(target);
      expect([reply.status, JSON.parse(reply.text).type]).toEqual([502, 'urn:forecache:problem:upstream-unreachable']);
    }
    expect(await outcomes(proxy.admin)).toEqual({ error: 2 });
    expect(await upstreamCalls(proxy.admin)).toEqual({ [result]: 2 });
    expect(await limitHits(proxy.admin)).toEqual({});
  });
});

describe('interim responses', () => {
  it.each(['/h/x', '/r/x'])(
    'exactly 16 interim responses reach the client, one more is dropped (%s)',
    async (target) => {
      for (const sent of [16, 17]) {
        const statuses = Array.from({ length: sent }, () => 103);
        await using stage = await startStage({ routes, script: afterInterim(statuses, answer(200, {}, 'content')) });
        using connection = await openRaw(stage.url);
        await connection.send(get(target));
        await connection.ended();
        const text = connection.received.toString('latin1');
        expect(text.match(/^HTTP\/1\.1 103 /gm)).toHaveLength(16);
        expect(text.endsWith('content')).toBe(true);
      }
    },
  );
});
