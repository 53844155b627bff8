import type { CoherenceStatus, RedisStatus } from '../cache/fleet-ports.ts';
import type { StoreStats } from '../cache/ports.ts';
import type { Config } from '../core/config.ts';
import { addCounts, countsOf, type Counts } from '../metrics/counts.ts';
import { Counters } from '../metrics/counters.ts';
import { counter, gauge, type Family } from '../metrics/family.ts';
import { plus, type Totals } from '../metrics/totals.ts';
import type { ThreadNumbers } from '../metrics/process-families.ts';
import type { NumbersCall, WorkerNumbers } from './messages.ts';
import type { WorkerPool } from './pool.ts';
import type { WorkerThread } from './worker-thread.ts';

type Load = WorkerNumbers['load'];

/** What the workers have, as one: sums, and of what cannot be added the worst. What a dead worker had counted stays. */
export class WorkerSums {
  readonly #config: Config;
  readonly #pool: WorkerPool;
  readonly #gone: Counters;
  /** Of dead workers, since the last reset that this process knows. */
  #goneTotals: Totals | undefined = undefined;
  /** That reset; `undefined`: none. */
  #root: number | undefined = undefined;
  /** Of dead workers: what of their stores only grows. */
  readonly #goneStore = { evictedCapacity: 0, evictedRetention: 0, evictedRouteLimit: 0, refusedTooLarge: 0 };
  #goneFastLane = 0;
  #goneNewTargets = 0;
  #goneWaits = 0;
  readonly #goneRequests = new Map<number, number>();

  constructor(config: Config, pool: WorkerPool) {
    this.#config = config;
    this.#pool = pool;
    this.#gone = this.#none();
  }

  /** Asks all; who does not answer soon counts as it last told. */
  async refresh(asked: NumbersCall): Promise<void> {
    await this.#pool.hearNumbers(asked);
  }

