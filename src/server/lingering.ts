import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Connections } from './connections.ts';

/** How long a connection is read on behind its last answer. */
export const LINGER_MS = 5_000;

/** What is read of it meanwhile, at most: more than `maxBodyBytes` by default, since many clients read nothing before they have sent all. */
export const MAX_LINGER_BYTES = 16 * 1024 * 1024;

/** So many at once; further ones are closed when their answer has left. */
export const MAX_LINGERING = 256;

/**
 * Ends connections in stages (RFC 9112 §9.6). Closed while its client sends, a connection is reset, and the client may lose the
 * answer that it has not read yet. So our side is ended first, and what still comes is read and dropped.
 */
export class Lingering {
  readonly #connections: Pick<Connections, 'maySend' | 'release'>;
  #count = 0;

  constructor(connections: Pick<Connections, 'maySend' | 'release'>) {
    this.#connections = connections;
  }

  /** Has `node:http` end the connection in stages behind its last response, where its client may still send. */
  watch(socket: Socket): void {
    socket.destroySoon = () => {
      if (this.#connections.maySend(socket)) this.end(socket);
      else destroyWhenFlushed(socket);
    };
  }

  /** All that is to be sent was written. Nothing that comes is read as a request any more. */
  end(socket: Duplex): void {
    // What stands in for a connection is read by `node:http`.
    const isOver = !(socket instanceof Socket) || socket.destroyed || socket.readableEnded;
    if (isOver || this.#count >= MAX_LINGERING) {
      destroyWhenFlushed(socket);
      return;
    }
    this.#count += 1;
    let timer: NodeJS.Timeout | undefined;
    let leftBytes = MAX_LINGER_BYTES;
    socket.once('close', () => {
      clearTimeout(timer);
      this.#count -= 1;
    });
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => {
      leftBytes -= chunk.length;
      if (leftBytes < 0) socket.destroy();
    });
    this.#connections.release(socket);
    // `node:http` has paused it where its client took nothing, and would do so again.
    Reflect.set(socket, '_paused', false);
    socket.resume();
    // When its client has ended its side too, it closes by itself.
    socket.end(() => {
      socket.setTimeout(0);
      timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    });
  }
}

/** Without another look at what its client sends. */
export function destroyWhenFlushed(socket: Duplex): void {
  if (socket.writableFinished) socket.destroy();
  else socket.end(() => socket.destroy());
}
