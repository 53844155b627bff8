import type { FillClaim, ReadFor } from '../cache/fleet-ports.ts';
import type {
  Clock,
  InspectedRead,
  MaybePromise,
  PurgeLog,
  PutOutcome,
  ResponseStore,
  StoredView,
  StoreRead,
} from '../cache/ports.ts';
import { Later, promiseOf } from '../cache/later.ts';
import { standingOf } from '../core/freshness.ts';
import type { StoredItem, StoredResponse } from '../core/stored-response.ts';
import { Ghosts } from './ghosts.ts';
import type { MemoryStore } from './memory-store.ts';
import { LateRead, type LateWays, turnOfStep } from './late-read.ts';
import { ReadsUnderWay } from './reads-under-way.ts';
import { Place } from './redis/entry-read.ts';
import type { RedisStore } from './redis/redis-store.ts';
import { type HashWords, recall } from './text-hash.ts';

export interface TieredStoreOptions {
  readonly memory: Pick<
    MemoryStore,
    'get' | 'holds' | 'peek' | 'inspect' | 'put' | 'invalidate' | 'drop' | 'hasRoomFor' | 'stats'
  >;
  readonly redis: Pick<RedisStore, 'getFor' | 'peek' | 'inspect' | 'put' | 'invalidate' | 'mayHold' | 'idle'>;
  readonly purgeLog: PurgeLog;
  readonly clock: Pick<Clock, 'nowMs' | 'after' | 'hold' | 'release'>;
  /** Hears that Redis is being looked into for what may be fetched next, with what memory has of it. */
  readonly foresee?: (claim: FillClaim) => void;
  /** Hears what went wrong in a write behind an answer; without a listener it is forgotten. */
  readonly onBug?: (error: unknown) => void;
}

/** A stop waits so long for what is still being written to Redis. */
const settleMs = 1000;

/** About as many keys are remembered as memory holds responses: more would let in what it cannot keep until its next use. */
const leastPassed = 16;

/** The same response, read from Redis twice, has times that differ by what reckonings of its clock do. */
const sameWithinMs = 20;

/**
 * Memory before Redis. What is fresh in memory is answered at once, without a promise; Redis is asked for what is not there,
 * or stale, and what it has goes into memory with its own position and for no longer than it has left: at once where there
 * is room, else when it is read a second time (docs/decisions/0013).
 */
export class TieredStore implements ResponseStore, StoredView {
  /** Each read says which of the two it comes from. */
  readonly tier = 'memory';
  readonly #options: TieredStoreOptions;
  /** Reads of Redis under way: who asks for the same meanwhile waits with the first. */
  readonly #reads = new ReadsUnderWay<LateRead>();
  readonly #ways: LateWays;
  /** Keys that were read from Redis of late and not taken into memory. */
  readonly #passed: Ghosts;

