import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Connections } from './connections.ts';

/** How long a connection is read on behind its last answer. */
export const LINGER_MS = 5_000;

/** What is read of it meanwhile, at most: more than `maxBodyBytes` by default, since many clients read nothing before they have sent all. */
export const MAX_LINGER_BYTES = 16 * 1024 * 1024;

/** How long they are read on once the server closes, so that it does not wait for them. */
export const LINGER_AT_CLOSE_MS = 200;

/** So many at once; further ones are closed when their answer has left. */
export const MAX_LINGERING = 256;

/**
 * Ends connections in stages (RFC 9112 §9.6). Closed while its client sends, a connection is reset, and the client may lose the
 * answer that it has not read yet. So our side is ended first, and what still comes is read and dropped.
 */
export class Lingering {
  readonly #connections: Pick<Connections, 'maySend' | 'release'>;
  readonly #sockets = new Set<Socket>();
  #mostMs = LINGER_MS;

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
    if (isOver || this.#sockets.size >= MAX_LINGERING) {
      destroyWhenFlushed(socket);
      return;
    }
    this.#sockets.add(socket);
    let leftBytes = MAX_LINGER_BYTES;
    socket.once('close', () => {
      this.#sockets.delete(socket);
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
    // What `node:http` has stopped below the stream, since nobody took content, is begun again by this alone.
    const readOn: unknown = Reflect.get(socket, '_read');
    if (typeof readOn === 'function') Reflect.apply(readOn, socket, [0]);
    // When its client has ended its side too, it closes by itself.
    socket.end(() => this.#leave(socket));
  }

  /** The server closes: those that are read on are not waited for, nor are further ones. */
  close(): void {
    this.#mostMs = LINGER_AT_CLOSE_MS;
    for (const socket of this.#sockets) if (socket.writableFinished) this.#leave(socket);
  }

  /** All has been sent to it. */
  #leave(socket: Socket): void {
    socket.setTimeout(0);
    const timer = setTimeout(() => socket.destroy(), this.#mostMs).unref();
    socket.once('close', () => clearTimeout(timer));
  }
}

/** Without another look at what its client sends. */
export function destroyWhenFlushed(socket: Duplex): void {
  if (socket.writableFinished) socket.destroy();
  else socket.end(() => socket.destroy());
}
