const HEAD_END = Buffer.from('\r\n\r\n');

/** As far as it can be told before the whole status line is there. */
const interimLine = Buffer.from('HTTP/1.1 1');
const continueLine = Buffer.from('HTTP/1.1 100');
const switchLine = Buffer.from('HTTP/1.1 101');

/** Of the status. */
const firstDigit = 'HTTP/1.1 '.length;

/**
 * Takes 100 (Continue) off the bytes of a connection where it comes before the answer, behind other interim responses too: a client has
 * to bear those that it did not ask for (RFC 9110 §15.2), and undici ends a connection on which a 100 comes. We never send Expect, so to
 * us it says nothing. One request at a time is under way.
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
    /** Interim responses that are passed on. */
    let front: Buffer | undefined;
    while (isInterim(bytes)) {
      const end = bytes.indexOf(HEAD_END);
      const length = end === -1 ? bytes.length : end + HEAD_END.length;
      if (this.#takenBytes + length > this.#maxHeaderBytes) break;
      if (end === -1) {
        // What of it is there tells nothing yet, to undici neither.
        this.#held = bytes;
        return front ?? null;
      }
      if (isStatus(bytes, continueLine)) this.#takenBytes += length;
      else front = joined(front, bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    if (bytes.length === 0) return front ?? null;
    this.#awaiting = false;
    return joined(front, bytes);
  }
}

function joined(front: Buffer | undefined, bytes: Buffer): Buffer {
  return front === undefined ? bytes : Buffer.concat([front, bytes]);
}

/** Whether they are the beginning of a response that another one follows, or can become one. */
function isInterim(bytes: Buffer): boolean {
  if (bytes.length === 0) return false;
  // Nearly all answers show by one digit that they are none, and this is asked of each.
  if (bytes.length > firstDigit && bytes[firstDigit] !== interimLine[firstDigit]) return false;
  const length = Math.min(bytes.length, interimLine.length);
  if (bytes.compare(interimLine, 0, length, 0, length) !== 0) return false;
  const [second, third, next] = bytes.subarray(interimLine.length);
  // Not 1000 or 10x, which are no status codes.
  if (!isDigit(second) || !isDigit(third) || (next !== undefined && !isStatusEnd(next))) return false;
  // Behind it the bytes are another protocol's.
  return !isStatus(bytes, switchLine);
}

/** `line`: up to the status. */
function isStatus(bytes: Buffer, line: Buffer): boolean {
  return bytes.length >= line.length && bytes.compare(line, 0, line.length, 0, line.length) === 0;
}

/** `undefined`: it has not come yet. */
function isDigit(byte: number | undefined): boolean {
  return byte === undefined || (byte >= 0x30 && byte <= 0x39);
}

function isStatusEnd(byte: number): boolean {
  return byte === 0x20 || byte === 0x0d;
}
