import type { Clock, Observer, PurgeReceipt } from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import { ok, type Problem, refused, type Result } from '../../core/problem.ts';
import { type ControlLink, RedisFailure } from '../redis/link.ts';
import { AcksReader, type ScriptBase } from './acks-reader.ts';
import {
  acknowledged,
  type Barrier,
  judge,
  openBarrier,
  patienceOf,
  slackMs,
  staleReplicaMs,
  unanswered,
  type Verdict,
} from './barrier.ts';
import type { FleetPurges } from './fleet-purges.ts';
import type { LogFollower } from './log-follower.ts';
import { notGuaranteed } from './not-guaranteed.ts';
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
  readonly follower: Pick<LogFollower, 'state' | 'kick' | 'skew' | 'told'>;
  /** A sentence for the operator. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** A sidecar that hears the bell has acknowledged after a millisecond or two. */
const firstPauseMs = 1;
const longestPauseMs = 20;

/** Appends to the log, and waits until what was appended holds everywhere. Decides nothing: see `barrier.ts`. */
export class PurgePublisher {
  readonly #parts: PurgePublisherParts;
  readonly #acks: AcksReader;
  readonly #replicas: ReplicaCheck;
  /** What was said of long leases, and of which epoch. */
  readonly #said = { epoch: '', of: new Set<'waits' | 'refuses'>() };

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
    const receipt = this.#receipt(barrier, ownMs, verdict);
    if (verdict.kind !== 'partial' || config.coherence === 'available') return ok(receipt);
    return refused(this.#beyondPatience(barrier, verdict.leftMs));
  }

  async #append(what: EntryContent): Promise<PurgeReply> {
    const { link, base, config, bell, follower } = this.#parts;
    const limits = [slackMs, config.purgeRetentionMs, config.maxPurges];
    return readPurgeReply(
      await link.run(purgeScript, base.keys, [...base.args, ...entryFields(what), ...limits, bell, follower.told]),
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
    const patienceMs = patienceOf(opened, config);
    let barrier = opened;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const nowMs = clock.monotonicMs();
      const verdict = judge(barrier, nowMs, patienceMs, rules);
      if (verdict.kind !== 'wait') return { barrier, verdict };
      if (nowMs >= barrier.ownEndMs) this.#sayThatItWaits(barrier);
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

  /** What `strict` answers where `available` answers 202: the contract has that for those who chose it alone. */
  #beyondPatience({ epoch, longestMs }: Barrier, leftMs: number): Problem {
    const lease = `a lease of ${inSeconds(longestMs)}`;
    const seconds = Math.ceil(leftMs / 1000);
    const why = `in ${seconds} s at the latest: until then ${lease} may be left in the fleet, longer than coherence: strict waits for`;
    this.#sayOnce(epoch, 'refuses', `a purge was answered 503, and holds everywhere ${why}`);
    return { ...notGuaranteed(`It is in the log, and holds ${why}.`, seconds), holdsLater: true };
  }

  #sayThatItWaits({ epoch, longestMs }: Barrier): void {
    const text = `a purge waits for a lease of ${inSeconds(longestMs)} that may be left in the fleet: longer than the one that is configured here`;
    this.#sayOnce(epoch, 'waits', text);
  }

  /** Once in an epoch: each purge would say the same. */
  #sayOnce(epoch: string, what: 'waits' | 'refuses', text: string): void {
    const said = this.#said;
    if (said.epoch !== epoch) said.of.clear();
    said.epoch = epoch;
    if (said.of.has(what)) return;
    said.of.add(what);
    this.#parts.onWarning?.(text);
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#parts.clock.after(ms, resolve);
    return promise;
  }
}

function inSeconds(ms: number): string {
  return `${Math.ceil(ms / 100) / 10} s`;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
