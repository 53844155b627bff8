import type { Observer, StoredSummary, StoreStats } from '../cache/ports.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { Discarded } from './discarded.ts';
import type { Standing } from './eviction-order.ts';
import { EvictionOrder } from './eviction-order.ts';
import { ExpiryWheel } from './expiry-wheel.ts';
import type { ProcessMemory } from './growth.ts';
import { Growth } from './growth.ts';
import { HotRead, HotReads, mostReadBytes, type PlaceOf } from './hot-reads.ts';
import { leastNeeded, mostInline, sizeOfPacked, sizeOfRead } from './item-size.ts';
import { MemoryIndex } from './memory-index.ts';
import type { PackedItem } from './packed-item.ts';
import { packItem } from './packed-item.ts';
import type { Page } from './pages.ts';
import { Pages } from './pages.ts';
import { RecordTally } from './record-tally.ts';
import { ownPageBytes, StoredRecords, words } from './stored-records.ts';
import { isUntidy, tidyOnce } from './tidying.ts';

/** Why a record goes. */
export type DropReason = 'capacity' | 'retention' | 'route-limit' | 'purge' | 'replaced' | 'invalidated';

export interface MemoryTableOptions {
  readonly maxBytes: number;
  /** Of the process, where what it takes in all is bounded. */
  readonly processMemory?: ProcessMemory | undefined;
  readonly routeLimits: ReadonlyMap<string, number>;
  readonly observer?: Pick<Observer, 'limit'>;
}

/**
 * A put that needs room empties a page of which at most this much is live: each byte gained then costs three that are
 * moved, and a ninth of the pages is holes on average. Nothing else is waiting then, so that others are not emptied before
 * half of them is holes (`tidying.ts`).
 */
const shareForRoom = 0.75;

/**
 * And only where so much of all pages is holes. Who floods a tier has it evict in the order in which it was filled, so that the pages
 * run empty one after another: then nothing has to be moved.
 */
const holesForRoom = 1 / 32;

/**
 * A tier of at least so many pages evicts a page's worth before it is needed, so many records with each put: else one put would have to
 * evict all of it, some 700 records of 1 KB. It then holds a page less than it could at most. Only where holes are few: where
 * they are spread, evicting ahead would drain the tier before a page ran empty by itself, and a sparse one is emptied instead.
 */
const pagesForAhead = 32;
const evictedAhead = 2;

