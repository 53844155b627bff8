import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { Connections } from '../../src/server/connections.ts';
import {
  LINGER_AT_CLOSE_MS,
  LINGER_MS,
  Lingering,
  MAX_LINGER_BYTES,
  MAX_LINGERING,
} from '../../src/server/lingering.ts';
import { head, startStage } from '../support/hostile.ts';
import { openRaw, type RawEnd } from '../support/raw.ts';

const filler = Buffer.alloc(4 * 1024 * 1024, 'x');

const post = (target: string, ...lines: readonly string[]): Buffer =>
  Buffer.from(head(`POST ${target} HTTP/1.1`, 'Host: api.test', ...lines));

const announced = `Content-Length: ${filler.length}`;
const chunk = Buffer.concat([Buffer.from(`${filler.length.toString(16)}\r\n`), filler, Buffer.from('\r\n0\r\n\r\n')]);

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

/** Sends all of it, and reads only then. */
async function answerTo(origin: string, sent: readonly (string | Buffer)[]): Promise<readonly [number, RawEnd]> {
  using connection = await openRaw(origin);
  connection.socket.pause();
  for (const piece of sent) await connection.send(piece);
  connection.socket.resume();
  return [(await connection.reply('POST')).status, await connection.ended()];
}

describe('A client that reads nothing before it has sent all', () => {
  it.each([
    ['content past maxBodyBytes, announced', [post('/r/x', announced), filler], 413],
    ['content past maxBodyBytes, in chunks', [post('/r/x', 'Transfer-Encoding: chunked'), chunk], 413],
    ['content to no route', [post('/nowhere', announced), filler], 404],
    ['a head past maxHeaderBytes', ['GET / HTTP/1.1\r\nX: ', filler], 431],
    ['what is no request', ['HELLO\r\n', filler], 400],
    ['the last request of a connection', [head('GET /c/1 HTTP/1.1', 'Host: x'), filler], 200],
  ])('gets the answer to %s', async (_, sent, status) => {
    const server = `limits: { maxBodyBytes: 1MiB, maxRequestsPerConnection: ${status === 200 ? 1 : 0} }`;
    await using stage = await startStage({ routes, server });
    expect(await answerTo(stage.url, sent)).toEqual([status, 'fin']);
  });
});

it('A server that closes does not wait for connections that are read on', async () => {
  const stage = await startStage({ routes, server: 'limits: { maxBodyBytes: 1KiB }' });
  const { hostname, port } = new URL(stage.url);
  const client = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  client.on('error', () => {}).resume();
  client.write(post('/r/x', announced));
  await once(client, 'end');
  const startedMs = performance.now();
  await stage[Symbol.asyncDispose]();
  expect(performance.now() - startedMs).toBeLessThan(LINGER_MS / 2);
  client.destroy();
});

interface Pair extends Disposable {
  readonly client: Socket;
  /** The end of the proxy, which has ended its side. */
  readonly socket: Socket;
}

async function pair(lingering: Lingering, before?: (socket: Socket) => void): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  const client = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true });
  client.on('error', () => {}).resume();
  const [socket] = await once(server, 'connection');
  socket.on('error', () => {});
  before?.(socket);
  lingering.end(socket);
  await once(client, 'end');
  const dispose = (): void => {
    client.destroy();
    socket.destroy();
    server.close();
  };
  return { client, socket, [Symbol.dispose]: dispose };
}

describe('A connection that is ended in stages', () => {
  afterEach(() => vi.useRealTimers());

  it('is read for MAX_LINGER_BYTES more, and closed with one byte more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    using ends = await pair(new Lingering(new Connections(1)));
    const { client, socket } = ends;
    client.write(Buffer.alloc(MAX_LINGER_BYTES));
    await expect.poll(() => socket.bytesRead, { timeout: 15_000 }).toBe(MAX_LINGER_BYTES);
    expect(socket.destroyed).toBe(false);
    client.write('x');
    await once(socket, 'close');
  });

  it('is read on where nothing more was read of it, as `node:http` does where nobody takes content', async () => {
    using ends = await pair(new Lingering(new Connections(1)), (socket) => {
      socket.resume();
      const handle: unknown = Reflect.get(socket, '_handle');
      if (typeof handle !== 'object' || handle === null) throw new TypeError('no handle');
      Reflect.set(handle, 'reading', false);
      Reflect.apply(Reflect.get(handle, 'readStop'), handle, []);
    });
    ends.client.write(filler);
    await expect.poll(() => ends.socket.bytesRead).toBe(filler.length);
  });

  it('is closed after LINGER_MS at the latest, and at once when its client has ended its side', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const lingering = new Lingering(new Connections(1));
    using silent = await pair(lingering);
    vi.advanceTimersByTime(LINGER_MS - 1);
    expect(silent.socket.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(silent.socket.destroyed).toBe(true);
    using ended = await pair(lingering);
    ended.client.end();
    await once(ended.socket, 'close');
  });

  it('is read on for LINGER_AT_CLOSE_MS at most once the server closes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const lingering = new Lingering(new Connections(1));
    using before = await pair(lingering);
    lingering.close();
    using behind = await pair(lingering);
    vi.advanceTimersByTime(LINGER_AT_CLOSE_MS - 1);
    expect([before, behind].map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    vi.advanceTimersByTime(1);
    expect([before, behind].map(({ socket }) => socket.destroyed)).toEqual([true, true]);
  });

  it('is closed when its answer has left, where MAX_LINGERING others are read on', async () => {
    const lingering = new Lingering(new Connections(1));
    using stack = new DisposableStack();
    const pairs: Pair[] = [];
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    for (let one = 0; one < MAX_LINGERING; one += 1) pairs.push(stack.use(await pair(lingering)));
    vi.useRealTimers();
    expect(pairs.some(({ socket }) => socket.destroyed)).toBe(false);
    const more = stack.use(await pair(lingering));
    await expect.poll(() => more.socket.destroyed).toBe(true);
    pairs[0]?.client.end();
    if (pairs[0] !== undefined) await once(pairs[0].socket, 'close');
    expect(stack.use(await pair(lingering)).socket.destroyed).toBe(false);
  });
});
