import type { Repeat } from '../cache/ports.ts';
import type { Block, Resident, Slab } from './fast-lane-slab.ts';

/** Memory for an answer. `block`: where that is; `undefined`: it is its own. */
interface Room {
  readonly block: Block | undefined;
  readonly bytes: Buffer;
}

interface WireParts {
  /** Who made it. */
  readonly writer: object;
  readonly first: Buffer;
  readonly rest: Buffer | undefined;
  readonly length: number;
  readonly ageAt: number;
  readonly ageDigits: number;
  readonly ttlAt: number;
  readonly ttlDigits: number;
}

/**
 * An answer as it goes over the wire to a client that is kept. Made once: as seconds pass its Age and `ttl` alone are written
 * anew, in their place, as long as they have as many digits.
 */
export class Wire implements Resident {
  /** The head, and the content behind it where that is small. */
  first: Buffer;
  /** Content that is not copied: held weakly, so that a body which the store has dropped goes with it. `undefined`: there is no more. */
  readonly rest: WeakRef<Buffer> | undefined;
  /** Of the content. */
  readonly length: number;
  /** How often it was made to say something else. */
  turns = 0;
  /** To be set where its bytes go on being sent behind this step. */
  isLent = false;
  /** Who made it. */
  readonly writer: object;
  /** That `first` had at first. */
  readonly madeBytes: number;
  /** Known heads that are answered with it. */
  users = 0;
  // See `Said`: nothing is said yet.
  sinceMs = 0;
  untilMs = 0;
  lastMs = 0;
  /** Where `first` is, unless it has memory of its own. */
  #slab: Slab | undefined = undefined;
  #block: Block | undefined = undefined;
  #ageAt: number;
  #ageDigits: number;
  #ttlAt: number;
  #ttlDigits: number;

  constructor({ writer, first, rest, length, ageAt, ageDigits, ttlAt, ttlDigits }: WireParts) {
    this.first = first;
    this.rest = rest && new WeakRef(rest);
    this.length = length;
    this.writer = writer;
    this.madeBytes = first.length;
    this.#ageAt = ageAt;
    this.#ageDigits = ageDigits;
    this.#ttlAt = ttlAt;
    this.#ttlDigits = ttlDigits;
  }

  /** Makes it say what the answer says at that time. False: there is no such answer. */
  turnTo(nowMs: number, repeat: Repeat): boolean {
    if (nowMs >= this.sinceMs && nowMs < this.untilMs && nowMs <= this.lastMs) return true;
    const said = repeat.at(nowMs);
    if (said === undefined) return false;
    // Before its bytes are touched: where that fails half way, nobody takes what they say for what was said before.
    this.turns += 1;
    this.untilMs = 0;
    this.#say(String(said.ageSeconds), String(said.ttlSeconds));
    this.sinceMs = said.sinceMs;
    this.untilMs = said.untilMs;
    this.lastMs = said.lastMs;
    return true;
  }

  /** Has its bytes kept in blocks from now on, unless they are. */
  settle(slab: Slab): void {
    if (this.#slab !== undefined) return;
    this.#slab = slab;
    this.#moveTo(this.#room(this.first.length), this.first);
  }

  /** Nobody is answered with it any more. */
  giveBack(): void {
    const block = this.#block;
    const bytes = this.first.length;
    this.#block = undefined;
    // Blocks that it was in hold it until they are let go. It must not hold another that is let go already, all of it.
    this.first = NONE;
    if (block !== undefined) this.#slab?.giveBack(block, bytes);
    this.#slab = undefined;
  }

  /** See `Resident`. */
  leave(block: Block): void {
    if (this.#block !== block) return;
    this.#moveTo(this.#room(this.first.length), this.first);
  }

  /** Bytes of its own, in a block where it has a place in one. */
  #room(bytes: number): Room {
    const block = this.#slab?.take(bytes, this);
    // Not from the pool of small buffers: what lives for long would hold what lives for an instant.
    if (block === undefined || this.#slab === undefined) return { block, bytes: Buffer.allocUnsafeSlow(bytes) };
    const { at } = this.#slab;
    return { block, bytes: block.bytes.subarray(at, at + bytes) };
  }

  #moveTo(room: Room, from: Buffer): void {
    from.copy(room.bytes);
    this.#use(room);
  }

  /** What it had may be on its way to a client still: nobody writes to that. */
  #use({ block, bytes }: Room): void {
    const [old, oldBytes] = [this.#block, this.first.length];
    this.#block = block;
    this.first = bytes;
    this.isLent = false;
    if (old !== undefined) this.#slab?.giveBack(old, oldBytes);
  }

  #say(age: string, ttl: string): void {
    if (this.isLent || age.length !== this.#ageDigits || ttl.length !== this.#ttlDigits)
      this.#space(age.length, ttl.length);
    writeAscii(this.first, age, this.#ageAt);
    writeAscii(this.first, ttl, this.#ttlAt);
  }

  /** Makes room for so many digits, in bytes of its own. */
  #space(ageDigits: number, ttlDigits: number): void {
    const old = this.first;
    const middle = old.subarray(this.#ageAt + this.#ageDigits, this.#ttlAt);
    const end = old.subarray(this.#ttlAt + this.#ttlDigits);
    const ttlAt = this.#ageAt + ageDigits + middle.length;
    const room = this.#room(ttlAt + ttlDigits + end.length);
    const next = room.bytes;
    old.copy(next, 0, 0, this.#ageAt);
    middle.copy(next, this.#ageAt + ageDigits);
    end.copy(next, ttlAt + ttlDigits);
    this.#ageDigits = ageDigits;
    this.#ttlAt = ttlAt;
    this.#ttlDigits = ttlDigits;
    this.#use(room);
  }
}

const NONE = Buffer.alloc(0);

/** A call of `Buffer.write` costs more than the few digits. */
function writeAscii(bytes: Buffer, text: string, at: number): void {
  for (let index = 0; index < text.length; index += 1) bytes[at + index] = text.charCodeAt(index);
}
