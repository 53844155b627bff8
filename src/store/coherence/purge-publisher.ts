import type { Clock, Observer, PurgeReceipt } from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import { ok, type Result } from '../../core/problem.ts';
import { type ControlLink, RedisFailure } from '../redis/link.ts';
import { AcksReader, type ScriptBase } from './acks-reader.ts';
import {
  acknowledged,
  type Barrier,
  judge,
  openBarrier,
  slackMs,
  staleReplicaMs,
  unanswered,
  type Verdict,
} from './barrier.ts';
import type { FleetPurges } from './fleet-purges.ts';
import type { LogFollower } from './log-follower.ts';
import { ReplicaCheck } from './replica-check.ts';
import { type EntryContent, entryFields, type PurgeReply, readPurgeReply } from './replies.ts';
import type { CoherenceRules } from './rules.ts';
import { purgeScript } from './scripts.ts';

export interface PurgePublisherParts {
  readonly link: ControlLink;
  readonly base: ScriptBase;
  readonly bell: string;
  readonly config: Pick<RedisConfig, 'coherence' | 'leaseMs' | 'purgeWaitMs' | 'purgeRetentionMs' | 'maxPurges'>;
  /** That are asked for. */
  readonly replicas: number;
  readonly clock: Clock;
  readonly observer: Pick<Observer, 'fleet'>;
  readonly instanceId: string;
  readonly rules: CoherenceRules;
  readonly purges: FleetPurges;
  readonly follower: Pick<LogFollower, 'state' | 'kick' | 'skew'>;
}

/** A sidecar that hears the bell has acknowledged after a millisecond or two. */
const firstPauseMs = 1;
const longestPauseMs = 20;

/** Appends to the log, and waits until what was appended holds everywhere. Decides nothing: see `barrier.ts`. */
export class PurgePublisher {
  readonly #parts: PurgePublisherParts;
  readonly #acks: AcksReader;
  readonly #replicas: ReplicaCheck;

  constructor(parts: PurgePublisherParts) {
    this.#parts = parts;
    const { link, base, replicas } = parts;
    this.#acks = new AcksReader(link, base);
    this.#replicas = new ReplicaCheck({ link, key: base.keys[0], replicas });
  }

  /** Rejects with RedisFailure where it is not known whether it holds. */
  async publish(what: EntryContent): Promise<Result<PurgeReceipt>> {
    const { clock, follower, config, replicas } = this.#parts;
    const startedMs = clock.monotonicMs();
    const confirm = this.#replicas.begin();
    const reply = await this.#append(what);
    const { state } = follower;
    const opened = openBarrier({
      reply,
      startedMs,
      nowMs: clock.monotonicMs(),
      state,
      leaseMs: config.leaseMs,
      graceMs: replicas > 0 ? staleReplicaMs : 0,
    });
    const ownMs = this.#applyOwn(what, reply) ? clock.monotonicMs() - startedMs : undefined;
    follower.kick();
    await confirm();
    const { barrier, verdict } = await this.#wait(opened);
    if (verdict.kind === 'refused') {
      throw new RedisFailure('timeout', 'Redis stopped answering while the purge waited for its acknowledgements');
    }
    return ok(this.#receipt(barrier, ownMs, verdict));
  }

  async #append(what: EntryContent): Promise<PurgeReply> {
    const { link, base, config, bell } = this.#parts;
    const limits = [slackMs, config.purgeRetentionMs, config.maxPurges];
    return readPurgeReply(
      await link.run(purgeScript, base.keys, [...base.args, ...entryFields(what), ...limits, bell]),
    );
  }

  /** At once, ahead of its place: the table only says more than it must. */
  #applyOwn(what: EntryContent, { epoch, seq, nowMs }: PurgeReply): boolean {
    const { follower, purges } = this.#parts;
    if (what.kind === 'notice' || follower.state.epoch !== epoch) return false;
    purges.applyEarly({ scopes: what.scopes, soft: what.kind === 'soft', seq, atMs: nowMs - follower.skew.ms });
    return true;
  }

  async #wait(
    opened: Barrier,
  ): Promise<{ readonly barrier: Barrier; readonly verdict: Exclude<Verdict, { readonly kind: 'wait' }> }> {
    const { clock, config, rules } = this.#parts;
    const patienceMs = config.coherence === 'available' ? config.purgeWaitMs : undefined;
    let barrier = opened;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const verdict = judge(barrier, clock.monotonicMs(), patienceMs, rules);
      if (verdict.kind !== 'wait') return { barrier, verdict };
      await this.#pause(pauseMs);
      barrier = await this.#ask(barrier);
    }
  }

  async #ask(barrier: Barrier): Promise<Barrier> {
    try {
      const reply = await this.#acks.read(barrier.waiting);
      return acknowledged(barrier, reply, this.#parts.clock.monotonicMs());
    } catch (error) {
      if (!(error instanceof RedisFailure)) throw error;
      return unanswered(barrier);
    }
  }

  #receipt(barrier: Barrier, ownMs: number | undefined, verdict: Verdict): PurgeReceipt {
    const { clock, observer, instanceId } = this.#parts;
    const applied = new Map(barrier.applied);
    const missing = new Set(barrier.waiting);
    if (ownMs !== undefined) applied.set(instanceId, ownMs);
    if (applied.has(instanceId)) missing.delete(instanceId);
    const sidecars = [...applied].map(([id, appliedMs]) => ({ id, appliedMs: round(appliedMs) }));
    const others = sidecars.filter(({ id }) => id !== instanceId);
    observer.fleet({ kind: 'acknowledged', sidecars: others, missing: missing.size });
    const receipt = { id: `${barrier.epoch}-${barrier.seq}`, sidecars, missing: [...missing] };
    if (verdict.kind !== 'partial') return { ...receipt, complete: true };
    const completeBy = new Date(clock.nowMs() + Math.ceil(verdict.leftMs)).toISOString();
    return { ...receipt, complete: false, completeBy };
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#parts.clock.after(ms, resolve);
    return promise;
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
