/** A connection, as far as it can be kept from being read. */
export interface Readable {
  pause(): unknown;
  resume(): unknown;
  on(event: 'resume', listener: () => void): unknown;
  off(event: 'resume', listener: () => void): unknown;
}

/** Keeps a connection of `node:http` from being read until it is released. */
export class HeldReading {
  readonly #socket: Readable;
  #isOn = true;
  readonly #pause = (): void => {
    if (this.#isOn) this.#socket.pause();
  };

  constructor(socket: Readable) {
    this.#socket = socket;
    // `node:http` has it read on behind each request of the packet that it is at, and when a client that was slow has taken what there was.
    socket.on('resume', this.#pause);
    process.nextTick(this.#pause);
  }

  release(): void {
    const socket = this.#socket;
    this.#isOn = false;
    socket.off('resume', this.#pause);
    // What `node:http` has paused itself, since its client takes nothing, is its own to read on: bytes that came now would end the process.
    if (Reflect.get(socket, '_paused') !== true) socket.resume();
  }
}
