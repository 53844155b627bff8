import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';

import { launchServe, type Served } from '../support/launch.ts';
import { limitHits, outcomes } from '../support/metrics.ts';
import { memoryOf } from '../support/process-memory.ts';
import { openRaw } from '../support/raw.ts';
import {
  pieces,
  sendPieces,
  startStreamUpstream,
  type StreamHandler,
  type StreamUpstream,
} from '../support/stream-upstream.ts';

const MiB = 1024 * 1024;

/** What may be in the buffers of both ends while nothing flows. */
const heldBytes = 48 * MiB;

/** What a body of whatever size may add while it flows: V8 lets some 64 MiB of buffers go by between two collections. */
const flowingBytes = 112 * MiB;

interface Scene {
  readonly program: Served;
  readonly upstream: StreamUpstream;
  /** Bytes by which the process has grown at its highest since the scene began. */
  growth(): number;
}

async function startScene(handler: StreamHandler): Promise<Scene> {
  const upstream = await startStreamUpstream(handler);
  const program = await launchServe(`
server: { listen: 127.0.0.1:0, limits: { maxBodyBytes: 1GiB } }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "${upstream.url}", timeout: 20s, maxBodyBytes: 1GiB, acceptEncoding: identity } }
routes:
  - { name: stored, match: /stored/*, upstream: api, ttl: 1h, maxStoredBytes: 1MiB }
  - { name: honoured, match: /honoured/*, upstream: api, upstreamCacheControl: honour, maxStoredBytes: 1MiB }
  - { name: keyed, match: /keyed, upstream: api, ttl: 1h, content: { methods: [POST] } }
  - { name: live, match: /live/*, upstream: api, cache: off }
`);
  // What is loaded with the first requests is not the bodies' doing.
  for (const path of ['/stored/warm', '/honoured/warm', '/live/warm']) await download(program, path);
  const before = memoryOf(program.pid).nowBytes;
  return { program, upstream, growth: () => memoryOf(program.pid).peakBytes - before };
}

async function open(program: Served, path: string): Promise<IncomingMessage> {
  const request = httpRequest(`${program.proxy}${path}`, { agent: false });
  request.end();
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (response === undefined) throw new Error('no response');
  return response;
}

async function download(program: Served, path: string): Promise<string> {
  return digest(await open(program, path));
}

async function* nothing(): AsyncGenerator<Buffer, void, void> {
  // A response that is not there has no content; its digest will not do.
}

async function digest(from: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of from) hash.update(piece);
  return hash.digest('hex');
}

const digests = new Map<number, string>();

/** Of a body of that many bytes; the same ones are asked for again and again. */
function digestOf(totalBytes: number): string {
  const known = digests.get(totalBytes);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for (const piece of pieces(totalBytes)) hash.update(piece);
  const found = hash.digest('hex');
  digests.set(totalBytes, found);
  return found;
}

/** Answers with as many bytes as the last segment of the path says, in MiB. */
function sending(onSent?: (bytes: number) => void): StreamHandler {
  return async (request, response) => {
    const total = Number(/\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0) * MiB;
    if (total > 0) response.setHeader('content-length', total);
    response.writeHead(200, { 'cache-control': 'max-age=60', 'content-type': 'application/octet-stream' });
    await sendPieces(response, total, onSent);
    response.end();
  };
}

describe('A body past maxStoredBytes', () => {
  it('of 256 MiB streams through whole in bounded memory, on ruled and on honour routes', async () => {
    const scene = await startScene(sending());
    for (const path of ['/stored/256', '/honoured/256']) {
      expect(await download(scene.program, path)).toBe(digestOf(256 * MiB));
      expect(scene.growth()).toBeLessThan(flowingBytes);
    }
    expect(await limitHits(scene.program.admin)).toEqual({ 'routes.maxStoredBytes': 2 });
  });
});

