import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { ResponseMeta } from '../../src/cache/ports.ts';
import type { RawConnection, RawReply } from './raw.ts';

const channel = 'http.server.request.start';

/** Counts the requests that `node:http` parses on one listener of this process: what is answered without is on the fast lane. */
export class ParsedRequests implements Disposable {
  #count = 0;
  readonly #port: number;
  readonly #hear = (message: unknown): void => {
    if (hasRequest(message) && message.request.socket.localPort === this.#port) this.#count += 1;
  };

  constructor(origin: string) {
    this.#port = Number(new URL(origin).port);
    subscribe(channel, this.#hear);
  }

  get count(): number {
    return this.#count;
  }

  [Symbol.dispose](): void {
    unsubscribe(channel, this.#hear);
  }
}

function hasRequest(message: unknown): message is { readonly request: IncomingMessage } {
  return typeof message === 'object' && message !== null && 'request' in message;
}

/** Resolves when what was sent before on loopback has been read by whoever reads in this process. */
export async function read(): Promise<void> {
  // Each turn looks at the sockets once; a second one, since the first may be under way.
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** What has come on a connection whose client reads as {@link readSlowly}. */
export interface Taken {
  bytes: number;
}

/** Reads a little of what there is 50 times a second for so long, and all that is left from then on. It must not be read otherwise. */
export async function readSlowly(socket: Socket, forMs: number): Promise<Taken> {
  const taken = { bytes: 0 };
  let isSlow = true;
  socket.on('data', ({ length }: Buffer) => {
    taken.bytes += length;
    if (isSlow) socket.pause();
  });
  const often = setInterval(() => socket.resume(), 20);
  await new Promise((resolve) => setTimeout(resolve, forMs));
  clearInterval(often);
  isSlow = false;
  return taken;
}

/** Sends the head until it is answered on the fast lane, and gives that answer. Fails where it never is. */
export async function warm(
  connection: RawConnection,
  parsed: ParsedRequests,
  head: string,
  method = 'GET',
): Promise<RawReply> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const before = parsed.count;
    await connection.send(head);
    const reply = await connection.reply(method);
    if (parsed.count === before) return reply;
  }
  throw new Error(`never on the fast lane: ${head}`);
}

/** As {@link warm}, until the very head is known, not only what is behind its target. */
export async function warmHead(
  connection: RawConnection,
  parsed: ParsedRequests,
  head: string,
  method = 'GET',
): Promise<RawReply> {
  // What is answered for its tail is kept the second time that it is seen so.
  await warm(connection, parsed, head, method);
  return warm(connection, parsed, head, method);
}

/** What is known with a tail, of a request without fields. */
export const ofTail = {
  head: {
    request: {
      method: 'GET',
      path: '/a',
      query: undefined,
      host: 'a',
      absolute: false,
      listener: 'a',
      fields: [],
      hasContent: false,
    },
    bytes: 10,
  },
  traceId: undefined,
};

/** Of an answer from memory. */
export const metaOfHit: ResponseMeta = {
  outcome: 'hit',
  route: 'a',
  upstream: 'api',
  tier: 'memory',
  fwd: undefined,
  problem: undefined,
  url: '/',
};
