import { UpstreamBodyError } from '../cache/upstream-ports.ts';
import type { MaybePromise } from '../cache/ports.ts';
import type { FailureKind } from '../core/failure.ts';

/** The connection's side of a body: what a full queue holds up and a cancelled one ends. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Ends the connection. */
  abort(): void;
}

/** Bytes that may wait for a slow reader before the connection is paused; one socket read more may come behind. */
const highWaterBytes = 256 * 1024;

/** What a chunk takes beside its bytes, about: without it a quarter of a million chunks of one byte could wait. */
const chunkBytes = 256;

/** Carries a body from the connection's callbacks to one reader, in bounded memory. */
export class BodyQueue {
  readonly #source: BodySource;
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #queuedBytes = 0;
  #totalBytes = 0;
  #paused = false;
  #end: 'open' | 'ended' | UpstreamBodyError = 'open';
  #wake: (() => void) | undefined;
  #taken = false;

  /** `maxBytes`: a body past it is cut off with `too-large`. */
  constructor(source: BodySource, maxBytes: number) {
    this.#source = source;
    this.#maxBytes = maxBytes;
  }

  get ended(): boolean {
    return this.#end !== 'open';
  }

  /** Held up by its reader, not by upstream. */
  get paused(): boolean {
    return this.#paused;
  }

  push(chunk: Buffer): void {
    if (this.#end !== 'open') return;
    this.#totalBytes += chunk.length;
    if (this.#totalBytes > this.#maxBytes) {
      this.fail('too-large', 'the body is larger than allowed');
      this.#source.abort();
      return;
    }
    this.#chunks.push(chunk);
    this.#queuedBytes += chunk.length + chunkBytes;
    if (this.#queuedBytes >= highWaterBytes && !this.#paused) {
      this.#paused = true;
      this.#source.pause();
    }
    this.#wake?.();
  }

  finish(): void {
    if (this.#end === 'open') this.#end = 'ended';
    this.#wake?.();
  }

  /** What waits is still read; then the reader gets the error. Later failures are not heard. */
  fail(failure: FailureKind, detail: string): void {
    if (this.#end === 'open') this.#end = new UpstreamBodyError(failure, detail);
    this.#wake?.();
  }

  /** The reader wants no more; ends the connection unless the body is complete. */
  cancel(): void {
    const open = this.#end === 'open';
    this.fail('aborted', 'the body was given up');
    this.#chunks = [];
    this.#queuedBytes = 0;
    if (open) this.#source.abort();
  }

  /**
   * All of it once it has come in order, where it is no more than `maxBytes` and than may wait here; each chunk is the
   * caller's. Else `undefined`, and nothing is taken: it is to be {@link read}. Most bodies are there with their heads, and one step
   * of a reader for each piece and each layer is most of what such a body costs.
   */
  gathered(maxBytes: number): MaybePromise<readonly Buffer[] | undefined> {
    if (this.#taken) throw new Error('a body is read once');
    const isOpen = (): boolean => this.#end === 'open' && !this.#paused && this.#totalBytes <= maxBytes;
    if (!isOpen()) return this.#gather(maxBytes);
    return new Promise((resolve) => {
      this.#wake = () => {
        if (isOpen()) return;
        this.#wake = undefined;
        resolve(this.#gather(maxBytes));
      };
    });
  }

  #gather(maxBytes: number): readonly Buffer[] | undefined {
    if (this.#end !== 'ended' || this.#totalBytes > maxBytes) return undefined;
    this.#taken = true;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#queuedBytes = 0;
    return chunks;
  }

  async *read(): AsyncGenerator<Buffer, void, void> {
    if (this.#taken) throw new Error('a body is read once');
    this.#taken = true;
    try {
      for (;;) {
        const chunk = this.#shift();
        if (chunk !== undefined) {
          yield chunk;
          continue;
        }
        if (this.#end === 'ended') return;
        if (this.#end !== 'open') throw this.#end;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      this.cancel();
    }
  }

  #shift(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#queuedBytes -= chunk.length + chunkBytes;
    // Resumed well below the mark, so that connection and reader do not hand over each chunk singly.
    if (this.#paused && this.#queuedBytes < highWaterBytes / 2) {
      this.#paused = false;
      this.#source.resume();
    }
    return chunk;
  }
}
