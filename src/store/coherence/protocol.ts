import type { EpochReason, LogEntry, SyncReply } from './replies.ts';
import type { CoherenceRules } from './rules.ts';

/** An instant by both clocks of the process, milliseconds. */
export interface Instant {
  readonly monoMs: number;
  readonly wallMs: number;
}

/** What one process knows of the purge log, but for its table. All that is decided about it is decided in this file. */
export interface LogState {
  /** Empty before the first contact. */
  readonly epoch: string;
  /** Monotonic clock when this process first saw the epoch. */
  readonly epochSeenMs: number;
  /** Everything up to it is in the table. */
  readonly applied: number;
  /** Positions before it are refused: purges after them may have been forgotten. */
  readonly floor: number;
  /**
   * The longest lease that any process may have, milliseconds. Kept over epochs, since Redis may lose what it knows of the
   * leases of an earlier one.
   */
  readonly longestMs: number;
  /** Last purge that the log was known to hold. */
  readonly lastSeq: number;
  /** From when the lease counts; `undefined`: there is none. */
  readonly renewed: Instant | undefined;
  /** The whole log was applied here once. */
  readonly met: boolean;
  /** Given up for good. */
  readonly left: boolean;
}

export interface Synced {
  readonly kind: 'synced';
  readonly sent: Instant;
  readonly received: Instant;
  /** What it acknowledged when it was sent. */
  readonly ack: { readonly epoch: string; readonly seq: number };
  readonly reply: SyncReply;
}

export type LogEvent =
  /** A sync was answered. */
  | Synced
  /** The table has to forget what was purged up to `floor`. */
  | { readonly kind: 'overflowed'; readonly floor: number }
  | { readonly kind: 'left' };

/** To be carried out in order. */
export type LogEffect =
  /** All that was known is void: a fresh table. `first`: nothing was known before. */
  | { readonly kind: 'epoch'; readonly epoch: string; readonly reason: EpochReason; readonly first: boolean }
  /** Into the table, in this order. `replayed`: from before this process had caught up with the log for the first time. */
  | { readonly kind: 'apply'; readonly entries: readonly LogEntry[]; readonly replayed: boolean }
  /** The table forgets rows up to it, and what was stored at a position before it is void. */
  | { readonly kind: 'floor'; readonly floor: number }
  /** There is more to read, or something to acknowledge. */
  | { readonly kind: 'sync-again' };

export interface LogStep {
  readonly state: LogState;
  readonly effects: readonly LogEffect[];
}

export const unknownLog: LogState = {
  epoch: '',
  epochSeenMs: 0,
  applied: 0,
  floor: 0,
  longestMs: 0,
  lastSeq: 0,
  renewed: undefined,
  met: false,
  left: false,
};

/** One step of the protocol. Pure. */
export function reduce(state: LogState, event: LogEvent, rules: CoherenceRules): LogStep {
  switch (event.kind) {
    case 'synced':
      return synced(state, event, rules);
    case 'overflowed': {
      const floor = Math.min(event.floor, state.applied);
      if (floor <= state.floor) return { state, effects: [] };
      return { state: { ...state, floor }, effects: [{ kind: 'floor', floor }] };
    }
    case 'left':
      return { state: { ...state, renewed: undefined, left: true }, effects: [] };
  }
}

function synced(before: LogState, event: Synced, rules: CoherenceRules): LogStep {
  const { reply, ack } = event;
  const { epoch, reason } = reply;
  const effects: LogEffect[] = [];
  const isNew = epoch !== before.epoch;
  if (isNew) effects.push({ kind: 'epoch', epoch, reason, first: before.epoch === '' });
  const state = isNew ? adopted(before, epoch, event.received.monoMs) : before;
  // What lies between was trimmed before it was read: positions before the floor are void, so it need not be known.
  const from = Math.max(state.applied, reply.floor);
  const entries = following(reply.entries, from);
  const applied = entries.at(-1)?.seq ?? from;
  if (entries.length > 0) effects.push({ kind: 'apply', entries, replayed: !before.met });
  if (reply.floor > state.floor) effects.push({ kind: 'floor', floor: reply.floor });
  const acknowledged = ack.epoch === epoch ? ack.seq : 0;
  // Where nothing could be applied, asking again at once would not help either.
  if (acknowledged < reply.seq && acknowledged < applied) effects.push({ kind: 'sync-again' });
  const floor = Math.max(state.floor, reply.floor);
  const next = { ...state, applied, floor, longestMs: longestOf(state, event), lastSeq: reply.seq };
  return { state: renewedBy(next, event, rules), effects };
}

function adopted(before: LogState, epoch: string, nowMs: number): LogState {
  const { longestMs, met, left } = before;
  return { ...unknownLog, epoch, epochSeenMs: nowMs, longestMs, met, left };
}

/** Room for a lost master that goes on granting leases, and for steps of clocks. */
const lingerMs = 10_000;

/** What is known here goes only when whoever had such a lease in an earlier epoch cannot have it any more. */
function longestOf(state: LogState, { reply, received }: Synced): number {
  const isOver = received.monoMs - state.epochSeenMs > state.longestMs + lingerMs;
  return isOver ? reply.longestMs : Math.max(state.longestMs, reply.longestMs);
}

/** Those that follow one another from `seq` on: what comes after a gap must not be applied, or the gap would be forgotten. */
function following(entries: readonly LogEntry[], seq: number): readonly LogEntry[] {
  const fresh = entries.filter((entry) => entry.seq > seq);
  const gap = fresh.findIndex((entry, index) => entry.seq !== seq + 1 + index);
  return gap === -1 ? fresh : fresh.slice(0, gap);
}

/** A lease is proof that nothing was in the log, when it was asked for, that is not applied here. */
function renewedBy(state: LogState, { sent, received, reply }: Synced, rules: CoherenceRules): LogState {
  const behind = rules.epoch && reply.seq < state.applied;
  if (state.left || behind || state.applied < reply.seq) return state;
  return { ...state, met: true, renewed: rules.leaseFromSend ? sent : received };
}

/** Part of the lease that a process counts on: its clock may run slower than that of Redis. */
const counted = 0.9;
/** Part of the lease by which the wall clock may go back against the monotonic one. */
const tolerated = 0.1;

/**
 * Whether anything may be served from store. The wall clock must agree, since the monotonic one stands still while a machine
 * is suspended.
 */
export function isLeased(state: LogState, now: Instant, leaseMs: number, rules: CoherenceRules): boolean {
  const { renewed } = state;
  if (renewed === undefined) return false;
  if (!rules.lease) return true;
  const wallMs = now.wallMs - renewed.wallMs;
  return (
    now.monoMs - renewed.monoMs <= counted * leaseMs && wallMs <= counted * leaseMs && wallMs >= -tolerated * leaseMs
  );
}
