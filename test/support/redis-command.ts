import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { RedisTlsFiles } from './redis.ts';

export interface RedisAddress {
  readonly port: number;
  readonly password: string | undefined;
  readonly tls: RedisTlsFiles | undefined;
}

const patienceMs = 5000;

/**
 * One command on a connection of its own, and what redis-cli would print of its reply, trimmed: errors are texts as well, and
 * lists have a line for each member. To start a process for each command takes more of the machine than what is tested. Rejects
 * where nothing answers within five seconds.
 */
export async function runRedisCommand(address: RedisAddress, words: readonly string[]): Promise<string> {
  const socket = open(address);
  const timer = setTimeout(() => socket.destroy(new Error(`no reply after ${patienceMs} ms`)), patienceMs);
  try {
    const { password } = address;
    const commands = password === undefined ? [words] : [['auth', password], words];
    socket.write(Buffer.concat(commands.map(encode)));
    return (await repliesOf(socket, commands.length)).at(-1)?.trim() ?? '';
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function open({ port, tls }: RedisAddress): Socket {
  if (tls === undefined) return connect({ host: '127.0.0.1', port, noDelay: true });
  const own = tls.clients === true ? { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) } : {};
  return connectTls({ host: 'localhost', servername: 'localhost', port, ca: readFileSync(tls.caFile), ...own });
}

function encode(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}

/** Rejects where the connection ends before all of them are there. */
async function repliesOf(socket: Socket, count: number): Promise<readonly string[]> {
  let read = Buffer.alloc(0);
  for await (const chunk of socket) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('no bytes');
    read = Buffer.concat([read, chunk]);
    const replies = repliesIn(read, count);
    if (replies !== undefined) return replies;
  }
  throw new Error('the connection ended before the reply');
}

interface Parsed {
  readonly text: string;
  /** Of the byte behind it. */
  readonly end: number;
}

/** `undefined` where some of them are not whole yet. */
function repliesIn(bytes: Buffer, count: number): readonly string[] | undefined {
  const texts: string[] = [];
  for (let at = 0; texts.length < count;) {
    const reply = replyAt(bytes, at);
    if (reply === undefined) return undefined;
    texts.push(reply.text);
    at = reply.end;
  }
  return texts;
}

function replyAt(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start);
  if (lineEnd < 0) return undefined;
  const kind = bytes.toString('latin1', start, start + 1);
  const line = bytes.toString('utf8', start + 1, lineEnd);
  const end = lineEnd + 2;
  if (kind === '+' || kind === '-' || kind === ':') return { text: line, end };
  const length = Number(line);
  if (kind === '$') return textAt(bytes, end, length);
  if (kind !== '*') throw new Error(`no reply of Redis: ${kind}${line}`);
  return listAt(bytes, end, length);
}

function textAt(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { text: '', end: start };
  const end = start + length;
  return bytes.length < end + 2 ? undefined : { text: bytes.toString('utf8', start, end), end: end + 2 };
}

function listAt(bytes: Buffer, start: number, length: number): Parsed | undefined {
  const texts: string[] = [];
  let end = start;
  for (let index = 0; index < length; index += 1) {
    const member = replyAt(bytes, end);
    if (member === undefined) return undefined;
    texts.push(member.text);
    ({ end } = member);
  }
  return { text: texts.join('\n'), end };
}
