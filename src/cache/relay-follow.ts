import type { Position } from '../core/stored-response.ts';
import type { RelayedHead, RelayFollowUp } from './handled.ts';
import { invalidate, type Invalidation, invalidationBy } from './invalidate.ts';
import {
  type DepartedRelay,
  keepable,
  type Keepable,
  mayStillKeep,
  type RelayFollowDeps,
  tapFor,
} from './relay-store.ts';

/** Where purges are of this process alone, and nothing but a fault of its own can make them wait: no option, no count. */
const LOCAL_WAIT_MS = 2_000;

const nothingFollows: RelayFollowUp = { ready: undefined, tap: undefined };

/**
 * What upstream's final head sets going: what it makes invalid goes (RFC 9111 §4.4), and its own answer may be stored for
 * later GETs (RFC 9110 §9.3.3), in this order.
 */
export function followRelayed(deps: RelayFollowDeps, departed: DepartedRelay, head: RelayedHead): RelayFollowUp {
  const invalidation = invalidationBy(deps, departed, head);
  if (invalidation === undefined) return nothingFollows;
  const kept = keepable(deps, departed, head);
  const position = invalidateNow(deps, departed, { invalidation, kept });
  return {
    ready: atMost(deps, position),
    tap: kept === undefined ? undefined : tapFor(deps, kept, position),
  };
}

/**
 * Invalidates, and gives the position under which the answer may be stored. Its own purge covers it, so that the position
 * from before the request will not do; one from after the purge would hide what else was purged since the request went
 * upstream. It is given only where nothing was: no purge that covers the answer came before ours, and none came between,
 * which is certain where ours is the very next entry of the log. Never rejects.
 */
function invalidateNow(
  deps: RelayFollowDeps,
  { match }: DepartedRelay,
  { invalidation, kept }: { readonly invalidation: Invalidation; readonly kept: Keepable | undefined },
): Promise<Position | undefined> {
  const { promise, resolve } = Promise.withResolvers<Position | undefined>();
  deps.background.run('invalidate', async () => {
    try {
      // In one step with the beginning of the append: see above.
      const before = kept !== undefined && mayStillKeep(deps, kept) ? deps.purgeLog.position() : undefined;
      const isDone = await invalidate(deps, match.route.name, invalidation);
      const after = isDone ? deps.purgeLog.position() : undefined;
      const isNext = before !== undefined && before.epoch === after?.epoch && before.seq + 1 === after.seq;
      resolve(isNext ? after : undefined);
    } finally {
      resolve(undefined);
    }
  });
  return promise;
}

/** Resolves with the promise, or when an answer cannot be held back any longer. */
function atMost({ clock, observer, purgeWaitMs }: RelayFollowDeps, promise: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(purgeWaitMs ?? LOCAL_WAIT_MS, () => {
    if (purgeWaitMs !== undefined) observer.limit('store.redis.purgeWait');
    resolve();
  });
  void promise.finally(() => {
    cancel();
    resolve();
  });
  return over;
}
