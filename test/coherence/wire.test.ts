import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';

import { resetSocket } from '../support/reset-socket.ts';
import { portTranslation, startWire } from './wire.ts';

/** A client, a wire, and a server that answers whatever it hears with the same in capitals. */
async function wired() {
  const taken: Socket[] = [];
  const server = createServer((socket) => {
    taken.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(chunk.toString().toUpperCase()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: AddressInfo = Object(server.address());
  const wire = await startWire(port);
  onTestFinished(async () => {
    await wire[Symbol.asyncDispose]();
    server.close();
  });
  return { wire, port, taken };
}

async function dial(port: number) {
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  let heard = '';
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  socket.on('data', (chunk) => (heard += chunk.toString()));
  await once(socket, 'connect');
  return { socket, heard: () => heard, closed: () => closed };
}

it('carries bytes both ways', async () => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  line.socket.write('ping');
  await expect.poll(line.heard).toBe('PING');
});

it.each([
  ['up', ['up']],
  ['down', ['down']],
  ['both', ['up', 'down']],
] as const)('holds bytes while paused %s, and delivers them in order when healed', async (_, directions) => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  line.socket.write('a');
  await expect.poll(line.heard).toBe('A');
  wire.pause(directions);
  line.socket.write('b');
  const other = await dial(wire.port);
  other.socket.write('x');
  line.socket.write('c');
  // One more connection, made and answered meanwhile, shows that time passed.
  const { wire: free } = await wired();
  const witness = await dial(free.port);
  witness.socket.write('w');
  await expect.poll(witness.heard).toBe('W');
  expect([line.heard(), other.heard()]).toEqual(['A', '']);
  wire.heal();
  await expect.poll(() => [line.heard(), other.heard()]).toEqual(['ABC', 'X']);
});

it('lets what was paused up reach the server only when healed, and what was paused down at once', async () => {
  const { wire, taken } = await wired();
  const line = await dial(wire.port);
  line.socket.write('a');
  await expect.poll(line.heard).toBe('A');
  wire.pause(['down']);
  line.socket.write('bc');
  await expect.poll(() => taken[0]?.bytesRead).toBe(3);
  wire.pause(['up']);
  line.socket.write('d');
  wire.heal();
  await expect.poll(line.heard).toBe('ABCD');
});

it('cuts connections and takes new ones', async () => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  wire.cut();
  await expect.poll(line.closed).toBe(true);
  const next = await dial(wire.port);
  next.socket.write('again');
  await expect.poll(next.heard).toBe('AGAIN');
});

it('refuses old and new connections until healed', async () => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  wire.refuse();
  await expect.poll(line.closed).toBe(true);
  // Reset before or after the connection is seen as made.
  const refused = await dial(wire.port).catch(() => undefined);
  await expect.poll(() => refused?.closed() ?? true).toBe(true);
  wire.heal();
  const next = await dial(wire.port);
  next.socket.write('again');
  await expect.poll(next.heard).toBe('AGAIN');
});

it('breaks off the next reply in its middle', async () => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  line.socket.write('a');
  await expect.poll(line.heard).toBe('A');
  wire.cutMidReply();
  line.socket.write('four');
  await expect.poll(line.closed).toBe(true);
  expect(line.heard()).toBe('AFO');
});

it('delays bytes and keeps their order', async () => {
  const { wire } = await wired();
  const line = await dial(wire.port);
  wire.delay(40);
  const startMs = performance.now();
  line.socket.write('a');
  await expect.poll(line.heard, { interval: 1 }).toBe('A');
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(79);
  line.socket.write('b');
  wire.delay(1);
  line.socket.write('c');
  await expect.poll(line.heard).toBe('ABC');
});

it('delays one direction alone', async () => {
  const { wire, taken } = await wired();
  const line = await dial(wire.port);
  line.socket.write('a');
  await expect.poll(line.heard).toBe('A');
  wire.delay(60_000, ['up']);
  line.socket.write('b');
  taken[0]?.write('unasked');
  await expect.poll(line.heard).toBe('Aunasked');
});

it('leads to another server when moved', async () => {
  const { wire } = await wired();
  const other = await wired();
  const line = await dial(wire.port);
  wire.moveTo(other.port);
  await expect.poll(line.closed).toBe(true);
  const next = await dial(wire.port);
  next.socket.write('a');
  await expect.poll(next.heard).toBe('A');
  expect(other.taken).toHaveLength(1);
});

it('translates the ports that Sentinel and Cluster tell, and nothing else', () => {
  const translate = portTranslation(
    new Map([
      [34_567, 45_678],
      [34_568, 45_679],
    ]),
  );
  const translated = (text: string): string => translate(Buffer.from(text, 'latin1')).toString('latin1');
  expect(translated('*2\r\n$9\r\n127.0.0.1\r\n$5\r\n34567\r\n')).toBe('*2\r\n$9\r\n127.0.0.1\r\n$5\r\n45678\r\n');
  expect(translated('$9\r\n127.0.0.1\r\n:34568\r\n')).toBe('$9\r\n127.0.0.1\r\n:45679\r\n');
  expect(translated('-MOVED 3999 127.0.0.1:34567\r\n')).toBe('-MOVED 3999 127.0.0.1:45678\r\n');
  expect(translated('$8\r\n134567.0\r\n"34567"\r\n\xFF')).toBe('$8\r\n134567.0\r\n"34567"\r\n\xFF');
  expect(() => portTranslation(new Map([[6379, 45_678]]))).toThrow('five digits');
});

it('closes a connection that is ending, where a reset would fail and keep the process from ending', async () => {
  const errors: Error[] = [];
  const taken = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    socket.on('error', (error) => errors.push(error));
    socket.resume();
    // By now it has begun its own end, which takes a turn of the event loop.
    socket.once('end', () => setImmediate(() => taken.resolve(socket)));
    socket.once('end', () => process.nextTick(() => process.nextTick(() => resetSocket(socket))));
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: AddressInfo = Object(server.address());
  const line = await dial(port);
  line.socket.end();
  const socket = await taken.promise;
  expect({ ended: socket.writableEnded, errors }).toEqual({ ended: true, errors: [] });
  await expect.poll(line.closed).toBe(true);
});
