/** The first so many of the bytes, for whoever keeps them, or a part of them: the buffer that connections are read into is no one's. */
export function ownOf(bytes: Buffer, length: number): Buffer {
  // A chunk of the stream is its reader's own.
  return bytes.length === length ? bytes : copyOf(bytes, length);
}

/** The same, for a second at most and of what has no content: of the pool of small buffers, which takes a third of the time. */
export function heldOf(bytes: Buffer, length: number): Buffer {
  if (bytes.length === length) return bytes;
  const copy = Buffer.allocUnsafe(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}

/** A read may have filled the whole buffer: its length tells nothing of whose it is. */
export function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}
