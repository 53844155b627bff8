/**
 * What has come on a connection and was not taken yet, one packet behind the other. Who waits for a whole message looks at all of
 * it with each packet; joined anew each time, a large message would take quadratic time.
 */
export class HeldBytes {
  #room: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  get all(): Buffer {
    return this.#room.subarray(this.#start, this.#end);
  }

  add(data: Buffer): void {
    if (data.length > this.#room.length - this.#end) {
      // Never in the place of what was given out: that may be looked at for longer.
      const room = Buffer.allocUnsafe(2 * (this.#end - this.#start + data.length));
      this.#end = this.all.copy(room);
      this.#start = 0;
      this.#room = room;
    }
    this.#end += data.copy(this.#room, this.#end);
  }

  /** The first of them, which are not held any longer. */
  take(length: number): Buffer {
    const taken = this.all.subarray(0, length);
    this.#start += taken.length;
    return taken;
  }
}
