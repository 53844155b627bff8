/** The first so many of the bytes, for whoever keeps them, or a part of them: the buffer that connections are read into is no one's. */
export function ownOf(bytes: Buffer, length: number): Buffer {
  // A chunk of the stream is its reader's own.
  return bytes.length === length ? bytes : copyOf(bytes, length);
}

/** A read may have filled the whole buffer: its length tells nothing of whose it is. */
export function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}
