import { acknowledged, judge, openBarrier } from '../../../src/store/coherence/barrier.ts';
import { isLeased, reduce } from '../../../src/store/coherence/protocol.ts';
import { type LogEntry, readAcksReply, readPurgeReply, readSyncReply } from '../../../src/store/coherence/replies.ts';
import type { CoherenceRules } from '../../../src/store/coherence/rules.ts';
import {
  type Answered,
  type CallModel,
  modelAcks,
  modelPurge,
  modelSync,
  type ServerModel,
} from '../../support/log-server-model.ts';
import { firstWorld, later, leaseMs, nameOf, type Outlook, type Sidecar, type World } from './world.ts';

export interface Exploration {
  readonly worlds: number;
  /** Worlds in which the given number of purges has returned complete, by that number. */
  readonly completed: readonly number[];
  /** How a read went wrong, step by step. */
  readonly violation: readonly string[] | undefined;
}

export interface ExploreOptions extends Outlook {
  /** Whose syncs may be delayed and lost; those of the other one take no time. Both at once would be too many worlds. */
  readonly slow: 'ann' | 'bob' | 'none';
  /**
   * Entries that the log keeps, and how many purges of something else there are besides: they push the others out of it, and cover
   * nothing that is stored.
   */
  readonly trim?: { readonly most: number; readonly others: number };
  /** Throws beyond it: a protocol that grows without bounds is not what is to be shown. */
  readonly maxWorlds: number;
}

type Step = readonly [name: string, world: World];

interface Visit {
  readonly world: World;
  readonly step: string;
  readonly from: Visit | undefined;
}

/** Every world that can come of any order of steps, each once, nearest first. */
export function explore({ maxWorlds, ...options }: ExploreOptions): Exploration {
  const { rules } = options;
  const seen = new Set([nameOf(firstWorld, options)]);
  const visits: Visit[] = [{ world: firstWorld, step: 'start', from: undefined }];
  const completed = [1, 0, 0];
  // Those that are found on the way are visited in their turn.
  for (const visit of visits) {
    for (const [step, made] of stepsFrom(visit.world, options)) {
      const world = withFetches(made, options);
      const name = nameOf(world, options);
      if (seen.has(name)) continue;
      seen.add(name);
      completed[world.required] = (completed[world.required] ?? 0) + 1;
      const reached = { world, step, from: visit };
      if (isViolated(world, rules)) return { worlds: seen.size, completed, violation: pathTo(reached) };
      visits.push(reached);
    }
    if (seen.size > maxWorlds) throw new Error(`more than ${maxWorlds} worlds`);
  }
  return { worlds: seen.size, completed, violation: undefined };
}

function pathTo(end: Visit): readonly string[] {
  const steps: string[] = [];
  for (let at: Visit | undefined = end; at !== undefined; at = at.from) steps.unshift(at.step);
  return steps;
}

const now = { monoMs: 0, wallMs: 0 };

function leased({ state }: Sidecar, rules: CoherenceRules): boolean {
  return isLeased(state, now, leaseMs, rules);
}

/** Whatever can be fetched now is. */
function withFetches(world: World, { rules, purges }: Outlook): World {
  let { stored } = world;
  // What has the newest version can never be too old.
  if (world.version === purges) return world;
  for (const sidecar of world.sidecars) {
    if (!leased(sidecar, rules)) continue;
    const { epoch, applied } = sidecar.state;
    stored = withItem(stored, { epoch, seq: applied, version: world.version });
  }
  return stored === world.stored ? world : { ...world, stored };
}

/** Of one epoch, what is older and at an earlier position says nothing more: it is refused wherever the other is. */
function withItem(
  stored: World['stored'],
  { epoch, seq, version }: { readonly epoch: string; readonly seq: number; readonly version: number },
): World['stored'] {
  const items = Array.from(stored, ([position, of]) => [...position.split(' '), of] as const);
  const isSaid = items.some(([of, at, oldest]) => of === epoch && Number(at) >= seq && Number(oldest) <= version);
  return isSaid ? stored : new Map(stored).set(`${epoch} ${seq}`, version);
}

