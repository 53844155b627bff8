import type { Socket } from 'node:net';

/** A connection of an agent serves many requests. */
const known = new WeakSet<object>();
/** An error of writing was put off, and ends them. */
const faulty = new WeakSet<object>();
const hearers = new WeakMap<object, () => void>();

type Done = (error?: Error | null) => void;

/**
 * Has an error of writing end a connection only behind what has come on it. An upstream may answer an upload early and close: what we
 * write then fails, and `node:net` ends the connection at once, with the answer in it that nobody has read yet (RFC 9112 §9.5, §9.6).
 * Until the other side's end is read, or the connection is closed, the write is one that takes its time.
 *
 * @param onError hears, where it is put off, of the error when it happens
 */
export function readBehindWrites(socket: Socket, onError?: () => void): void {
  if (known.has(socket)) return;
  known.add(socket);
  const held = (done: Done): Done => {
    return (error) => {
      if (!isOfClosed(error) || socket.readableEnded || socket.destroyed) {
        done(error);
        return;
      }
      // What has let go of it by then hears nothing: told to nobody, an error would end the process.
      socket.on('error', () => undefined);
      faulty.add(socket);
      onError?.();
      hearers.get(socket)?.();
      const letGo = (): void => {
        socket.removeListener('end', letGo);
        socket.removeListener('close', letGo);
        done(error);
      };
      socket.on('end', letGo);
      socket.on('close', letGo);
    };
  };
  // A stream writes by these, the callback last.
  for (const name of ['_write', '_writev']) {
    const write: unknown = Reflect.get(socket, name);
    if (typeof write !== 'function') continue;
    Reflect.set(socket, name, (...given: readonly [unknown, unknown, Done] | readonly [unknown, Done]) => {
      const done = given.length === 3 ? given[2] : given[1];
      Reflect.apply(write, socket, [...given.slice(0, -1), held(done)]);
    });
  }
}

/** Whether an error of writing ends the connection: content that ends with it may be a part alone, however its end was told (RFC 9112 §8). */
export function hasWriteFault(socket: object): boolean {
  return faulty.has(socket);
}

/** Calls back when {@link hasWriteFault} becomes true: whoever does not read on waits for that end in vain. For one of each connection. */
export function whenWriteFault(socket: object, hear: () => void): void {
  if (faulty.has(socket)) hear();
  else hearers.set(socket, hear);
}

/** The other side takes nothing more. */
function isOfClosed(error: Error | null | undefined): boolean {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  return error.syscall === 'write' && (error.code === 'EPIPE' || error.code === 'ECONNRESET');
}
