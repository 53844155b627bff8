import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { Position, StoredItem } from '../core/stored-response.ts';
import type { PurgeLog } from './ports.ts';

/** What went upstream, and the purge log's position before it did; without one nobody can say what was purged since. */
export interface Departed {
  readonly position: Position | undefined;
}

/** A request, by what purges cover of it. */
interface Judged {
  readonly keyed: Pick<KeyedRequest, 'key' | 'url' | 'tags'>;
  readonly route: Pick<Route, 'name'>;
}

/** True while what is stored may be served at all. */
export function isLeased(log: Pick<PurgeLog, 'position'>): boolean {
  return log.position() !== undefined;
}

/** Whether no purge that is known here covers the request since that position. */
export function isGoodFor(log: Pick<PurgeLog, 'isValid'>, ask: Judged, position: Position): boolean {
  return log.isValid({ ...scopesOf(ask), position });
}

/**
 * Whether a stored item may answer the request now. To be asked in the same synchronous step in which the item is used,
 * where it was waited for: a purge may have come since the store looked. What the rules say today of the request's URL and
 * tags counts beside what was stored with the item (invariant 13).
 */
export function mayServe(log: Pick<PurgeLog, 'position' | 'isValid'>, ask: Judged, item: StoredItem): boolean {
  return isLeased(log) && isUncovered(log, ask, item);
}

/**
 * Whether what was found to be valid at a position of the log may answer the request still: by what was purged since. Of purges before
 * that the log may have forgotten some, and refuses what is older; whoever gave it has judged it by them.
 */
export function mayStillServe(
  log: Pick<PurgeLog, 'position' | 'isValid'>,
  ask: Judged,
  { item, foundAt }: { readonly item: StoredItem; readonly foundAt: Position | undefined },
): boolean {
  return foundAt !== undefined && mayServe(log, ask, { ...item, position: foundAt });
}

/** As {@link mayServe}, for who has found the lease to be held in this very step. */
export function isUncovered(log: Pick<PurgeLog, 'isValid'>, ask: Judged, item: StoredItem): boolean {
  return log.isValid(item) && (isOf(ask, item) || isGoodFor(log, ask, item.position));
}

/** Whether the request is, by what purges cover of it, the one that the item was stored for. */
function isOf({ keyed, route }: Judged, item: StoredItem): boolean {
  return item.tags === keyed.tags && item.url === keyed.url && item.key === keyed.key && item.route === route.name;
}

function scopesOf({ keyed, route }: Judged) {
  const { key, url, tags } = keyed;
  return { key, url, tags, route: route.name };
}
