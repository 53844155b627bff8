import type { Clock, Observer } from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import { RedisFailure, type RedisLink } from '../redis/link.ts';
import type { ScriptBase } from './acks-reader.ts';
import type { FleetPurges } from './fleet-purges.ts';
import {
  type Instant,
  isLeased,
  type LogEffect,
  type LogEvent,
  type LogState,
  reduce,
  unknownLog,
} from './protocol.ts';
import { type LogEntry, readSyncReply } from './replies.ts';
import type { CoherenceRules } from './rules.ts';
import { syncScript } from './scripts.ts';
import { Skew } from './skew.ts';

export interface LogFollowerParts {
  readonly link: RedisLink;
  readonly base: ScriptBase;
  readonly config: Pick<RedisConfig, 'leaseMs' | 'maxScopes'>;
  readonly clock: Clock;
  readonly observer: Pick<Observer, 'fleet' | 'limit'>;
  readonly rules: CoherenceRules;
  readonly purges: FleetPurges;
}

/** Entries that one answer holds at most. */
const batch = 500;
/** A long lease is no reason to hear of purges late where the bell was not heard. */
const longestPauseMs = 1000;
const shortestPauseMs = 20;
const ringForm = /^([0-9a-f]{16})-(\d{1,16})$/;
/** For so long after its lease Redis remembers a process, see `scripts.ts`. */
const rememberedMs = 60_000;
/** Part of that by the clock of the process: it may run slower than that of Redis. */
const counted = 0.9;
/** Before the next try where one has failed. */
const retryMs = 200;

/**
 * Reads the log and renews the lease: in each fifth of it, when the bell rings, and when the connection is back. One call is
 * under way at a time. Decides nothing: see `protocol.ts`.
 */
export class LogFollower {
  readonly skew = new Skew();
  readonly #parts: LogFollowerParts;
  readonly #notices: ((notice: string) => void)[] = [];
  readonly #pauseMs: number;
  #state = unknownLog;
  #told = { text: '', sentMs: 0 };
  #held = false;
  #started = false;
  #syncing = false;
  #again = false;
  #cancel = (): void => {};
  #onLease = (): void => {};

  constructor(parts: LogFollowerParts) {
    this.#parts = parts;
    this.#pauseMs = Math.min(longestPauseMs, Math.max(shortestPauseMs, parts.config.leaseMs / 5));
  }

  get state(): LogState {
    return this.#state;
  }

  /** `onLease`: each time that there is one where there was none. */
  start(onLease: () => void): void {
    this.#started = true;
    this.#onLease = onLease;
    this.kick();
  }

