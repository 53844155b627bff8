import { clientDirectives, requestForbidsStoring } from '../core/client-directives.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { answerWith, hasStaleFallback, staleWhileDown } from './answer.ts';
import { type Flight, Flights, HoldList } from './collapse.ts';
import type { FetchPlan } from './fetch-plan.ts';
import { fill } from './fill.ts';
import { variantKeyOf } from './store-fill.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import type { Background, ProxyResponse, PurgeLog, UpstreamCall } from './ports.ts';
import type { Ask } from './respond.ts';

/** After an answer that could not be shared, requests for its key go upstream side by side for this long. */
const UNSHARED_HOLD_MS = 10_000;
/** After a background refresh that failed, hits do not start another for this long. */
const REFRESH_HOLD_MS = 1_000;
/**
 * After upstream kept a key's requests waiting until the timeout, what is stale is served at once and upstream asked
 * behind it for this long (or until it answers), since each request would else wait for the whole timeout again.
 */
const SILENT_HOLD_MS = 30_000;
/** Keys on a hold list; some 100 bytes each. */
const HOLD_CAPACITY = 10_000;

export interface FetcherDeps extends FillDeps {
  readonly purgeLog: PurgeLog;
  readonly background: Background;
}

/** Goes upstream once for all who ask, and turns what comes of it into an answer. */
export class Fetcher {
  readonly #deps: FetcherDeps;
  readonly #flights = new Flights<FillResult>();
  readonly #unshared = new HoldList(UNSHARED_HOLD_MS, HOLD_CAPACITY);
  readonly #failedRefresh = new HoldList(REFRESH_HOLD_MS, HOLD_CAPACITY);
  readonly #silent = new HoldList(SILENT_HOLD_MS, HOLD_CAPACITY);

  constructor(deps: FetcherDeps) {
    this.#deps = deps;
  }

  async fetch(plan: FetchPlan): Promise<ProxyResponse> {
    const { key, ask } = plan;
    if (insistsOnItsOwn(plan)) return this.#alone(plan);
    const stale = this.#silent.has(key, this.#nowMs()) ? staleWhileDown(this.#deps, plan) : undefined;
    if (stale !== undefined) {
      this.refreshBehind(plan);
      return stale;
    }
    for (;;) {
      if (this.#unshared.has(key, this.#nowMs())) return this.#alone(plan);
      const { flight, leader } = this.#flights.join(
        key,
        (current) => this.#stillGood(ask, current),
        () => this.#start(plan, 'interactive'),
      );
      const result = await flight.result;
      if (leader) this.#note(plan, result);
      const shared = leader ? 'use' : this.#shared(plan, flight, result);
      if (shared === 'use') return answerWith(this.#deps, plan, result, leader);
      if (shared === 'alone') return this.#alone(plan);
    }
  }

  /** One refresh at a time for a key, detached from whoever triggered it (RFC 5861 §3). */
  refreshBehind(plan: FetchPlan): void {
    const { key } = plan;
    if (this.#flights.has(key) || this.#failedRefresh.has(key, this.#nowMs())) return;
    this.#deps.background.run('stale-while-revalidate', async () => {
      await this.refresh(plan, 'revalidate');
    });
  }

  /** Fetches for nobody in particular. Collapsed with whatever is under way for the key. */
  async refresh(plan: FetchPlan, purpose: UpstreamCall['purpose']): Promise<FillResult> {
    const { flight, leader } = this.#flights.join(
      plan.key,
      (current) => this.#stillGood(plan.ask, current),
      () => this.#start(plan, purpose),
    );
    const result = await flight.result;
    if (leader) this.#note(plan, result);
    if (leader && result.kind === 'stream') result.cancel();
    if (result.kind !== 'stored') this.#failedRefresh.note(plan.key, this.#nowMs());
    return result;
  }

  async #alone(plan: FetchPlan): Promise<ProxyResponse> {
    const result = await this.#start(plan, 'interactive').result;
    // What an insisting request gets says nothing of how others fare.
    if (!insistsOnItsOwn(plan)) this.#note(plan, result);
    return answerWith(this.#deps, plan, result, true);
  }

  #start(plan: FetchPlan, purpose: UpstreamCall['purpose']): Flight<FillResult> {
    const { ask } = plan;
    const position = this.#deps.purgeLog.position();
    // A purge may have come since it was found: then nothing of it may live on, not even by a 304.
    const found = plan.found !== undefined && this.#deps.purgeLog.isValid(plan.found.item) ? plan.found : undefined;
    const input: FillInput = {
      route: ask.route,
      keyed: ask.keyed,
      requestFields: ask.requestFields,
      purpose,
      validate: plan.validate ? found?.item : undefined,
      position,
      mayStore: !requestForbidsStoring(ask.route.policy, ask.requestFields),
      // Behind the scenes what is stored is still being served: an error status is no better than it.
      staleFallback: found !== undefined && (purpose !== 'interactive' || hasStaleFallback(this.#deps, plan)),
    };
    const result = this.#deps.background.own('fill', (signal) => fill(this.#deps, input, signal));
    return { position, result };
  }

  /** Invariant 6: a request joins a fetch only if nothing was purged since that fetch began which covers it. */
  #stillGood(ask: Ask, flight: Flight<FillResult>): boolean {
    if (flight.position === undefined) return false;
    const { key, url, tags } = ask.keyed;
    return this.#deps.purgeLog.isValid({ key, url, tags, route: ask.route.name, position: flight.position });
  }

  #shared(plan: FetchPlan, flight: Flight<FillResult>, result: FillResult): 'use' | 'alone' | 'retry' {
    // Purged while it was fetched: only the request that began the fetch may have it.
    if (!this.#stillGood(plan.ask, flight)) return 'retry';
    switch (result.kind) {
      case 'failed':
        return 'use';
      case 'stream':
        return 'alone';
      case 'answer':
        return result.shareable ? 'use' : 'alone';
      case 'stored':
        return this.#sameVariant(plan, result.item) ? 'use' : 'alone';
    }
  }

  /** Whether a varied response answers this request too (RFC 9111 §4.1). */
  #sameVariant(plan: FetchPlan, item: StoredResponse): boolean {
    const { ask } = plan;
    if (item.key === ask.keyed.key) return true;
    const marker = this.#deps.store.peek(ask.keyed.key);
    if (marker instanceof Promise || marker?.item.kind !== 'vary') return item.key === plan.key;
    return variantKeyOf(this.#deps.sha256, ask, marker.item.names) === item.key;
  }

  #note(plan: FetchPlan, result: FillResult): void {
    const { key } = plan;
    const nowMs = this.#nowMs();
    if (result.kind === 'failed') {
      if (result.failure === 'timeout') this.#silent.note(key, nowMs);
      return;
    }
    this.#silent.forget(key);
    if (result.kind === 'stored' || (result.kind === 'answer' && result.shareable)) this.#unshared.forget(key);
    else this.#unshared.note(key, nowMs);
  }

  #nowMs(): number {
    return this.#deps.clock.nowMs();
  }
}

/**
 * A request that must not be given what was under way before it came (`no-cache`, RFC 9111 §5.2.1.4), or whose answer
 * nobody else may have (`no-store`, §5.2.1.5).
 */
function insistsOnItsOwn({ ask, fwd }: FetchPlan): boolean {
  const { policy } = ask.route;
  if (fwd === 'request' || requestForbidsStoring(policy, ask.requestFields)) return true;
  return clientDirectives(policy, ask.requestFields).noCache;
}
