import type { CoherenceStatus, Invalidity } from '../../cache/fleet-ports.ts';
import type { Clock, Observer, PurgeReceipt, PurgeRequest } from '../../cache/ports.ts';
import { longestStrictLeaseMs, type RedisConfig } from '../../core/config.ts';
import { refused, type Result } from '../../core/problem.ts';
import type { Position } from '../../core/stored-response.ts';
import type { PurgeEvent, PurgeFollower } from '../purge-follower.ts';
import type { PurgeableItem } from '../purge-table.ts';
import type { RedisKeys } from '../redis/keys.ts';
import { type ControlLink, type RedisBell, RedisFailure } from '../redis/link.ts';
import { isScope } from '../scope-rows.ts';
import { FleetPurges } from './fleet-purges.ts';
import { LogFollower } from './log-follower.ts';
import { notGuaranteed } from './not-guaranteed.ts';
import { PurgePublisher } from './purge-publisher.ts';
import type { EntryContent } from './replies.ts';
import { allRules, type CoherenceRules } from './rules.ts';
import { leaveScript } from './scripts.ts';
import type { SharedPurgeLog } from './shared-log.ts';

export interface SharedPurgeLogOptions {
  /** That of control: never behind a large reply. */
  readonly link: ControlLink;
  readonly bell: RedisBell;
  readonly keys: Pick<RedisKeys, 'control' | 'log' | 'bell'>;
  readonly config: Pick<
    RedisConfig,
    'coherence' | 'leaseMs' | 'purgeWaitMs' | 'minReplicas' | 'purgeRetentionMs' | 'maxPurges' | 'maxScopes'
  >;
  readonly clock: Clock;
  /** Hears `store.redis.maxScopes` each time that rows are forgotten for it. */
  readonly observer: Pick<Observer, 'fleet' | 'limit'>;
  /** Random per process start, never a pod's name (invariant 17). */
  readonly instanceId: string;
  /** Only tests take rules away. */
  readonly rules?: CoherenceRules;
  /** See `PurgeTable`. */
  readonly searching?: boolean | undefined;
  /** Each time that a lease is there again. */
  readonly onLease?: () => void;
  /** A sentence for the operator. */
  readonly onWarning?: (message: string) => void;
}

/** How long a process that ends waits for the fleet to hear of it. */
const farewellMs = 500;

export function createSharedPurgeLog(options: SharedPurgeLogOptions): SharedPurgeLog {
  return new RedisPurgeLog(options);
}

/** Judges by the purges that {@link LogFollower} reads, and lets {@link PurgePublisher} append. */
class RedisPurgeLog implements SharedPurgeLog {
  readonly instanceId: string;
  readonly #options: SharedPurgeLogOptions;
  readonly #purges: FleetPurges;
  readonly #follower: LogFollower;
  readonly #publisher: PurgePublisher;
  #farewell: Promise<void> | undefined;

  constructor(options: SharedPurgeLogOptions) {
    const { link, keys, config, clock, observer, instanceId, rules = allRules } = options;
    this.instanceId = instanceId;
    this.#options = options;
    const replicas = rules.replicaCheck ? config.minReplicas : 0;
    const base = {
      keys: [keys.control, keys.log],
      args: [instanceId, replicas, rules.epoch ? 1 : 0],
    } as const;
    const purges = new FleetPurges(options);
    this.#purges = purges;
    const ground = { link, base, config, clock, observer, instanceId, rules, purges };
    this.#follower = new LogFollower(ground);
    const { onWarning } = options;
    this.#publisher = new PurgePublisher({ ...ground, bell: keys.bell, replicas, follower: this.#follower, onWarning });
    this.#warn();
  }

  get version(): number {
    return this.#purges.version;
  }

  async start(patienceMs: number): Promise<void> {
    const { link, bell, clock } = this.#options;
    bell.onRing((message) => this.#follower.hear(message));
    link.onReady(() => this.#follower.kick());
    const end = Promise.withResolvers<void>();
    const cancel = clock.after(patienceMs, () => end.resolve());
    this.#follower.start(() => {
      end.resolve();
      this.#options.onLease?.();
    });
    await end.promise;
    cancel();
  }

