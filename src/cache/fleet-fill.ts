import { decideReuse } from '../core/reuse-policy.ts';
import type { Position, StoredItem, VaryMarker } from '../core/stored-response.ts';
import type { VariantRules } from '../core/vary.ts';
import { pause } from './departure.ts';
import type { Fallback, FetchPlan, Improvement } from './fetch-plan.ts';
import type { FillDeps, FillResult } from './fill-types.ts';
import type { FillAnswer, FillLock, FillLocks } from './fleet-ports.ts';
import { isGoodFor, isLeased, mayServe } from './judge.ts';
import type { MaybePromise, PurgeLog, StoreRead } from './ports.ts';
import { isKept, variantOf } from './variant.ts';

/** Who waits for another process asks again after this long, give or take a quarter, lest all ask at once. */
const ASK_AGAIN_MS = 25;
const JITTER = 0.25;

export interface FleetFillDeps extends Pick<FillDeps, 'store' | 'upstreams' | 'clock' | 'sha256'> {
  readonly purgeLog: PurgeLog;
  /** `undefined`: each process fetches for itself. */
  readonly fillLocks?: FillLocks;
  /** From 0 to below 1; without it nothing is left to chance. */
  readonly random?: () => number;
}

/**
 * Who waits does so for this much longer than a call upstream may take: the clocks that end calls are coarse, and another's
 * failure should be heard of before it is repeated.
 */
const HEAR_MS = 1_500;

/** What the fleet makes of a fetch. */
export type Turn =
  /** This process fetches, as what it has come to know says. */
  | ({ readonly kind: 'fetch'; readonly lock: FillLock | undefined } & Improvement)
  /** Another one has, and it is good for the request at the moment in which this is answered. */
  | Taken
  /** Another one has tried since the request came, and upstream did not answer in time. */
  | Extract<FillResult, { kind: 'failed' }>;

type Taken = Extract<FillResult, { kind: 'taken' }>;
type Read = Taken['read'];

/** What is looked for, and what is known of it. */
interface Search {
  readonly key: string;
  /** What the key is told apart by, where a marker led to it. */
  readonly rules: VariantRules;
  /** Stored, and not good enough. */
  readonly known: StoredItem | undefined;
  /** {@link known} where it is a response. */
  readonly found: Fallback | undefined;
}

/** How the waiting stands. */
interface Patience {
  /** Told to wait when it was asked last. */
  hasWaited: boolean;
  /** A look at Redis after a wait went unanswered: that may happen once. */
  hasMissed: boolean;
  /** When the look at Redis began that is under way, monotonic: the budget is for one look, and waiting for others none. */
  sinceMs: number;
}

/**
 * One fetch for the fleet: waits until it is this process' turn to fetch, or another's fetch can be had. It hardly waits
 * for longer than a call upstream may take, and only ever saves calls: no guarantee rests on it.
 */
export async function takeTurn(
  deps: FleetFillDeps,
  locks: FillLocks,
  plan: FetchPlan,
  signal: AbortSignal,
): Promise<Turn> {
  const { ask } = plan;
  const { clock, upstreams } = deps;
  const startMs = clock.monotonicMs();
  const untilMs = startMs + (upstreams.get(ask.route.upstream)?.totalTimeoutMs ?? 0) + HEAR_MS;
  let search: Search = { key: plan.key, rules: { names: [] }, known: plan.found?.item, found: plan.found };
  const patience: Patience = { hasWaited: false, hasMissed: false, sinceMs: startMs - (plan.waitedMs ?? 0) };
  for (;;) {
    const { hasWaited, sinceMs } = patience;
    const waitedMs = clock.monotonicMs() - sinceMs;
    const answer = await locks.claim({ key: search.key, asked: ask, known: search.known, waitedMs, hasWaited });
    const isMissed = answer.kind === 'unavailable' && mayMiss(deps, patience);
    const next = isMissed
      ? 'wait'
      : await heed(deps, { ...plan, waitedMs: clock.monotonicMs() - sinceMs }, search, answer);
    patience.hasWaited = next === 'wait';
    if (next === 'wait') {
      await pause(clock, askAgainMs(deps.random), signal);
      patience.sinceMs = clock.monotonicMs();
    } else if ('kind' in next) return next;
    else search = next;
    if (signal.aborted || clock.monotonicMs() >= untilMs) return fetchWith(search);
  }
}

/** One look that Redis does not answer is no reason to make the call that another one is making. */
function mayMiss({ purgeLog }: FleetFillDeps, patience: Patience): boolean {
  if (!patience.hasWaited || patience.hasMissed || !isLeased(purgeLog)) return false;
  patience.hasMissed = true;
  return true;
}