/** A read that begins now, at any sidecar, of anything that may be stored. */
function isViolated({ sidecars, stored, required }: World, rules: CoherenceRules): boolean {
  return sidecars.some((sidecar) => {
    if (!leased(sidecar, rules)) return false;
    const { epoch, floor } = sidecar.state;
    return [...stored].some(([position, version]) => {
      const [of, seq] = position.split(' ');
      const isValid = of === epoch && Number(seq) >= Math.max(floor, sidecar.purged);
      return isValid && version < required;
    });
  });
}

function* stepsFrom(world: World, options: Omit<ExploreOptions, 'maxWorlds'>): Generator<Step> {
  const { rules, failOver, slow } = options;
  yield ['time passes', later(world)];
  for (const index of [0, 1] as const) {
    yield* names[index] === slow ? syncSteps(world, index, rules) : quickSync(world, index, rules);
  }
  yield* purgeSteps(world, options);
  yield* otherPurges(world, options);
  if (!failOver || world.master.hist !== 'one') return;
  const old = { ...world.master, replicas: 0 };
  // Its own replica follows the new one. Its clients may not have heard of it yet.
  yield ['the master fails over', { ...world, old, master: { ...world.master, hist: 'two' } }];
  yield ['the master fails over, the last purge is lost', { ...world, old, master: { ...world.before, hist: 'two' } }];
}

const names = ['ann', 'bob'] as const;

function callBy(index: 0 | 1, world: World, rules: CoherenceRules): CallModel {
  const minReplicas = rules.replicaCheck ? 1 : 0;
  const nextEpoch = String(world.epochs + 1).padStart(16, 'e');
  return { id: names[index], minReplicas, checkEpoch: rules.epoch, nowMs: 0, nextEpoch };
}

/** The call at either server, where it is answered. */
function* carriedOut(
  world: World,
  ask: (server: ServerModel) => Answered,
): Generator<{ readonly where: string; readonly world: World; readonly reply: readonly unknown[] }> {
  for (const where of ['master', 'old'] as const) {
    const before = world[where];
    if (before === undefined) continue;
    const { server, reply } = ask(before);
    if (reply === undefined) continue;
    const epochs = reply[5] === 1 ? world.epochs + 1 : world.epochs;
    yield { where: `the ${where === 'old' ? 'old ' : ''}master`, world: { ...world, [where]: server, epochs }, reply };
  }
}

function* syncSteps(world: World, index: 0 | 1, rules: CoherenceRules): Generator<Step> {
  const sidecar = world.sidecars[index];
  const { state, sync } = sidecar;
  const who = names[index];
  if (sync === undefined) {
    const sent = { sentMs: 0, ack: { epoch: state.epoch, seq: state.applied }, reply: undefined };
    yield [`${who} sends a sync`, withSidecar(world, index, { ...sidecar, sync: sent })];
    return;
  }
  // Not at once, that would be as if it had not been sent.
  if (sync.sentMs < 0) yield [`${who} gives the sync up`, withSidecar(world, index, { ...sidecar, sync: undefined })];
  if (sync.reply !== undefined) {
    yield [`${who} hears the answer`, withSidecar(world, index, heard(sidecar, rules))];
    return;
  }
  const { epoch, seq } = sync.ack;
  const call = { ...callBy(index, world, rules), epoch, ack: seq, leaseMs, batch: 1 };
  for (const { where, world: after, reply } of carriedOut(world, (server) => modelSync(server, call))) {
    const answered = { ...sync, reply: readSyncReply(reply) };
    yield [`${where} answers ${who}'s sync`, withSidecar(after, index, { ...sidecar, sync: answered })];
  }
}

/** Sent, answered, and heard at once. */
function* quickSync(world: World, index: 0 | 1, rules: CoherenceRules): Generator<Step> {
  for (const [, sent] of syncSteps(world, index, rules)) {
    for (const [step, answered] of syncSteps(sent, index, rules)) {
      yield [step, withSidecar(answered, index, heard(answered.sidecars[index], rules))];
    }
  }
}

function isOfAll({ what }: LogEntry): boolean {
  return what.kind === 'hard' && what.scopes.includes('all');
}

