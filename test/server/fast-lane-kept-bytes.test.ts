import { createHash, randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import { KnownHeads } from '../../src/server/fast-lane-heads.ts';
import { WordBuffer } from '../../src/server/fast-lane-words.ts';
import { AnswerWriter } from '../../src/server/fast-lane-answer.ts';
import type { ProxyResponse, Repeat } from '../../src/cache/ports.ts';
import { metaOfHit, ParsedRequests, warm, warmHead } from '../support/fast-lane.ts';
import { head, startStage, told } from '../support/hostile.ts';
import { openRaw } from '../support/raw.ts';
import { startStreamUpstream } from '../support/stream-upstream.ts';
import { startTestProxy } from '../support/proxy.ts';

const given = (): ProxyResponse => ({
  status: 200,
  fields: [
    ['age', '1'],
    ['content-length', '1'],
    ['date', 'x'],
    ['cache-status', 'forecache; hit; ttl=5'],
  ],
  body: { kind: 'bytes', bytes: Buffer.from('x') },
  meta: metaOfHit,
});
const repeat = (): Repeat => ({
  ageLine: 0,
  ttlFrom: 'forecache; hit; ttl='.length,
  madeOf: undefined,
  at: () => ({ ageSeconds: 1, ttlSeconds: 5, sinceMs: 0, untilMs: Infinity, lastMs: Infinity }),
  again: () => true,
});
const writer = new AnswerWriter({ keepAliveMs: 5000 });
function facts() {
  const of = repeat();
  return {
    repeat: of,
    wire: writer.wireOf(given(), of),
    method: 'GET',
    traceId: undefined,
    listener: 'a',
    status: 200,
    meta: given().meta,
    repeats: undefined,
  };
}

describe('A known head', () => {
  it('is no other that differs in one byte, wherever that is and however long it is', () => {
    // Of a long head few words are hashed: most of those that differ in one byte have the same hash.
    for (const length of [40, 41, 42, 43, 1000, 1001, 1002, 1003, 4093, 4094, 4095, 4096]) {
      const heads = new KnownHeads(1_000_000);
      const one = Buffer.from(`GET / HTTP/1.1\r\nX: ${'x'.repeat(length)}`).subarray(0, length);
      heads.remember(one, facts());
      const read = new WordBuffer(64 * 1024);
      const find = (bytes: Buffer) => {
        bytes.copy(read.bytes);
        // What was read before is behind it.
        read.end(bytes.length);
        return [heads.find(bytes), heads.findIn(read.words, bytes.length)];
      };
      const wrong: number[] = [];
      for (let at = 0; at < length; at += 1) {
        const other = Buffer.from(one);
        other[at] = (other[at] ?? 0) ^ 1;
        if (find(other).some((known) => known !== undefined)) wrong.push(at);
      }
      expect([length, wrong]).toEqual([length, []]);
      expect(find(Buffer.concat([one, Buffer.from([0])]))).toEqual([undefined, undefined]);
      expect(find(one.subarray(0, -1))).toEqual([undefined, undefined]);
      expect(find(one).every((known) => known !== undefined)).toBe(true);
    }
  });
});

/** The sockets that the server of this process has, by what they asked for last. */
function serverSocketOf(origin: string, target: string): { readonly socket: Socket } {
  const seen: { socket: Socket | undefined } = { socket: undefined };
  const hear = (message: unknown): void => {
    if (!hasRequest(message)) return;
    const { url, socket } = message.request;
    if (url === target && socket.localPort === Number(new URL(origin).port)) seen.socket = socket;
  };
  subscribe('http.server.request.start', hear);
  onTestFinished(() => void unsubscribe('http.server.request.start', hear));
  return {
    get socket() {
      if (seen.socket === undefined) throw new Error('not seen');
      return seen.socket;
    },
  };
}

function hasRequest(message: unknown): message is { readonly request: IncomingMessage } {
  return typeof message === 'object' && message !== null && 'request' in message;
}

describe('A connection of the fast lane', () => {
  it('that the server holds up gives what comes in its order when it goes on', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    const own = serverSocketOf(stage.url, '/c/own');
    await connection.send(head('GET /c/own HTTP/1.1', 'Host: api.test'));
    await connection.reply();
    const known = head('GET /c/known HTTP/1.1', 'Host: api.test');
    await warmHead(connection, parsed, known);
    const { socket } = own;
    socket.pause();
    socket.read(0);
    const other = head('GET /r/other HTTP/1.1', 'Host: api.test');
    await connection.send(known);
    await expect.poll(() => socket.readableLength).toBe(known.length);
    await connection.send(other);
    await connection.send(known);
    await expect.poll(() => socket.readableLength).toBe(2 * known.length + other.length);
    expect(connection.received.length).toBe(0);
    socket.resume();
    const texts = [await connection.reply(), await connection.reply(), await connection.reply()].map(
      ({ text }) => text,
    );
    expect(texts).toEqual([told('GET', '/c/known'), told('GET', '/r/other'), told('GET', '/c/known')]);
    // And it is on the fast lane again.
    await warm(connection, parsed, known);
  });

  it('is read directly: a hit, and what is answered for its target, do not go through its stream', async () => {
    await using stage = await startStage({
      routes: '\n  - { name: spelt, match: /s, upstream: api, ttl: 10m, unknownQuery: drop }',
    });
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    const own = serverSocketOf(stage.url, '/s');
    const known = head('GET /s HTTP/1.1', 'Host: api.test');
    await warmHead(connection, parsed, known);
    const { socket } = own;
    let pushed = 0;
    const push = socket.push.bind(socket);
    socket.push = (...chunk) => {
      pushed += 1;
      return push(...chunk);
    };
    for (const one of [known, head('GET /s?x=new HTTP/1.1', 'Host: api.test'), known]) {
      await connection.send(one);
      await connection.reply();
    }
    expect(pushed).toBe(0);
    // What is not for the fast lane does.
    await connection.send(
      head('GET /s HTTP/1.1', 'Host: api.test') + head('GET /s HTTP/1.1', 'Host: api.test').slice(0, 5),
    );
    // That one is here: what comes next is a chunk of its own.
    await connection.reply();
    await connection.send(head('GET /s HTTP/1.1', 'Host: api.test').slice(5));
    await connection.reply();
    expect(pushed).toBeGreaterThan(0);
  });

  it.each(['content-length', 'chunked'])(
    'passes on content byte for byte, held up by upstream, with %s',
    async (framing) => {
      const gate = Promise.withResolvers<void>();
      const upstream = await startStreamUpstream(async (request, response) => {
        const hash = createHash('sha256');
        if (request.method === 'POST') {
          await gate.promise;
          for await (const chunk of request) hash.update(chunk);
        }
        response.writeHead(200, { 'Content-Type': 'text/plain' });
        response.end(request.method === 'POST' ? hash.digest('hex') : 'known');
      });
      await using proxy = await startTestProxy({
        yaml: `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams: { api: { origin: "${upstream.url}", timeout: 30s } }
routes:
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`,
      });
      using parsed = new ParsedRequests(proxy.origin);
      using connection = await openRaw(proxy.origin);
      using beside = await openRaw(proxy.origin);
      const own = serverSocketOf(proxy.origin, '/r/up');
      const known = head('GET /c/known HTTP/1.1', 'Host: api.test');
      await warmHead(connection, parsed, known);
      await warmHead(beside, parsed, known);
      const content = randomBytes(8 * 1024 * 1024);
      const framed =
        framing === 'chunked'
          ? Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from('\r\n0\r\n\r\n')])
          : content;
      await connection.send(
        head(
          'POST /r/up HTTP/1.1',
          'Host: api.test',
          framing === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${content.length}`,
        ),
      );
      const sent = connection.send(framed);
      // As much as is held up at all.
      let bytes = -1;
      await expect
        .poll(
          () => {
            const before = bytes;
            bytes = own.socket.bytesRead;
            return before === bytes;
          },
          { interval: 50 },
        )
        .toBe(true);
      expect(own.socket.readableLength).toBeLessThanOrEqual(128 * 1024);
      expect(bytes).toBeLessThan(content.length);
      // Others are read into the same buffer meanwhile.
      for (let round = 0; round < 20; round += 1) await warm(beside, parsed, known);
      gate.resolve();
      await sent;
      expect((await connection.reply()).text).toBe(createHash('sha256').update(content).digest('hex'));
      await warm(connection, parsed, known);
    },
  );
});
