import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { HeldBytes } from './held-bytes.ts';

/** One response as it came over the wire. */
export interface RawReply {
  readonly status: number;
  /** Status line and field lines with their CRLFs, one character per byte. */
  readonly head: string;
  /** Field lines in order, names in lower case. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** Values of all lines of the field, joined by `, `; `undefined` without one. */
  field(name: string): string | undefined;
  /** Content, chunked framing taken off. */
  readonly body: Buffer;
  readonly text: string;
}

/** How the proxy ended a connection. */
export type RawEnd = 'fin' | 'reset';

/** What a connection brought until its end. */
export interface Conversation {
  /** Complete final responses, strictly framed. */
  readonly replies: readonly RawReply[];
  /** Interim responses (1xx), of all requests. */
  readonly interim: readonly RawReply[];
  /** Bytes after the last complete response: a broken-off one, or what should not be there. */
  readonly rest: Buffer;
  readonly end: RawEnd;
}

export interface ConverseOptions {
  /** Methods of the requests sent, in order, where they are not GET: the answer to HEAD has no content. */
  readonly methods?: readonly string[];
  /** Sends FIN when all is written. */
  readonly halfClose?: boolean;
}

/** Nothing on loopback takes that long unless it hangs, and a hang is what a test is to find. Milliseconds. */
const patienceMs = 8000;

/** Sends the pieces, each in a packet of its own, and reads until the proxy ends the connection. Rejects when it does not. */
export async function converse(
  origin: string,
  pieces: string | Buffer | readonly (string | Buffer)[],
  options: ConverseOptions = {},
): Promise<Conversation> {
  using connection = await openRaw(origin);
  for (const piece of typeof pieces === 'string' || Buffer.isBuffer(pieces) ? [pieces] : pieces) {
    await connection.send(piece);
  }
  if (options.halfClose === true) connection.socket.end();
  const end = await connection.ended();
  return { ...readReplies(connection.received, { ...options, atEnd: end === 'fin' }), end };
}

/**
 * The complete final responses at the beginning of the bytes, and what is left. `atEnd`: the connection ended in order
 * behind them. Throws for what RFC 9112 does not allow a sender.
 */
export function readReplies(
  bytes: Buffer,
  options: Pick<ConverseOptions, 'methods'> & { readonly atEnd: boolean },
): Omit<Conversation, 'end'> {
  const replies: RawReply[] = [];
  const interim: RawReply[] = [];
  for (let rest = bytes; ;) {
    const parsed = parseReply(rest, { method: options.methods?.[replies.length] ?? 'GET', atEnd: options.atEnd });
    if (parsed === undefined) return { replies, interim, rest };
    rest = rest.subarray(parsed.length);
    (parsed.reply.status >= 200 ? replies : interim).push(parsed.reply);
  }
}

/** A connection of which a test decides every byte. */
export interface RawConnection extends Disposable {
  readonly socket: Socket;
  /** All that has come and was not taken by {@link RawConnection.reply}. */
  readonly received: Buffer;
  /** Resolves when the bytes have left; a connection that is gone takes them without a word. */
  send(data: string | Buffer): Promise<void>;
  /** The next final response, strictly framed; rejects when the connection ends before it is complete. */
  reply(method?: string): Promise<RawReply>;
  /** Resolves when the proxy has ended the connection. */
  ended(): Promise<RawEnd>;
}

export async function openRaw(origin: string): Promise<RawConnection> {
  const { hostname, port } = new URL(origin);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const connection = new Connection(socket);
  await once(socket, 'connect');
  return connection;
}

