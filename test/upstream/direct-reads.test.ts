import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextStep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { DirectReads } from '../../src/upstream/direct-reads.ts';

/** Not one that repeats with the size of a read. */
const sent = Buffer.from(Uint8Array.from({ length: 4_000_037 }, (_none, place) => (place * 31 + (place >> 12)) & 0xff));

/** A connection to a server that sends these bytes and ends. */
async function connected(stack: AsyncDisposableStack, bytes: Buffer): Promise<Socket> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(bytes);
  });
  stack.defer(async () => {
    server.close();
    await once(server, 'close');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const reads = new DirectReads();
  const socket = connect({ port, host: '127.0.0.1', onread: reads.onread });
  stack.defer(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  reads.attach(socket);
  return socket;
}

function read(socket: Socket): Buffer | null {
  const chunk: unknown = socket.read();
  return Buffer.isBuffer(chunk) ? chunk : null;
}

describe('what a connection brings, read directly', () => {
  it('comes whole and in order, and then its end', async () => {
    await using stack = new AsyncDisposableStack();
    const socket = await connected(stack, sent);
    const chunks: Buffer[] = [];
    socket.on('readable', () => {
      for (let chunk = read(socket); chunk !== null; chunk = read(socket)) chunks.push(chunk);
    });
    await once(socket, 'end');
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
  });

  it('is read no further while it is not taken, and from there on when it is', async () => {
    await using stack = new AsyncDisposableStack();
    const socket = await connected(stack, sent);
    const chunks: Buffer[] = [];
    const take = async (): Promise<void> => {
      // Steps in which more would be read if that went on.
      for (let step = 0; step < 5; step += 1) await nextStep();
      for (let chunk = read(socket); chunk !== null; chunk = read(socket)) chunks.push(chunk);
    };
    let taking: Promise<void> | undefined;
    let whileWaiting = 0;
    socket.on('readable', () => {
      if (taking !== undefined) whileWaiting += 1;
      taking ??= take().finally(() => {
        taking = undefined;
      });
    });
    await once(socket, 'end');
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(65_536);
    expect(whileWaiting).toBeLessThanOrEqual(1);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
  });

  it('is the reader’s to keep: what comes later is not written over it', async () => {
    await using stack = new AsyncDisposableStack();
    const socket = await connected(stack, sent);
    const chunk = await once(socket, 'readable').then(() => read(socket));
    socket.on('readable', () => {
      while (read(socket) !== null);
    });
    // Reading stands still: nobody took what came in the step in which it did.
    while (read(socket) !== null);
    await once(socket, 'end');
    expect(chunk?.equals(sent.subarray(0, chunk.length))).toBe(true);
  });
});