  leased(): boolean {
    const { config, rules } = this.#parts;
    const held = isLeased(this.#state, this.#now(), config.leaseMs, rules);
    if (held !== this.#held) this.#noteLease(held);
    return held;
  }

  /**
   * What Redis has been told, and has answered: `EPOCH-ACK-LEASE_UNTIL_MS`, by its clock. It forgets at once who has left, and where
   * that clock was set back it may forget others earlier than they were told.
   */
  get told(): string {
    const { config, clock } = this.#parts;
    const { text, sentMs } = this.#told;
    const isRemembered = clock.monotonicMs() - sentMs <= counted * (config.leaseMs + rememberedMs);
    return isRemembered && !this.#state.left ? text : '';
  }

  onNotice(hear: (notice: string) => void): void {
    this.#notices.push(hear);
  }

  /** The bell: `EPOCH-SEQ` of a purge. What is applied already needs no look, nor does what anybody else says there. */
  hear(message: string): void {
    const { epoch, applied } = this.#state;
    const [, of, seq] = ringForm.exec(message) ?? [];
    if (of !== undefined && (of !== epoch || Number(seq) > applied)) this.kick();
  }

  /** Looks at the log now, or as soon as the look that is under way has ended. */
  kick(): void {
    if (!this.#started || this.#state.left) return;
    this.#again = true;
    if (!this.#syncing) void this.#follow();
  }

  leave(): void {
    this.#take({ kind: 'left' });
    this.#cancel();
    this.leased();
  }

  async #follow(): Promise<void> {
    this.#syncing = true;
    this.#cancel();
    let pauseMs = this.#pauseMs;
    try {
      while (this.#again && !this.#state.left) {
        this.#again = false;
        if (await this.#sync()) continue;
        pauseMs = Math.min(pauseMs, retryMs);
        break;
      }
    } finally {
      this.#syncing = false;
      if (!this.#state.left) this.#cancel = this.#parts.clock.after(pauseMs, () => this.kick());
      // So that the loss of a lease is told where nobody asks for one.
      this.leased();
    }
  }

  /** False where it failed. */
  async #sync(): Promise<boolean> {
    const { link, base, config, observer } = this.#parts;
    const sent = this.#now();
    const ack = { epoch: this.#state.epoch, seq: this.#state.applied };
    try {
      const args = [...base.args, ack.epoch, ack.seq, config.leaseMs, batch, this.told];
      const reply = readSyncReply(await link.run(syncScript, base.keys, args));
      const received = this.#now();
      this.skew.note(sent, received, reply.nowMs);
      observer.fleet({ kind: 'sync', result: 'ok', durationMs: received.monoMs - sent.monoMs });
      const told = reply.epoch === ack.epoch ? ack.seq : 0;
      this.#told = { text: `${reply.epoch}-${told}-${reply.nowMs + config.leaseMs}`, sentMs: sent.monoMs };
      this.#take({ kind: 'synced', sent, received, ack, reply });
      this.#keepBounded();
      this.leased();
      return true;
    } catch (error) {
      if (!(error instanceof RedisFailure)) throw error;
      const durationMs = this.#parts.clock.monotonicMs() - sent.monoMs;
      observer.fleet({ kind: 'sync', result: error.kind, durationMs });
      return false;
    }
  }

  /** Effects first: what a lease vouches for must be in the table by then. Where one fails, nothing is known any more. */
  #take(event: LogEvent): void {
    const { purges, rules } = this.#parts;
    const { state, effects } = reduce(this.#state, event, rules);
    try {
      for (const effect of effects) this.#carryOut(effect, event);
      // Notices are heard before their place counts as acknowledged, and without one the position moves all the same.
      if (state.applied > purges.position.seq) purges.moveTo(state.applied);
      this.#state = state;
    } catch (error) {
      const { longestMs, met, left } = state;
      this.#state = { ...unknownLog, longestMs, met, left };
      throw error;
    }
  }

  #carryOut(effect: LogEffect, event: LogEvent): void {
    const { purges, observer, clock } = this.#parts;
    switch (effect.kind) {
      case 'epoch': {
        purges.begin(effect.epoch, clock.nowMs());
        const isNews = !effect.first || (event.kind === 'synced' && event.reply.made);
        if (isNews) {
          // To a process that has seen an epoch, an empty Redis is one that has lost it.
          const reason = effect.reason === 'new' && !effect.first ? 'gone' : effect.reason;
          observer.fleet({ kind: 'epoch', reason, epoch: effect.epoch });
        }
        return;
      }
      case 'apply':
        for (const entry of effect.entries) this.#apply(entry, effect.replayed);
        return;
      case 'floor':
        purges.raiseFloor(effect.floor);
        return;
      case 'sync-again':
        this.#again = true;
        return;
    }
  }

  #apply({ seq, atMs, what }: LogEntry, replayed: boolean): void {
    const { purges } = this.#parts;
    if (what.kind !== 'notice') {
      purges.apply({ scopes: what.scopes, soft: what.kind === 'soft', seq, atMs: atMs - this.skew.ms });
      return;
    }
    purges.moveTo(seq);
    if (!replayed) for (const hear of this.#notices) hear(what.notice);
  }

  #keepBounded(): void {
    const { purges, observer } = this.#parts;
    const { maxScopes } = this.#parts.config;
    if (purges.scopes <= maxScopes) return;
    observer.limit('store.redis.maxScopes');
    this.#take({ kind: 'overflowed', floor: purges.floorThatLeaves(Math.floor(maxScopes / 2)) });
  }

  #noteLease(held: boolean): void {
    this.#held = held;
    const { observer } = this.#parts;
    if (held) observer.fleet({ kind: 'lease', state: 'gained' });
    else observer.fleet({ kind: 'lease', state: 'lost', ...(this.#state.left ? { left: true } : {}) });
    if (held) this.#onLease();
  }

  #now(): Instant {
    const { clock } = this.#parts;
    return { monoMs: clock.monotonicMs(), wallMs: clock.nowMs() };
  }
}
