import { decideOnFailure, isFailureStatus, type FailureDecision } from '../core/failure-policy.ts';
import type { Fwd, Tier } from '../core/outcome.ts';
import { requestForbidsStoring } from '../core/client-directives.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { type Flight, Flights, HoldList } from './collapse.ts';
import { fill, variantKeyOf } from './fill.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import type { Background, Clock, ContentDecoder, FailureKind, ProxyResponse, PurgeLog, UpstreamCall } from './ports.ts';
import { problemReply } from './problem-reply.ts';
import { type Ask, respondAnswer, respondStored, respondStream } from './respond.ts';

/** After an answer that could not be shared, requests for its key go upstream side by side for this long. */
const UNSHARED_HOLD_MS = 10_000;
/** After a background refresh that failed, hits do not start another for this long. */
const REFRESH_HOLD_MS = 1_000;
/** Keys on either hold list; some 100 bytes each. */
const HOLD_CAPACITY = 10_000;

export interface FetcherDeps extends FillDeps {
  readonly purgeLog: PurgeLog;
  readonly background: Background;
  readonly clock: Clock;
  readonly decoder: ContentDecoder;
}

/** A stored response that cannot be reused as it is, but may be validated, or served if upstream fails. */
export interface Fallback {
  readonly item: StoredResponse;
  readonly staleSinceMs: number | undefined;
  readonly tier: Tier;
}

/** A request that has to go upstream, and why. */
export interface FetchPlan {
  readonly ask: Ask;
  /** The key that it waits under: with the variant part once that is known. */
  readonly key: string;
  readonly fwd: Fwd;
  readonly found: Fallback | undefined;
  /** True: with the validators of `found`. */
  readonly validate: boolean;
}

/** Goes upstream once for all who ask, and turns what comes of it into an answer. */
export class Fetcher {
  readonly #deps: FetcherDeps;
  readonly #flights = new Flights<FillResult>();
  readonly #unshared = new HoldList(UNSHARED_HOLD_MS, HOLD_CAPACITY);
  readonly #failedRefresh = new HoldList(REFRESH_HOLD_MS, HOLD_CAPACITY);

  constructor(deps: FetcherDeps) {
    this.#deps = deps;
  }