function fetchWith({ found, rules }: Search, lock?: FillLock): Turn {
  return { kind: 'fetch', found, isVariant: rules.names.length > 0, lock };
}

/** What an answer leads to: the end, another look, or one at something else. */
function heed(
  deps: FleetFillDeps,
  plan: FetchPlan,
  search: Search,
  answer: FillAnswer,
): MaybePromise<Turn | Search | 'wait'> {
  switch (answer.kind) {
    case 'ours':
      return fetchWith(search, answer.lock);
    case 'unshared':
    case 'unavailable':
      return fetchWith(search);
    case 'theirs':
      return isWorthWaiting(deps, plan, answer.position) ? 'wait' : fetchWith(search);
    case 'timeout':
      return {
        kind: 'failed',
        failure: 'timeout',
        detail: 'upstream did not answer another sidecar in time',
        elsewhere: true,
      };
    case 'stored':
      return meet(deps, plan, search, answer.read);
  }
}

/**
 * A fetch from before a purge that covers the request ends in nothing that could be had. Who knows of more purges than this process is
 * waited for: with the next look it is judged again, and this process will have heard of them by then.
 */
function isWorthWaiting({ purgeLog }: FleetFillDeps, { ask }: FetchPlan, position: Position | undefined): boolean {
  if (position === undefined || isGoodFor(purgeLog, ask, position)) return true;
  const here = purgeLog.position();
  return here !== undefined && position.epoch === here.epoch && position.seq > here.seq;
}

/** What is stored satisfies the request, or is something to go on from. */
function meet(deps: FleetFillDeps, plan: FetchPlan, search: Search, read: StoreRead): MaybePromise<Turn | Search> {
  const { item } = read;
  // Told to look for something newer it came up with the same: asking again would bring it again.
  if (!isLeased(deps.purgeLog) || isSame(item, search.known)) return fetchWith(search);
  return item.kind === 'response' ? weigh(deps, plan, search, { ...read, item }) : follow(deps, plan, search, item);
}

/** A response that another process stored: good for the request, or the next to be improved on. */
function weigh(deps: FleetFillDeps, plan: FetchPlan, search: Search, read: Read): Taken | Search {
  const { ask } = plan;
  const { item, staleSinceMs } = read;
  const { key, rules } = search;
  const nowMs = deps.clock.nowMs();
  const { policy } = ask.route;
  const decision = decideReuse({ stored: item, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
  const foundAt = deps.purgeLog.position();
  const valid = mayServe(deps.purgeLog, ask, item);
  if (valid && decision.kind === 'reuse') return { kind: 'taken', read, ...rules };
  return { key, rules, known: item, found: valid ? { ...read, foundAt } : undefined };
}

/** Upstream proved to vary: the request's own variant is what to wait for. */
async function follow(
  deps: FleetFillDeps,
  plan: FetchPlan,
  search: Search,
  marker: VaryMarker,
): Promise<Turn | Search> {
  const { ask } = plan;
  const { key, promise } = variantOf(deps.sha256, ask, marker);
  // A marker leads to responses only.
  if (search.rules.names.length > 0 || key === search.key) return fetchWith(search);
  const { names, languages } = marker;
  const variant: Search = { key, rules: { names, languages }, known: undefined, found: undefined };
  const read = await deps.store.get(key, { ...ask, waitedMs: plan.waitedMs ?? 0 });
  // Another's variant is no longer in the language that the marker tells of.
  const isBroken = promise !== undefined && (read === undefined || !isKept(promise, read.item));
  if (isBroken) return follow(deps, plan, search, { ...marker, languages: undefined });
  if (read === undefined || !isResponse(read)) return variant;
  return isLeased(deps.purgeLog) ? weigh(deps, plan, variant, read) : fetchWith(search);
}

function isResponse(read: StoreRead): read is Read {
  return read.item.kind === 'response';
}

function isSame(item: StoredItem, known: StoredItem | undefined): boolean {
  if (known === undefined || item.kind !== known.kind || item.key !== known.key) return false;
  const samePosition = item.position.epoch === known.position.epoch && item.position.seq === known.position.seq;
  if (item.kind !== 'response' || known.kind !== 'response') return samePosition;
  return samePosition && item.requestTimeMs === known.requestTimeMs && item.responseTimeMs === known.responseTimeMs;
}

function askAgainMs(random: (() => number) | undefined): number {
  return ASK_AGAIN_MS * (1 + JITTER * (2 * (random?.() ?? 0.5) - 1));
}
