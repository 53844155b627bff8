import type { OnReadOpts, Socket } from 'node:net';

/** Read at once at most, as much as undici lets a socket buffer. Of memory only what was read into is taken. */
const READ_BYTES = 65_536;

/**
 * What a connection brings, handed to undici without the buffers and ticks of a readable stream: with them a miss took 4 of 74 µs
 * more. undici calls `read()` when `readable` is emitted, until there is nothing: it gets here what was read last, and while it has
 * not taken that, as under back pressure, nothing more is read.
 */
export class DirectReads {
  /** For the options of the connection. */
  readonly onread: OnReadOpts;
  #socket: Socket | undefined;
  #waiting: Buffer | null = null;
  /** Reading stands still until what waits has been taken. */
  #stopped = false;

  constructor() {
    this.onread = {
      // Of this connection alone: on systems that read in the background one for all could be filled anew before it is handed over.
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length, bytes) => this.#came(length, bytes),
    };
  }

  /** To be called before anything was read: what comes goes the short way from here on. */
  attach(socket: Socket): void {
    this.#socket = socket;
    const read = socket.read.bind(socket);
    // With a size, 0 above all, it is Node that starts to read, or hears of the end.
    socket.read = (size?: number): unknown => (size === undefined ? this.#taken(() => read(0)) : read(size));
  }

  #taken(goOn: () => void): Buffer | null {
    const taken = this.#waiting;
    this.#waiting = null;
    if (taken === null && this.#stopped) {
      this.#stopped = false;
      goOn();
    }
    return taken;
  }

  /** False: nothing more is to be read for now. */
  #came(length: number, bytes: Uint8Array): boolean {
    const chunk = Buffer.allocUnsafe(length);
    chunk.set(bytes.subarray(0, length));
    this.#waiting = this.#waiting === null ? chunk : Buffer.concat([this.#waiting, chunk]);
    this.#socket?.emit('readable');
    this.#stopped = this.#waiting !== null;
    return !this.#stopped;
  }
}
