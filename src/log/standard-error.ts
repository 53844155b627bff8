import { writeSync } from 'node:fs';
import process from 'node:process';

/** Where the log's lines go; whole lines only. */
export interface Sink {
  write(lines: string): void;
  /** Writes what was gathered, and the rest of a line that broke off, now. */
  flush(): void;
  close(): void;
}

/** Writes some of it and says how much, or throws as `fs.writeSync` does. */
type Write = (bytes: Uint8Array) => number;

const toDescriptor: Write = (bytes) => writeSync(2, bytes);
const gatherMs = 100;
const gatherLength = 4096;
/** Between two looks whether a reader has made room. */
const retryMs = 10;

/**
 * Lines are gathered up to 4 KiB or 100 ms, since one write a line would cost a cached hit as much again. Writes are
 * synchronous, and the last ones happen on `exit`: no line is lost short of SIGKILL.
 */
export function standardError(write: Write = toDescriptor): Sink {
  let pending = '';
  let rest: Uint8Array = new Uint8Array();
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (pending === '' && rest.length === 0) return;
    const lines = Buffer.concat([rest, Buffer.from(pending)]);
    pending = '';
    rest = unwritten(lines, write);
  };
  process.on('exit', flush);
  return {
    write(lines) {
      pending += lines;
      if (closed || pending.length >= gatherLength) flush();
      else timer ??= setTimeout(flush, gatherMs).unref();
    },
    flush,
    close() {
      closed = true;
      process.off('exit', flush);
      flush();
    },
  };
}

/**
 * Writes these lines. A log that nobody reads any more, or on a full disk, is no reason to stop serving, or to keep what it does not
 * take: the lines are dropped but for the one at which it broke off, of which a part may be there.
 */
function unwritten(lines: Buffer, write: Write): Uint8Array {
  let written = 0;
  try {
    while (written < lines.length) written += writeSome(lines.subarray(written), write);
  } catch {
    // A copy: the lines behind it are not to be kept.
    return Uint8Array.from(lines.subarray(written, lines.indexOf('\n', written) + 1));
  }
  return new Uint8Array();
}

/** At least one byte; waits for room in a pipe. Node itself has made that one which does not block. */
function writeSome(bytes: Uint8Array, write: Write): number {
  for (;;) {
    try {
      return write(bytes);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(pause, 0, 0, retryMs);
    }
  }
}

/** Of which nothing ever changes. */
const pause = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
