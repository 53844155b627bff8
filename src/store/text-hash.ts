import { secretBytes } from '../secret-bytes.ts';

/** Of this process alone: who cannot know it cannot choose texts that collide. */
const secret = secretBytes(8);
const secretLow = secret.readInt32LE(0);
const secretHigh = secret.readInt32LE(4);

/**
 * Where a text of ASCII is copied to, to be read by words: to ask a text for its units one by one costs two to three times as
 * much, and more where it is no flat one but made of others, or stands for one in V8's string table.
 */
const copy = new Uint8Array(1024);
const copied = new Int32Array(copy.buffer);
const encoder = new TextEncoder();

/** Copies the text for {@link copied}, with zeros to the next word; false where it is not ASCII, or too long. */
function isCopied(text: string): boolean {
  const { length } = text;
  if (length > copy.length - 4) return false;
  copied[length >> 2] = 0;
  const { read, written } = encoder.encodeInto(text, copy);
  return read === length && written === length;
}

/** In the word that is mixed in last, which is the length: two code units were mixed in at a time, and not four. */
const byTwo = 1 << 31;

/** Rounds behind the text, for each of the two words of the result. */
const lastRounds = 3;

/** What was hashed last: a key that is looked for in one place is looked for in the next by the same text. */
const last = { text: '', low: 0, high: 0 };

/** The two words of a hash, for who comes back to its text when others have been hashed. As V8 keeps integers without allocating: below 0 too. */
export interface HashWords {
  readonly low: number;
  readonly high: number;
}

/** As if the text had been hashed last: it is not hashed anew when it is asked for next. */
export function recall(text: string, { low, high }: HashWords): void {
  last.text = text;
  last.low = low >>> 0;
  last.high = high >>> 0;
}

/**
 * 64 bits of a text as two words: HalfSipHash-1-3 (Aumasson and Bernstein; Linux keys its tables with it). Clients choose
 * keys, so that by an unkeyed hash they could choose one chain for all. An object that is filled, as a pair for each look-up
 * would be garbage; one loop for all rounds, as a function over the four words would put them on the heap.
 */
export class TextHash {
  /** Both from 0 to 2^32-1. */
  low = 0;
  high = 0;

  /** Fills in the hash of the text. */
  take(text: string): this {
    if (text !== last.text || text === '') this.#hash(text);
    this.low = last.low;
    this.high = last.high;
    return this;
  }

  #hash(text: string): void {
    let v0 = secretLow;
    let v1 = secretHigh ^ 0xee;
    let v2 = secretLow ^ 0x6c79_6765;
    let v3 = secretHigh ^ 0x7465_6462;
    const { length } = text;
    let at = 0;
    let rounds = 2 * lastRounds;
    const isAscii = isCopied(text);
    for (;;) {
      let word = 0;
      if (at < length && isAscii) {
        word = copied[at >> 2] ?? 0;
        at += 4;
      } else if (at < length) {
        // Past the end it is NaN, which bit operators take for 0; the length, mixed in last, tells such texts apart.
        word = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
        at += 2;
      } else if (at < length + 4) {
        word = isAscii ? length : length | byTwo;
        at = length + 4;
      } else {
        if (rounds === 0) break;
        if (rounds === 2 * lastRounds) v2 ^= 0xee;
        if (rounds === lastRounds) {
          last.low = (v1 ^ v3) >>> 0;
          v1 ^= 0xdd;
        }
        rounds -= 1;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    last.high = (v1 ^ v3) >>> 0;
    last.text = text;
  }
}
