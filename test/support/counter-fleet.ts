import { onTestFinished, vi } from 'vitest';

import type { CounterLedger, FleetNotices } from '../../src/cache/fleet-ports.ts';
import type { Clock, PurgeReceipt } from '../../src/cache/ports.ts';
import { ok, type Problem, refused, type Result } from '../../src/core/problem.ts';
import { createFleetCounters, type FleetCounters } from '../../src/metrics/fleet-counters.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { createCounterLedger } from '../../src/store/redis/counter-ledger.ts';
import { redisKeys } from '../../src/store/redis/keys.ts';
import type { RedisLink } from '../../src/store/redis/link.ts';
import { systemClock } from '../../src/system-clock.ts';
import { requestRecord, someStoreStats } from './records.ts';

/** One process that counts. It flushes when it is told to, or asked by a report: its interval is a minute. */
export interface Counting {
  readonly counters: FleetCounters;
  /** Counts so many hits. */
  hit(count: number): void;
  /** One flush, and what follows at once from its reply. */
  flush(): Promise<void>;
  /** Hears nothing and writes nothing any more. */
  kill(): void;
}

export interface JoinOptions {
  readonly clock?: Clock;
  readonly everyMs?: number;
  /** Changes how this process reaches Redis. */
  readonly wrap?: (ledger: CounterLedger) => CounterLedger;
}

/** Processes over one Redis, each told of resets in one order, and of questions at once. */
export class CountingFleet {
  readonly #hearers = new Map<string, (notice: string) => void>();
  readonly #rings = new Map<string, (message: string) => void>();
  /** Every notice, in order. */
  readonly said: string[] = [];
  /** Those that hear of nothing and acknowledge nothing. */
  readonly cutOff = new Set<string>();
  refusal: Problem | undefined = undefined;
  /** What the purge log says of an announcement that was not refused. */
  complete = true;
  /** Runs in the middle of an announcement, before anyone has heard it. */
  meanwhile: () => Promise<void> = async () => undefined;

  join(id: string, link: Pick<RedisLink, 'run'>, options: JoinOptions = {}): Counting {
    const { clock = systemClock, everyMs = 60_000, wrap = (one: CounterLedger) => one } = options;
    const metrics = createMetrics({
      routes: [{ name: 'weather' }],
      upstreams: new Map(),
      jobs: [],
      clock,
      storeStats: () => someStoreStats,
      load: () => ({ requestsInFlight: 0, connections: 0, fastLane: 0, newTargets: 0, waits: 0 }),
      version: '1.2.3',
    });
    onTestFinished(() => metrics[Symbol.dispose]());
    const tap = new Tap(wrap(ledgerOf(id, link)));
    const counters = createFleetCounters({
      reporter: metrics.reporter,
      ledger: tap.ledger((question) => this.#ring(question)),
      notices: this.#noticesFor(id),
      bell: { onRing: (callback) => void this.#rings.set(id, callback) },
      clock,
      everyMs,
    });
    return {
      counters,
      hit: (count) => {
        for (let one = 0; one < count; one += 1) metrics.observer.request(requestRecord());
      },
      flush: () => tap.afterFlush(() => this.#rings.get(id)?.('flush:0')),
      kill: () => {
        tap.dead = true;
        this.#rings.delete(id);
        this.#hearers.delete(id);
      },
    };
  }

  /** Says everything once more to one process, as when it reads the log from the beginning. */
  replay(id: string): void {
    for (const notice of this.said) this.#hearers.get(id)?.(notice);
  }

  #ring(question: number): void {
    for (const [id, ring] of this.#rings) if (!this.cutOff.has(id)) ring(`flush:${question}`);
  }

  #noticesFor(id: string): FleetNotices {
    return {
      announce: (notice) => this.#announce(notice),
      onNotice: (hear) => void this.#hearers.set(id, hear),
    };
  }

  async #announce(notice: string): Promise<Result<PurgeReceipt>> {
    if (this.refusal !== undefined) return refused(this.refusal);
    await this.meanwhile();
    this.said.push(notice);
    for (const [id, hear] of this.#hearers) if (!this.cutOff.has(id)) hear(notice);
    return ok({ id: 'e:1', complete: this.complete, sidecars: [], missing: [...this.cutOff] });
  }
}

function ledgerOf(id: string, link: Pick<RedisLink, 'run'>): CounterLedger {
  const observer = { fleet: () => undefined };
  return createCounterLedger({ link, keys: redisKeys('forecache'), clock: systemClock, instanceId: id, observer });
}

/** Knows which flushes are under way, so that a test can wait for one without waiting for a time. */
class Tap {
  readonly #inner: CounterLedger;
  #underWay = 0;
  #answered = 0;
  dead = false;

  constructor(inner: CounterLedger) {
    this.#inner = inner;
  }

  ledger(ring: (question: number) => void): CounterLedger {
    return {
      ...this.#inner,
      flush: async (flush) => {
        if (this.dead) return undefined;
        this.#underWay += 1;
        const state = await this.#inner.flush(flush);
        this.#underWay -= 1;
        this.#answered += 1;
        return state;
      },
      ask: async () => {
        const question = await this.#inner.ask();
        if (question !== undefined) ring(question);
        return question;
      },
    };
  }

  async afterFlush(cause: () => void): Promise<void> {
    const before = this.#answered;
    cause();
    await vi.waitUntil(() => this.#answered > before && this.#underWay === 0, { interval: 2, timeout: 5000 });
  }
}
