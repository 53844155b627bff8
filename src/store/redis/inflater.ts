import { constants, createInflate, type Inflate, inflateSync } from 'node:zlib';

import { isTestedNode } from '../../tested-node.ts';

/** Bodies are cut from pieces of so many bytes: to allocate one of 10 KB for itself takes as long as to decompress it. */
const slabBytes = 64 * 1024;

/** The least `chunkSize` that zlib takes. */
const leastChunk = 64;

/** Of a buffer, from where on, and so many at most. */
type Bytes = readonly [bytes: Buffer, from: number, length: number];

/** A stream whose parts Node keeps to itself. */
interface Parts {
  readonly stream: Inflate;
  /** Decompresses in this step. What is left of both is in {@link left} then. */
  readonly writeSync: (...args: readonly [flush: number, ...of: readonly [...Bytes, ...Bytes]]) => void;
  /** Bytes of the output and of the input. */
  readonly left: Uint32Array;
}

/**
 * Decompresses bodies of at most some 16 KiB, one after the other, with one decompressor (RFC 1950). `inflateSync` sets one up for each body, with
 * a window of 32 KiB and an object that the collector has to come for, which takes longer than to decompress 10 KB.
 *
 * A stream of zlib can do that with `reset`, but has no public way to be used in one step; so its parts are used as `inflateSync` uses
 * them (decision 39). Where this Node keeps them elsewhere, or is none that {@link isTestedNode} knows, `inflateSync` does it.
 */
export class Inflater {
  /** False: not with this Node. */
  #isShared: boolean;
  #parts: Parts | undefined = undefined;
  #slab = Buffer.alloc(0);
  #taken = 0;

  constructor(node: string = process.versions.node) {
    this.#isShared = isTestedNode(node);
  }

  /** Exactly `length` bytes (at least one), or `undefined`: the bytes are none of zlib's, are cut, or would become more or fewer. Never throws. */
  inflate(coded: Buffer, length: number): Buffer | undefined {
    if (this.#isShared) this.#parts ??= partsOf(createInflate({ chunkSize: leastChunk }));
    const parts = this.#parts;
    if (parts !== undefined) return this.#inflatedBy(parts, coded, length);
    this.#isShared = false;
    return inflatedAlone(coded, length);
  }

  /** Into the slab, with a byte to spare that shows that there is more. */
  #inflatedBy({ stream, writeSync, left }: Parts, coded: Buffer, length: number): Buffer | undefined {
    const most = length + 1;
    if (this.#taken + most > this.#slab.byteLength) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, most));
      this.#taken = 0;
    }
    const at = this.#taken;
    stream.reset();
    writeSync(constants.Z_FINISH, coded, 0, coded.byteLength, this.#slab, at, most);
    if (stream.destroyed) {
      // Of what cannot be decompressed the stream ends, and the next body has another.
      this.#parts = undefined;
      return undefined;
    }
    if (left[0] !== 1) return undefined;
    this.#taken += length;
    return this.#slab.subarray(at, at + length);
  }
}

/** `undefined`: this Node keeps them elsewhere. */
function partsOf(stream: Inflate): Parts | undefined {
  const handle: unknown = Reflect.get(stream, '_handle');
  const left: unknown = Reflect.get(stream, '_writeState');
  const write: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'writeSync') : undefined;
  if (typeof write !== 'function' || !(left instanceof Uint32Array) || left.length !== 2) return undefined;
  // It is told of what is found by `destroyed`, in the same step.
  stream.on('error', () => {});
  const writeSync: Parts['writeSync'] = (...args) => void Reflect.apply(write, handle, args);
  return { stream, writeSync, left };
}

/** As Node does it in public. */
function inflatedAlone(coded: Buffer, length: number): Buffer | undefined {
  // In one piece, with a byte to spare that shows that there is no more; else another piece is begun to find that out.
  const limit = { maxOutputLength: length, chunkSize: Math.max(leastChunk, length + 1) };
  try {
    const body = inflateSync(coded, limit);
    return body.byteLength === length ? body : undefined;
  } catch {
    return undefined;
  }
}
