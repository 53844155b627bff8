import { baseKeyOf } from '../core/vary.ts';
import type { StoredItem } from '../core/stored-response.ts';
import type { Pieces } from './discarded.ts';
import { slotBytes } from './hash-chains.ts';
import type { Origin } from './origins.ts';
import { Origins } from './origins.ts';
import type { PackedItem } from './packed-item.ts';
import { ownBytes, writePacked } from './packed-item.ts';
import type { Page, Pages } from './pages.ts';
import type { PurgeableItem } from './purge-table.ts';
import { Rows } from './rows.ts';
import type { TextHash } from './text-hash.ts';
import { hasKey, keyAt, lengthAt, rowOf, unpackItem, unpackScopes, urlBeginsWith } from './unpack-item.ts';
import { UseCounts } from './use-counts.ts';

/** Where a record stands in the eviction order; `out`: in no queue, that is, not stored. */
export const queues = { out: 0, small: 1, main: 2 } as const;
export type Queue = (typeof queues)[keyof typeof queues];

/** Words of a record's row. Pairs for doubles begin at even ones. */
export const words = {
  hashLow: 0,
  hashHigh: 1,
  /** Next in its chain by key. */
  chain: 2,
  page: 3,
  offset: 4,
  /** Of its item in that page. */
  length: 5,
  /** The page that its body is; 0: the body is with its item. */
  bodyPage: 6,
  /** Neighbours in its lane of the eviction order. */
  newer: 7,
  older: 8,
  origin: 9,
  state: 10,
  /** Times served since stored. */
  hits: 11,
  /** Of all records that ever were, this one: rows are used again. */
  serial: 12,
  /** Its first memberships in the indexes; of its URL 0 where that is told by its key. */
  url: 13,
  tags: 14,
  /** Bytes that it takes in indexes. */
  indexed: 15,
  retainUntilMs: 16,
  /** Of the purge log when it was last found valid. */
  checkedVersion: 18,
  staleSinceMs: 20,
  /** Order of entry into its queue over all routes. */
  stamp: 22,
  /** Neighbours among those whose retention ends at about the same time. */
  endsBefore: 24,
  endsAfter: 25,
} as const;

const rowWords = 26;

/** A record's row and its place among the heads of chains. */
export const recordBytes = rowWords * 4 + slotBytes;

/** Of the word `state`: two bits each for queue and frequency, then flags. */
const queueBits = 3;
const frequencyShift = 2;
const mostUses = 3;
const mostUsed = mostUses << frequencyShift;
const response = 1 << 4;
const variant = 1 << 5;
const stale = 1 << 6;
const read = 1 << 7;
const readUsed = 1 << 8;

const sharedSerials = { last: 0 };

/** Of 32 bits, and never 0, which is what a free row reads as. */
export function serialAfter(last: number): number {
  return last === 2 ** 32 - 1 ? 1 : last + 1;
}

/**
 * The stored items, packed, and what is known of each without unpacking it: a row of numbers where V8 would have some forty
 * objects and 2,300 bytes.
 */
export class StoredRecords {
  readonly rows = new Rows(rowWords, true);
  readonly pages: Pages;
  readonly #origins = new Origins();
  /** Uses that are not in the rows yet; `undefined`: there are none. What reads them settles first. */
  #uses: UseCounts | undefined = undefined;

  constructor(pages: Pages) {
    this.pages = pages;
  }

