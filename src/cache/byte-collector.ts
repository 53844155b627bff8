/** What bounds a {@link ByteCollector}. Bytes. */
export interface CollectorOptions {
  /** No more is added. */
  readonly maxBytes: number;
  /** How much will come, where that is known: it is then collected in one piece. */
  readonly length?: number | undefined;
  /** Asked before memory is taken; false: it is not. */
  readonly mayTake?: ((bytes: number) => boolean) | undefined;
}

/** A piece of memory has at least this much room for what comes next, and at most that. */
const leastRoom = 4096;
const mostRoom = 65_536;

/**
 * Collects bytes in memory of its own, in pieces that grow with what came. To keep the chunks themselves would cost some 300
 * bytes for each of them, however short a sender makes them, and a view of a pooled slab keeps the slab alive.
 */
export class ByteCollector {
  readonly #options: CollectorOptions;
  /** All full but the last. */
  #pieces: Buffer[] = [];
  /** Bytes of the last piece that are not used. */
  #room = 0;
  #held = 0;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** Bytes that were added. */
  get bytes(): number {
    return this.#held - this.#room;
  }

  /** Bytes of memory that are taken. */
  get held(): number {
    return this.#held;
  }

  /** The chunk is copied. False where it was not added as a whole, since memory was refused. */
  add(chunk: Uint8Array): boolean {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#room === 0 && !this.#grow(rest.length)) return false;
      const piece = this.#pieces.at(-1);
      const part = rest.length > this.#room ? rest.subarray(0, this.#room) : rest;
      piece?.set(part, piece.length - this.#room);
      this.#room -= part.length;
      rest = rest.subarray(part.length);
    }
    return true;
  }

  /** All of it, in a buffer of exactly its size that owns its memory. Nothing is left. */
  take(): Buffer {
    const [piece] = this.#pieces;
    const whole = piece !== undefined && this.#pieces.length === 1 && this.#room === 0 ? piece : this.#joined();
    this.#clear();
    return whole;
  }

  /** All of it, in order. Nothing is left. */
  parts(): Buffer[] {
    const parts = this.#pieces;
    const last = parts.pop();
    if (last !== undefined) parts.push(last.subarray(0, last.length - this.#room));
    this.#clear();
    return parts;
  }

  #joined(): Buffer {
    const bytes = Buffer.allocUnsafeSlow(this.bytes);
    let offset = 0;
    for (const part of this.parts()) offset += part.copy(bytes, offset);
    return bytes;
  }

  #clear(): void {
    this.#pieces = [];
    this.#room = 0;
    this.#held = 0;
  }

  #grow(least: number): boolean {
    const { length, maxBytes, mayTake } = this.#options;
    const { bytes } = this;
    // What comes in one chunk mostly is all that comes: it is given as it is then, and not copied again.
    const first = length ?? least;
    const next = Math.min(Math.max(bytes, leastRoom), mostRoom, maxBytes - bytes);
    const size = Math.max(least, bytes === 0 ? first : next);
    if (mayTake?.(size) === false) return false;
    this.#pieces.push(Buffer.allocUnsafeSlow(size));
    this.#room = size;
    this.#held += size;
    return true;
  }
}
