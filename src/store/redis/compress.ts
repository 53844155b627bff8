import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

import type { MaybePromise } from '../../cache/ports.ts';

/** Level 3: less than 0.25 ms for 100 KB of JSON, and a tenth of its bytes (docs/coherence.md). */
const options = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** Up to here a thread of the pool costs more than the work; beyond, the work would hold up other requests. */
export const maxSyncBytes = 64 * 1024;

/** What is kept has to be a fifth smaller: else each read pays for next to nothing. */
const worthwhile = 0.8;

const compressLater = promisify(zstdCompress);
const decompressLater = promisify(zstdDecompress);

/** The body as zstd; `undefined` where that would not save a fifth. */
export function compressed(body: Buffer): MaybePromise<Buffer | undefined> {
  if (body.byteLength <= maxSyncBytes) return ifWorthwhile(body, zstdCompressSync(body, options));
  return compressLater(body, options).then((coded) => ifWorthwhile(body, coded));
}

function ifWorthwhile(body: Buffer, coded: Buffer): Buffer | undefined {
  return coded.byteLength <= body.byteLength * worthwhile ? coded : undefined;
}

/**
 * Exactly `length` bytes in an allocation of their own, or `undefined`: what is no zstd, is cut, or would become larger than
 * was said (no more than that is ever allocated). Never throws or rejects.
 */
export function decompressed(coded: Buffer, length: number): MaybePromise<Buffer | undefined> {
  // One byte is the least limit that zlib takes, and nothing of no bytes is ever compressed.
  if (length < 1) return undefined;
  const limit = { maxOutputLength: length };
  if (length > maxSyncBytes) {
    return decompressLater(coded, limit).then(
      (body) => exactly(body, length),
      () => undefined,
    );
  }
  try {
    return exactly(zstdDecompressSync(coded, limit), length);
  } catch {
    return undefined;
  }
}

function exactly(body: Buffer, length: number): Buffer | undefined {
  return body.byteLength === length ? ownCopy(body) : undefined;
}

/** The bytes without whatever else their allocation holds. */
function ownCopy(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.byteLength) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  bytes.copy(copy);
  return copy;
}
