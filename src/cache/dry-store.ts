import type { StoredItem } from '../core/stored-response.ts';
import { type CoherenceParts, invalidityOf } from './explain-parts.ts';
import type { ReadFor } from './fleet-ports.ts';
import type { PutOutcome, ResponseStore, StoredView, StoreRead } from './ports.ts';

/** What is read. */
export interface DryStoreParts extends CoherenceParts {
  /** `undefined`: nothing is stored. */
  readonly store: StoredView | undefined;
}

/** What would be done to the store, instead of doing it. */
interface Deeds {
  readonly put: StoredItem[];
  /** Keys as `k:KEY`. */
  readonly invalidated: string[];
}

/** Reads what is stored as the exchange would, uses none of it, and takes down what would be written. */
export class DryStore implements ResponseStore {
  readonly tier = 'memory';
  readonly #parts: DryStoreParts;
  readonly #deeds: Deeds;

  constructor(parts: DryStoreParts, deeds: Deeds) {
    this.#parts = parts;
    this.#deeds = deeds;
  }

  async get(key: string, asked?: ReadFor): Promise<StoreRead | undefined> {
    const read = await this.#parts.store?.inspect(key, asked);
    if (read === undefined || read.invalid !== undefined || read.isLeftAlone === true) return undefined;
    if (asked !== undefined && invalidityOf(this.#parts, asked, read) !== undefined) return undefined;
    const { item, staleSinceMs, tier, tally } = read;
    // Whoever answers with it counts that.
    return { item, staleSinceMs, tier, tally: { ...tally } };
  }

  peek(key: string, asked?: ReadFor): Promise<StoreRead | undefined> {
    return this.get(key, asked);
  }

  put(item: StoredItem): PutOutcome {
    this.#deeds.put.push(item);
    return 'stored';
  }

  invalidate(key: string): boolean {
    this.#deeds.invalidated.push(`k:${key}`);
    return true;
  }
}
