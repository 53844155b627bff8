import { classifyRequest } from '../core/classify-request.ts';
import type { GraphqlReader } from '../core/graphql-text.ts';
import { isCutKey } from '../core/key.ts';
import type { ProxyRequest } from '../core/request.ts';
import { decideAbsent, decideReuse, type ReuseDecision } from '../core/reuse-policy.ts';
import { matchRoute, type RouteMatch } from '../core/route-table.ts';
import { cameBack } from './come-back.ts';
import type { Fallback, FetchPlan } from './fetch-plan.ts';
import type { Fetcher, FetcherDeps } from './fetcher.ts';
import { asHandled, asHandledLate, type ClientLink, type Handled } from './handled.ts';
import { farAnswer, keepFarAnswer } from './far-answers.ts';
import { fitsQuery, withoutRule } from './by-query.ts';
import { isUncovered } from './judge.ts';
import { isMeantForUs } from './own-hosts.ts';
import { ownRequestOf } from './own-request.ts';
import { noRoute, onlyIfCached, refusal } from './own-answers.ts';
import type { MaybePromise, ProxyResponse, PurgeLog, ResponseStore, StoreRead } from './ports.ts';
import { type Come, LateLook } from './late-look.ts';
import { Later } from './later.ts';
import { type Awaiting, isSettled, type LookedUp, type Looking } from './looked-up.ts';
import { keyedFor, Prepared } from './prepared.ts';
import { relayed } from './relay-decision.ts';
import type { RelayFollowDeps } from './relay-store.ts';
import { type Found, ReadyAnswers } from './ready-answers.ts';
import { type Ask, respondStored } from './respond.ts';
import { wallMsOf } from './turn.ts';
import { answerUnleased } from './unleased.ts';
import { isKept, variantOf } from './variant.ts';
import { type KeyableRequest, wantContent } from './want-content.ts';

/** What the exchange needs from outside. */
export interface ExchangeDeps extends FetcherDeps, RelayFollowDeps {
  readonly store: ResponseStore;
  readonly purgeLog: PurgeLog;
  /** Lower-cased hosts that mean the proxy itself in an absolute-form target, beside loopback names. */
  readonly ownHosts: ReadonlySet<string>;
  /** There where a route needs it. */
  readonly graphql: GraphqlReader | undefined;
}

