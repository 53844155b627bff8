import type { Observer, StoreStats } from '../cache/ports.ts';
import type { Standing } from './eviction-order.ts';
import { EvictionOrder } from './eviction-order.ts';
import { MemoryIndex } from './memory-index.ts';
import type { StoredRecord } from './stored-record.ts';

/** Why a record goes. */
export type DropReason = 'capacity' | 'retention' | 'route-limit' | 'purge' | 'replaced' | 'invalidated';

export interface MemoryTableOptions {
  readonly maxBytes: number;
  readonly routeLimits: ReadonlyMap<string, number>;
  readonly observer?: Pick<Observer, 'limit'>;
}

/** The records with their indexes and eviction order, always in step, and always within the limits. */
export class MemoryTable {
  readonly #options: MemoryTableOptions;
  #index = new MemoryIndex();
  #order: EvictionOrder;
  readonly #dropped: Record<DropReason, number> = {
    capacity: 0,
    retention: 0,
    'route-limit': 0,
    purge: 0,
    replaced: 0,
    invalidated: 0,
  };
  #refusedTooLarge = 0;

  constructor(options: MemoryTableOptions) {
    this.#options = options;
    this.#order = new EvictionOrder(options.maxBytes);
  }

  get index(): MemoryIndex {
    return this.#index;
  }

  /** False for what is larger than the whole; counted. */
  fits(sizeBytes: number): boolean {
    if (sizeBytes <= this.#options.maxBytes) return true;
    this.#refusedTooLarge += 1;
    this.#options.observer?.limit('store.memory.maxBytes');
    return false;
  }

  /** Puts the record in the place of whatever has its key, evicting what must go for it. */
  put(record: StoredRecord): void {
    const before = this.#index.get(record.item.key);
    // Popularity is the key's: a refreshed response does not have to earn it again.
    const standing: Standing | undefined = before && { queue: before.queue, frequency: before.frequency };
    if (before !== undefined) this.drop(before, 'replaced');
    this.#keepRouteLimit(record.item.route);
    while (this.#index.bytes + record.sizeBytes > this.#options.maxBytes) {
      const victim = this.#order.victim();
      if (victim === undefined) break;
      this.drop(victim, 'capacity');
    }
    this.#index.add(record);
    this.#order.add(record, standing);
  }

  drop(record: StoredRecord, reason: DropReason): void {
    // What was in use and is gone for its age or by a purge comes back soon: straight to its old queue.
    if (reason === 'retention' || reason === 'purge') this.#order.remember(record);
    this.#index.remove(record);
    this.#order.remove(record);
    this.#dropped[reason] += 1;
  }

  /** Lets go of everything at once; nothing is walked through. */
  dropAll(): void {
    this.#index = new MemoryIndex();
    this.#order = new EvictionOrder(this.#options.maxBytes);
  }

  stats(): StoreStats {
    return {
      responses: this.#index.responses,
      bytes: this.#index.bytes,
      maxBytes: this.#options.maxBytes,
      tags: this.#index.tags,
      evictedCapacity: this.#dropped.capacity,
      evictedRetention: this.#dropped.retention,
      evictedRouteLimit: this.#dropped['route-limit'],
      refusedTooLarge: this.#refusedTooLarge,
    };
  }

  /** What indexes and eviction order hold, for tests of leaks: all 0 when nothing is stored. */
  sizes(): Readonly<Record<string, number>> {
    return { ...this.#index.sizes, lanes: this.#order.size, bytes: this.#index.bytes };
  }

  #keepRouteLimit(route: string): void {
    const limit = Math.max(1, this.#options.routeLimits.get(route) ?? Number.POSITIVE_INFINITY);
    for (let surplus = this.#index.routeCount(route) - limit; surplus >= 0; surplus -= 1) {
      const victim = this.#order.routeVictim(route, limit);
      if (victim === undefined) break;
      this.drop(victim, 'route-limit');
      this.#options.observer?.limit('routes.maxKeys');
    }
  }
}
