import type { PurgeLog } from '../cache/ports.ts';
import type { AppliedPurge, PurgeableItem } from './purge-table.ts';

/** What happens to the log, told to whoever holds stored items, in order and before `append` answers. */
export type PurgeEvent =
  | { readonly kind: 'purge'; readonly purge: AppliedPurge; readonly version: number }
  /** Rows were dropped that some follower had not settled: what it last checked before `version` is to be treated as purged. */
  | { readonly kind: 'floor'; readonly version: number };

/** A purge log as stores in the same process use it: cheap to ask "has anything happened since?". */
export interface TrackedPurgeLog extends PurgeLog {
  /** Grows with each change that can make an item invalid. Equal versions: an item found valid is valid still. */
  readonly version: number;
  /**
   * Applies what other threads have purged meanwhile; absent where this thread is alone. Holders call it before anything is
   * read of what they hold. Nothing else but {@link PurgeLog.position} and {@link PurgeLog.isValid} does so: what is heard
   * in the middle of a look-up would move the ground under it.
   */
  catchUp?(): void;
  /**
   * By the purges alone, without the floor that refuses very old positions. For items that were stored as valid and whose
   * holder follows the log: each purge that the log has forgotten was settled by the holder first.
   */
  isPurged(item: PurgeableItem): boolean;
  /** The scopes of a purge, and what they stand for in this process: what an append of them would take. */
  inEffect(scopes: readonly string[]): readonly string[];
  /** Hears of everything from now on. The follower holds no items yet. */
  follow(hear: (event: PurgeEvent) => void): PurgeFollower;
}

export interface PurgeFollower {
  /** No item is held any more that a purge up to `version` covers unnoticed: hard ones are gone, soft ones marked. */
  settled(version: number): void;
  close(): void;
}