  position(): Position | undefined {
    return this.#follower.leased() ? this.#purges.position : undefined;
  }

  /** By what is known here: whether that is enough, the lease says, so ask {@link position} too. */
  isValid(item: PurgeableItem): boolean {
    return this.#purges.invalidity(item) === undefined;
  }

  /** As {@link isValid}: what the table has forgotten is refused by the floor. */
  isPurged(item: PurgeableItem): boolean {
    return !this.isValid(item);
  }

  invalidity(item: PurgeableItem): Invalidity | undefined {
    return this.#follower.leased() ? this.#purges.invalidity(item) : 'lease';
  }

  softPurgedAtMs(item: PurgeableItem): number | undefined {
    return this.#purges.softPurgedAtMs(item);
  }

  inEffect(scopes: readonly string[]): readonly string[] {
    return this.#purges.inEffect(scopes);
  }

  follow(hear: (event: PurgeEvent) => void): PurgeFollower {
    return this.#purges.follow(hear);
  }

  /** Rejects with RangeError for what is no scope. */
  async append({ scopes, soft }: PurgeRequest): Promise<Result<PurgeReceipt>> {
    if (!scopes.every(isScope)) throw new RangeError('not a purge scope');
    return this.#publish({ kind: soft ? 'soft' : 'hard', scopes });
  }

  /** Rejects with RangeError for what is no such word. */
  async announce(notice: string): Promise<Result<PurgeReceipt>> {
    if (!/^[!-~]{1,200}$/.test(notice)) throw new RangeError('not a notice');
    return this.#publish({ kind: 'notice', notice });
  }

  onNotice(hear: (notice: string) => void): void {
    this.#follower.onNotice(hear);
  }

  status(): CoherenceStatus {
    const { state } = this.#follower;
    const { leaseMs } = this.#options.config;
    const ageMs = state.renewed === undefined ? undefined : this.#options.clock.monotonicMs() - state.renewed.monoMs;
    return {
      leased: this.#follower.leased(),
      leaseAgeMs: ageMs,
      leaseMs,
      epoch: state.epoch,
      applied: state.applied,
      lag: Math.max(0, state.lastSeq - state.applied),
      floor: state.floor,
      scopes: this.#purges.scopes,
      skewMs: this.skewMs(),
    };
  }

  skewMs(): number {
    return this.#follower.skew.ms;
  }

  /** Repeated calls wait for the same farewell. */
  leave(): Promise<void> {
    this.#farewell ??= this.#leave();
    return this.#farewell;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }

  async #leave(): Promise<void> {
    // Before the fleet hears of it: it will not wait for this process any more.
    this.#follower.leave();
    const { link, keys, clock, instanceId } = this.#options;
    const late = Promise.withResolvers<void>();
    const cancel = clock.after(farewellMs, () => late.resolve());
    // Unheard, it costs the next purge a lease.
    await Promise.race([
      late.promise,
      Promise.allSettled([link.run(leaveScript, [keys.control, keys.log], [instanceId])]),
    ]);
    cancel();
  }

  async #publish(what: EntryContent): Promise<Result<PurgeReceipt>> {
    try {
      return await this.#publisher.publish(what);
    } catch (error) {
      if (!(error instanceof RedisFailure)) throw error;
      return refused(notGuaranteed(`${error.message}.`));
    }
  }

  #warn(): void {
    const { config, rules, onWarning } = this.#options;
    if (rules !== undefined && Object.values(rules).includes(false)) {
      onWarning?.('rules of coherence are taken away: purged responses may be served');
    }
    if (config.coherence === 'strict' && config.leaseMs > longestStrictLeaseMs) {
      onWarning?.('with coherence: strict and this lease a purge may take more than a minute while a proxy is cut off');
    }
  }
}
