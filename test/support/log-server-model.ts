import type { EpochReason } from '../../src/store/coherence/replies.ts';

/** What Redis holds of the purge log, as the scripts keep it: a model of them that is pure, so that it can be explored. */
export interface ServerModel {
  /** Of its replication history. */
  readonly hist: string;
  readonly replicas: number;
  readonly ctl: ControlModel | undefined;
  readonly log: readonly EntryModel[];
}

export interface ControlModel {
  readonly epoch: string;
  readonly seq: number;
  readonly floor: number;
  readonly hist: string;
  readonly why: EpochReason;
  readonly bornMs: number;
  /** The longest lease that was granted in this epoch, and that may be left of earlier ones. */
  readonly leaseMs: number;
  readonly priorMs: number;
  /** In no order. */
  readonly members: ReadonlyMap<string, { readonly ack: number; readonly untilMs: number }>;
}

export interface EntryModel {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly content: string;
}

/** What every call says. */
export interface CallModel {
  readonly id: string;
  readonly minReplicas: number;
  readonly checkEpoch: boolean;
  readonly nowMs: number;
  /** Name of the epoch that this call would begin. */
  readonly nextEpoch: string;
  /** What the process has heard that it has acknowledged. */
  readonly told?: Told | undefined;
}

export interface Told {
  readonly epoch: string;
  readonly ack: number;
  readonly untilMs: number;
}

export interface SyncCall extends CallModel {
  readonly epoch: string;
  readonly ack: number;
  readonly leaseMs: number;
  readonly batch: number;
}

export interface PurgeCall extends CallModel {
  readonly kind: string;
  readonly content: string;
  readonly slackMs: number;
  readonly retentionMs: number;
  readonly most: number;
}

interface Opened {
  readonly server: ServerModel;
  readonly ctl: ControlModel;
  readonly made: boolean;
}

/** The replies are as Redis gives them; `undefined`: refused for want of replicas. */
export interface Answered {
  readonly server: ServerModel;
  readonly reply: readonly unknown[] | undefined;
}

export function modelSync(before: ServerModel, call: SyncCall): Answered {
  let opened = open(before, call);
  if (opened === undefined) return { server: before, reply: undefined };
  const isBehind = call.epoch === opened.ctl.epoch && call.ack > opened.ctl.seq;
  if (call.checkEpoch && (isBehind || isPutBack(opened.ctl, call))) {
    opened = begin(opened.server, call, 'behind');
  }
  const { server, ctl, made } = opened;
  const ack = call.epoch === ctl.epoch ? call.ack : 0;
  const others = ctl.members.has(call.id) ? ctl.members : unlapsed(ctl.members, call.nowMs);
  // One that was held up on its way takes nothing back.
  const said = Math.max(ack, ctl.members.get(call.id)?.ack ?? 0);
  const members = new Map(others).set(call.id, { ack: said, untilMs: call.nowMs + call.leaseMs });
  const entries = server.log.filter((entry) => entry.seq > Math.max(ack, ctl.floor)).slice(0, call.batch);
  const rows = entries.map(({ seq, atMs, kind, content }) => [seq, String(atMs), kind, content]);
  const next = { ...ctl, members, leaseMs: Math.max(ctl.leaseMs, call.leaseMs) };
  return { server: { ...server, ctl: next }, reply: [...headOf(ctl, call, made), rows, longestOf(next)] };
}