  async fetch(plan: FetchPlan): Promise<ProxyResponse> {
    const { key, ask } = plan;
    // A request that insists on a new answer must not be given one that was under way before it came.
    if (plan.fwd === 'request' || this.#unshared.has(key, this.#deps.clock.nowMs())) {
      return this.#answer(plan, await this.#start(plan, 'interactive').result, true);
    }
    for (;;) {
      const { flight, leader } = this.#flights.join(
        key,
        (current) => this.#stillGood(ask, current),
        () => this.#start(plan, 'interactive'),
      );
      const result = await flight.result;
      if (leader) return this.#answer(plan, result, true);
      const shared = this.#shared(plan, flight, result);
      if (shared === 'retry') continue;
      if (shared === 'alone') return this.#answer(plan, await this.#start(plan, 'interactive').result, true);
      return this.#answer(plan, result, false);
    }
  }

  /** One refresh at a time for a key, detached from whoever triggered it (RFC 5861 §3). */
  refreshBehind(plan: FetchPlan): void {
    const { key } = plan;
    if (this.#flights.has(key) || this.#failedRefresh.has(key, this.#deps.clock.nowMs())) return;
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
    if (result.kind !== 'stored') this.#failedRefresh.note(plan.key, this.#deps.clock.nowMs());
    return result;
  }

  #start(plan: FetchPlan, purpose: UpstreamCall['purpose']): Flight<FillResult> {
    const { ask, found } = plan;
    const position = this.#deps.purgeLog.position();
    const input: FillInput = {
      route: ask.route,
      keyed: ask.keyed,
      requestFields: ask.requestFields,
      purpose,
      validate: plan.validate ? found?.item : undefined,
      position,
      mayStore: !requestForbidsStoring(ask.route.policy, ask.requestFields),
      staleFallback: this.#onFailure(plan, 503).kind === 'serve-stale',
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
    if (item.key === ask.keyed.key || item.key === plan.key) return true;
    const marker = this.#deps.store.peek(ask.keyed.key);
    if (marker instanceof Promise || marker?.item.kind !== 'vary') return false;
    return variantKeyOf(this.#deps.sha256, ask, marker.item.names) === item.key;
  }

  #note(plan: FetchPlan, result: FillResult): void {
    const sharable =
      result.kind === 'stored' || result.kind === 'failed' || (result.kind === 'answer' && result.shareable);
    if (sharable) this.#unshared.forget(plan.key);
    else this.#unshared.note(plan.key, this.#deps.clock.nowMs());
  }

  async #answer(plan: FetchPlan, result: FillResult, leader: boolean): Promise<ProxyResponse> {
    if (leader) this.#note(plan, result);
    const { ask, fwd } = plan;
    const collapsed = leader ? {} : { collapsed: true };
    const outcome = leader ? 'miss' : 'collapsed';
    switch (result.kind) {
      case 'stored':
        return this.#stored(plan, result, leader);
      case 'answer': {
        const stale = this.#insteadOf(plan, result);
        if (stale !== undefined) return this.#serveStale(plan, stale, result.status);
        return respondAnswer(ask, result, {
          status: { hit: false, fwd, detail: result.reason, ...collapsed },
          outcome,
        });
      }
      case 'stream':
        return respondStream(ask, result, { status: { hit: false, fwd, detail: result.reason }, outcome });
      case 'failed':
        return this.#failed(plan, result.failure);
    }
  }

  async #stored(
    plan: FetchPlan,
    result: Extract<FillResult, { kind: 'stored' }>,
    leader: boolean,
  ): Promise<ProxyResponse> {
    const fetched = result.validated ? 'revalidated' : 'miss';
    return respondStored(this.#deps, plan.ask, {
      item: result.item,
      staleSinceMs: undefined,
      nowMs: this.#deps.clock.nowMs(),
      status: {
        hit: false,
        fwd: plan.fwd,
        ...(result.validated ? { fwdStatus: 304 } : {}),
        ...(result.put === 'stored' ? { stored: true } : {}),
        ...(leader ? {} : { collapsed: true }),
      },
      outcome: leader ? fetched : 'collapsed',
      tier: undefined,
    });
  }

  /** The stale response that is better than an error status, or than a 200 whose content failed the route's check. */
  #insteadOf(
    plan: FetchPlan,
    result: Extract<FillResult, { kind: 'answer' }>,
  ): Extract<FailureDecision, { kind: 'serve-stale' }> | undefined {
    if (!isFailureStatus(result.status) && !BODY_CHECKS.has(result.reason)) return undefined;
    const decision = this.#onFailure(plan, isFailureStatus(result.status) ? result.status : 'malformed');
    return decision.kind === 'serve-stale' ? decision : undefined;
  }

  async #failed(plan: FetchPlan, failure: FailureKind): Promise<ProxyResponse> {
    const decision = this.#onFailure(plan, failure);
    const { ask, fwd } = plan;
    const meta = { route: ask.route.name, upstream: ask.route.upstream, url: ask.keyed.url, fwd };
    switch (decision.kind) {
      case 'serve-stale':
        return this.#serveStale(plan, decision, undefined);
      case 'problem':
        return problemReply(decision.problem, {
          meta,
          cacheStatus: { hit: false, fwd, detail: failure },
          head: ask.head,
        });
      case 'pass-through':
        // Only an answer can be passed through; without one this is upstream being unreachable.
        return problemReply(
          { status: 502, code: 'upstream-unreachable', title: 'Bad gateway', detail: 'Upstream gave no answer.' },
          { meta, cacheStatus: { hit: false, fwd, detail: failure }, head: ask.head },
        );
    }
  }

  #onFailure(plan: FetchPlan, failure: FailureKind | number): FailureDecision {
    return decideOnFailure({
      failure,
      stored: plan.found?.item,
      staleSinceMs: plan.found?.staleSinceMs,
      policy: plan.ask.route.policy,
      nowMs: this.#deps.clock.nowMs(),
    });
  }

  async #serveStale(
    plan: FetchPlan,
    decision: Extract<FailureDecision, { kind: 'serve-stale' }>,
    fwdStatus: number | undefined,
  ): Promise<ProxyResponse> {
    const { found, ask } = plan;
    if (found === undefined) throw new Error('a stale response was decided on that is not there');
    return respondStored(this.#deps, ask, {
      item: found.item,
      staleSinceMs: found.staleSinceMs,
      nowMs: this.#deps.clock.nowMs(),
      status: {
        hit: false,
        fwd: 'stale',
        ...(fwdStatus === undefined ? {} : { fwdStatus }),
        ttl: decision.ttlSeconds,
        detail: decision.detail,
      },
      outcome: 'stale-error',
      tier: found.tier,
    });
  }
}

/** Tokens of {@link BodyCheck.fails}. */
const BODY_CHECKS: ReadonlySet<string> = new Set(['not-json', 'path-missing', 'path-present']);
