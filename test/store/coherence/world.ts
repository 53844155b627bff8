import type { Barrier } from '../../../src/store/coherence/barrier.ts';
import { type LogState, unknownLog } from '../../../src/store/coherence/protocol.ts';
import type { LogEntry, PurgeReply, SyncReply } from '../../../src/store/coherence/replies.ts';
import type { CoherenceRules } from '../../../src/store/coherence/rules.ts';
import type { ControlModel, ServerModel } from '../../support/log-server-model.ts';

/**
 * Two sidecars, of which `ann` makes the purges, their Redis, and the one that may take over from it. All instants are
 * relative to now: that is 0.
 */
export interface World {
  /** The one that clients are led to. */
  readonly master: ServerModel;
  /** What it held before the last purge was appended: a replica may know no more. */
  readonly before: ServerModel;
  /** The old master, still up, and still talked to by whoever has not been led elsewhere. */
  readonly old: ServerModel | undefined;
  readonly sidecars: readonly [Sidecar, Sidecar];
  readonly purge: Purge;
  /** Purges that have begun: what is fetched later has at least this version. */
  readonly version: number;
  /** What each read that begins now must have: that of the newest purge that has returned complete. */
  readonly required: number;
  /**
   * All that may be stored anywhere: position → the oldest version that was fetched at it. Whatever a sidecar could fetch in
   * a moment counts as stored, and may be read by both for ever: that covers both tiers, late writes and slow fetches.
   */
  readonly stored: ReadonlyMap<string, number>;
  /** Epochs begun so far. */
  readonly epochs: number;
  /** Purges of something else so far. */
  readonly others: number;
}

export interface Sidecar {
  readonly state: LogState;
  /** Last purge in the table of its epoch; one scope is enough. */
  readonly purged: number;
  readonly sync: SyncMessage | undefined;
}

export interface SyncMessage {
  readonly sentMs: number;
  readonly ack: { readonly epoch: string; readonly seq: number };
  readonly reply: SyncReply | undefined;
}

export type Purge =
  | { readonly kind: 'none' }
  | { readonly kind: 'sent' }
  | { readonly kind: 'appended'; readonly reply: PurgeReply }
  | { readonly kind: 'waiting'; readonly barrier: Barrier };

const empty: ServerModel = { hist: 'one', replicas: 1, ctl: undefined, log: [] };
const stranger: Sidecar = { state: unknownLog, purged: 0, sync: undefined };

export const firstWorld: World = {
  master: empty,
  before: empty,
  old: undefined,
  sidecars: [stranger, stranger],
  purge: { kind: 'none' },
  version: 0,
  required: 0,
  stored: new Map(),
  epochs: 0,
  others: 0,
};

export const leaseMs = 200;
/** A lease of 200 ms is counted on for 180 ms: after one tick it is just still there, after two it is not. */
const tickMs = 180;

/** Older than any lease and its margin: what is longer past is all the same, so that there are finitely many worlds. */
const longAgoMs = -2 * tickMs;

function past(atMs: number): number {
  return Math.max(longAgoMs, atMs - tickMs);
}

/** The world a tick later. */
export function later(world: World): World {
  const [ann, bob] = world.sidecars;
  return {
    ...world,
    master: serverLater(world.master),
    before: serverLater(world.before),
    old: world.old && serverLater(world.old),
    sidecars: [sidecarLater(ann), sidecarLater(bob)],
    purge: purgeLater(world.purge),
  };
}

function serverLater(server: ServerModel): ServerModel {
  const { ctl } = server;
  if (ctl === undefined) return server;
  const members = new Map(
    Array.from(ctl.members, ([id, { ack, untilMs }]) => [id, { ack, untilMs: past(untilMs) }] as const),
  );
  return { ...server, ctl: { ...ctl, members } };
}

