const HEAD_END = Buffer.from('\r\n\r\n');

/** As far as it can be told before the whole status line is there. */
const statusLine = Buffer.from('HTTP/1.1 100');

/** Of the status. */
const firstDigit = 'HTTP/1.1 '.length;

/**
 * Takes 100 (Continue) off the bytes of a connection where it comes before the answer: a client has to bear interim responses
 * that it did not ask for (RFC 9110 §15.2), and undici ends a connection on which a 100 comes. We never send Expect, so to us it
 * says nothing. One request at a time is under way.
 */
export class UnaskedContinue {
  readonly #maxHeaderBytes: number;
  #awaiting = false;
  #held: Buffer | undefined;
  #takenBytes = 0;

  /** @param maxHeaderBytes of all of them before one answer; what is more is left to undici, which refuses it */
  constructor(maxHeaderBytes: number) {
    this.#maxHeaderBytes = maxHeaderBytes;
  }

  /** A request is about to be written: what comes next is a head. */
  requested(): void {
    this.#awaiting = true;
    this.#held = undefined;
    this.#takenBytes = 0;
  }

  /** Bytes as they were read, without what is taken off; `null` where nothing is left for now. */
  passed(chunk: unknown): unknown {
    if (!this.#awaiting || !(chunk instanceof Buffer)) return chunk;
    let bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = undefined;
    while (isContinue(bytes)) {
      const end = bytes.indexOf(HEAD_END);
      const length = end === -1 ? bytes.length : end + HEAD_END.length;
      if (this.#takenBytes + length > this.#maxHeaderBytes) break;
      if (end === -1) {
        this.#held = bytes;
        return null;
      }
      this.#takenBytes += length;
      bytes = bytes.subarray(length);
    }
    if (bytes.length === 0) return null;
    this.#awaiting = false;
    return bytes;
  }
}

/** Whether they are the beginning of a 100, or can become one. */
function isContinue(bytes: Buffer): boolean {
  if (bytes.length === 0) return false;
  // Nearly all answers show by one digit that they are none, and this is asked of each.
  if (bytes.length > firstDigit && bytes[firstDigit] !== statusLine[firstDigit]) return false;
  const length = Math.min(bytes.length, statusLine.length);
  if (bytes.compare(statusLine, 0, length, 0, length) !== 0) return false;
  // Not 1000 or 100x, which are no status codes.
  const next = bytes[statusLine.length];
  return next === undefined || next === 0x20 || next === 0x0d;
}
