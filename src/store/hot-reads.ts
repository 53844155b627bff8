import type { HitTally, StoredPlace, StoreRead } from '../cache/ports.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { bytesForGhost, Ghosts } from './ghosts.ts';
import type { Growth } from './growth.ts';

/**
 * Once it is full, what is let in is what was read of late: for each 16 KiB that may be kept, which are about eight reads, one that was not let in is remembered.
 * Where more are asked for in turn than there is room for, all would else come and go unused, each of them garbage that has grown old, at
 * three times the cost of unpacking for once. What is asked for often comes in with its second read all the same.
 */
const bytesForEach = 16_384;
const leastRemembered = 64;

/** Unpacked reads take at most this part of the tier, and at most so many bytes: each costs V8 some forty objects. */
const part = 1 / 16;
const mostOfAll = 2 ** 25;

/** What unpacked reads take at most in a tier of so many bytes. */
export function mostReadBytes(tierBytes: number): number {
  return Math.min(tierBytes * part, mostOfAll);
}

/** Full is what has less room than this part. */
const fullPart = 1 / 32;

type HotReadOptions = Pick<
  HotRead,
  'item' | 'staleSinceMs' | 'tally' | 'record' | 'serial' | 'retainUntilMs' | 'checkedVersion'
> & {
  readonly placeOf: PlaceOf;
};

/** See {@link StoreRead.place}. */
export type PlaceOf = (hot: HotRead) => StoredPlace;

/**
 * An unpacked record, which is what a look-up gives. One object for both: a hit reads both, and each object that it reads is a
 * line of memory that may be cold.
 */
export class HotRead implements StoreRead {
  readonly tier = 'memory';
  /** Where it is kept, so that a look-up of its key gives it, the era of who keeps it ({@link HotReads.keeps}); else 0. */
  era = 0;
  readonly retainUntilMs: number;
  /** Of the purge log when it was last found valid. */
  checkedVersion: number;
  readonly item: StoredItem;
  readonly staleSinceMs: number | undefined;
  readonly tally: HitTally;
  readonly record: number;
  /** Of its record: rows are used again. */
  readonly serial: number;
  /** What it takes, where it is kept. */
  bytes = 0;
  /** See {@link StoreRead.once}. */
  once = false;
  newer: HotRead | undefined = undefined;
  older: HotRead | undefined = undefined;
  readonly #placeOf: PlaceOf;
  #place: StoredPlace | undefined;

  constructor({ item, staleSinceMs, tally, record, serial, retainUntilMs, checkedVersion, placeOf }: HotReadOptions) {
    this.retainUntilMs = retainUntilMs;
    this.checkedVersion = checkedVersion;
    this.item = item;
    this.staleSinceMs = staleSinceMs;
    this.tally = tally;
    this.record = record;
    this.serial = serial;
    this.#placeOf = placeOf;
  }

  /** Made with the first request for it: most reads are answered with once. */
  get place(): StoredPlace {
    this.#place ??= this.#placeOf(this);
    return this.#place;
  }
}

/**
 * The reads of responses in use, so that what is asked for often is not unpacked each time. First in, first out, but what
 * was used since gets another round.
 */
export class HotReads {
  readonly maxBytes: number;
  readonly #wasUsed: (record: number) => boolean;
  /** By record: of a key V8 would put the text into its table of strings. */
  readonly #byRecord = new Map<number, HotRead>();
  /** What was read of late and not let in. */
  readonly #passed: Ghosts;
  #newest: HotRead | undefined;
  #oldest: HotRead | undefined;
  #bytes = 0;
  /** Of what was added since all was let go of last. */
  #era = 1;

  /** `wasUsed`: whether the record was since this was last asked, by whatever way. */
  constructor(maxBytes: number, wasUsed: (record: number) => boolean) {
    this.maxBytes = maxBytes;
    this.#wasUsed = wasUsed;
    this.#passed = new Ghosts((maxBytes / bytesForEach) * bytesForGhost, leastRemembered);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of what the tier may take, kept free so that reads find it. */
  spareBytes({ grantedBytes }: Pick<Growth, 'grantedBytes'>): number {
    return Math.max(0, mostReadBytes(grantedBytes) - this.#bytes);
  }

  /**
   * What may be kept now. In a tier that may not grow that is the room which is kept free for it, or what it has taken before: with no
   * other bound than the room that is left, what was in use once would stay, and nothing come in.
   */
  mostBytes({ grantedBytes, isHeldBack }: Pick<Growth, 'grantedBytes' | 'isHeldBack'>): number {
    return isHeldBack ? Math.max(this.#bytes, mostReadBytes(grantedBytes)) : this.maxBytes;
  }

  /** By how much what is kept grows with a read of so many bytes: the rest is what others give up. */
  grownBy(bytes: number, mostBytes = this.maxBytes): number {
    return Math.min(bytes, mostBytes - this.#bytes);
  }

  /** Whether the read is let in. `hash`: 32 bits of its key's. `mostBytes`: of all, no less than there are, where they may not be {@link maxBytes}. */
  isOpen(hash: number, mostBytes = this.maxBytes): boolean {
    if (this.#bytes < mostBytes * (1 - fullPart) || this.#passed.take(hash)) return true;
    this.#passed.add(hash);
    return false;
  }

  /** Whether a look-up of its key gives it. */
  keeps(hot: HotRead): boolean {
    return hot.era === this.#era;
  }

  get(record: number): HotRead | undefined {
    return this.#byRecord.get(record);
  }

  /** Its record must not be there, its bytes no more than all. Answers those that went for it. */
  add(hot: HotRead, mostBytes = this.maxBytes): readonly HotRead[] {
    const gone: HotRead[] = [];
    while (this.#bytes + hot.bytes > mostBytes && this.#oldest !== undefined) {
      const oldest = this.#oldest;
      this.#unlink(oldest);
      if (this.#wasUsed(oldest.record)) {
        this.#link(oldest);
      } else {
        this.#forget(oldest);
        gone.push(oldest);
      }
    }
    hot.era = this.#era;
    this.#byRecord.set(hot.record, hot);
    this.#bytes += hot.bytes;
    this.#link(hot);
    return gone;
  }

  remove(record: number): void {
    const hot = this.#byRecord.get(record);
    if (hot === undefined) return;
    this.#unlink(hot);
    this.#forget(hot);
  }

  /** Lets go of all without a look at any: there may be 20,000, each a line of memory that is cold, and a purge of everything waits. */
  clear(): void {
    this.#era += 1;
    this.#byRecord.clear();
    this.#newest = undefined;
    this.#oldest = undefined;
    this.#bytes = 0;
  }

  #forget(hot: HotRead): void {
    hot.era = 0;
    this.#byRecord.delete(hot.record);
    this.#bytes -= hot.bytes;
  }

  #link(hot: HotRead): void {
    hot.older = this.#newest;
    hot.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = hot;
    this.#newest = hot;
    this.#oldest ??= hot;
  }

  #unlink(hot: HotRead): void {
    if (hot.newer === undefined) this.#newest = hot.older;
    else hot.newer.older = hot.older;
    if (hot.older === undefined) this.#oldest = hot.newer;
    else hot.older.newer = hot.newer;
  }
}