  constructor(options: TieredStoreOptions) {
    this.#options = options;
    this.#passed = new Ghosts(options.memory.stats().maxBytes, leastPassed);
    this.#ways = {
      finish: (open, late) => this.#come(open, late),
      turn: turnOfStep(options.clock),
      onBug: (error) => options.onBug?.(error),
    };
  }

  get(key: string, asked?: ReadFor): MaybePromise<StoreRead | undefined> {
    if (this.#options.purgeLog.position() === undefined) return undefined;
    const read = this.getLater(key, asked);
    return read instanceof Later ? promiseOf(read) : read;
  }

  getLater(key: string, asked?: ReadFor): StoreRead | undefined | Later<StoreRead | undefined> {
    // Of the very same request, where it has come before: it need not be hashed anew.
    const place = placeOf(key, asked);
    const hash = place?.isHashed === true ? place : undefined;
    if (hash !== undefined) recall(key, hash);
    const near = this.#held('get', key);
    if (near !== undefined && this.#isFresh(near)) return near;
    return this.#together({ key, asked, hash: hash ?? this.#reads.hashOf(key) }, near);
  }

  peek(key: string, asked?: ReadFor): MaybePromise<StoreRead | undefined> {
    const near = this.#near(key);
    if (near === 'unleased') return undefined;
    if (near !== undefined && this.#isFresh(near)) return near;
    return this.#peekFar(key, asked, near);
  }

  /** What a read would find; where it would find nothing, what there is all the same, memory first. */
  async inspect(key: string, asked?: ReadFor): Promise<InspectedRead | undefined> {
    const { memory, redis } = this.#options;
    const near = memory.inspect(key);
    const isFound = near !== undefined && near.invalid === undefined;
    if (isFound && this.#isFresh(near)) return near;
    const far = await redis.inspect(key, asked);
    if (near === undefined || far === undefined) return near ?? far;
    if (far.invalid !== undefined || far.isLeftAlone === true) return near;
    return isFound && !isNewer(far.item, near.item) ? near : far;
  }

  /** What memory says, at once. The write to Redis goes on behind the response. */
  put(item: StoredItem): PutOutcome {
    const { memory, redis } = this.#options;
    const outcome = memory.put(item);
    if (outcome === 'purged' || outcome === 'outdated') return outcome;
    const isOffered = redis.mayHold(item);
    void this.#putFar(item);
    return outcome === 'too-large' && isOffered ? 'stored' : outcome;
  }

  async invalidate(key: string): Promise<boolean> {
    const { memory, redis, purgeLog } = this.#options;
    const near = memory.peek(key)?.item;
    memory.invalidate(key);
    const isFarGone = await redis.invalidate(key);
    // The variants of a marker that only this memory has may be in Redis, and in other memories, all the same.
    if (near?.kind === 'vary' && !isFarGone) await purgeLog.append({ scopes: [`u:${near.url}`], soft: false });
    return near !== undefined || isFarGone;
  }

  /** Of memory: what Redis has may be another process' to serve, and goes by its key at most. */
  drop(scopes: readonly string[]): void {
    this.#options.memory.drop(scopes);
  }

  /** Puts into memory what was read from Redis, where it is worth its place; `undefined` where a purge covers it by now. */
  adopt(read: StoreRead): StoreRead | undefined {
    const { key } = read.item;
    return this.#adopted(read, { key, hash: this.#reads.hashOf(key) });
  }

  /** What was found under the key; with that its hash. */
  #adopted(read: StoreRead, { key, hash }: Pick<LateRead, 'key' | 'hash'>): StoreRead | undefined {
    const { memory, purgeLog } = this.#options;
    // Others have been hashed since it was asked for.
    recall(key, hash);
    if (!this.#isWorthwhile(read.item, hash)) return purgeLog.isValid(read.item) ? read : undefined;
    switch (memory.put(read.item)) {
      case 'stored': {
        const kept = memory.peek(key);
        // Without `again`, by which the next answer would be this one once more: that one comes from memory.
        return kept === undefined
          ? read
          : { item: kept.item, staleSinceMs: kept.staleSinceMs, tally: kept.tally, tier: 'redis' };
      }
      case 'too-large':
        return read;
      case 'outdated':
        return memory.peek(key);
      case 'purged':
        return undefined;
    }
  }

  /**
   * Where others would have to go for it, only what is read again soon: a response that is read once would cost a put and an
   * eviction, more than the read itself, and a place of one that may be in use. What is there in an older form is replaced,
   * and a marker leads to others.
   */
  #isWorthwhile(item: StoredItem, { low }: HashWords): boolean {
    const { memory } = this.#options;
    if (item.kind === 'vary' || memory.hasRoomFor(item)) return true;
    if (memory.holds(item.key) && memory.peek(item.key) !== undefined) return true;
    if (this.#passed.take(low >>> 0)) return true;
    this.#passed.add(low >>> 0);
    return false;
  }

  /** Resolves when everything has been written to Redis, or after a second. */
  async settle(): Promise<void> {
    const { redis, clock } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(settleMs, resolve);
    await Promise.race([redis.idle(), promise]);
    cancel();
  }

  #near(key: string): StoreRead | undefined | 'unleased' {
    return this.#options.purgeLog.position() === undefined ? 'unleased' : this.#held('peek', key);
  }

  #held(how: 'get' | 'peek', key: string): StoreRead | undefined {
    return this.#options.memory[how](key);
  }

  /** What a read that began before a purge brings is judged after it, here and by whoever uses it. */
  #together({ key, asked, hash }: Looked, near: StoreRead | undefined): LateRead {
    const reads = this.#reads;
    const url = asked?.keyed.url ?? '';
    const known = reads.find(hash.low, key, url);
    if (known !== undefined) return known;
    const { redis, foresee } = this.#options;
    const read = new LateRead({ key, url, hash }, near, this.#ways);
    // That there is a lease was found in this step, by whoever asks.
    redis.getFor({ key, asked, isLeased: true }, read);
    keepHash(hash, placeOf(key, asked));
    if (asked !== undefined) foresee?.({ key, asked, known: near?.item });
    reads.begin(hash.low, { key, url, read });
    return read;
  }

  /** Nobody waits with the read any more, whatever becomes of it. */
  #come(open: () => MaybePromise<StoreRead | undefined>, late: LateRead): MaybePromise<StoreRead | undefined> {
    let isLater = false;
    try {
      const far = open();
      isLater = far instanceof Promise;
      return far instanceof Promise ? this.#comeLater(far, late) : this.#preferred(far, late);
    } finally {
      if (!isLater) this.#reads.end(late.hash.low, late);
    }
  }

  async #comeLater(far: Promise<StoreRead | undefined>, late: LateRead): Promise<StoreRead | undefined> {
    try {
      return this.#preferred(await far, late);
    } finally {
      this.#reads.end(late.hash.low, late);
    }
  }

  #preferred(far: StoreRead | undefined, late: LateRead): StoreRead | undefined {
    const { purgeLog, memory } = this.#options;
    const { key, near } = late;
    // It may have been lost while Redis was asked.
    if (purgeLog.position() === undefined) return undefined;
    const isBetter = far !== undefined && isNewer(far.item, near?.item);
    if (isBetter) return this.#adopted(far, late) ?? memory.peek(key);
    // What memory had may have been evicted while Redis was asked.
    return memory.peek(key) ?? (far !== undefined && purgeLog.isValid(far.item) ? far : undefined);
  }

  async #peekFar(key: string, asked: ReadFor | undefined, near: StoreRead | undefined): Promise<StoreRead | undefined> {
    const { redis, purgeLog, memory } = this.#options;
    const far = await redis.peek(key, asked);
    if (purgeLog.position() === undefined) return undefined;
    return far !== undefined && isNewer(far.item, near?.item) ? far : memory.peek(key);
  }

  async #putFar(item: StoredItem): Promise<void> {
    const { redis, memory, onBug } = this.#options;
    try {
      if ((await redis.put(item)) !== 'outdated') return;
      // Another process has stored what was asked for later. Ours goes, so that the next request gets that.
      const near = memory.peek(item.key)?.item;
      if (near !== undefined && isSame(near, item)) memory.invalidate(item.key);
    } catch (error) {
      // Nobody waits for this: a rejection would end the process.
      onBug?.(error);
    }
  }

  /** Fresh, or a marker, of which nobody asks how old it is. */
  #isFresh({ item, staleSinceMs }: StoreRead): boolean {
    return item.kind === 'vary' || standingOf(item, staleSinceMs, this.#options.clock.nowMs()).ttlMs > 0;
  }
}

