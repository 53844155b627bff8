import { promisify } from 'node:util';
import { constants, deflateSync, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

import type { MaybePromise } from '../../cache/ports.ts';
import { Inflater } from './inflater.ts';

/** Level 3: less than 0.25 ms for 100 KB of JSON, and a tenth of its bytes (docs/coherence.md). */
const zstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/**
 * Up to here it is zlib's deflate (RFC 1950), beyond zstd: to set a decompressor of zstd up takes 18 microseconds, whatever it is for.
 * 10 KB of JSON take 29 microseconds to write and 13 to read instead of 44 and 27, for 4 % more bytes; from 32 KiB on zstd is
 * the quicker to write by half, and as quick to read. (Measured when each body had a decompressor of its own: see `inflater.ts`.)
 */
export const maxDeflatedBytes = 16 * 1024;
const deflateOptions = { level: 3 };

/** Up to here a thread of the pool costs more than the work; beyond, the work would hold up other requests. */
export const maxSyncBytes = 64 * 1024;

/** What is kept has to be a fifth smaller: else each read pays for next to nothing. */
const worthwhile = 0.8;

const compressLater = promisify(zstdCompress);
const decompressLater = promisify(zstdDecompress);

/** The body compressed; `undefined` where that would not save a fifth. */
export function compressed(body: Buffer): MaybePromise<Buffer | undefined> {
  if (body.byteLength <= maxDeflatedBytes) return ifWorthwhile(body, deflateSync(body, deflateOptions));
  if (body.byteLength <= maxSyncBytes) return ifWorthwhile(body, zstdCompressSync(body, zstdOptions));
  return compressLater(body, zstdOptions).then((coded) => ifWorthwhile(body, coded));
}

function ifWorthwhile(body: Buffer, coded: Buffer): Buffer | undefined {
  return coded.byteLength <= body.byteLength * worthwhile ? coded : undefined;
}

/** Of all frames of zstd (RFC 8878 §3.1.1); no stream of zlib's that is written here begins so (RFC 1950 §2.2: a window of 32 KiB is 0x78). */
const firstOfZstd = 0x28;

/**
 * Exactly `length` bytes, or `undefined`: what is not compressed, is cut, or would become larger than was said (no more than that, and
 * a byte, is ever written). Of each length both forms are read: earlier versions wrote zstd alone. What zlib gives lies in memory that others
 * lie in too (`inflater.ts`): who keeps it copies it. Never throws or rejects.
 */
export function decompressed(coded: Buffer, length: number): MaybePromise<Buffer | undefined> {
  // One byte is the least limit that zlib takes, and nothing of no bytes is ever compressed.
  if (length < 1) return undefined;
  if (coded[0] !== firstOfZstd && length <= maxSyncBytes) return inflater.inflate(coded, length);
  // In one piece, with a byte to spare that shows that there is no more; else another piece is begun to find that out.
  const limit = { maxOutputLength: length, chunkSize: Math.max(leastPiece, length + 1) };
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

const inflater = new Inflater();

/** The least `chunkSize` that zlib takes. */
const leastPiece = 64;

function exactly(body: Buffer, length: number): Buffer | undefined {
  return body.byteLength === length ? ownCopy(body) : undefined;
}

/** The bytes without whatever else their allocation holds, but for a few. */
function ownCopy(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= bytes.byteLength + leastPiece) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  bytes.copy(copy);
  return copy;
}