  /** `exact`: it takes no more of pages than it needs. */
  add(packed: PackedItem, hash: TextHash, exact: boolean): number {
    const { item, ownBody } = packed;
    const { rows, pages } = this;
    const record = rows.take();
    const page = pages.place(packed.length, exact);
    writePacked(packed, record, page.bytes, pages.offset);
    rows.set(record, words.page, page.number);
    rows.set(record, words.offset, pages.offset);
    rows.set(record, words.length, packed.length);
    if (ownBody !== undefined) {
      rows.set(record, words.bodyPage, pages.own(ownBytes(ownBody), ownBody.byteLength + ownPageBytes).number);
    }
    rows.set(record, words.hashLow, hash.low);
    rows.set(record, words.hashHigh, hash.high);
    rows.set(record, words.origin, this.#origins.take(item).number);
    const isVariant = baseKeyOf(item.key) !== item.key;
    rows.set(record, words.state, (item.kind === 'response' ? response : 0) | (isVariant ? variant : 0));
    sharedSerials.last = serialAfter(sharedSerials.last);
    rows.set(record, words.serial, sharedSerials.last);
    rows.setDouble(record, words.retainUntilMs, retainUntilMs(item));
    return record;
  }

  remove(record: number): void {
    const { rows, pages } = this;
    this.#uses?.remove(rows.get(record, words.serial));
    const page = this.#pageOf(record);
    pages.release(page, page.isShared ? rows.get(record, words.length) : page.live);
    const body = pages.get(rows.get(record, words.bodyPage));
    if (body !== undefined) pages.release(body, body.live);
    this.#origins.release(this.#originOf(record));
    rows.release(record);
  }

  /**
   * All of them go at once, and the rows' memory is answered. Who has a read in hand may keep this for long, to count its hits: each of
   * them reads as not stored from now on.
   */
  clear(): Pieces {
    this.#uses = undefined;
    return this.rows.clear();
  }

  /** What it takes of the tier's bytes. */
  sizeOf(record: number): number {
    const { rows, pages } = this;
    const body = pages.get(rows.get(record, words.bodyPage))?.live ?? 0;
    return recordBytes + rows.get(record, words.indexed) + rows.get(record, words.length) + body;
  }

  /** Unpacked, to be kept or for once. */
  item(record: number, use: 'for good' | 'for once'): StoredItem {
    const { bytes } = this.#pageOf(record);
    const body = this.pages.get(this.rows.get(record, words.bodyPage))?.bytes;
    return unpackItem(bytes, this.rows.get(record, words.offset), this.#originOf(record), body ?? use);
  }

  /** What purges judge it by. */
  scopes(record: number): PurgeableItem {
    return unpackScopes(this.#pageOf(record).bytes, this.rows.get(record, words.offset), this.#originOf(record));
  }

  /** Whether its URL does. Makes no string, where it can be told without. */
  urlBeginsWith(record: number, prefix: string): boolean {
    const { bytes } = this.#pageOf(record);
    const told = this.isVariant(record) ? undefined : urlBeginsWith(bytes, this.rows.get(record, words.offset), prefix);
    return told ?? this.scopes(record).url.startsWith(prefix);
  }

  key(record: number): string {
    return keyAt(this.#pageOf(record).bytes, this.rows.get(record, words.offset));
  }

  isUnder(record: number, key: string, hash: TextHash): boolean {
    const { rows } = this;
    if (rows.get(record, words.hashLow) !== hash.low || rows.get(record, words.hashHigh) !== hash.high) return false;
    return hasKey(this.#pageOf(record).bytes, rows.get(record, words.offset), key);
  }

  route(record: number): string {
    return this.#originOf(record).route;
  }

  isStored(record: number): boolean {
    return this.queue(record) !== queues.out;
  }

  isResponse(record: number): boolean {
    return this.#has(record, response);
  }

  /** Under a key that was made of another. */
  isVariant(record: number): boolean {
    return this.#has(record, variant);
  }

  /** Unpacked among those in use. */
  isRead(record: number): boolean {
    return this.#has(record, read);
  }

  setRead(record: number, isRead: boolean): void {
    this.#settle(record);
    this.#put(record, read, isRead);
    this.#put(record, readUsed, false);
  }

  /** Whether it was used since this was last asked, or since it was unpacked. */
  takeReadUse(record: number): boolean {
    this.#settle(record);
    const isUsed = this.#has(record, readUsed);
    this.#put(record, readUsed, false);
    return isUsed;
  }

  queue(record: number): Queue {
    const queue = this.rows.get(record, words.state) & queueBits;
    return queue === queues.small ? queues.small : queue === queues.main ? queues.main : queues.out;
  }

  setQueue(record: number, queue: Queue): void {
    this.rows.set(record, words.state, (this.rows.get(record, words.state) & ~queueBits) | queue);
  }

  /** Uses since it was last considered for eviction, up to 3 (S3-FIFO). */
  frequency(record: number): number {
    this.#settle(record);
    return (this.rows.get(record, words.state) >>> frequencyShift) & mostUses;
  }

  setFrequency(record: number, uses: number): void {
    this.#settle(record);
    const others = this.rows.get(record, words.state) & ~(mostUses << frequencyShift);
    this.rows.set(record, words.state, others | (uses << frequencyShift));
  }

  /** Counts a use. */
  use(record: number): void {
    this.#addUses(record, 1);
  }

  /** Times served since stored. */
  hits(record: number): number {
    this.#settle(record);
    return this.rows.get(record, words.hits);
  }

  setHits(record: number, hits: number): void {
    this.#settle(record);
    this.rows.set(record, words.hits, hits);
  }

  /** Whether it is known, without a look at its row, that the record of that serial is stored. */
  isCounted(serial: number): boolean {
    return this.#uses?.has(serial) === true;
  }

  /** Counts a use of what is answered with over and over. */
  useAgain(record: number, serial: number, isHit: boolean): void {
    if (this.#uses?.count(serial, isHit) === true) return;
    this.use(record);
    if (isHit) this.rows.set(record, words.hits, this.rows.get(record, words.hits) + 1);
    this.#uses ??= new UseCounts((one, uses, hits) => {
      this.#addUses(one, uses);
      if (hits > 0) this.rows.set(one, words.hits, this.rows.get(one, words.hits) + hits);
    });
    this.#uses.enter(serial, record);
  }

  staleSinceMs(record: number): number | undefined {
    return this.#has(record, stale) ? this.rows.double(record, words.staleSinceMs) : undefined;
  }

  /** Stale since the first soft purge that was noticed; later ones change nothing. Whether this changed anything. */
  markStale(record: number, sinceMs: number): boolean {
    const known = this.staleSinceMs(record);
    if (known !== undefined && known <= sinceMs) return false;
    this.#put(record, stale, true);
    this.rows.setDouble(record, words.staleSinceMs, sinceMs);
    return true;
  }

  /** Empties a shared page, one of its items in each step. What comes or goes between two steps does no harm. */
  *moveOut(page: Page): Generator<void, void, void> {
    const { rows, pages } = this;
    const { bytes, number } = page;
    for (let offset = 0; offset < page.used && pages.get(number) === page;) {
      const length = lengthAt(bytes, offset);
      const record = rowOf(bytes, offset);
      const isLive = rows.get(record, words.page) === number && rows.get(record, words.offset) === offset;
      if (isLive && this.isStored(record)) {
        const target = pages.place(length, false);
        bytes.copy(target.bytes, pages.offset, offset, offset + length);
        rows.set(record, words.page, target.number);
        rows.set(record, words.offset, pages.offset);
        pages.release(page, length);
      }
      offset += length;
      yield;
    }
  }

  #addUses(record: number, uses: number): void {
    const state = this.rows.get(record, words.state);
    const frequency = Math.min(mostUses, ((state & mostUsed) >>> frequencyShift) + uses);
    const used = (state & ~mostUsed) | (frequency << frequencyShift) | readUsed;
    if (used !== state) this.rows.set(record, words.state, used);
  }

  /** Has its row say what was counted of it. */
  #settle(record: number): void {
    this.#uses?.settle(this.rows.get(record, words.serial));
  }

  #pageOf(record: number): Page {
    const page = this.pages.get(this.rows.get(record, words.page));
    // Never for a record that is stored; reading another's bytes would be the worst that a store can do.
    if (page === undefined) throw new RangeError('no such record');
    return page;
  }

  #originOf(record: number): Origin {
    const origin = this.#origins.get(this.rows.get(record, words.origin));
    if (origin === undefined) throw new RangeError('no such record');
    return origin;
  }

  #has(record: number, flag: number): boolean {
    return (this.rows.get(record, words.state) & flag) !== 0;
  }

  #put(record: number, flag: number, isSet: boolean): void {
    const others = this.rows.get(record, words.state) & ~flag;
    this.rows.set(record, words.state, isSet ? others | flag : others);
  }
}

/** A Buffer with its ArrayBuffer and allocation, beside its content: growth of RSS. */
export const ownPageBytes = 400;

function retainUntilMs(item: StoredItem): number {
  return item.kind === 'response' ? item.freshness.retainUntilMs : item.retainUntilMs;
}