/** The records with their indexes and eviction order, always in step, and always within the limits. */
export class MemoryTable {
  readonly #options: MemoryTableOptions;
  readonly #placeOf: PlaceOf;
  readonly #pages: Pages;
  readonly #growth: Growth;
  readonly #hot: HotReads;
  readonly #discarded = new Discarded();
  #records: StoredRecords;
  #index: MemoryIndex;
  #order: EvictionOrder;
  #expiry: ExpiryWheel;
  readonly #dropped: Record<DropReason, number> = {
    capacity: 0,
    retention: 0,
    'route-limit': 0,
    purge: 0,
    replaced: 0,
    invalidated: 0,
  };
  #refusedTooLarge = 0;

  constructor(options: MemoryTableOptions, placeOf: PlaceOf) {
    this.#options = options;
    this.#placeOf = placeOf;
    this.#pages = new Pages(options.maxBytes);
    this.#growth = new Growth(options.maxBytes, options.processMemory);
    const wasUsed = (record: number): boolean => this.#records.takeReadUse(record);
    this.#hot = new HotReads(mostReadBytes(options.maxBytes), wasUsed);
    this.#records = new StoredRecords(this.#pages);
    this.#index = new MemoryIndex(this.#records);
    this.#order = new EvictionOrder(this.#records, options.maxBytes, this.#growth);
    this.#expiry = new ExpiryWheel(this.#records);
  }

  get index(): MemoryIndex {
    return this.#index;
  }

  get records(): StoredRecords {
    return this.#records;
  }

  get order(): EvictionOrder {
    return this.#order;
  }

  /** By the end of their retention. */
  get expiry(): ExpiryWheel {
    return this.#expiry;
  }

  get hot(): HotReads {
    return this.#hot;
  }

  /** All that is taken of memory: pages in full, tables, also those that are not given back yet, unpacked reads. */
  get bytes(): number {
    return this.#pages.bytes + this.#index.bytes + this.#discarded.bytes + this.#hot.bytes;
  }

  /** Whether the item could be put without anything having to go for it. */
  hasRoomFor(item: StoredItem): boolean {
    // The page that is kept empty is for what comes: who takes it has two others go.
    if (this.#keepsPage() && !this.#hasPageToSpare()) return false;
    // Before it is packed, which takes half as long as a read from Redis: a tier that is full mostly has no room for less.
    const leastBytes = this.#keptBytes() + leastNeeded(item, this.#pages);
    if (!this.#isGranted(leastBytes) || !this.#isGranted(leastBytes + this.#index.needs(item))) return false;
    const packed = packItem(item, mostInline(this.#pages.pageBytes));
    return this.#isGranted(this.#keptBytes() + this.#needs(packed));
  }

  /**
   * Puts the item in the place of whatever has its key, evicting what must go for it. 0: it is larger than the whole; counted.
   *
   * @param before the record under its key, which was what the index was asked for last; 0: there is none
   */
  put(item: StoredItem, nowMs: number, before: number): number {
    const packed = packItem(item, mostInline(this.#pages.pageBytes));
    if (sizeOfPacked(packed) > this.#options.maxBytes) {
      this.#refusedTooLarge += 1;
      this.#options.observer?.limit('store.memory.maxBytes');
      return 0;
    }
    // Popularity is the key's: a refreshed response does not have to earn it again.
    const standing: Standing | undefined =
      before === 0 ? undefined : { queue: this.#records.queue(before), frequency: this.#records.frequency(before) };
    if (before !== 0) this.drop(before, 'replaced');
    this.#keepRouteLimit(item.route);
    const isTight = !this.#makeRoom(() => this.#needs(packed));
    // Before it is there, so that it is not what goes.
    this.#evictAhead();
    const record = this.#records.add(packed, this.#index.hash, isTight);
    this.#index.add(record, item);
    this.#order.add(record, standing);
    this.#expiry.add(record, nowMs);
    return record;
  }

  drop(record: number, reason: DropReason): void {
    // What was in use and is gone for its age or by a purge comes back soon: straight to its old queue.
    if (reason === 'retention' || reason === 'purge') this.#order.remember(record);
    this.forgetRead(record);
    this.#index.remove(record);
    this.#order.remove(record);
    this.#expiry.remove(record);
    this.#records.remove(record);
    this.#dropped[reason] += 1;
  }

  /**
   * Lets go of everything at once; nothing is walked through. Its pages and tables stay for {@link tidySteps} or what comes next, and
   * count until then.
   */
  dropAll(): void {
    this.#discarded.add(this.#index.bytes, this.#index.close());
    this.#hot.clear();
    this.#pages.clear();
    this.#records = new StoredRecords(this.#pages);
    this.#index = new MemoryIndex(this.#records);
    this.#order = new EvictionOrder(this.#records, this.#options.maxBytes, this.#growth);
    this.#expiry = new ExpiryWheel(this.#records);
  }

  /** The read of a record, unpacked; kept among those in use where there is room. */
  enter(record: number): HotRead {
    const records = this.#records;
    const mostBytes = this.#hot.mostBytes(this.#growth);
    const isWanted = this.#hot.isOpen(records.rows.get(record, words.hashLow), mostBytes);
    const hot = this.unpacked(record, isWanted ? 'for good' : 'for once');
    if (isWanted) hot.bytes = sizeOfRead(hot.item);
    hot.once = !isWanted || !this.#hasRoomFor(hot, mostBytes);
    if (hot.once) return hot;
    for (const gone of this.#hot.add(hot, mostBytes)) records.setRead(gone.record, false);
    records.setRead(record, true);
    return hot;
  }

  /** As {@link enter}, and not kept. `for once`: its body is in Node's pool. */
  unpacked(record: number, use: 'for good' | 'for once' = 'for good'): HotRead {
    const records = this.#records;
    const item = records.item(record, use);
    return new HotRead({
      item,
      staleSinceMs: records.staleSinceMs(record),
      tally: new RecordTally(records, record),
      record,
      retainUntilMs: records.rows.double(record, words.retainUntilMs),
      checkedVersion: records.rows.double(record, words.checkedVersion),
      serial: records.rows.get(record, words.serial),
      placeOf: this.#placeOf,
    });
  }

  /** What was unpacked of the record is not what a look-up gives any more. */
  forgetRead(record: number): void {
    if (!this.#records.isRead(record)) return;
    this.#records.setRead(record, false);
    this.#hot.remove(record);
  }

  /** What an operator is shown of a record. */
  summary(record: number): StoredSummary {
    const { item, tier, staleSinceMs, tally } = this.unpacked(record);
    return { item, tier, staleSinceMs, sizeBytes: this.#records.sizeOf(record), hits: tally.hits };
  }

  /** There is memory to be given back. */
  get isUntidy(): boolean {
    return this.#discarded.isThere || isUntidy(this.#pages, this.#index.size);
  }

  /** Gives back what memory is not needed, in short steps. */
  *tidySteps(): Generator<void, void, void> {
    yield* this.#discarded.steps();
    while (this.isUntidy) yield* tidyOnce(this.#pages, this.#records);
  }

  /** Gives all of it back now: the tier is closed. */
  trimAll(): void {
    while (this.#pages.emptyPages > 0) this.#pages.trim();
    while (this.#discarded.isThere) this.#discarded.giveBack();
  }

  stats(): StoreStats {
    return {
      responses: this.#index.responses,
      bytes: this.bytes,
      maxBytes: this.#options.maxBytes,
      grantedBytes: this.#growth.grantedBytes,
      tags: this.#index.tags,
      evictedCapacity: this.#dropped.capacity,
      evictedRetention: this.#dropped.retention,
      evictedRouteLimit: this.#dropped['route-limit'],
      refusedTooLarge: this.#refusedTooLarge,
    };
  }

  /** What indexes and eviction order hold, for tests of leaks: all 0 when nothing is stored. */
  sizes(): Readonly<Record<string, number>> {
    return { ...this.#index.sizes, lanes: this.#order.size, ending: this.#expiry.size, bytes: this.bytes };
  }

  #needs(packed: PackedItem): number {
    const { item, length, ownBody } = packed;
    const body = ownBody === undefined ? 0 : ownBody.byteLength + ownPageBytes;
    return this.#index.needs(item) + this.#pages.needs(length) + body;
  }

  /**
   * Makes room for what `needs` says, by emptying sparse pages and by eviction. False where all has gone, and only what
   * takes no more than it must will fit.
   */
  #makeRoom(needs: () => number): boolean {
    const { maxBytes } = this.#options;
    for (;;) {
      if (this.#isGranted(this.#keptBytes() + this.#discarded.bytes + needs())) return true;
      const page = this.#pages.holes > holesForRoom ? this.#pages.sparsest(shareForRoom) : undefined;
      if (this.#discarded.isThere) {
        this.#discarded.giveBack();
      } else if (page !== undefined && this.#pages.sharedPages > 2) {
        this.#moveOut(page);
      } else if (this.#pages.emptyPages > 1 || (this.#pages.emptyPages === 1 && this.#index.size === 0)) {
        this.#pages.trim();
      } else {
        const victim = this.#order.victim();
        if (victim === 0) return this.bytes + needs() <= maxBytes;
        this.drop(victim, 'capacity');
      }
    }
  }

  #evictAhead(): void {
    if (this.#pages.emptyPages > 0 || !this.#keepsPage() || this.#pages.holes > holesForRoom) return;
    if (this.#hasPageToSpare()) return;
    for (let left = evictedAhead; left > 0 && this.#pages.emptyPages === 0; left -= 1) {
      const victim = this.#order.victim();
      if (victim !== 0) this.drop(victim, 'capacity');
    }
  }

  /** Whether a page is made empty ahead once there is no room for another. */
  #keepsPage(): boolean {
    return this.#pages.sharedPages >= pagesForAhead;
  }

  /** Whether there is one beside that which moving takes, also once one that is empty is used. */
  #hasPageToSpare(): boolean {
    const { emptyPages, pageBytes } = this.#pages;
    return emptyPages > 1 || this.#isGranted(this.#keptBytes() + (1 + emptyPages) * pageBytes);
  }

  #isGranted(bytes: number): boolean {
    return bytes <= this.#growth.grant(bytes, this.bytes);
  }

  /**
   * What is taken, but for what is given back where room is needed, with the room that reads may come to take: a read that had to evict
   * for its own would empty a tier that is only read, since what is small beside a page gives no room by going.
   */
  #keptBytes(): number {
    return this.bytes - this.#discarded.bytes + this.#spareBytes() + this.#hot.spareBytes(this.#growth);
  }

  /** Emptying a page needs another to move its items to. */
  #spareBytes(): number {
    return this.#pages.sharedPages > 1 && this.#pages.emptyPages === 0 ? this.#pages.pageBytes : 0;
  }

  #moveOut(page: Page): void {
    const steps = this.#records.moveOut(page);
    while (steps.next().done !== true);
  }

  /** Nothing that is stored goes for a read. */
  #hasRoomFor({ bytes }: HotRead, mostBytes: number): boolean {
    return bytes <= mostBytes && this.#isGranted(this.bytes + this.#hot.grownBy(bytes, mostBytes));
  }

  #keepRouteLimit(route: string): void {
    const limit = Math.max(1, this.#options.routeLimits.get(route) ?? Number.POSITIVE_INFINITY);
    for (let surplus = this.#index.routeCount(route) - limit; surplus >= 0; surplus -= 1) {
      const victim = this.#order.routeVictim(route, limit);
      if (victim === 0) break;
      this.drop(victim, 'route-limit');
      this.#options.observer?.limit('routes.maxKeys');
    }
  }
}
