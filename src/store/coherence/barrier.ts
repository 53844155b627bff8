import { longestStrictLeaseMs, type RedisConfig } from '../../core/config.ts';
import type { LogState } from './protocol.ts';
import type { AcksReply, PurgeReply } from './replies.ts';
import type { CoherenceRules } from './rules.ts';

/** Added to a lease, for timers and the rounding of clocks. */
export const marginMs = 50;

/** What the clock of Redis may step forward by within a lease (assumption 2 of docs/coherence.md), milliseconds. */
export const slackMs = 2000;

/**
 * A master that was cut off takes its replicas for present for almost 3 s more (their lag is counted in whole seconds, 2 is
 * allowed), and grants leases in that time.
 */
export const staleReplicaMs = 3000;

/** A purge that was appended, and who has yet to acknowledge it. All times are monotonic. */
export interface Barrier {
  readonly epoch: string;
  readonly seq: number;
  readonly startedMs: number;
  /** From then on no lease is left that was granted before it in this epoch. */
  readonly leasesEndMs: number;
  /** From then on no lease of an earlier epoch is left: who holds one is not among the members of this one. */
  readonly notBeforeMs: number;
  /** From then on no lease of this process's own length is left that was granted before it, in whatever epoch. */
  readonly ownEndMs: number;
  /** The longest lease that any process may have had when the reply came. */
  readonly longestMs: number;
  readonly waiting: ReadonlySet<string>;
  /** Id → milliseconds from the start. */
  readonly applied: ReadonlyMap<string, number>;
  /** The last question was not answered. */
  readonly unheard: boolean;
}

export interface BarrierStart {
  readonly reply: PurgeReply;
  readonly startedMs: number;
  /** When the reply came. */
  readonly nowMs: number;
  /** When the reply came. */
  readonly state: Pick<LogState, 'epoch' | 'epochSeenMs' | 'longestMs'>;
  readonly leaseMs: number;
  /** How long a lost master may go on granting leases. */
  readonly graceMs: number;
}

export function openBarrier({ reply, startedMs, nowMs, state, leaseMs, graceMs }: BarrierStart): Barrier {
  // Those that are configured otherwise may have longer leases.
  const membersMs = Math.max(leaseMs, ...reply.members.map((member) => member.leftMs));
  // In an earlier epoch they may have been longer still. Such as were granted in this one count too: who has them may have
  // been there before it, when Redis lost what it knew of him.
  const longestMs = Math.max(membersMs, reply.longestMs, state.longestMs);
  const notBeforeMs = foreignLeasesEndMs({ reply, startedMs, nowMs, state }, longestMs + graceMs);
  return {
    epoch: reply.epoch,
    seq: reply.seq,
    startedMs,
    leasesEndMs: nowMs + membersMs + marginMs,
    notBeforeMs,
    ownEndMs: nowMs + leaseMs + graceMs + marginMs,
    longestMs: notBeforeMs > nowMs ? longestMs : membersMs,
    waiting: new Set(reply.members.map((member) => member.id)),
    applied: new Map(),
    unheard: false,
  };
}

/**
 * When no lease of an earlier epoch is left: once the epoch is older than the longest of them, by either of two clocks.
 *
 * By that of this process it is as old as it has been seen here, which is a moment where the process has just started. By
 * that of Redis it is `ageMs` old. That is the clock which the beginning was noted by: another server, a restart, a copy
 * that was restored have another replication history, and with it a new epoch that begins when it is found. Set back, it
 * makes the epoch look younger, and the wait longer; that it is set forward is what the slack is for (assumption 2). What
 * is left then is counted here, from when the reply had come, which is after Redis had read its clock.
 */
function foreignLeasesEndMs(
  { reply, startedMs, nowMs, state }: Pick<BarrierStart, 'reply' | 'startedMs' | 'nowMs' | 'state'>,
  foreignMs: number,
): number {
  const leftMs = foreignMs + slackMs - reply.ageMs;
  if (leftMs <= 0) return startedMs;
  const epochSeenMs = reply.epoch === state.epoch ? state.epochSeenMs : nowMs;
  return Math.min(epochSeenMs + foreignMs, nowMs + leftMs) + marginMs;
}

export function acknowledged(barrier: Barrier, { epoch, seq, acks }: AcksReply, nowMs: number): Barrier {
  // In another epoch nobody acknowledges this one any more, but leases of it may be left. So in an older copy of the log that
  // was put back: whom that does not know has not left.
  if (epoch !== barrier.epoch || seq < barrier.seq) return { ...barrier, unheard: false };
  const waiting = new Set(barrier.waiting);
  const applied = new Map(barrier.applied);
  for (const [id, ack] of acks) {
    if ((ack !== undefined && ack < barrier.seq) || !waiting.delete(id)) continue;
    // One that has left gave up its lease before.
    if (ack !== undefined) applied.set(id, nowMs - barrier.startedMs);
  }
  return { ...barrier, waiting, applied, unheard: false };
}

/** A question was not answered: it is not known whether this is still the log that everybody reads. */
export function unanswered(barrier: Barrier): Barrier {
  return { ...barrier, unheard: true };
}

export type Verdict =
  | { readonly kind: 'wait' }
  /** It holds everywhere; those still waiting have no lease any more. */
  | { readonly kind: 'complete' }
  /** Not yet: it will hold when all leases have ended. */
  | { readonly kind: 'partial'; readonly leftMs: number }
  | { readonly kind: 'refused' };

/**
 * How long a purge may take from its start; `undefined`: for as long as it must. With `available` it answers 202 then. With
 * `strict` it waits for any lease that `strict` allows, this process's or another's. A longer one is of `available`, for
 * minutes, and few callers would still be there: then it takes a lease of this process's own at most, and is refused. That
 * is as long as a fleet whose leases are all of that length can make it wait, so what can be guaranteed by then is.
 */
export function patienceOf(
  { longestMs, ownEndMs, startedMs }: Barrier,
  { coherence, purgeWaitMs }: Pick<RedisConfig, 'coherence' | 'purgeWaitMs'>,
): number | undefined {
  if (coherence === 'available') return purgeWaitMs;
  return longestMs > longestStrictLeaseMs ? ownEndMs - startedMs : undefined;
}

/** `patienceMs`: how long the caller waits from the start; `undefined`: for as long as it takes. */
export function judge(barrier: Barrier, nowMs: number, patienceMs: number | undefined, rules: CoherenceRules): Verdict {
  if (!rules.barrier) return { kind: 'complete' };
  const { startedMs, waiting, leasesEndMs, notBeforeMs } = barrier;
  const endMs = waiting.size === 0 ? notBeforeMs : Math.max(leasesEndMs, notBeforeMs);
  const isOver = nowMs >= endMs;
  const isImpatient = patienceMs !== undefined && nowMs - startedMs >= patienceMs;
  if (!isOver && !isImpatient) return { kind: 'wait' };
  if (barrier.unheard) return { kind: 'refused' };
  return isOver ? { kind: 'complete' } : { kind: 'partial', leftMs: endMs - nowMs };
}