function sidecarLater({ state, purged, sync }: Sidecar): Sidecar {
  const atMs = state.renewed && past(state.renewed.monoMs);
  const renewed = atMs === undefined ? undefined : { monoMs: atMs, wallMs: atMs };
  return {
    state: { ...state, epochSeenMs: past(state.epochSeenMs), renewed },
    purged,
    sync: sync && { ...sync, sentMs: past(sync.sentMs) },
  };
}

function purgeLater(purge: Purge): Purge {
  if (purge.kind !== 'waiting') return purge;
  const { barrier } = purge;
  const leasesEndMs = past(barrier.leasesEndMs);
  return { kind: 'waiting', barrier: { ...barrier, leasesEndMs, notBeforeMs: past(barrier.notBeforeMs) } };
}

/** What is explored, as far as it says what of a world matters. */
export interface Outlook {
  readonly rules: CoherenceRules;
  readonly failOver: boolean;
  readonly purges: number;
}

/** Equal for worlds of which the same can become. */
export function nameOf(world: World, { rules, failOver, purges }: Outlook): string {
  const { master, before, old, sidecars, purge, version, required, stored, others } = world;
  const isQuiet = version === purges && purge.kind === 'none';
  const server = (model: ServerModel): string => serverName(model, isQuiet, rules.epoch);
  return [
    server(master),
    failOver && master.hist === 'one' && !rules.epoch ? server(before) : '',
    old !== undefined && !rules.replicaCheck ? server(old) : '',
    sidecarName(sidecars[0]),
    isQuiet ? '' : Math.max(longAgoMs, sidecars[0].state.epochSeenMs),
    sidecarName(sidecars[1]),
    purgeName(purge),
    version,
    required,
    others,
    Array.from(stored, String).toSorted().join('+'),
  ].join(';');
}

/** A quiet world is one in which nobody asks for members any more. With the rule of epochs nothing of another history is used. */
function serverName(server: ServerModel, isQuiet: boolean, forgets: boolean): string {
  const { hist, replicas, ctl, log } = server;
  if (ctl === undefined || (forgets && ctl.hist !== hist)) return hist;
  const head = `${hist}${replicas} ${ctl.epoch}${ctl.hist}${ctl.seq}-${ctl.floor} ${log.map(({ content }) => content).join('')} `;
  return isQuiet ? head : head + membersName(ctl.members);
}

function membersName(members: ControlModel['members']): string {
  let name = membersNames.get(members);
  if (name === undefined) {
    const each = Array.from(members, ([id, { ack, untilMs }]) => `${id}${ack}@${Math.max(0, untilMs)}`);
    name = each.toSorted().join();
    membersNames.set(members, name);
  }
  return name;
}

const membersNames = new WeakMap<ControlModel['members'], string>();

function sidecarName({ state, purged, sync }: Sidecar): string {
  const { epoch, applied, floor, renewed } = state;
  const reply =
    sync?.reply && [sync.reply.epoch, sync.reply.seq, sync.reply.floor, ...sync.reply.entries.map(entryName)].join('-');
  const message = sync && `${sync.sentMs} ${sync.ack.epoch} ${sync.ack.seq} ${reply}`;
  // A lease that is over, and none, are the same.
  return `${epoch} ${applied} ${floor} ${Math.max(longAgoMs, renewed?.monoMs ?? longAgoMs)} ${purged} ${message}`;
}

function entryName({ seq, what }: LogEntry): string {
  return what.kind === 'notice' ? '' : `${seq}${what.scopes.join()}`;
}

function purgeName(purge: Purge): string {
  switch (purge.kind) {
    case 'none':
    case 'sent':
      return purge.kind;
    case 'appended':
      return `${purge.reply.epoch} ${purge.reply.seq} ${purge.reply.members.map(({ id }) => id).join()}`;
    case 'waiting': {
      const { epoch, seq, leasesEndMs, notBeforeMs, waiting } = purge.barrier;
      const endMs = waiting.size === 0 ? 0 : Math.max(0, leasesEndMs);
      return `${epoch} ${seq} ${endMs} ${Math.max(0, notBeforeMs)} ${[...waiting].join()}`;
    }
  }
}
