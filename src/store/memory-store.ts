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
import type { ProcessMemory } from './growth.ts';
import { LookThroughs } from './look-throughs.ts';
import { MemoryTable } from './memory-table.ts';
import type { PurgeEvent, PurgeFollower, TrackedPurgeLog } from './purge-follower.ts';
import { RecordJudge } from './record-judge.ts';
import type { HotRead } from './hot-reads.ts';
import { Reaper } from './reaper.ts';
import { quickCount, ScopeCount } from './scope-count.ts';
import { runInSlices } from './slices.ts';
import { RecordPlace } from './record-place.ts';
import { words } from './stored-records.ts';

export interface MemoryStoreOptions {
  /** Bodies and bookkeeping together. */
  readonly maxBytes: number;
  /** Of the process, where what it takes in all is bounded: the tier then takes what the rest leaves of it. */
  readonly processMemory?: ProcessMemory | undefined;
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
  readonly #judge: RecordJudge;
  readonly #lookThroughs: LookThroughs;
  /** Memory is being given back. */
  #isTidying = false;

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#log = options.purgeLog;
    this.#table = new MemoryTable(options, (hot) => new RecordPlace(hot, this.#judge));
    this.#judge = new RecordJudge(this.#table, options);
    this.#reaper = new Reaper({
      clock: options.clock,
      expire: () => this.#expire(),
      nextMs: (nowMs) => this.#table.expiry.nextMs(nowMs),
    });
    this.#follower = options.purgeLog.follow((event) => {
      this.#hear(event);
    });
    this.#lookThroughs = new LookThroughs({
      table: this.#table,
      judge: this.#judge,
      log: this.#log,
      reaper: this.#reaper,
      onDone: (version) => {
        this.#follower.settled(version);
        this.#tidy();
      },
    });
  }

  get(key: string): StoreRead | undefined {
    this.#log.catchUp?.();
    const record = this.#table.index.find(key);
    if (record === 0) return undefined;
    const hot = this.#readOf(record);
    if (hot !== undefined && this.#judge.isGood(hot)) {
      this.#table.records.use(record);
      return hot;
    }
    if (!this.#judge.isUsable(record)) return undefined;
    this.#table.records.use(record);
    return this.#table.enter(record);
  }

  /** Whether there is anything under the key, be it expired or purged: for who mostly asks for what is not there. No use. */
  holds(key: string): boolean {
    return this.#table.index.find(key) !== 0;
  }

  peek(key: string): StoreRead | undefined {
    this.#log.catchUp?.();
    const record = this.#table.index.find(key);
    if (record === 0) return undefined;
    const hot = this.#readOf(record);
    if (hot !== undefined && this.#judge.isGood(hot)) return hot;
    return this.#judge.isUsable(record) ? this.#table.unpacked(record) : undefined;
  }

  /** What is kept unpacked of the record. */
  #readOf(record: number): HotRead | undefined {
    const { records, hot } = this.#table;
    return records.isRead(record) ? hot.get(record) : undefined;
  }

  /** What a purge covers is there until it is looked through. */
  inspect(key: string): InspectedRead | undefined {
    this.#log.catchUp?.();
    const record = this.#table.index.find(key);
    if (record === 0 || this.#judge.isExpired(record)) return undefined;
    const invalid = this.#judge.isLive(record) ? undefined : 'purged';
    const { item, staleSinceMs, tier, tally } = this.#table.unpacked(record);
    return { item, staleSinceMs, tier, tally, invalid };
  }

  /** See {@link UnleasedReads}. Purges that are known here count all the same. */
  peekUnleased(key: string): StoreRead | undefined {
    return this.peek(key);
  }

  put(item: StoredItem): PutOutcome {
    if (!this.#log.isValid(item)) return 'purged';
    // One look-up for both: nothing else is looked for until the item is put.
    const before = item.kind === 'response' ? this.#judge.usable(item.key) : this.#table.index.find(item.key);
    if (before !== 0 && this.#judge.isOutdated(item, before)) return 'outdated';
    const record = this.#table.put(item, this.#clock.nowMs(), before);
    if (record === 0) return 'too-large';
    const { rows } = this.#table.records;
    rows.setDouble(record, words.checkedVersion, this.#log.version);
    const staleSinceMs = this.#log.softPurgedAtMs(item);
    if (staleSinceMs !== undefined) this.#table.records.markStale(record, staleSinceMs);
    this.#reaper.expectExpiry(rows.double(record, words.retainUntilMs));
    return 'stored';
  }

  /** Whether it could be put without another one having to go for it. */
  hasRoomFor(item: StoredItem): boolean {
    return this.#table.hasRoomFor(item);
  }

  invalidate(key: string): boolean {
    this.#log.catchUp?.();
    const record = this.#judge.usable(key);
    if (record === 0) return false;
    if (!this.#table.records.isResponse(record)) this.#dropVariants(record);
    this.#table.drop(record, 'invalidated');
    this.#tidy();
    return true;
  }

  list(filter: ListFilter): readonly StoredSummary[] {
    this.#log.catchUp?.();
    // By record: several scopes may cover one response.
    const summaries = new Map<number, StoredSummary>();
    const { records } = this.#table;
    for (const listed of this.#listed(filter)) {
      for (const record of listed) {
        if (summaries.size >= filter.limit) break;
        if (record === 0 || (filter.route !== undefined && records.route(record) !== filter.route)) continue;
        if (records.isResponse(record) && this.#judge.isLive(record))
          summaries.set(record, this.#table.summary(record));
      }
    }
    return [...summaries.values()];
  }

  /** Of a tag all that a purge by it covers. */
  #listed({ route, tag }: ListFilter): readonly Iterable<number>[] {
    const { index, order } = this.#table;
    if (tag !== undefined) return tagSpellings(tag).map((spelling) => index.inScope(`t:${spelling}`));
    // By a lane, as a walk through all to find the few of a route would hold everything up.
    return [route === undefined ? index.inScope('all') : order.ofRoute(route)];
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
    const scopes = this.#log.inEffect(asked).filter((scope) => this.#table.index.reach(scope) !== 'none');
    const [scope] = scopes;
    if (scope === undefined) return 0;
    // What waits to be looked through may be purged.
    const isAllValid = (): boolean => this.#lookThroughs.pending === 0;
    const isKnown = scopes.length === 1 && isAllValid();
    const known = isKnown ? quickCount(this.#table, scope, this.#clock.nowMs()) : undefined;
    if (known !== undefined) return known;
    const counting = new ScopeCount({ table: this.#table, judge: this.#judge, clock: this.#clock, isAllValid });
    await runInSlices(counting.steps(scopes), this.#clock);
    return counting.responses;
  }

  /** Stops timers and lets go of everything: without its place in the log it could not tell what is purged. */
  [Symbol.dispose](): void {
    this.#table.dropAll();
    this.#table.trimAll();
    this.#reaper[Symbol.dispose]();
    this.#follower.close();
  }

  /** See {@link ResponseStore.drop}. */
  drop(scopes: readonly string[]): void {
    for (const scope of this.#log.inEffect(scopes)) {
      for (const record of this.#table.index.inScope(scope)) {
        if (record !== 0) this.#table.drop(record, 'invalidated');
      }
    }
    this.#tidy();
  }

  /** Everything of the marker's URL, by rules for queries too, and route: its variants, at worst also those of another value of a keyed field. */
  #dropVariants(marker: number): void {
    const { records } = this.#table;
    const { url, route } = records.scopes(marker);
    for (const scope of this.#log.inEffect([`u:${url}`])) {
      for (const record of this.#table.index.inScope(scope)) {
        if (record !== 0 && record !== marker && records.route(record) === route) {
          this.#table.drop(record, 'invalidated');
        }
      }
    }
  }

  #hear(event: PurgeEvent): void {
    if (event.kind === 'floor') {
      this.#judge.lostBefore = event.version;
      this.#forgetWork();
      this.#lookThroughs.add('all');
    } else if (!event.purge.soft && event.purge.scopes.includes('all')) {
      this.#dropAll();
    } else {
      for (const scope of event.purge.scopes) this.#lookThroughs.add(scope);
    }
    if (this.#lookThroughs.pending === 0) this.#follower.settled(event.version);
    this.#tidy();
  }

  /**
   * All that is stored was checked before this purge, so all of it goes, at once and without a walk. The timer for what ends
   * stays: it finds little to do.
   */
  #dropAll(): void {
    this.#table.dropAll();
    this.#forgetWork();
  }

  #forgetWork(): void {
    this.#reaper.clear();
    this.#lookThroughs.forget();
    this.#isTidying = false;
  }

  *#expire(): Generator<void> {
    for (;;) {
      const step = this.#table.expiry.step(this.#clock.nowMs());
      if (step === 'done') break;
      if (step !== 'moved') this.#table.drop(step, 'retention');
      yield;
    }
    this.#tidy();
  }

  /** Has memory that is not needed given back behind what is to be done first. */
  #tidy(): void {
    if (this.#isTidying || !this.#table.isUntidy) return;
    this.#isTidying = true;
    this.#reaper.add(this.#table.tidySteps(), () => {
      this.#isTidying = false;
    });
  }
}
