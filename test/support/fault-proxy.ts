import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { resetSocket } from './reset-socket.ts';

/** `up`: to the server; `down`: back from it. */
export type Direction = 'up' | 'down' | 'both';

/** A TCP proxy of this process in front of a port of loopback, which can be made to fail. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  connections(): number;
  /** Connections that have been made in all, the refused ones too. */
  attempts(): number;
  /** Takes bytes of that direction and keeps them, on connections of now and later: nobody is told. */
  pause(direction: Direction): void;
  /** Ends `pause`, `garbage` and `cutAfterBytes`; what was kept goes on its way. */
  resume(): void;
  /** Resets every connection. */
  cut(): void;
  /** Resets what connects from now on, until it is told otherwise. */
  refuse(refused: boolean): void;
  /** Each direction takes this much longer. */
  latency(ms: number): void;
  /** Each connection is reset after this many further bytes from the server. */
  cutAfterBytes(count: number): void;
  /** From now on the server's bytes are replaced by these: not RESP unless told otherwise. */
  garbage(bytes?: Buffer | string): void;
  /** Bytes from nowhere, to every client that is connected. */
  inject(bytes: Buffer | string): void;
}

interface Trouble {
  up: boolean;
  down: boolean;
  delayMs: number;
  refused: boolean;
  cutAfter: number | undefined;
  garbage: Buffer | string | undefined;
}

export async function startFaultProxy(serverPort: number): Promise<FaultProxy> {
  const trouble: Trouble = {
    up: false,
    down: false,
    delayMs: 0,
    refused: false,
    cutAfter: undefined,
    garbage: undefined,
  };
  const pairs = new Set<Pair>();
  let attempts = 0;
  const server = createServer({ noDelay: true }, (client) => {
    attempts += 1;
    if (trouble.refused) {
      resetSocket(client);
      return;
    }
    const pair = new Pair(client, serverPort, trouble);
    pairs.add(pair);
    client.once('close', () => pairs.delete(pair));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = (): void => {
    for (const pair of pairs) pair.reset();
  };
  return {
    port: address.port,
    connections: () => pairs.size,
    attempts: () => attempts,
    pause: (direction) => {
      if (direction !== 'down') trouble.up = true;
      if (direction !== 'up') trouble.down = true;
    },
    resume: () => {
      Object.assign(trouble, { up: false, down: false, cutAfter: undefined, garbage: undefined });
      for (const pair of pairs) pair.deliver();
    },
    cut,
    refuse: (refused) => {
      trouble.refused = refused;
    },
    latency: (ms) => {
      trouble.delayMs = ms;
    },
    cutAfterBytes: (count) => {
      trouble.cutAfter = count;
      for (const pair of pairs) pair.passed = 0;
    },
    garbage: (bytes = 'HTTP/1.1 400 Bad Request\r\n\r\n\0\u{1}\u{2}') => {
      trouble.garbage = bytes;
    },
    inject: (bytes) => {
      for (const pair of pairs) pair.client.write(bytes);
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      cut();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** A client and its connection to the server. */
class Pair {
  readonly client: Socket;
  readonly #server: Socket;
  readonly #trouble: Trouble;
  readonly #kept: Record<'up' | 'down', Buffer[]> = { up: [], down: [] };
  /** One chunk after the other, whatever the latency was when each came. */
  readonly #order: Record<'up' | 'down', Promise<void>> = { up: Promise.resolve(), down: Promise.resolve() };
  /** Bytes from the server since they are counted. */
  passed = 0;

  constructor(client: Socket, serverPort: number, trouble: Trouble) {
    this.client = client;
    this.#trouble = trouble;
    this.#server = connect({ host: '127.0.0.1', port: serverPort, noDelay: true });
    client.on('data', (chunk: Buffer) => this.#take('up', chunk));
    this.#server.on('data', (chunk: Buffer) => this.#take('down', chunk));
    for (const socket of [client, this.#server]) {
      socket.on('error', () => this.reset());
      socket.on('close', () => {
        // A silent network does not tell of an end either.
        if (!trouble.up && !trouble.down) this.reset();
      });
    }
  }

  reset(): void {
    if (!this.client.destroyed) resetSocket(this.client);
    if (!this.#server.destroyed) resetSocket(this.#server);
  }

  /** What was kept, in its order. */
  deliver(): void {
    for (const direction of ['up', 'down'] as const) {
      for (const chunk of this.#kept[direction].splice(0)) this.#send(direction, chunk);
    }
    if (this.client.destroyed || this.#server.destroyed) this.reset();
  }

  #take(direction: 'up' | 'down', chunk: Buffer): void {
    const due = performance.now() + this.#trouble.delayMs;
    this.#order[direction] = this.#pass(direction, chunk, { due, before: this.#order[direction] });
  }

  async #pass(
    direction: 'up' | 'down',
    chunk: Buffer,
    { due, before }: { readonly due: number; readonly before: Promise<void> },
  ): Promise<void> {
    await before;
    const waitMs = due - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    if (this.#trouble[direction]) this.#kept[direction].push(chunk);
    else this.#send(direction, chunk);
  }

  #send(direction: 'up' | 'down', chunk: Buffer): void {
    const { cutAfter, garbage } = this.#trouble;
    if (direction === 'up') {
      this.#server.write(chunk);
      return;
    }
    if (garbage !== undefined) {
      this.client.write(garbage);
      return;
    }
    const left = cutAfter === undefined ? Infinity : cutAfter - this.passed;
    this.passed += chunk.length;
    if (chunk.length < left) {
      this.client.write(chunk);
      return;
    }
    // The part must have left before the reset, which would overtake it.
    this.client.write(chunk.subarray(0, left), () => this.reset());
  }
}
