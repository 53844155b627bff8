import type {
  Clock,
  InspectedRead,
  ListFilter,
  Observer,
  PurgeCounter,
  PutOutcome,
  ResponseStore,
  StoredSummary,
  StoredView,
  StoreInspector,
  StoreRead,
  StoreStats,
  UnleasedReads,
} from '../cache/ports.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { tagSpellings } from '../core/tag-text.ts';
import { sizeOfItem, withOwnBody } from './item-size.ts';
import { summaryOf } from './memory-index.ts';
import { MemoryTable } from './memory-table.ts';
import type { PurgeEvent, PurgeFollower, TrackedPurgeLog } from './purge-follower.ts';
import { Reaper } from './reaper.ts';
import { runInSlices } from './slices.ts';
import { StoredRecord } from './stored-record.ts';

export interface MemoryStoreOptions {
  /** Bodies and bookkeeping together. */
  readonly maxBytes: number;
  /** Route → responses and Vary markers of it at most; routes that are not named have no limit of their own. */
  readonly routeLimits: ReadonlyMap<string, number>;
  readonly purgeLog: TrackedPurgeLog;
  readonly clock: Clock;
  /** Hears `routes.maxKeys` for each response evicted by its route's limit, `store.memory.maxBytes` for each refused as too large. */
  readonly observer?: Pick<Observer, 'limit'>;
}

/** The memory tier (L1). All but `count` is synchronous. */
export function createMemoryStore(options: MemoryStoreOptions): MemoryStore {
  return new MemoryStore(options);
}

/** See {@link createMemoryStore}. */
export class MemoryStore implements ResponseStore, StoreInspector, StoredView, PurgeCounter, UnleasedReads, Disposable {
  readonly tier = 'memory';
  readonly #clock: Clock;
  readonly #log: TrackedPurgeLog;
  readonly #follower: PurgeFollower;
  readonly #reaper: Reaper;
  readonly #table: MemoryTable;
  /** Scopes whose members wait to be looked through. */
  #waiting = new Set<string>();
  /** That wait or are under way. */
  #lookThroughs = 0;
  /** Records last checked before this version of the log cannot be judged any more. */
  #lostBefore = 0;

