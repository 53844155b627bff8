import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Connections } from './connections.ts';

/*
 * Timers go off before anything is read or written. Where the process stood still (stopped, frozen with its container, busy for long) the time
 * of a connection is over then, whatever came for it meanwhile and lies unread in the kernel. So what is to be ended is looked at once
 * more when that has been read, later in the same turn of the loop.
 */

/** Calls back where the connection is idle still: nothing has come on it. */
export function whenStillIdle(socket: Socket, connections: Connections, end: () => void): void {
  const { bytesRead } = socket;
  setImmediate(() => {
    if (socket.bytesRead === bytesRead && !socket.destroyed && !connections.owes(socket)) end();
  });
}

/**
 * Calls back where the request whose time is over has not come whole by then. `node:http` does not look at its time again: a part
 * more of it is not enough, and neither is an answer that did not wait for its rest.
 */
export function whenStillPartial(socket: Duplex, connections: Connections, end: () => void): void {
  const { count, last } = connections.of(socket);
  const partial = last?.complete === false ? last : undefined;
  setImmediate(() => {
    if (socket.destroyed) return;
    const now = connections.of(socket);
    // Without one it was within a head.
    const isWhole = partial === undefined ? now.count !== count && now.last?.complete !== false : partial.complete;
    if (!isWhole) end();
  });
}

/** Calls back with whether the client has taken anything of what was written; not where all was sent, or never will be. */
export function whenStillUnsent(socket: Socket, look: (hasTaken: boolean) => void): void {
  const unsent = queuedBytes(socket);
  setImmediate(() => {
    if (socket.writableLength > 0 && !socket.destroyed) look(queuedBytes(socket) !== unsent);
  });
}

/** What the kernel has not taken yet. `writableLength` tells of whole writes alone, and one may be a whole response. */
function queuedBytes(socket: Socket): unknown {
  const handle: unknown = Reflect.get(socket, '_handle');
  const queued: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'writeQueueSize') : undefined;
  return queued ?? socket.writableLength;
}
