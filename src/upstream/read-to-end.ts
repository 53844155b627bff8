import type { Socket } from 'node:net';

/** A connection of an agent serves many requests. */
const known = new WeakSet<Socket>();

/**
 * Has a connection end by an error of reading only behind what came before that error. `node:net` ends it at once, and what still
 * waits in its buffer, since the reader holds it up, is lost: a message that has come whole would be told as broken off, which it
 * is not, whatever happens to its connection then (RFC 9112 §8). What ends the connection for another reason ends it at once.
 *
 * `node:net` calls the socket's own `destroy` there. Should it not any more, such a message is an incomplete one again.
 *
 * @param onError hears, where the end is put off, of the error when it happens
 */
export function readToEnd(socket: Socket, onError?: () => void): void {
  if (known.has(socket)) return;
  known.add(socket);
  const read = socket.read.bind(socket);
  const destroy = socket.destroy.bind(socket);
  let held: Error | undefined;
  const letGo = (): void => {
    if (held !== undefined && socket.readableLength === 0) destroy(held);
  };
  socket.destroy = (error?: Error) => {
    if (error === undefined || !isOfReading(error) || socket.readableLength === 0) return destroy(error);
    held = error;
    // `node:http` lets go of a connection whose answer has come whole: told to nobody, an error would end the process.
    socket.on('error', () => undefined);
    onError?.();
    return socket;
  };
  socket.read = (size?: number): unknown => {
    const chunk: unknown = read(size);
    // Behind whatever its reader does with it now, which may be to give some of it back.
    if (held !== undefined) process.nextTick(letGo);
    return chunk;
  };
}

function isOfReading(error: Error): boolean {
  return 'syscall' in error && error.syscall === 'read';
}
