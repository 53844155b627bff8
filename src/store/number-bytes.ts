const startBytes = 4096;
/** Of one number; seven bits in each byte. */
const mostBytes = 8;

/** Writes whole numbers, small ones in one byte (LEB128), into memory that is used again and again. */
export class NumberWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(startBytes);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /** A safe integer from 0 on. */
  add(value: number): void {
    this.#room(mostBytes);
    let rest = value;
    // Nearly all are of one byte or two, which whole numbers of 32 bits tell without a division.
    if (value < 0x4000) {
      if (value >= 0x80) {
        this.bytes[this.length] = (value & 0x7f) | 0x80;
        this.length += 1;
        rest = value >> 7;
      }
      this.bytes[this.length] = rest;
      this.length += 1;
      return;
    }
    while (rest >= 0x80) {
      this.bytes[this.length] = (rest % 0x80) | 0x80;
      this.length += 1;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.length] = rest;
    this.length += 1;
  }

  /** Any number, in 8 bytes. */
  addDouble(value: number): void {
    this.#room(8);
    this.length = this.bytes.writeDoubleLE(value, this.length);
  }

  /** A whole number of less than 2^39, in 5 bytes, so that like things are of one size. */
  addSigned40(value: number): void {
    this.#room(5);
    const { bytes, length: at } = this;
    const high = Math.floor(value / 2 ** 32);
    const low = value - high * 2 ** 32;
    bytes[at] = low;
    bytes[at + 1] = low >>> 8;
    bytes[at + 2] = low >>> 16;
    bytes[at + 3] = low >>> 24;
    bytes[at + 4] = high;
    this.length = at + 5;
  }

  #room(bytes: number): void {
    if (this.length + bytes <= this.bytes.byteLength) return;
    const larger = Buffer.allocUnsafeSlow(this.bytes.byteLength * 2);
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

/** Reads what a {@link NumberWriter} has written, in the same order. */
export class NumberReader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.at] ?? 0;
      this.at += 1;
      if (byte < 0x80) return value + byte * scale;
      value += (byte - 0x80) * scale;
      scale *= 0x80;
    }
  }

  nextDouble(): number {
    this.at += 8;
    return this.#bytes.readDoubleLE(this.at - 8);
  }

  nextSigned40(): number {
    this.at += 5;
    return this.#bytes.readIntLE(this.at - 5, 5);
  }
}
