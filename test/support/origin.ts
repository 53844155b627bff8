import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

import { HeldBytes } from './held-bytes.ts';

/** One request as it came over the wire, byte for byte up to its content. */
export interface OriginRequest {
  readonly method: string;
  /** Request target as sent. */
  readonly target: string;
  /** Head with its CRLFs, the empty line left out; one character per byte. */
  readonly rawHead: string;
  /** Field lines in order, names as sent. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** First value of the field, by lower-cased name. */
  field(name: string): string | undefined;
  /** Content, chunked framing taken off. */
  readonly body: Buffer;
  /** 1 for the first connection that the origin accepted. */
  readonly connection: number;
  /** 1 for the first request of its connection. */
  readonly requestOnConnection: number;
}

/** Answers one request by writing to the connection whatever it likes; the script ends when its promise does. */
export type OriginScript = (request: OriginRequest, peer: OriginPeer) => void | Promise<void>;

/** What a script can do to the connection. */
export interface OriginPeer {
  readonly socket: Socket;
  /** Resolves when the bytes have left. */
  write(data: string | Buffer): Promise<void>;
  /** A correct response: with Content-Length unless `fields` say otherwise. */
  respond(
    status: number,
    fields?: Readonly<Record<string, string | readonly string[]>>,
    body?: string | Buffer,
  ): Promise<void>;
  /** Sends FIN. */
  end(): void;
  /** Sends RST. */
  reset(): void;
  /** Resolves when the other side has closed. */
  closed(): Promise<void>;
}

/** A scriptable upstream on 127.0.0.1. */
export interface Origin extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, or `https://localhost:PORT` with TLS. */
  readonly url: string;
  readonly port: number;
  /** All requests whose head (and content) came in, in order. */
  readonly requests: readonly OriginRequest[];
  readonly connections: number;
  /** Connections open now. */
  readonly openConnections: number;
  /** Most requests under way at once, so far. */
  readonly peakConcurrency: number;
  /** Replaces the script. */
  script(script: OriginScript): void;
  /** Resolves as soon as that many requests have come. */
  arrived(count: number): Promise<void>;
  /** Cuts all open connections with RST. */
  resetAll(): void;
  /** Ends all open connections with FIN. */
  endAll(): void;
  /** Bytes on all open connections that nobody asked for. */
  sendAll(data: string): void;
  close(): Promise<void>;
}

export interface OriginOptions {
  readonly tls?: TlsOptions;
  /** Runs as soon as the head is there, before the content is read: for early answers and `100 Continue`. Return false to not read on. */
  readonly onHead?: (head: Omit<OriginRequest, 'body'>, peer: OriginPeer) => boolean | undefined;
}

/** Starts an origin; its script may be replaced at any time. */
export async function startOrigin(script: OriginScript, options: OriginOptions = {}): Promise<Origin> {
  const origin = new ScriptedOrigin(script, options);
  await origin.listen();
  return origin;
}

/** A response written out in bytes; Content-Length is added unless `fields` has one or a Transfer-Encoding. */
function responseBytes(
  status: number,
  fields: Readonly<Record<string, string | readonly string[]>> = {},
  body: string | Buffer = '',
): Buffer {
  const content = typeof body === 'string' ? Buffer.from(body) : body;
  const names = Object.keys(fields).map((name) => name.toLowerCase());
  let head = `HTTP/1.1 ${status} Status\r\n`;
  for (const [name, value] of Object.entries(fields)) {
    for (const one of typeof value === 'string' ? [value] : value) head += `${name}: ${one}\r\n`;
  }
  if (!names.includes('content-length') && !names.includes('transfer-encoding') && status !== 204 && status !== 304) {
    head += `Content-Length: ${content.length}\r\n`;
  }
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), content]);
}

/** One chunk of chunked framing. */
export function chunk(data: string | Buffer): Buffer {
  const content = typeof data === 'string' ? Buffer.from(data) : data;
  return Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from('\r\n')]);
}

/** The end of chunked framing. */
export const lastChunk = '0\r\n\r\n';

/** Script: answers every request alike. */
export function answer(
  status: number,
  fields: Readonly<Record<string, string | readonly string[]>> = {},
  body: string | Buffer = '',
): OriginScript {
  return (_request, peer) => peer.respond(status, fields, body);
}

/** Script: one after the other, the last one for all that follow. */
export function inTurn(...scripts: readonly OriginScript[]): OriginScript {
  let turn = 0;
  return (request, peer) => scripts[Math.min(turn++, scripts.length - 1)]?.(request, peer);
}

/** Script: waits for the gate before each answer, so that a test decides when upstream answers. */
export function gated(gate: Promise<void>, script: OriginScript): OriginScript {
  return async (request, peer) => {
    await gate;
    await script(request, peer);
  };
}