describe.each(['/stored', '/live'])('A slow reader of a large stream (%s)', (route) => {
  it('holds up upstream rather than fill the proxy, and gets it whole', async () => {
    let sent = 0;
    const scene = await startScene(sending((bytes) => (sent = bytes)));
    const response = await open(scene.program, `${route}/160`);
    // Nothing is read until upstream can send no more.
    let before = -1;
    const stands = (): boolean => {
      const same = sent > 0 && sent === before;
      before = sent;
      return same;
    };
    await expect.poll(stands, { interval: 150, timeout: 10_000 }).toBe(true);
    expect(sent).toBeLessThan(64 * MiB);
    expect(scene.growth()).toBeLessThan(heldBytes);
    expect(await digest(response)).toBe(digestOf(160 * MiB));
    expect(scene.growth()).toBeLessThan(flowingBytes);
  });

  it('that goes away ends the call upstream', async () => {
    const gone = Promise.withResolvers<void>();
    const scene = await startScene(async (request, response) => {
      response.once('close', () => {
        if (!response.writableFinished) gone.resolve();
      });
      await sending()(request, response);
    });
    const response = await open(scene.program, `${route}/160`);
    await once(response, 'readable');
    response.destroy();
    await gone.promise;
    await expect.poll(() => outcomes(scene.program.admin)).toMatchObject({ aborted: 1 });
  });
});

/** Of one byte each, which is as short as a chunk can be. */
function shortChunks(count: number): Buffer {
  return Buffer.from('1\r\nx\r\n'.repeat(count), 'latin1');
}

describe('Chunks of one byte', () => {
  it('of content that many clients send for a key take no more memory than their bytes', async () => {
    const scene = await startScene(async (request, response) => void response.end(await digest(request)));
    const connections = [];
    for (let count = 0; count < 16; count += 1) {
      const connection = await openRaw(scene.program.proxy);
      onTestFinished(() => connection[Symbol.dispose]());
      await connection.send(
        'POST /keyed HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      connections.push(connection);
    }
    await Promise.all(connections.map((connection) => connection.send(shortChunks(60_000))));
    await Promise.all(connections.map((connection) => connection.send('0\r\n\r\n')));
    const replies = await Promise.all(connections.map((connection) => connection.reply()));
    const hash = createHash('sha256').update('x'.repeat(60_000)).digest('hex');
    expect(replies.map((reply) => reply.text)).toEqual(connections.map(() => hash));
    expect(scene.growth()).toBeLessThan(flowingBytes);
  });
});

describe('Content that is relayed', () => {
  it('of 128 MiB both ways at once arrives whole in bounded memory', async () => {
    const scene = await startScene((request, response) => void request.pipe(response));
    const request = httpRequest(`${scene.program.proxy}/live/echo`, { method: 'POST', agent: false });
    const answered = once(request, 'response').then(([response]: IncomingMessage[]) => digest(response ?? nothing()));
    await sendPieces(request, 128 * MiB);
    request.end();
    expect(await answered).toBe(digestOf(128 * MiB));
    expect(scene.growth()).toBeLessThan(flowingBytes);
  });

  it('of 160 MiB that upstream does not take is held up at the client', async () => {
    const gate = Promise.withResolvers<void>();
    const scene = await startScene(async (request, response) => {
      if (request.method === 'POST') await gate.promise;
      response.end(await digest(request));
    });
    const request = httpRequest(`${scene.program.proxy}/live/upload`, { method: 'POST', agent: false });
    let sent = 0;
    const uploaded = sendPieces(request, 160 * MiB, (bytes) => (sent = bytes)).then(() => request.end());
    let before = -1;
    const stands = (): boolean => {
      const same = sent > 0 && sent === before;
      before = sent;
      return same;
    };
    await expect.poll(stands, { interval: 150, timeout: 10_000 }).toBe(true);
    expect(sent).toBeLessThan(64 * MiB);
    expect(scene.growth()).toBeLessThan(heldBytes);
    gate.resolve();
    const [response]: IncomingMessage[] = await once(request, 'response');
    await uploaded;
    const chunks: Buffer[] = [];
    for await (const chunk of response ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe(digestOf(160 * MiB));
    expect(scene.growth()).toBeLessThan(flowingBytes);
  });
});
