import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { ProxyResponse, ResponseBody } from '../../src/cache/ports.ts';
import { type SendOptions, type Sent, writeResponse } from '../../src/server/write-response.ts';
import { converse, openRaw } from '../support/raw.ts';

const meta: ProxyResponse['meta'] = {
  outcome: 'miss',
  route: 'a',
  upstream: 'api',
  tier: undefined,
  fwd: undefined,
  problem: undefined,
  url: '/',
};

/** What was given to a stream, and whether it was told to end. */
interface Source {
  readonly body: Extract<ResponseBody, { kind: 'stream' }>;
  readonly cancelled: () => number;
}

function streamOf(chunks: AsyncIterable<Buffer>, length?: number): Source {
  let cancelled = 0;
  const cancel = (): void => {
    cancelled += 1;
  };
  return { body: { kind: 'stream', chunks, length, cancel }, cancelled: () => cancelled };
}

/** Pieces, then the error of a body that breaks off. */
async function* broken(...pieces: readonly string[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
  // What was written has left by then.
  await new Promise((resolve) => void setImmediate(resolve));
  throw new Error('cut off');
}

/** More than the kernel's buffers of both ends take on loopback. */
async function* large(): AsyncGenerator<Buffer> {
  for (let piece = 0; piece < 400; piece += 1) yield Buffer.alloc(64 * 1024, 'z');
}

async function* whole(...pieces: readonly string[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
}

interface Served {
  readonly url: string;
  /** Of the last response. */
  readonly sent: () => Sent | undefined;
  readonly slow: () => number;
}

interface ServeOptions extends Partial<SendOptions> {
  readonly fields?: ProxyResponse['fields'];
  /** The list of an answer that is sent again and again. */
  readonly raw?: string[];
  /** Called before anything is written. */
  readonly before?: (res: ServerResponse) => void;
}

/** A server that answers everything with this body. */
async function serve(body: ResponseBody, options: ServeOptions = {}): Promise<Served> {
  let sent: Sent | undefined;
  let slow = 0;
  const { fields = [], raw, before, ...sending } = options;
  // One object for all requests.
  const response: ProxyResponse = { status: 200, fields, raw, body, meta };
  const onSlow = (): void => {
    slow += 1;
  };
  const server = createServer((_req, res) => {
    before?.(res);
    sent = writeResponse(res, response, { sendTimeoutMs: 5000, close: false, onSlow, ...sending });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return { url: `http://127.0.0.1:${address.port}`, sent: () => sent, slow: () => slow };
}

const http11 = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const http10 = 'GET / HTTP/1.0\r\n\r\n';

describe('An answer that is sent again and again', () => {
  it.each([0, 1, 2048, 2049])('has the same bytes each time, with content of %i of them', async (length) => {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 7) % 256));
    const raw = ['content-type', 'application/octet-stream', 'content-length', String(length)];
    const { url, sent } = await serve({ kind: 'bytes', bytes }, { raw });
    for (let times = 0; times < 3; times += 1) {
      const response = await fetch(url);
      expect(response.headers.get('content-length')).toBe(String(length));
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
      expect(sent()).toEqual({ bytes: length, failed: false });
    }
  });
});

describe('A stream that breaks off', () => {
  it('resets a client to which the end of the connection is the end of the content', async () => {
    const { url, sent } = await serve(streamOf(broken('some ', 'bytes')).body);
    const { rest, replies, end } = await converse(url, http10);
    expect([replies.length, end]).toEqual([0, 'reset']);
    expect(rest.toString('latin1')).toMatch(/^HTTP\/1\.1 200 (?![^]*transfer-encoding)[^]*some bytes$/);
    expect(sent()).toEqual({ bytes: 10, failed: true });
  });

  it('ends a chunked answer without its last chunk', async () => {
    const { url, sent } = await serve(streamOf(broken('some ', 'bytes')).body);
    const { rest, replies } = await converse(url, http11);
    expect(replies).toEqual([]);
    expect(rest.toString('latin1')).not.toContain('0\r\n\r\n');
    expect(sent()).toEqual({ bytes: 10, failed: true });
  });

  it('ends an answer with a length before it is reached', async () => {
    const fields = [['content-length', '100']] as const;
    const { url, sent } = await serve(streamOf(broken('some'), 100).body, { fields });
    expect((await converse(url, http10)).replies).toEqual([]);
    expect(sent()).toEqual({ bytes: 4, failed: true });
  });
});

describe('A stream that is whole', () => {
  it('ends in order, chunked or by the end of the connection', async () => {
    const answer = await converse(
      (await serve(streamOf(whole('a', 'b')).body)).url,
      http11.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    );
    expect([answer.replies[0]?.text, answer.replies[0]?.field('transfer-encoding'), answer.end]).toEqual([
      'ab',
      'chunked',
      'fin',
    ]);
    const old = await converse((await serve(streamOf(whole('a', 'b')).body)).url, http10);
    expect([old.replies[0]?.text, old.replies[0]?.field('transfer-encoding'), old.end]).toEqual([
      'ab',
      undefined,
      'fin',
    ]);
  });

  it('is not told to end behind its end', async () => {
    const source = streamOf(whole('a', 'b'));
    const { url } = await serve(source.body);
    await converse(url, http10);
    expect(source.cancelled()).toBe(0);
  });
});

describe('A client', () => {
  it('that goes ends the stream', async () => {
    const gone = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<Buffer> {
      yield Buffer.from('first');
      await gone.promise;
      yield Buffer.from('second');
    }
    const source = streamOf(endless());
    const { url, sent } = await serve(source.body);
    using connection = await openRaw(url);
    await connection.send(http11);
    await once(connection.socket, 'data');
    connection.socket.destroy();
    await expect.poll(() => source.cancelled()).toBeGreaterThan(0);
    gone.resolve();
    expect(sent()).toEqual({ bytes: 5, failed: false });
  });

  it('that went before the answer gets none, and the stream is told so', async () => {
    const source = streamOf(whole('a'));
    const { url, sent } = await serve(source.body, { before: (res) => res.destroy() });
    await converse(url, http11);
    expect(source.cancelled()).toBe(1);
    expect(sent()).toEqual({ bytes: 0, failed: false });
  });

  it('that takes nothing of a stream without framing is reset, not told that it is whole', async () => {
    const { url, slow } = await serve(streamOf(large()).body, { sendTimeoutMs: 100 });
    using connection = await openRaw(url);
    connection.socket.pause();
    await connection.send(http10);
    await expect.poll(slow, { timeout: 5000 }).toBe(1);
    connection.socket.resume();
    expect(await connection.ended()).toBe('reset');
  });
});

describe('The connection', () => {
  it.each([
    [true, 'close'],
    [false, undefined],
  ])('with close: %s is told %s', async (close, value) => {
    const { url } = await serve(
      { kind: 'bytes', bytes: Buffer.from('ab') },
      { close, fields: [['content-length', '2']] },
    );
    using connection = await openRaw(url);
    await connection.send(http11);
    const reply = await connection.reply();
    expect([reply.field('connection') === 'close' ? 'close' : undefined, reply.text]).toEqual([value, 'ab']);
  });
});