/** Script: reads the request and never answers. */
export const silent: OriginScript = () => {};

/** How a body is framed (RFC 9112 §6). */
export type Framing = 'content-length' | 'chunked' | 'close';

/** Script: sends 200 with `sent` in a body that promised more, then FIN or RST. */
export function truncated(framing: Framing, how: 'fin' | 'rst', sent: string | Buffer = 'x'.repeat(400)): OriginScript {
  return async (_request, peer) => {
    const content = typeof sent === 'string' ? Buffer.from(sent) : sent;
    const framingLine: Record<Framing, string> = {
      'content-length': `Content-Length: ${content.length + 600}\r\n`,
      chunked: 'Transfer-Encoding: chunked\r\n',
      close: 'Connection: close\r\n',
    };
    await peer.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${framingLine[framing]}\r\n`);
    await peer.write(framing === 'chunked' ? chunk(content) : content);
    if (how === 'fin') peer.end();
    else peer.reset();
  };
}

/** Script: 200 with a body of `total` bytes, written with backpressure; `onSent` hears how much has left so far. */
export function huge(total: number, framing: Framing, onSent?: (bytes: number) => void): OriginScript {
  return async (_request, peer) => {
    const piece = Buffer.alloc(64 * 1024, 'z');
    const framingLine: Record<Framing, string> = {
      'content-length': `Content-Length: ${total}\r\n`,
      chunked: 'Transfer-Encoding: chunked\r\n',
      close: 'Connection: close\r\n',
    };
    await peer.write(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n${framingLine[framing]}\r\n`);
    let sent = 0;
    while (sent < total && !peer.socket.destroyed) {
      const part = piece.subarray(0, Math.min(piece.length, total - sent));
      await peer.write(framing === 'chunked' ? chunk(part) : part);
      sent += part.length;
      onSent?.(sent);
    }
    if (framing === 'chunked') await peer.write(lastChunk);
    if (framing === 'close') peer.end();
  };
}

/** Script: chunked content, the pieces as the chunks and all of it in one write. */
export function chunks(pieces: readonly Buffer[], onSent?: () => void): OriginScript {
  return async (_request, peer) => {
    const head = Buffer.from(
      'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    await peer.write(Buffer.concat([head, ...pieces.map((piece) => chunk(piece)), Buffer.from(lastChunk)]));
    onSent?.();
  };
}

/** Script: a correct answer, one byte in each write. */
export function drip(body: string): OriginScript {
  return async (_request, peer) => {
    await peer.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
    );
    for (const byte of Buffer.from(body)) await peer.write(Buffer.from([byte]));
  };
}

/** Script: interim responses first (RFC 9110 §15.2), then the answer. */
export function afterInterim(statuses: readonly number[], script: OriginScript): OriginScript {
  return async (request, peer) => {
    for (const status of statuses)
      await peer.write(`HTTP/1.1 ${status} Interim\r\nLink: </style.css>; rel=preload\r\n\r\n`);
    await script(request, peer);
  };
}

class ScriptedOrigin implements Origin {
  readonly #server: Server;
  readonly #options: OriginOptions;
  readonly #sockets = new Set<Socket>();
  readonly #accepted = new Set<Socket>();
  readonly #requests: OriginRequest[] = [];
  #script: OriginScript;
  #connections = 0;
  #active = 0;
  #peak = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(script: OriginScript, options: OriginOptions) {
    this.#script = script;
    this.#options = options;
    const onConnection = (socket: Socket): void => void this.#serve(socket);
    this.#server =
      options.tls === undefined
        ? createServer({ noDelay: true, allowHalfOpen: true }, onConnection)
        : createTlsServer({ ...options.tls, allowHalfOpen: true }, onConnection);
    // A client that refuses our certificate is what some tests are about; its connection never gets to us.
    this.#server.on('tlsClientError', () => {});
    this.#server.on('connection', (socket: Socket) => {
      this.#accepted.add(socket);
      socket.once('close', () => this.#accepted.delete(socket));
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the origin is not listening');
    return address.port;
  }

  get url(): string {
    return this.#options.tls === undefined ? `http://127.0.0.1:${this.port}` : `https://localhost:${this.port}`;
  }

  get requests(): readonly OriginRequest[] {
    return this.#requests;
  }

  get connections(): number {
    return this.#connections;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  get peakConcurrency(): number {
    return this.#peak;
  }

  script(script: OriginScript): void {
    this.#script = script;
  }