/** What `LogFollower` does with it. */
function heard({ state, purged, sync }: Sidecar, rules: CoherenceRules): Sidecar {
  if (sync?.reply === undefined) throw new Error('nothing was answered');
  const sent = { monoMs: sync.sentMs, wallMs: sync.sentMs };
  const step = reduce(state, { kind: 'synced', sent, received: now, ack: sync.ack, reply: sync.reply }, rules);
  let last = purged;
  for (const effect of step.effects) {
    if (effect.kind === 'epoch') last = 0;
    if (effect.kind === 'apply') last = Math.max(last, ...effect.entries.filter(isOfAll).map((entry) => entry.seq));
  }
  return { state: step.state, purged: last, sync: undefined };
}

const hardPurge = { kind: 'hard', slackMs: 0, retentionMs: 1e9 };

function mostOf(trim: ExploreOptions['trim']): number {
  return trim?.most ?? 100;
}

/**
 * By somebody else, who waits for nobody; not before there is a purge in the log that they could push out. Before it is heard that
 * it is there is as soon after.
 */
function* otherPurges(world: World, { rules, trim }: Pick<ExploreOptions, 'rules' | 'trim'>): Generator<Step> {
  const isNone = world.master.log.length === 0 || world.purge.kind === 'sent' || world.purge.kind === 'appended';
  if (isNone || world.others >= (trim?.others ?? 0)) return;
  const call = { ...callBy(0, world, rules), ...hardPurge, id: 'cat', most: mostOf(trim), content: '["t:other"]' };
  for (const { where, world: after } of carriedOut(world, (server) => modelPurge(server, call))) {
    yield [`${where} appends a purge of something else`, { ...after, others: world.others + 1 }];
  }
}

/** One after the other. */
function* purgeSteps(
  world: World,
  { rules, purges, trim }: Pick<ExploreOptions, 'rules' | 'purges' | 'trim'>,
): Generator<Step> {
  const { purge } = world;
  switch (purge.kind) {
    case 'none': {
      const version = world.version + 1;
      if (version <= purges) yield ['ann purges', { ...world, purge: { kind: 'sent' }, version }];
      return;
    }
    case 'sent': {
      yield ['the purge is refused', { ...world, purge: { kind: 'none' } }];
      const call = { ...callBy(0, world, rules), ...hardPurge, most: mostOf(trim), content: '["all"]' };
      for (const { where, world: after, reply } of carriedOut(world, (server) => modelPurge(server, call))) {
        const appended = { kind: 'appended', reply: readPurgeReply(reply) } as const;
        const before = where === 'the master' ? world.master : after.before;
        yield [`${where} appends the purge`, { ...after, before, purge: appended }];
      }
      return;
    }
    case 'appended':
      yield ['ann hears that it is appended', opened(world, purge.reply)];
      return;
    case 'waiting':
      yield* barrierSteps(world, purge.barrier, rules);
  }
}

/** What `PurgePublisher` does with it. */
function opened(world: World, reply: ReturnType<typeof readPurgeReply>): World {
  const [ann] = world.sidecars;
  const { state } = ann;
  const barrier = openBarrier({ reply, startedMs: 0, nowMs: 0, state, leaseMs, graceMs: 0 });
  const purged = reply.epoch === state.epoch ? Math.max(ann.purged, reply.seq) : ann.purged;
  return { ...withSidecar(world, 0, { ...ann, purged }), purge: { kind: 'waiting', barrier } };
}

function* barrierSteps(world: World, barrier: ReturnType<typeof openBarrier>, rules: CoherenceRules): Generator<Step> {
  if (judge(barrier, 0, undefined, rules).kind === 'complete') {
    yield ['the purge is complete', { ...world, purge: { kind: 'none' }, required: world.version }];
    return;
  }
  const ids = [...barrier.waiting];
  for (const { where, world: after, reply } of carriedOut(world, (server) =>
    modelAcks(server, callBy(0, world, rules), ids),
  )) {
    // How long each took is no part of the protocol.
    const told = { ...acknowledged(barrier, readAcksReply(reply, ids), 0), applied: new Map<string, number>() };
    yield [`${where} tells of acknowledgements`, { ...after, purge: { kind: 'waiting', barrier: told } }];
  }
}

function withSidecar(world: World, index: 0 | 1, sidecar: Sidecar): World {
  const [ann, bob] = world.sidecars;
  return { ...world, sidecars: index === 0 ? [sidecar, bob] : [ann, sidecar] };
}
