import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** A connection that a client wants to turn into a WebSocket. */
export interface UpgradeAttempt {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came behind the request head. */
  readonly head: Buffer;
  readonly listener: string;
}

/** Whether there is a line of Upgrade. The object of all fields that `node:http` has would be made for this alone. */
export function offersUpgrade(rawHeaders: readonly string[]): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 'upgrade'.length && name.toLowerCase() === 'upgrade') return true;
  }
  return false;
}

/** A response on a connection that `node:http` has already let go for an upgrade. */
export function responseOn(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req);
  res.assignSocket(req.socket);
  res.shouldKeepAlive = false;
  // Nobody else tells it that there is room again or that its time is over, or reads what the client sends, its end among it.
  socket.on('drain', () => res.emit('drain')).resume();
  socket.on('timeout', () => res.emit('timeout'));
  res.once('finish', () => req.socket.destroySoon());
  return res;
}