  arrived(count: number): Promise<void> {
    if (this.#requests.length >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
    });
  }

  resetAll(): void {
    for (const socket of this.#sockets) this.#reset(socket);
  }

  endAll(): void {
    for (const socket of this.#sockets) socket.end();
  }

  sendAll(data: string): void {
    for (const socket of this.#sockets) socket.write(Buffer.from(data, 'latin1'));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of [...this.#sockets, ...this.#accepted]) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(socket: Socket): Promise<void> {
    const connection = ++this.#connections;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    const reader = new WireReader(socket);
    const peer = createPeer(socket, () => this.#reset(socket));
    for (let requestOnConnection = 1; ; requestOnConnection++) {
      const head = await readHead(reader);
      if (head === undefined) {
        // The peer has sent FIN: what a script still writes may still arrive, but nothing more is asked.
        if (this.#active === 0) socket.end();
        return;
      }
      const received = { ...head, connection, requestOnConnection };
      if (this.#options.onHead?.(received, peer) === false) return;
      const body = await readBody(reader, head);
      if (body === undefined) {
        socket.end();
        return;
      }
      await this.#run({ ...received, body }, peer);
    }
  }

  /** Of TLS, which Node does not reset, the connection beneath, known by the other side's port. */
  #reset(socket: Socket): void {
    if (this.#options.tls === undefined) {
      socket.resetAndDestroy();
      return;
    }
    if (socket.destroyed) return;
    const beneath = [...this.#accepted].find(({ remotePort }) => remotePort === socket.remotePort);
    if (beneath === undefined) throw new Error('no connection beneath that of TLS');
    beneath.resetAndDestroy();
    socket.destroy();
  }

  async #run(request: OriginRequest, peer: OriginPeer): Promise<void> {
    this.#requests.push(request);
    this.#waiting = this.#waiting.filter((one) => {
      if (this.#requests.length < one.count) return true;
      one.resolve();
      return false;
    });
    this.#active += 1;
    this.#peak = Math.max(this.#peak, this.#active);
    try {
      await this.#script(request, peer);
    } finally {
      this.#active -= 1;
    }
  }
}

function createPeer(socket: Socket, reset: () => void): OriginPeer {
  const write = (data: string | Buffer): Promise<void> =>
    new Promise((resolve) => {
      // A connection that is gone takes nothing more; scripts need not care.
      if (socket.destroyed) resolve();
      else socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, () => resolve());
    });
  return {
    socket,
    write,
    respond: (status, fields, body) => write(responseBytes(status, fields, body)),
    end: () => void socket.end(),
    reset,
    closed: () =>
      socket.destroyed || socket.readableEnded
        ? Promise.resolve()
        : new Promise((resolve) => {
            socket.once('close', () => resolve());
            socket.once('end', () => resolve());
          }),
  };
}

/** Pulls bytes off a socket; keeps what is not asked for yet. */
class WireReader {
  readonly #socket: Socket;
  readonly #held = new HeldBytes();
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#held.add(data);
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end);
    socket.on('close', end);
  }

  /** Bytes up to and with the mark; `undefined` when the connection ended first. */
  async until(mark: string): Promise<Buffer | undefined> {
    for (;;) {
      const at = this.#held.all.indexOf(mark);
      if (at !== -1) return this.#held.take(at + mark.length);
      if (!(await this.#more())) return undefined;
    }
  }

  async exactly(count: number): Promise<Buffer | undefined> {
    while (this.#held.all.length < count) if (!(await this.#more())) return undefined;
    return this.#held.take(count);
  }

  async #more(): Promise<boolean> {
    if (this.#ended || this.#socket.destroyed) return false;
    const before = this.#held.all.length;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return this.#held.all.length > before || !this.#ended;
  }
}

type Head = Omit<OriginRequest, 'body' | 'connection' | 'requestOnConnection'>;

async function readHead(reader: WireReader): Promise<Head | undefined> {
  const bytes = await reader.until('\r\n\r\n');
  if (bytes === undefined) return undefined;
  const rawHead = bytes.subarray(0, -2).toString('latin1');
  const [requestLine = '', ...rest] = rawHead.split('\r\n').slice(0, -1);
  const [method = '', target = ''] = requestLine.split(' ');
  const lines = rest.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  return {
    method,
    target,
    rawHead,
    lines,
    field: (name) => lines.find((line) => line[0].toLowerCase() === name)?.[1],
  };
}

async function readBody(reader: WireReader, head: Head): Promise<Buffer | undefined> {
  if (head.field('transfer-encoding') === undefined) {
    return reader.exactly(Number(head.field('content-length') ?? '0'));
  }
  const parts: Buffer[] = [];
  for (;;) {
    const line = await reader.until('\r\n');
    if (line === undefined) return undefined;
    const size = Number.parseInt(line.toString('latin1'), 16);
    if (size === 0) break;
    const part = await reader.exactly(size + 2);
    if (part === undefined) return undefined;
    parts.push(part.subarray(0, -2));
  }
  for (;;) {
    const line = await reader.until('\r\n');
    if (line === undefined) return undefined;
    if (line.length === 2) return Buffer.concat(parts);
  }
}
