import { RedisFailure } from '../redis/link.ts';
import { scopesForLog } from '../scope-names.ts';

/** Why an epoch began; see `FleetEvent`. */
export type EpochReason = 'new' | 'failover' | 'log-lost' | 'behind';

/** What each script says of the log. */
export interface LogHead {
  readonly epoch: string;
  readonly seq: number;
  /** Entries up to this one are no longer there. */
  readonly floor: number;
  /** Wall clock of Redis, milliseconds. */
  readonly nowMs: number;
  readonly reason: EpochReason;
  /** This very call has begun the epoch. */
  readonly made: boolean;
}

export interface LogEntry {
  readonly seq: number;
  /** Wall clock of Redis, milliseconds. */
  readonly atMs: number;
  readonly what: EntryContent;
}

export type EntryContent =
  | { readonly kind: 'hard' | 'soft'; readonly scopes: readonly string[] }
  | { readonly kind: 'notice'; readonly notice: string };

export interface SyncReply extends LogHead {
  readonly entries: readonly LogEntry[];
  /** The longest lease that any process may have, of this epoch or an earlier one, as far as Redis remembers. */
  readonly longestMs: number;
}

/** A process that held a lease, or may have, when the purge was appended. */
export interface LogMember {
  readonly id: string;
  /** Until its lease ends, by the clock of Redis. */
  readonly leftMs: number;
}

export interface PurgeReply extends LogHead {
  readonly members: readonly LogMember[];
  /** As in {@link SyncReply}. */
  readonly longestMs: number;
  /** Of the epoch, by the clock of Redis, milliseconds. */
  readonly ageMs: number;
}

export interface AcksReply extends LogHead {
  /** Id → last purge that it acknowledged; `undefined`: it has left. */
  readonly acks: ReadonlyMap<string, number | undefined>;
}

/** Throws {@link RedisFailure} for what is no such reply; so do the others. */
export function readSyncReply(reply: unknown): SyncReply {
  const { head, rest, more } = read(reply);
  return { ...head, entries: rest.map(entryOf), longestMs: number(more[0]) };
}

export function readPurgeReply(reply: unknown): PurgeReply {
  const { head, rest, more } = read(reply);
  const members = rest.map((member) => {
    const [id, leftMs] = list(member);
    return { id: text(id), leftMs: number(leftMs) };
  });
  return { ...head, members, longestMs: number(more[0]), ageMs: number(more[1]) };
}

export function readAcksReply(reply: unknown, ids: readonly string[]): AcksReply {
  const { head, rest } = read(reply);
  const acks = new Map(
    ids.map((id, index) => {
      const ack = number(rest[index]);
      return [id, ack < 0 ? undefined : ack];
    }),
  );
  return { ...head, acks };
}

/** As entries are written: kind, and one string. */
export function entryFields(what: EntryContent): readonly [kind: string, content: string] {
  return what.kind === 'notice' ? ['notice', what.notice] : [what.kind, JSON.stringify(scopesForLog(what.scopes))];
}

function entryOf(entry: unknown): LogEntry {
  const [seq, atMs, kind, content] = list(entry);
  return { seq: number(seq), atMs: Number(text(atMs)) || 0, what: contentOf(text(kind), text(content)) };
}

/** What a later version may have written, or nobody: whatever it covers, everything does. */
const everything: EntryContent = { kind: 'hard', scopes: ['all'] };

function contentOf(kind: string, content: string): EntryContent {
  if (kind === 'notice') return { kind, notice: content };
  if (kind !== 'hard' && kind !== 'soft') return everything;
  const scopes = scopesIn(content);
  return scopes === undefined ? everything : { kind, scopes };
}

function scopesIn(json: string): readonly string[] | undefined {
  try {
    const scopes: unknown = JSON.parse(json);
    return Array.isArray(scopes) && scopes.every((scope) => typeof scope === 'string') ? scopes : undefined;
  } catch {
    return undefined;
  }
}

const reasons: readonly EpochReason[] = ['new', 'failover', 'log-lost', 'behind'];

interface Reply {
  readonly head: LogHead;
  readonly rest: readonly unknown[];
  readonly more: readonly unknown[];
}

/** What the head of a stored response has room for. */
const epochForm = /^[0-9a-f]{16}$/;

function read(reply: unknown): Reply {
  const [epoch, seq, floor, nowMs, why, made, rest, ...more] = list(reply);
  if (!epochForm.test(text(epoch))) throw unreadable();
  const reason = reasons.find((word) => word === why) ?? 'new';
  const head = {
    epoch: text(epoch),
    seq: number(seq),
    floor: number(floor),
    nowMs: number(nowMs),
    reason,
    made: made === 1,
  };
  return { head, rest: list(rest), more };
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unreadable();
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw unreadable();
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw unreadable();
  return value;
}

function unreadable(): RedisFailure {
  return new RedisFailure('other', 'Redis answered something else than the purge log');
}