  /** {@link get} for a record that was read before. */
  readonly #again = (record: StoredRecord): boolean => {
    this.#log.catchUp?.();
    if (this.#usable(record.item.key) !== record) return false;
    if (record.frequency < 3) record.frequency += 1;
    return true;
  };

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#log = options.purgeLog;
    this.#table = new MemoryTable(options);
    this.#reaper = new Reaper({ clock: options.clock, sweep: () => this.#sweep() });
    this.#follower = options.purgeLog.follow((event) => {
      this.#hear(event);
    });
  }

  get(key: string): StoreRead | undefined {
    this.#log.catchUp?.();
    const record = this.#usable(key);
    if (record === undefined) return undefined;
    if (record.frequency < 3) record.frequency += 1;
    return record.read;
  }

  peek(key: string): StoreRead | undefined {
    this.#log.catchUp?.();
    return this.#usable(key)?.read;
  }

  /** What a purge covers is there until it is looked through. */
  inspect(key: string): InspectedRead | undefined {
    this.#log.catchUp?.();
    const record = this.#table.index.get(key);
    if (record === undefined || record.retainUntilMs <= this.#clock.nowMs()) return undefined;
    const invalid = this.#isLive(record) ? undefined : 'purged';
    return { ...record.read, invalid };
  }

  /** See {@link UnleasedReads}. Purges that are known here count all the same. */
  peekUnleased(key: string): StoreRead | undefined {
    this.#log.catchUp?.();
    return this.#usable(key)?.read;
  }

  put(item: StoredItem): PutOutcome {
    if (!this.#log.isValid(item)) return 'purged';
    if (this.#isOutdated(item)) return 'outdated';
    const owned = withOwnBody(item);
    const sizeBytes = sizeOfItem(owned);
    if (!this.#table.fits(sizeBytes)) return 'too-large';
    const record = new StoredRecord(owned, sizeBytes, this.#log.version, this.#again);
    const staleSinceMs = this.#log.softPurgedAtMs(item);
    if (staleSinceMs !== undefined) record.markStale(staleSinceMs);
    this.#table.put(record);
    this.#reaper.expectExpiry(record.retainUntilMs);
    return 'stored';
  }

  /**
   * A validation or a slow answer that was asked for before what is stored now must not replace it. A stored time in the
   * future means that the clock was set back since: then it says nothing.
   */
  #isOutdated(item: StoredItem): boolean {
    if (item.kind !== 'response') return false;
    const stored = this.#usable(item.key)?.item;
    if (stored?.kind !== 'response' || stored.requestTimeMs > this.#clock.nowMs()) return false;
    return stored.requestTimeMs > item.requestTimeMs;
  }

  invalidate(key: string): boolean {
    this.#log.catchUp?.();
    const record = this.#usable(key);
    if (record === undefined) return false;
    if (record.item.kind === 'vary') this.#dropVariants(record);
    this.#table.drop(record, 'invalidated');
    return true;
  }

  list(filter: ListFilter): readonly StoredSummary[] {
    this.#log.catchUp?.();
    // By record: several scopes may cover one response.
    const summaries = new Map<StoredRecord, StoredSummary>();
    for (const scope of scopesOfFilter(filter)) {
      for (const record of this.#table.index.inScope(scope)) {
        if (summaries.size >= filter.limit) break;
        if (record === undefined || (filter.route !== undefined && record.item.route !== filter.route)) continue;
        if (this.#isLive(record) && record.item.kind === 'response') summaries.set(record, summaryOf(record));
      }
    }
    return [...summaries.values()];
  }

  stats(): StoreStats {
    return this.#table.stats();
  }

  /** Names held by the indexes and eviction order, for tests of leaks: all 0 when nothing is stored. */
  sizes(): Readonly<Record<string, number>> {
    return this.#table.sizes();
  }

  async count(asked: readonly string[]): Promise<number> {
    this.#log.catchUp?.();
    const scopes = this.#log.inEffect(asked);
    const [scope] = scopes;
    if (scope !== undefined && scopes.length === 1 && !this.#reaper.busy) {
      const quick = this.#table.index.quickCount(scope, this.#clock.nowMs());
      if (quick !== undefined) return quick;
    }
    // Only a response that several scopes may cover has to be remembered.
    const seen = scopes.length > 1 ? new Set<StoredRecord>() : undefined;
    const tally = { responses: 0 };
    await runInSlices(this.#countSteps(scopes, seen, tally), this.#clock);
    return tally.responses;
  }

  /** Stops timers and lets go of everything: without its place in the log it could not tell what is purged. */
  [Symbol.dispose](): void {
    this.#table.dropAll();
    this.#reaper[Symbol.dispose]();
    this.#follower.close();
  }

  *#countSteps(
    scopes: readonly string[],
    seen: Set<StoredRecord> | undefined,
    tally: { responses: number },
  ): Generator<void> {
    for (const scope of scopes) {
      for (const record of this.#table.index.inScope(scope)) {
        yield;
        if (record?.item.kind !== 'response' || seen?.has(record) === true || !this.#isLive(record)) continue;
        tally.responses += 1;
        seen?.add(record);
      }
    }
  }

  #usable(key: string): StoredRecord | undefined {
    const record = this.#table.index.get(key);
    if (record === undefined) return undefined;
    if (record.retainUntilMs <= this.#clock.nowMs()) this.#table.drop(record, 'retention');
    else if (record.checkedVersion === this.#log.version || this.#check(record)) return record;
    else this.#table.drop(record, 'purge');
    return undefined;
  }

  /** As {@link #usable}, without a drop: for walks through the indexes. */
  #isLive(record: StoredRecord): boolean {
    if (record.retainUntilMs <= this.#clock.nowMs()) return false;
    return record.checkedVersion === this.#log.version || this.#check(record);
  }

  /** False where a hard purge covers it. Notes soft ones. */
  #check(record: StoredRecord): boolean {
    if (record.checkedVersion < this.#lostBefore || this.#log.isPurged(record.item)) return false;
    const staleSinceMs = this.#log.softPurgedAtMs(record.item);
    if (staleSinceMs !== undefined) record.markStale(staleSinceMs);
    record.checkedVersion = this.#log.version;
    return true;
  }

  /** See {@link ResponseStore.drop}. */
  drop(scopes: readonly string[]): void {
    for (const scope of this.#log.inEffect(scopes)) {
      for (const record of this.#table.index.inScope(scope)) {
        if (record !== undefined) this.#table.drop(record, 'invalidated');
      }
    }
  }

  /** Everything of the marker's URL, by rules for queries too, and route: its variants, at worst also those of another value of a keyed field. */
  #dropVariants(marker: StoredRecord): void {
    for (const scope of this.#log.inEffect([`u:${marker.item.url}`])) {
      for (const record of this.#table.index.inScope(scope)) {
        if (record !== undefined && record !== marker && record.item.route === marker.item.route) {
          this.#table.drop(record, 'invalidated');
        }
      }
    }
  }

  #hear(event: PurgeEvent): void {
    if (event.kind === 'floor') {
      this.#lostBefore = event.version;
      this.#forgetWork();
      this.#lookThrough('all');
    } else if (!event.purge.soft && event.purge.scopes.includes('all')) {
      this.#dropAll();
    } else {
      for (const scope of event.purge.scopes) this.#lookThrough(scope);
    }
    if (this.#lookThroughs === 0) this.#follower.settled(event.version);
  }

  /**
   * All that is stored was checked before this purge, so all of it goes, at once and without a walk. The sweeper's timer
   * stays: it finds little to do.
   */
  #dropAll(): void {
    this.#table.dropAll();
    this.#forgetWork();
  }

  #forgetWork(): void {
    this.#reaper.clear();
    this.#waiting.clear();
    this.#lookThroughs = 0;
  }

  /**
   * Checks all members of the scope in the background; those already waiting to be checked will see this purge too. Many
   * purges at once must not cost more than a few walks: those that each would need one share it, and so do more than there
   * are records.
   */
  #lookThrough(scope: string): void {
    if (this.#waiting.has('all') || this.#waiting.has(scope)) return;
    const { index } = this.#table;
    const reach = index.reach(scope);
    if (reach === 'none') return;
    const walked = reach === 'all' || this.#waiting.size >= index.size ? 'all' : scope;
    this.#waiting.add(walked);
    this.#lookThroughs += 1;
    const { version } = this.#log;
    this.#reaper.add(this.#lookThroughSteps(walked), () => {
      this.#lookThroughs -= 1;
      // Another scope of this very purge may still wait, none of an earlier one.
      this.#follower.settled(this.#lookThroughs > 0 ? version - 1 : this.#log.version);
    });
  }

  *#lookThroughSteps(scope: string): Generator<void> {
    this.#waiting.delete(scope);
    for (const record of this.#table.index.inScope(scope)) {
      yield;
      if (record === undefined || record.checkedVersion === this.#log.version || this.#check(record)) continue;
      this.#table.drop(record, 'purge');
    }
  }

  *#sweep(): Generator<void, number, void> {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const record of this.#table.index.values()) {
      yield;
      if (record.retainUntilMs <= this.#clock.nowMs()) this.#table.drop(record, 'retention');
      else earliestMs = Math.min(earliestMs, record.retainUntilMs);
    }
    return earliestMs;
  }
}

/** Of a tag all that a purge by it covers. */
function scopesOfFilter({ route, tag }: ListFilter): readonly string[] {
  if (tag !== undefined) return tagSpellings(tag).map((spelling) => `t:${spelling}`);
  return [route === undefined ? 'all' : `r:${route}`];
}
