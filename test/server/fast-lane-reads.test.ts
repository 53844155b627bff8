import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, connect, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';

import { type DirectRead, readDirectly } from '../../src/server/fast-lane-reads.ts';

/** Both ends of a connection. Nobody reads that of the server yet. */
async function pair(): Promise<{ readonly client: Socket; readonly accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  const [[accepted], client] = await Promise.all([once(server, 'connection'), connectTo(address.port)]);
  if (!(accepted instanceof Socket)) throw new Error('no socket');
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return { client, accepted };
}

async function connectTo(port: number): Promise<Socket> {
  const client = connect({ port, host: '127.0.0.1' });
  await once(client, 'connect');
  return client;
}

/** What is not read goes on as a stream gives it. */
function toStream(socket: Socket): DirectRead {
  return ({ bytes }, length) => socket.push(Buffer.from(bytes.subarray(0, length)));
}

describe('readDirectly', () => {
  it('is what this Node can do: where it cannot, the fast lane costs half a microsecond more', async () => {
    const { accepted } = await pair();
    expect(readDirectly(accepted, () => true)).toBe(true);
  });

  it.each(['24.0.0', '26.0.0'])('is done on Node %s', async (node) => {
    const { accepted } = await pair();
    expect(readDirectly(accepted, () => true, node)).toBe(true);
  });

  it('tells of what comes, in the order in which it comes, in one buffer for all connections', async () => {
    const [one, other] = [await pair(), await pair()];
    const told: string[] = [];
    const buffers = new Set<object>();
    for (const [name, { accepted }] of Object.entries({ one, other })) {
      readDirectly(accepted, (buffer, length) => {
        buffers.add(buffer);
        told.push(`${name} ${buffer.bytes.toString('latin1', 0, length)}`);
        return true;
      });
      accepted.on('data', () => told.push('by the stream'));
      accepted.resume();
    }
    for (const [client, text] of [
      [one.client, 'first'],
      [other.client, 'second, which is longer'],
      [one.client, 'third'],
    ] as const) {
      const before = told.length;
      client.write(text);
      await expect.poll(() => told.length).toBeGreaterThan(before);
    }
    expect(told).toEqual(['one first', 'other second, which is longer', 'one third']);
    expect(buffers.size).toBe(1);
  });

  it('the words of the buffer are its bytes', async () => {
    const { client, accepted } = await pair();
    const words: number[] = [];
    readDirectly(accepted, (buffer, length) => {
      buffer.end(length);
      words.push(...buffer.words.subarray(0, Math.ceil(length / 4)));
      return true;
    });
    accepted.resume();
    client.write(Buffer.from([1, 2, 3, 4, 5]));
    await expect.poll(() => words.length).toBe(2);
    expect([...new Uint8Array(Int32Array.from(words).buffer)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  });

  it('loses nothing of 8 MiB that a slow reader holds up, given to the stream', async () => {
    const { client, accepted } = await pair();
    readDirectly(accepted, toStream(accepted));
    const sent = randomBytes(8 * 1024 * 1024);
    const hash = createHash('sha256');
    let most = 0;
    accepted.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      most = Math.max(most, accepted.readableLength);
      accepted.pause();
      setImmediate(() => accepted.resume());
    });
    client.end(sent);
    await once(accepted, 'end');
    expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
    // What is held up is not read on.
    expect(most).toBeLessThan(256 * 1024);
  });

  it('reads no more where it is told so, until the stream is read again', async () => {
    const { client, accepted } = await pair();
    const told: number[] = [];
    let goesOn = false;
    readDirectly(accepted, (_buffer, length) => {
      told.push(length);
      return goesOn;
    });
    accepted.on('data', () => told.push(-1));
    accepted.resume();
    client.write('abc');
    await expect.poll(() => told).toEqual([3]);
    client.write('defgh');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(told).toEqual([3]);
    goesOn = true;
    accepted.pause();
    accepted.resume();
    await expect.poll(() => told).toEqual([3, 5]);
  });

  it('the end, an error and the bytes that were read are told as ever', async () => {
    const one = await pair();
    readDirectly(one.accepted, () => true);
    one.accepted.resume();
    one.client.end('12345');
    await once(one.accepted, 'end');
    expect(one.accepted.bytesRead).toBe(5);
    const other = await pair();
    readDirectly(other.accepted, () => true);
    other.accepted.resume();
    const failed = once(other.accepted, 'error');
    other.client.resetAndDestroy();
    expect(await failed).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
  });

  it('an exception goes where one of a listener goes', async () => {
    const { client, accepted } = await pair();
    const heard: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => heard.push(error));
    onTestFinished(() => {
      for (const listener of listeners) process.on('uncaughtException', listener);
    });
    const thrown = new Error('of the reader');
    readDirectly(accepted, () => {
      throw thrown;
    });
    accepted.resume();
    client.write('x');
    await expect.poll(() => heard).toEqual([thrown]);
  });

  describe('changes nothing, and says so,', () => {
    it('where the connection is read into a buffer already', async () => {
      const { accepted } = await pair();
      expect(readDirectly(accepted, () => true)).toBe(true);
      expect(readDirectly(accepted, () => true)).toBe(false);
    });

    it('where there is no handle, or one of another kind', async () => {
      expect(readDirectly(new Socket(), () => true)).toBe(false);
      const { accepted } = await pair();
      const handle: unknown = Reflect.get(accepted, '_handle');
      Reflect.set(accepted, '_handle', { useUserBuffer: 'another thing' });
      expect(readDirectly(accepted, () => true)).toBe(false);
      Reflect.set(accepted, '_handle', handle);
    });

    it('where it is no socket of Node at all', () => {
      const other = new Duplex();
      // What is checked is what is there, not what it is called.
      expect(Reflect.apply(readDirectly, undefined, [other, () => true])).toBe(false);
    });

    it.each(['kBuffer', 'kBufferCb', 'kBufferGen'])('where there is something in %s', async (name) => {
      const { client, accepted } = await pair();
      const symbol = Object.getOwnPropertySymbols(accepted).find(({ description }) => description === name);
      if (symbol === undefined) throw new Error(`no ${name}`);
      Reflect.set(accepted, symbol, undefined);
      expect(readDirectly(accepted, () => true)).toBe(false);
      const chunk = once(accepted, 'data');
      accepted.resume();
      client.write('by the stream');
      expect(String((await chunk)[0])).toBe('by the stream');
    });

    it.each(['22.20.0', '23.1.0', '25.9.0', '27.0.0', '2', ''])(
      'on Node %j, which no test has run on',
      async (node) => {
        const { client, accepted } = await pair();
        expect(readDirectly(accepted, () => true, node)).toBe(false);
        const chunk = once(accepted, 'data');
        accepted.resume();
        client.write('by the stream');
        expect(String((await chunk)[0])).toBe('by the stream');
      },
    );
  });
});