export function modelPurge(before: ServerModel, call: PurgeCall): Answered {
  let opened = open(before, call);
  if (opened === undefined) return { server: before, reply: undefined };
  if (call.checkEpoch && isPutBack(opened.ctl, call)) opened = begin(opened.server, call, 'behind');
  const { ctl, made } = opened;
  const { nowMs, kind, content } = call;
  const seq = ctl.seq + 1;
  const whole = [...opened.server.log, { seq, atMs: nowMs, kind, content }];
  const extra = whole.length - call.most;
  const isOver = (entry: EntryModel, index: number): boolean =>
    entry.seq < seq && (index < extra || entry.atMs < nowMs - call.retentionMs);
  const kept = whole.slice(0, 4).findIndex((entry, index) => !isOver(entry, index));
  const log = whole.slice(kept === -1 ? Math.min(4, whole.length) : kept);
  const floor = log.length === whole.length ? ctl.floor : (log[0]?.seq ?? seq + 1) - 1;
  const cut = withinLease(ctl, nowMs);
  const live = [...cut].filter(([, { untilMs }]) => untilMs + call.slackMs > nowMs);
  const members = unlapsed(cut, nowMs);
  const rows = live.map(([id, { untilMs }]) => [id, Math.max(0, untilMs - nowMs)]);
  const next = { ...ctl, seq, floor, members };
  return {
    server: { ...opened.server, ctl: next, log },
    reply: [...headOf(next, call, made), rows, longestOf(next), Math.max(0, nowMs - ctl.bornMs)],
  };
}

/** Whether it is not there, although it may not be forgotten yet. */
function isPutBack({ epoch, members }: ControlModel, { id, told, nowMs }: CallModel): boolean {
  if (told?.epoch !== epoch || told.untilMs + 60_000 < nowMs) return false;
  return (members.get(id)?.ack ?? -1) < told.ack;
}

/** By a clock that was set back leases seem to end later than they do. */
function withinLease({ members, leaseMs }: ControlModel, nowMs: number): ControlModel['members'] {
  const mostMs = leaseMs > 0 ? nowMs + leaseMs : Infinity;
  return new Map([...members].map(([id, { ack, untilMs }]) => [id, { ack, untilMs: Math.min(untilMs, mostMs) }]));
}

function unlapsed(members: ControlModel['members'], nowMs: number): ControlModel['members'] {
  return new Map([...members].filter(([, { untilMs }]) => untilMs + 60_000 >= nowMs));
}

export function modelAcks(before: ServerModel, call: CallModel, ids: readonly string[]): Answered {
  const opened = open(before, call);
  if (opened === undefined) return { server: before, reply: undefined };
  const { server, ctl, made } = opened;
  return { server, reply: [...headOf(ctl, call, made), ids.map((id) => ctl.members.get(id)?.ack ?? -1)] };
}

export function modelLeave(server: ServerModel, id: string): ServerModel {
  if (server.ctl === undefined) return server;
  const members = new Map(server.ctl.members);
  members.delete(id);
  return { ...server, ctl: { ...server.ctl, members } };
}

/** The prelude of the scripts. */
function open(server: ServerModel, call: CallModel): Opened | undefined {
  if (server.replicas < call.minReplicas) return undefined;
  const { ctl } = server;
  if (ctl === undefined) return begin(server, call, 'new');
  if (call.checkEpoch && ctl.hist !== server.hist) return begin(server, call, 'failover');
  if (call.checkEpoch && !isWhole(server.log, ctl)) return begin(server, call, 'log-lost');
  return { server, ctl, made: false };
}

function isWhole(log: readonly EntryModel[], { seq, floor }: ControlModel): boolean {
  if (log.length !== seq - floor) return false;
  return log.length === 0 || (log[0]?.seq === floor + 1 && log.at(-1)?.seq === seq);
}

function begin(server: ServerModel, { nextEpoch, nowMs }: CallModel, why: EpochReason): Opened {
  const ctl = {
    epoch: nextEpoch,
    seq: 0,
    floor: 0,
    hist: server.hist,
    why,
    bornMs: nowMs,
    leaseMs: 0,
    priorMs: priorAt(server.ctl, nowMs),
    members: new Map(),
  };
  return { server: { ...server, ctl, log: [] }, ctl, made: true };
}

function priorAt(before: ControlModel | undefined, nowMs: number): number {
  if (before === undefined) return 0;
  const isOver = nowMs - before.bornMs > before.priorMs + 5000;
  return isOver ? before.leaseMs : longestOf(before);
}

function longestOf({ leaseMs, priorMs }: ControlModel): number {
  return Math.max(leaseMs, priorMs);
}

function headOf({ epoch, seq, floor, why }: ControlModel, { nowMs }: CallModel, made: boolean): readonly unknown[] {
  return [epoch, seq, floor, nowMs, why, made ? 1 : 0];
}