/** What is looked for, on whose behalf. */
interface Looked {
  readonly key: string;
  readonly asked: ReadFor | undefined;
  readonly hash: HashWords;
}

/** What Redis keeps of the key with its request; `undefined`: nothing yet, or the key is another. */
function placeOf(key: string, asked: ReadFor | undefined): Place | undefined {
  const keyed = asked?.keyed;
  return keyed?.place instanceof Place && keyed.key === key ? keyed.place : undefined;
}

function keepHash({ low, high }: HashWords, place: Place | undefined): void {
  if (place === undefined || place.isHashed) return;
  place.low = low;
  place.high = high;
  place.isHashed = true;
}

/** See {@link TieredStore}. */
export function createTieredStore(options: TieredStoreOptions): TieredStore {
  return new TieredStore(options);
}

/** Whether what Redis has is to be preferred. A marker and a response cannot be compared; what all share counts then. */
function isNewer(far: StoredItem, near: StoredItem | undefined): boolean {
  if (near?.kind !== 'response' || far.kind !== 'response') return true;
  if (isAt(far, near)) return far.requestTimeMs - near.requestTimeMs > sameWithinMs;
  return far.requestTimeMs > near.requestTimeMs;
}

function isAt(far: StoredResponse, near: StoredResponse): boolean {
  return far.position.seq === near.position.seq && far.position.epoch === near.position.epoch;
}

function isSame(near: StoredItem, item: StoredItem): boolean {
  if (near.kind !== 'response' || item.kind !== 'response') return false;
  return isAt(near, item) && near.requestTimeMs === item.requestTimeMs;
}