/** One request to one outcome: match, classify, key, look up, decide, act. A fresh memory hit makes no promise. */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #fetcher: Fetcher;
  readonly #ready: ReadyAnswers;
  readonly #comeTo: Come = (ask, read, sinceMs) => this.#come(ask, ask.keyed.key, read, { sinceMs });

  constructor(deps: ExchangeDeps, fetcher: Fetcher) {
    this.#deps = deps;
    this.#ready = new ReadyAnswers(deps);
    this.#fetcher = fetcher;
  }

  /** `client`: may be sent interim responses until the answer is there. */
  handle(request: ProxyRequest, client?: ClientLink): MaybePromise<Handled> {
    const prepared = Prepared.of(request.memo, this);
    if (prepared !== undefined) return this.#again(prepared, request, client);
    const match = matchRoute(this.#deps.table, request);
    if (match === undefined || !isMeantForUs(this.#deps.ownHosts, match, request))
      return asHandled(refusal(request, noRoute()));
    const { route } = match;
    const classified = classifyRequest(route, request);
    switch (classified.kind) {
      case 'reject':
        return asHandled(refusal(request, classified.problem, match));
      case 'relay':
        if (classified.reason === 'content-length') this.#deps.observer.limit('routes.content.maxBytes');
        return relayed(this.#deps, match, request, classified);
      case 'lookup':
        break;
    }
    const { head, content: form } = classified;
    if (form === undefined) return this.#answer(match, request, head, client);
    return wantContent(
      { match, request, form },
      {
        sha256: this.#deps.sha256,
        graphql: this.#deps.graphql,
        answer: (whole) => this.#answer(match, whole, head, client),
        relay: (why) => relayed(this.#deps, match, request, why),
        refuse: (problem) => asHandled(refusal(request, problem, match)),
      },
    );
  }

  #answer(match: RouteMatch, request: KeyableRequest, head: boolean, client?: ClientLink): MaybePromise<Handled> {
    const { route } = match;
    const derived = keyedFor({ owner: this, sha256: this.#deps.sha256 }, match, request);
    if (!derived.ok) return asHandled(refusal(request, derived.error, match));
    const known = this.#ready.known(request, derived.value.values, head, this.#deps.clock.nowMs());
    if (known !== undefined) return asHandled(known);
    const keyed = this.#deps.search?.keyed(derived.value) ?? derived.value;
    if (isCutKey(keyed.key, route.maxKeyBytes)) this.#deps.observer.limit('routes.maxKeyBytes');
    const ask: Ask = { route, keyed, requestFields: request.fields, special: request.special, head, client };
    return this.#lookedUp(ask);
  }

  /** The very same request was keyed before. What {@link handle} does before that depends on its head alone. */
  #again({ route, keyed: plain }: Prepared, request: ProxyRequest, client?: ClientLink): MaybePromise<Handled> {
    const { search } = this.#deps;
    const keyed = search === undefined ? plain : search.keyed(plain);
    if (keyed !== plain && isCutKey(keyed.key, route.maxKeyBytes)) this.#deps.observer.limit('routes.maxKeyBytes');
    const { fields, special } = request;
    return this.#lookedUp({ route, keyed, requestFields: fields, special, head: false, client });
  }

  #lookedUp(ask: Ask): MaybePromise<Handled> {
    const { store, purgeLog } = this.#deps;
    const { key } = ask.keyed;
    const late = ask.client?.late;
    const at = purgeLog.position();
    if (late === undefined || store.getLater === undefined || at === undefined) return asHandledLate(this.#lookUp(ask));
    const read = store.getLater(key, ask);
    if (!(read instanceof Later)) return asHandledLate(this.#found(ask, { key, read, at }));
    read.hear(new LateLook(ask, { late, come: this.#comeTo }));
    return late.begin();
  }

  #lookUp(ask: Ask): MaybePromise<ProxyResponse> {
    const { store, purgeLog, clock } = this.#deps;
    const at = purgeLog.position();
    if (at === undefined) return answerUnleased(this.#deps, this.#fetcher, ask);
    const { key } = ask.keyed;
    const read = store.get(key, ask);
    return read instanceof Promise
      ? this.#late(ask, key, read, { sinceMs: clock.monotonicMs() })
      : this.#found(ask, { key, read, at });
  }

  /** Without `async`, which would be two promises more for each answer that is waited for. */
  #late(ask: Ask, key: string, read: Promise<StoreRead | undefined>, awaiting: Awaiting): Promise<ProxyResponse> {
    return read.then((late) => this.#come(ask, key, late, awaiting));
  }

  /** What was waited for is judged anew in the step that decides on it: a purge or the end of the lease may have come. */
  #come(ask: Ask, key: string, late: StoreRead | undefined, awaiting: Awaiting): MaybePromise<ProxyResponse> {
    const { purgeLog, observer, search } = this.#deps;
    const at = purgeLog.position();
    if (at === undefined) return answerUnleased(this.#deps, this.#fetcher, ask);
    const { sinceMs, ruled, promise, marker } = awaiting;
    if (late === undefined || isUncovered(purgeLog, ask, late.item)) {
      // Another process has stored it, and upstream may have told that one what counts of a query.
      if (late?.item.kind === 'response') search?.learn(ask.keyed, late.item);
      return this.#found(ask, { key, read: late, at, sinceMs, ruled, promise, marker });
    }
    observer.fleet({ kind: 'refused', reason: 'purged' });
    return this.#found(ask, { key, read: undefined, at, sinceMs, ruled, promise, marker });
  }

  #found(ask: Ask, looked: LookedUp): MaybePromise<ProxyResponse> {
    const { key, read, ruled, promise: made } = looked;
    if (read === undefined) return this.#missed(ask, looked);
    if (read.item.kind === 'response') {
      const isFit = isKept(made, read.item) && fitsQuery(this.#deps.purgeLog, ask, read.item, ruled !== undefined);
      return isFit ? this.#stored(ask, read, looked) : this.#missed(ask, looked);
    }
    // A marker leads to one variant; a marker under a variant key cannot be (put stores responses there).
    if (key !== ask.keyed.key) return this.#missed(ask, looked);
    const { key: selected, promise } = variantOf(this.#deps.sha256, ask, read.item);
    return this.#lookUnder(ask, selected, { ...looked, promise, marker: read });
  }

  /** The next look at the store of one look-up: together they wait no longer than one may. */
  #lookUnder(ask: Ask, key: string, { at, sinceMs, ruled, promise, marker }: Looking): MaybePromise<ProxyResponse> {
    const { store, clock } = this.#deps;
    const read = store.get(key, sinceMs === undefined ? ask : { ...ask, waitedMs: this.#waitedMs(sinceMs) });
    return read instanceof Promise
      ? this.#late(ask, key, read, { sinceMs: sinceMs ?? clock.monotonicMs(), ruled, promise })
      : this.#found(ask, { key, read, at, sinceMs, ruled, promise, marker });
  }

  /** Nothing is there that is for the request: where else it may be, or upstream. */
  #missed(ask: Ask, { key, at, sinceMs, ruled, promise }: LookedUp): MaybePromise<ProxyResponse> {
    if (promise !== undefined) return this.#lookUnder(ask, promise.ownKey, { at, sinceMs, ruled });
    if (ruled !== undefined) return this.#absent(ruled, 'uri-miss', ruled.keyed.key, sinceMs);
    if (key !== ask.keyed.key) return this.#absent(ask, 'vary-miss', key, sinceMs);
    // What says no rule for queries is under its own query, whatever rule there is.
    const plain = withoutRule(ask);
    if (plain === undefined) return this.#absent(ask, 'uri-miss', key, sinceMs);
    return this.#lookUnder(plain, plain.keyed.key, { at, sinceMs, ruled: ask });
  }

  #absent(ask: Ask, fwd: 'uri-miss' | 'vary-miss', key: string, sinceMs?: number): MaybePromise<ProxyResponse> {
    const decision = decideAbsent(ask.route.policy, ask.requestFields, fwd);
    switch (decision.kind) {
      case 'refuse':
        return onlyIfCached(ask);
      case 'fetch':
        return this.#fetcher.fetch({
          ask,
          key,
          fwd,
          found: undefined,
          validate: false,
          own: ownRequestOf(ask, false),
          waitedMs: this.#waitedMs(sinceMs),
        });
    }
  }

  /** The house's one switch: what is decided in `core/reuse-policy.ts` is done here. */
  #stored(ask: Ask, read: StoreRead, looked: LookedUp): MaybePromise<ProxyResponse> {
    const { key, sinceMs } = looked;
    const { item, staleSinceMs, tier, tally } = read;
    if (item.kind !== 'response') return this.#absent(ask, 'vary-miss', key, sinceMs);
    const nowMs = wallMsOf(this.#deps.clock);
    const found: Found = { read, item, marker: looked.marker, isSettled: isSettled(ask, looked) };
    const ready = tier === 'memory' ? this.#ready.find(ask, found, nowMs) : farAnswer(ask, read, item, nowMs);
    if (ready !== undefined) {
      tally.hits += 1;
      return ready;
    }
    const { policy } = ask.route;
    const decision = decideReuse({ stored: item, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
    const stale = { item, staleSinceMs, tier, tally, foundAt: looked.at };
    switch (decision.kind) {
      case 'reuse':
        tally.hits += 1;
        keepFarAnswer(ask, read, item, nowMs);
        return (
          this.#ready.make(ask, found, nowMs) ??
          respondStored(this.#deps, ask, {
            item,
            staleSinceMs,
            nowMs,
            status: { hit: true, ttl: decision.ttlSeconds, detail: tier },
            outcome: 'hit',
            tier,
          })
        );
      case 'reuse-stale':
        return this.#stale({ ask, key, fwd: 'stale', found: stale, validate: true }, decision, nowMs);
      case 'validate':
      case 'fetch': {
        const { fwd } = decision;
        const validate = decision.kind === 'validate';
        return this.#fetcher.fetch({
          ask,
          key,
          fwd,
          found: stale,
          validate,
          own: ownRequestOf(ask, true),
          waitedMs: this.#waitedMs(sinceMs),
        });
      }
      case 'refuse':
        return onlyIfCached(ask);
    }
  }

  /** By now. Known answers, of which there are most, never ask. */
  #waitedMs(sinceMs: number | undefined): number {
    return sinceMs === undefined ? 0 : this.#deps.clock.monotonicMs() - sinceMs;
  }

  #stale(
    plan: FetchPlan & { readonly found: Fallback },
    { ttlSeconds, revalidate }: Extract<ReuseDecision, { kind: 'reuse-stale' }>,
    nowMs: number,
  ): MaybePromise<ProxyResponse> {
    const { ask, found } = plan;
    // Taken for upstream's word, what is stale would be stored anew.
    const refused = cameBack(this.#deps, ask);
    if (refused !== undefined) return refused;
    const { item, staleSinceMs, tier, tally } = found;
    tally.hits += 1;
    if (revalidate) this.#fetcher.refreshBehind(plan);
    const status = { hit: true, ttl: ttlSeconds, detail: tier };
    return respondStored(this.#deps, ask, { item, staleSinceMs, nowMs, status, outcome: 'stale', tier });
  }
}
