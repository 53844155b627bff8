import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Has `closeIdleConnections` of a server, which its `close` calls too, spare connections with bytes that have not left.
 * `node:http` takes a connection for idle as soon as its response was ended: closed then, a client that reads slower than we
 * write gets a part of its answer. Such a connection is looked at again when all that was written has left.
 */
export function keepUnsent(server: Server): void {
  const open = new Set<Socket>();
  const waiting = new WeakSet<Socket>();
  const closeIdle = server.closeIdleConnections.bind(server);
  const lookAgain = (socket: Socket): void => {
    // What was ended closes by itself when it has left.
    if (waiting.has(socket) || !socket.writable) return;
    waiting.add(socket);
    // Of no bytes: its turn has come when all before it have left, or never will.
    socket.write(NOTHING, () => {
      waiting.delete(socket);
      // Not now: `node:http` hears of the same bytes that its response has ended.
      setImmediate(() => server.closeIdleConnections());
    });
  };
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.closeIdleConnections = () => {
    const unsent = [...open].filter(({ writableLength }) => writableLength > 0);
    // Which connections are idle `node:http` alone knows, and it tells nobody but by this call, within which it destroys them.
    const idle: Socket[] = [];
    for (const socket of unsent) {
      socket.destroy = () => {
        idle.push(socket);
        return socket;
      };
    }
    try {
      closeIdle();
    } finally {
      for (const socket of unsent) Reflect.deleteProperty(socket, 'destroy');
    }
    for (const socket of idle) lookAgain(socket);
  };
}

const NOTHING = Buffer.alloc(0);
