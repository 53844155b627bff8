/**
 * The least that Node does for an answer out of Redis: a bare socket as in `../http/bare-socket.ts`, one `GET` written by hand for each
 * request, those of one turn of the event loop in one packet, and what comes told apart by its length alone and copied behind a ready head. No key, no
 * freshness, no fields, no deadline. Argument: the port of Redis. Prints `bare URL` when it listens.
 */
import { connect, createServer, type Socket } from 'node:net';
import { readDirectly } from '../../src/server/fast-lane-reads.ts';

const READ_BYTES = 64 * 1024;
const [CR, DOLLAR, MINUS, ZERO] = [13, 36, 45, 48];
const NIL_BYTES = '$-1\r\n'.length;

/** Who waits for the answers, in their order. */
const waiting: Socket[] = [];
let commands = '';
let isSending = false;

const redis = connect({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  noDelay: true,
  onread: { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback: (length, bytes) => take(bytes, length) },
});

/** What has come and is not a whole value yet. */
let held = Buffer.alloc(0);

function take(bytes: Uint8Array, length: number): boolean {
  const came = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  const all = held.length === 0 ? came : Buffer.concat([held, came]);
  let at = 0;
  for (let end = valueEnd(all, at); end > 0; end = valueEnd(all, at)) {
    reply(waiting.shift(), all, end);
    at = end + 2;
  }
  // The buffer is read into again.
  held = Buffer.from(all.subarray(at));
  return true;
}

let contentBytes = 0;

/** Where the value ends that begins there; 0: it is not all there. Throws where it is none. */
function valueEnd(all: Buffer, from: number): number {
  if (from >= all.length) return 0;
  if (all[from] !== DOLLAR) throw new Error(`Redis says ${all.toString('latin1', from, from + 40)}`);
  let at = from + 1;
  contentBytes = 0;
  // No value: an answer without content.
  if (all[at] === MINUS) return from + NIL_BYTES <= all.length ? from + NIL_BYTES - 2 : 0;
  for (; at < all.length && all[at] !== CR; at += 1) contentBytes = contentBytes * 10 + (all[at] ?? 0) - ZERO;
  const end = at + 2 + contentBytes;
  return end + 2 <= all.length ? end : 0;
}

const heads = new Map<number, string>();

function headOf(bytes: number): string {
  const known = heads.get(bytes);
  if (known !== undefined) return known;
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\nConnection: keep-alive\r\n\r\n`;
  heads.set(bytes, head);
  return head;
}

function reply(socket: Socket | undefined, all: Buffer, end: number): void {
  if (socket === undefined) throw new Error('an answer for nobody');
  const head = headOf(contentBytes);
  const piece = Buffer.allocUnsafe(head.length + contentBytes);
  piece.write(head, 0, 'latin1');
  all.copy(piece, head.length, end - contentBytes, end);
  socket.write(piece);
}

function send(): void {
  isSending = false;
  redis.write(commands, 'latin1');
  commands = '';
}

function ask(socket: Socket, bytes: Uint8Array, length: number): void {
  const request = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  const target = request.toString('latin1', 'GET '.length, request.indexOf(' ', 'GET '.length));
  commands += `*2\r\n$3\r\nGET\r\n$${target.length}\r\n${target}\r\n`;
  waiting.push(socket);
  if (isSending) return;
  isSending = true;
  setImmediate(send);
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  if (!readDirectly(socket, ({ bytes }, length) => (ask(socket, bytes, length), true)))
    throw new Error('this Node cannot read into one buffer');
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`bare http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}\n`);
});
