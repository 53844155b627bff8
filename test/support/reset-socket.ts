import type { Socket } from 'node:net';

/**
 * Resets a connection; closes it where its end is on the way already. Node 26's `resetAndDestroy` fails there with EINVAL
 * (libuv resets nothing that is shutting down) and never closes the handle: the process then spins when it should end.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
