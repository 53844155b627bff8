import type { StoredSummary } from '../cache/ports.ts';
import { baseKeyOf } from '../core/vary.ts';
import type { Members } from './scope-index.ts';
import { backwards, membersOf, ScopeIndex } from './scope-index.ts';
import { ShardedMap } from './sharded-map.ts';
import type { StoredRecord } from './stored-record.ts';

const urlSlot = 0;
const routeSlot = 1;
const firstTagSlot = 2;

/** Everything that is stored, by key and by each name under which it can be purged. */
export class MemoryIndex {
  readonly #keys = new ShardedMap<StoredRecord>();
  readonly #urls = new ScopeIndex(() => urlSlot);
  readonly #routes = new ScopeIndex(() => routeSlot);
  readonly #tags = new ScopeIndex((record, tag) => firstTagSlot + record.item.tags.indexOf(tag));
  #bytes = 0;
  #responses = 0;
  /** Records under a variant's key. */
  #variants = 0;
  /** No record is past its retention before this: a lower bound, as in {@link Members}. */
  #expiresMs = Number.POSITIVE_INFINITY;

  get bytes(): number {
    return this.#bytes;
  }

  /** Vary markers are not counted. */
  get responses(): number {
    return this.#responses;
  }

  get tags(): number {
    return this.#tags.size;
  }

  /** Keys, URLs, routes and tags that are held, for tests: all are 0 when nothing is stored. */
  get sizes(): { readonly keys: number; readonly urls: number; readonly routes: number; readonly tags: number } {
    return { keys: this.#keys.size, urls: this.#urls.size, routes: this.#routes.size, tags: this.#tags.size };
  }

  get(key: string): StoredRecord | undefined {
    return this.#keys.get(key);
  }

  /** Live, see {@link ShardedMap.values}. */
  values(): Generator<StoredRecord, void, void> {
    return this.#keys.values();
  }

  routeCount(route: string): number {
    return this.#routes.count(route);
  }

  byUrl(url: string): Members | undefined {
    return this.#urls.members(url);
  }

  byTag(tag: string): Members | undefined {
    return this.#tags.members(tag);
  }

  byRoute(route: string): Members | undefined {
    return this.#routes.members(route);
  }

  /** The key must be free. */
  add(record: StoredRecord): void {
    const { item } = record;
    this.#keys.set(item.key, record);
    this.#urls.add(item.url, record);
    this.#routes.add(item.route, record);
    item.tags.forEach((tag, place) => {
      // A repeated tag is one membership, or the places would be mixed up.
      if (item.tags.indexOf(tag) === place) this.#tags.add(tag, record);
    });
    this.#bytes += record.sizeBytes;
    if (item.kind === 'response') this.#responses += 1;
    if (isVariant(item.key)) this.#variants += 1;
    this.#expiresMs = Math.min(this.#expiresMs, record.retainUntilMs);
  }

  remove(record: StoredRecord): void {
    const { item } = record;
    this.#keys.delete(item.key);
    this.#urls.remove(item.url, record);
    this.#routes.remove(item.route, record);
    item.tags.forEach((tag, place) => {
      if (item.tags.indexOf(tag) === place) this.#tags.remove(tag, record);
    });
    this.#bytes -= record.sizeBytes;
    if (item.kind === 'response') this.#responses -= 1;
    if (isVariant(item.key)) this.#variants -= 1;
  }

  /**
   * The number of responses in a scope without looking at them; `undefined` where only looking can tell (a prefix, a key of variants, or some
   * may be past their retention). Right only while no hard purge waits to be carried out.
   */
  quickCount(scope: string, nowMs: number): number | undefined {
    if (scope === 'all') return nowMs < this.#expiresMs ? this.#responses : undefined;
    const members = this.#membersOf(scope);
    if (members === 'unindexed') return undefined;
    if (members === undefined) return 0;
    return nowMs < members.expiresMs ? members.responses : undefined;
  }

  /** Keys that are held. */
  get size(): number {
    return this.#keys.size;
  }

  /** Whether the records of a scope are known without a walk through all, and if there are any. */
  reach(scope: string): 'none' | 'some' | 'all' {
    const members = this.#membersOf(scope);
    if (members === 'unindexed') return this.#keys.size === 0 ? 'none' : 'all';
    return members === undefined ? 'none' : 'some';
  }

  /** The records of a scope, markers too; live, so that the walk may be paused. */
  *inScope(scope: string): Generator<StoredRecord | undefined, void, void> {
    const members = this.#membersOf(scope);
    if (members !== 'unindexed') {
      yield* backwards(members);
    } else if (scope === 'all') {
      yield* this.values();
    } else {
      const name = scope.slice(2);
      const isIn = scope.startsWith('k:')
        ? ({ item }: StoredRecord) => baseKeyOf(item.key) === name
        : ({ item }: StoredRecord) => item.url.startsWith(name);
      // The others are passed one a step, so that a slice of work stays short.
      for (const record of this.values()) yield isIn(record) ? record : undefined;
    }
  }

  #membersOf(scope: string): Members | undefined | 'unindexed' {
    const name = scope.slice(2);
    switch (scope.slice(0, 2)) {
      case 't:':
        return this.#tags.members(name);
      case 'r:':
        return this.#routes.members(name);
      case 'u:':
        return this.#urls.members(name);
      case 'k:': {
        const record = this.#keys.get(name);
        // Variants are not indexed by the key that they are of, which may have lost its marker.
        if (this.#variants > 0 && record?.item.kind !== 'response' && !isVariant(name)) return 'unindexed';
        return record === undefined ? undefined : membersOf(record);
      }
      default:
        return 'unindexed';
    }
  }
}

function isVariant(key: string): boolean {
  return baseKeyOf(key) !== key;
}

/** What an operator is shown of a record. */
export function summaryOf(record: StoredRecord): StoredSummary {
  return {
    item: record.item,
    tier: 'memory',
    sizeBytes: record.sizeBytes,
    hits: record.hits,
    staleSinceMs: record.staleSinceMs,
  };
}