class Connection implements RawConnection {
  readonly socket: Socket;
  readonly #held = new HeldBytes();
  #end: RawEnd | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#held.add(data);
      this.#notify();
    });
    socket.on('end', () => this.#finish('fin'));
    // EPIPE: the proxy had closed before all was written.
    socket.on('error', () => this.#finish('reset'));
    socket.on('close', () => this.#finish('fin'));
  }

  get received(): Buffer {
    return this.#held.all;
  }

  async send(data: string | Buffer): Promise<void> {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    await new Promise<void>((resolve) => {
      const done = (): void => void setImmediate(resolve);
      this.socket.once('close', done);
      this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, () => {
        this.socket.removeListener('close', done);
        done();
      });
    });
  }

  async reply(method = 'GET'): Promise<RawReply> {
    for (;;) {
      const parsed = parseReply(this.received, { method, atEnd: this.#end === 'fin' });
      if (parsed !== undefined) {
        this.#held.take(parsed.length);
        if (parsed.reply.status >= 200) return parsed.reply;
        continue;
      }
      if (this.#end !== undefined) throw new Error(`ended by ${this.#end} within: ${this.received.toString('latin1')}`);
      await this.#change();
    }
  }

  async ended(): Promise<RawEnd> {
    for (;;) {
      if (this.#end !== undefined) return this.#end;
      await this.#change();
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#listeners.delete(heard);
        reject(new Error(`the proxy hangs; so far it sent: ${this.received.toString('latin1').slice(0, 500)}`));
      }, patienceMs);
      const heard = (): void => {
        clearTimeout(late);
        this.#listeners.delete(heard);
        resolve();
      };
      this.#listeners.add(heard);
    });
  }

  #finish(end: RawEnd): void {
    // A reset may follow a FIN, and the close follows either.
    if (this.#end === undefined || end === 'reset') this.#end = end;
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

interface Parsed {
  readonly reply: RawReply;
  /** Bytes that it takes. */
  readonly length: number;
}

interface ParseContext {
  readonly method: string;
  /** The connection has ended in order, so a response without framing of its own is complete. */
  readonly atEnd: boolean;
}

/**
 * The response at the beginning of the bytes; `undefined` while it is not complete. Throws for what RFC 9112 does not
 * allow a sender: this reader forgives nothing.
 */
function parseReply(bytes: Buffer, context: ParseContext): Parsed | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) {
    if (bytes.length > 0 && !'HTTP/1.1 '.startsWith(bytes.subarray(0, 9).toString('latin1'))) {
      throw new Error(`no response: ${bytes.toString('latin1').slice(0, 200)}`);
    }
    return undefined;
  }
  const head = bytes.subarray(0, headEnd + 2).toString('latin1');
  const [statusLine = '', ...rest] = head.split('\r\n').slice(0, -1);
  const status = Number(/^HTTP\/1\.1 ([1-5][0-9]{2}) [\t -~]*$/.exec(statusLine)?.[1]);
  if (Number.isNaN(status)) throw new Error(`no status line: ${statusLine}`);
  const lines = rest.map((line) => {
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]?([\t -~\u0080-\u00ff]*)$/.exec(line);
    if (parts === null) throw new Error(`no field line: ${JSON.stringify(line)}`);
    return [(parts[1] ?? '').toLowerCase(), (parts[2] ?? '').trim()] as const;
  });
  const field = (name: string): string | undefined => {
    const values = lines.filter((line) => line[0] === name).map((line) => line[1]);
    return values.length === 0 ? undefined : values.join(', ');
  };
  const content = readContent(bytes.subarray(headEnd + 4), { ...context, status, field });
  if (content === undefined) return undefined;
  const reply = { status, head, lines, field, body: content.body, text: content.body.toString('utf8') };
  return { reply, length: headEnd + 4 + content.length };
}

interface ContentContext extends ParseContext {
  readonly status: number;
  readonly field: (name: string) => string | undefined;
}

interface Content {
  readonly body: Buffer;
  /** Bytes that it takes with its framing. */
  readonly length: number;
}

/** RFC 9112 §6.3. */
function readContent(bytes: Buffer, context: ContentContext): Content | undefined {
  const { status, method, atEnd } = context;
  const { length, chunked } = framingOf(context);
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return { body: Buffer.alloc(0), length: 0 };
  }
  if (chunked) return readChunks(bytes);
  if (length === undefined) return atEnd ? { body: bytes, length: bytes.length } : undefined;
  return bytes.length < length ? undefined : { body: bytes.subarray(0, length), length };
}

function framingOf({ field }: ContentContext): { readonly length: number | undefined; readonly chunked: boolean } {
  const length = field('content-length');
  const coding = field('transfer-encoding');
  if (length !== undefined && coding !== undefined) throw new Error('both framings');
  if (length !== undefined && !/^[0-9]+$/.test(length)) throw new Error(`no length: ${length}`);
  if (coding !== undefined && coding !== 'chunked') throw new Error(`no framing: ${coding}`);
  return { length: length === undefined ? undefined : Number(length), chunked: coding !== undefined };
}

function readChunks(bytes: Buffer): Content | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const line = bytes.subarray(at, lineEnd).toString('latin1');
    if (!/^[0-9A-Fa-f]+$/.test(line)) throw new Error(`no chunk size: ${line}`);
    const size = Number.parseInt(line, 16);
    const start = lineEnd + 2;
    if (bytes.length < start + size + 2) return undefined;
    if (bytes.subarray(start + size, start + size + 2).toString('latin1') !== '\r\n') throw new Error('no chunk end');
    at = start + size + 2;
    if (size === 0) return { body: Buffer.concat(parts), length: at };
    parts.push(bytes.subarray(start, start + size));
  }
}