  /** Keeps what this one had counted; to be told once of each, when it is gone. */
  keep({ numbers, place }: WorkerThread): void {
    if (numbers === undefined) return;
    addCounts(this.#gone, numbers.counts);
    if (this.#isSinceReset(numbers)) {
      this.#goneTotals = this.#goneTotals === undefined ? numbers.totals : plus(this.#goneTotals, numbers.totals);
    }
    this.#goneStore.evictedCapacity += numbers.store.evictedCapacity;
    this.#goneStore.evictedRetention += numbers.store.evictedRetention;
    this.#goneStore.evictedRouteLimit += numbers.store.evictedRouteLimit;
    this.#goneStore.refusedTooLarge += numbers.store.refusedTooLarge;
    this.#goneFastLane += numbers.load.fastLane;
    this.#goneNewTargets += numbers.load.newTargets;
    this.#goneWaits += numbers.load.waits;
    this.#goneRequests.set(place, (this.#goneRequests.get(place) ?? 0) + requestsIn(numbers.counts));
  }

  /** All that was counted, by the coordinator too. */
  counters(own: Counters): Counters {
    const sum = this.#none();
    for (const counts of [countsOf(own), countsOf(this.#gone), ...this.#numbers().map((one) => one.counts)]) {
      addCounts(sum, counts);
    }
    return sum;
  }

  /** What was counted since the last reset that each thread knows. `own`: of the coordinator. */
  totals(own: Totals): Totals {
    const gone = this.#goneTotals === undefined ? [] : [this.#goneTotals];
    const living = this.#numbers().filter((numbers) => this.#isSinceReset(numbers));
    return [...gone, ...living.map(({ totals }) => totals)].reduce(plus, own);
  }

  /** What those that are gone had counted was before it, and so is what the others told before they knew of it. */
  reset(root: number | undefined): void {
    this.#goneTotals = undefined;
    this.#root = root;
  }

  #isSinceReset({ root }: WorkerNumbers): boolean {
    return root === undefined || this.#root === undefined || root >= this.#root;
  }

  store(): StoreStats {
    const stores = this.#numbers().map((one) => one.store);
    const total = (of: (store: StoreStats) => number): number => stores.reduce((sum, store) => sum + of(store), 0);
    const gone = this.#goneStore;
    return {
      responses: total((store) => store.responses),
      bytes: total((store) => store.bytes),
      maxBytes: this.#config.store.memory.maxBytes,
      grantedBytes: total((store) => store.grantedBytes),
      tags: total((store) => store.tags),
      evictedCapacity: gone.evictedCapacity + total((store) => store.evictedCapacity),
      evictedRetention: gone.evictedRetention + total((store) => store.evictedRetention),
      evictedRouteLimit: gone.evictedRouteLimit + total((store) => store.evictedRouteLimit),
      refusedTooLarge: gone.refusedTooLarge + total((store) => store.refusedTooLarge),
    };
  }

  load(): Load {
    const loads = this.#numbers().map((one) => one.load);
    return {
      requestsInFlight: loads.reduce((sum, load) => sum + load.requestsInFlight, 0),
      connections: loads.reduce((sum, load) => sum + load.connections, 0),
      fastLane: loads.reduce((sum, load) => sum + load.fastLane, this.#goneFastLane),
      newTargets: loads.reduce((sum, load) => sum + load.newTargets, this.#goneNewTargets),
      waits: loads.reduce((sum, load) => sum + load.waits, this.#goneWaits),
    };
  }

  /** `own`: of the coordinator, which follows the log too. The worst of all: nobody may be behind. */
  coherence(own: CoherenceStatus | undefined): CoherenceStatus | undefined {
    return own && this.#numbers().reduce((worst, { coherence }) => worseLease(worst, coherence), own);
  }

  redis(own: RedisStatus | undefined): RedisStatus | undefined {
    if (own === undefined) return undefined;
    const all = this.#numbers().flatMap(({ redis }) => redis ?? []);
    return {
      breaker: all.map(({ breaker }) => breaker).reduce(worseBreaker, 'closed'),
      pendingBytes: all.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0),
      maxPendingBytes: all.reduce((sum, { maxPendingBytes }) => sum + maxPendingBytes, 0),
    };
  }

  /** Heaps are added up; of event loops the busiest counts. */
  thread(own: ThreadNumbers): ThreadNumbers {
    return this.#numbers().reduce((sum, { thread }) => (thread === undefined ? sum : bothThreads(sum, thread)), own);
  }

  /** What there is only with workers. */
  families(): readonly Family[] {
    const { restarts, serving } = this.#pool;
    const requests = new Map(this.#goneRequests);
    for (const { place, numbers } of serving) {
      if (numbers !== undefined) requests.set(place, (requests.get(place) ?? 0) + requestsIn(numbers.counts));
    }
    return [
      gauge('forecache_workers', 'Worker threads that serve.', [{ labels: {}, value: serving.length }]),
      counter(
        'forecache_worker_restarts_total',
        'Workers that were started again, by why they had ended.',
        Object.entries(restarts).map(([reason, value]) => ({ labels: { reason }, value })),
      ),
      counter(
        'forecache_worker_requests_total',
        'Requests by the worker that served them; forecache_requests_total is their sum.',
        [...requests].map(([place, value]) => ({ labels: { worker: String(place) }, value })),
      ),
    ];
  }

  #numbers(): readonly WorkerNumbers[] {
    return this.#pool.serving.flatMap(({ numbers }) => numbers ?? []);
  }

  #none(): Counters {
    return new Counters(
      this.#config.routes.map((route) => route.name),
      this.#config.upstreams.keys(),
      this.#config.warm.jobs.map((job) => job.name),
    );
  }
}

function requestsIn({ routes }: Counts): number {
  let requests = 0;
  // The first array of a route counts outcomes (`countsOf`).
  for (const { arrays } of routes.values()) for (const count of arrays[0] ?? []) requests += count;
  return requests;
}

function worseLease(one: CoherenceStatus, other: CoherenceStatus | undefined): CoherenceStatus {
  if (other === undefined) return one;
  const isKnown = one.leaseAgeMs !== undefined && other.leaseAgeMs !== undefined;
  return {
    ...one,
    leased: one.leased && other.leased,
    leaseAgeMs: isKnown ? Math.max(one.leaseAgeMs, other.leaseAgeMs) : undefined,
    applied: Math.min(one.applied, other.applied),
    lag: Math.max(one.lag, other.lag),
    floor: Math.max(one.floor, other.floor),
    scopes: Math.max(one.scopes, other.scopes),
    skewMs: Math.abs(other.skewMs) > Math.abs(one.skewMs) ? other.skewMs : one.skewMs,
  };
}

const breakers: readonly RedisStatus['breaker'][] = ['closed', 'half-open', 'open'];

function worseBreaker(one: RedisStatus['breaker'], other: RedisStatus['breaker']): RedisStatus['breaker'] {
  return breakers.indexOf(one) > breakers.indexOf(other) ? one : other;
}

function bothThreads(one: ThreadNumbers, other: ThreadNumbers): ThreadNumbers {
  return {
    heapTotal: one.heapTotal + other.heapTotal,
    heapUsed: one.heapUsed + other.heapUsed,
    external: one.external + other.external,
    lagMean: Math.max(one.lagMean, other.lagMean),
    lagP99: Math.max(one.lagP99, other.lagP99),
    lagMax: Math.max(one.lagMax, other.lagMax),
    utilization: Math.max(one.utilization, other.utilization),
  };
}
