import { requestForbidsStoring } from '../core/client-directives.ts';
import type { Position } from '../core/stored-response.ts';
import { baseKeyOf } from '../core/vary.ts';
import { answerInstead, answerWith, hasStaleFallback, isReplaced, staleWhileDown } from './answer.ts';
import { type Boarding, type Flight, Flights, HoldList } from './collapse.ts';
import { cameBack } from './come-back.ts';
import type { DecodedContents } from './decoded-contents.ts';
import { burstOver, landed } from './departure.ts';
import { asFetched, type FetchPlan, improved, isGood, isOfVariant, outcomeOf, validatedBy } from './fetch-plan.ts';
import { fill } from './fill.ts';
import { takeTurn, type FleetFillDeps, type Turn } from './fleet-fill.ts';
import { isLeased, mayServe, mayStillServe } from './judge.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import { interimsFor } from './interims.ts';
import type { Background, MaybePromise, ProxyResponse, PurgeLog, UnleasedReads } from './ports.ts';
import type { UpstreamCall } from './upstream-ports.ts';
import { appearanceOf, insistsOnItsOwn, isForAll, isGivenUp, isOpenTo, saysNothing, shareOf } from './sharing.ts';
import { SilentKeys, type Silences } from './silent-keys.ts';
import { awaitSoftly, softDueMs } from './soft-timeout.ts';

/** After an answer that could not be shared, requests for its key go upstream side by side for this long. */
const UNSHARED_HOLD_MS = 10_000;
/** After a background refresh that failed, hits do not start another for this long. */
const REFRESH_HOLD_MS = 1_000;
/** Keys on a hold list; some 100 bytes each. */
const HOLD_CAPACITY = 10_000;

export interface FetcherDeps extends FillDeps, FleetFillDeps {
  readonly purgeLog: PurgeLog;
  readonly background: Background;
  readonly decoded: DecodedContents;
  /** For routes with `onLeaseLost: serve-if-upstream-fails`; `undefined` where the lease cannot be lost. */
  readonly unleased?: UnleasedReads;
  /** Where somebody else wants to know of them, too; `undefined`: the fetcher has its own. */
  readonly silent?: Silences;
}

/** When a request came, and how long it waits. */
interface Arrival {
  /** {@link Flights.moment}. */
  readonly at: number;
  /** {@link softDueMs}. */
  readonly dueMs: number | undefined;
}

/** A fetch that is shared, from its waiting to its landing. */
interface Voyage {
  readonly plan: FetchPlan;
  readonly purpose: UpstreamCall['purpose'];
  readonly flight: Flight<FillResult, FetchPlan>;
  /** Must have landed first. */
  readonly ahead: Flight<FillResult, FetchPlan> | undefined;
}

/** Goes upstream once for all who ask, and turns what comes of it into an answer. */
export class Fetcher {
  readonly #deps: FetcherDeps;
  readonly #flights = new Flights<FillResult, FetchPlan>();
  readonly #unshared = new HoldList(UNSHARED_HOLD_MS, HOLD_CAPACITY);
  readonly #failedRefresh = new HoldList(REFRESH_HOLD_MS, HOLD_CAPACITY);
  readonly #silent: Silences;

  constructor(deps: FetcherDeps) {
    this.#deps = deps;
    this.#silent = deps.silent ?? new SilentKeys();
  }

  fetch(plan: FetchPlan): Promise<ProxyResponse> {
    const refused = cameBack(this.#deps, plan.ask);
    if (refused !== undefined) return Promise.resolve(refused);
    if (insistsOnItsOwn(plan)) return this.#alone(plan);
    const stale = this.#isSilent(plan) ? staleWhileDown(this.#deps, plan) : undefined;
    if (stale !== undefined) {
      this.refreshBehind(plan);
      return Promise.resolve(stale);
    }
    // Whatever is boarded after a flight that was purged in the air begins later than this, and is used as it lands: a
    // request goes round at most once for a key, however often is purged.
    const came: Arrival = { at: this.#flights.moment, dueMs: softDueMs(this.#deps, plan) };
    return this.#goRound(plan, came);
  }

  #goRound(plan: FetchPlan, came: Arrival): Promise<ProxyResponse> {
    const isHeld = this.#unshared.has(plan.key, this.#nowMs());
    if (isHeld || this.#goesItself(plan, came.at)) return this.#alone(plan, came.dueMs);
    return this.#together(plan, came);
  }

  /** What the flight for the key comes to for this request, its own or one that it joins. */
  #together(plan: FetchPlan, came: Arrival): Promise<ProxyResponse> {
    const boarding = this.#board(plan, 'interactive', came.at);
    const { flight, leader } = boarding;
    if (came.dueMs === undefined) return flight.result.then((result) => this.#landed(plan, boarding, came, result));
    return awaitSoftly(this.#deps, plan, flight.result, came.dueMs).then((awaited) => {
      if (awaited.kind === 'result') return this.#landed(plan, boarding, came, awaited.result);
      flight.keep();
      if (leader) this.#seeTo(plan, flight.result);
      return awaited.response;
    });
  }

  #landed(
    plan: FetchPlan,
    boarding: Boarding<FillResult, FetchPlan>,
    came: Arrival,
    result: FillResult,
  ): MaybePromise<ProxyResponse> {
    const { flight, leader } = boarding;
    const fetched = asFetched(plan, flight);
    if (leader) this.#note(fetched, result);
    const share = leader ? 'use' : this.#shareOf(plan, boarding, result);
    if (share === 'use') return answerWith(this.#deps, fetched, result, leader);
    if (share === 'alone') return this.#alone(plan, came.dueMs);
    if (share === 'instead') return answerInstead(this.#deps, fetched, result) ?? this.#alone(plan, came.dueMs);
    // Who want one variant share one call: it begins later than each of them came.
    return this.#goRound(share === 'retry' ? plan : { ...plan, key: share.variant }, came);
  }

  /** One refresh at a time for a key, detached from whoever triggered it (RFC 5861 §3). */
  refreshBehind(plan: FetchPlan): void {
    const { key, ask } = plan;
    // Nothing of what came back could be stored, and nobody waits for it.
    if (requestForbidsStoring(ask.route.policy, ask.requestFields)) return;
    if (this.#flights.has(key) || this.#failedRefresh.has(key, this.#nowMs())) return;
    if (this.#deps.retryTimes?.has(ask.route.upstream, key) === true) return;
    this.#deps.background.run('stale-while-revalidate', async () => {
      await this.refresh(plan, 'revalidate');
    });
  }

  /** Fetches for nobody in particular. Collapsed with whatever is under way for the key. */
  async refresh(plan: FetchPlan, purpose: UpstreamCall['purpose']): Promise<FillResult> {
    const { flight, leader } = this.#board(plan, purpose, this.#flights.moment);
    const result = await flight.result;
    if (!leader && saysNothing(result)) return this.refresh(plan, purpose);
    if (leader) this.#note(plan, result);
    if (leader && result.kind === 'stream') result.cancel();
    if (result.kind !== 'stored' && result.kind !== 'taken') this.#failedRefresh.note(plan.key, this.#nowMs());
    return result;
  }

  async #alone(plan: FetchPlan, dueMs?: number): Promise<ProxyResponse> {
    const position = this.#deps.purgeLog.position();
    const input = this.#inputOf(plan, 'interactive', position);
    // What goes upstream as a HEAD is no validation: all that its answer says of the response is wanted.
    const own = plan.own?.method === 'HEAD' ? { own: plan.own, validate: undefined } : { own: plan.own };
    let goesOn = false;
    const isWanted = (): boolean => goesOn || plan.ask.client?.isOver !== true;
    // Nobody else gets what comes of it, so that it ends with its client.
    const whenGone = (end: () => void): void => plan.ask.client?.whenGone?.(() => (goesOn ? undefined : end()));
    const filled = this.#deps.background.own('fill', (signal) =>
      fill(this.#deps, { ...input, ...own, isWanted, whenGone }, signal),
    );
    const awaited = await awaitSoftly(this.#deps, plan, filled, dueMs);
    if (awaited.kind === 'stale') {
      goesOn = true;
      this.#seeTo(plan, filled);
      return awaited.response;
    }
    const { result } = awaited;
    const fetched = asFetched(plan, { position });
    // What an insisting request gets says nothing of how others fare, and neither does the answer to its own conditions.
    if (!insistsOnItsOwn(plan) && plan.own === undefined) this.#note(fetched, result);
    return answerWith(this.#deps, fetched, result, true);
  }

  /** What comes of a call whose request was answered before: nobody else reads a body that could not be stored. */
  #seeTo(plan: FetchPlan, filled: Promise<FillResult>): void {
    this.#deps.background.run('soft-timeout', async () => {
      const result = await filled;
      this.#note(plan, result);
      if (result.kind === 'stream') result.cancel();
    });
  }

  /** A request of its own joins a plain one only where that is under way already; a HEAD never does. */
  #goesItself(plan: FetchPlan, cameAt: number): boolean {
    if (plan.own === undefined) return false;
    const mayJoin = (flight: Flight<FillResult, FetchPlan>): boolean => isOpenTo(plan, flight, this.#deps);
    return plan.own.method === 'HEAD' || !this.#flights.offers(plan.key, { cameAt, mayJoin });
  }

  #shareOf(
    plan: FetchPlan,
    { flight, early }: Boarding<FillResult, FetchPlan>,
    result: FillResult,
  ): ReturnType<typeof shareOf> {
    if (isGivenUp(result) && plan.ask.client?.isOver === false) return 'retry';
    return shareOf(this.#deps, plan, { flight, early, leader: flight.begunBy }, result);
  }

  #board(plan: FetchPlan, purpose: UpstreamCall['purpose'], cameAt: number): Boarding<FillResult, FetchPlan> {
    return this.#flights.join(plan.key, {
      cameAt,
      mayJoin: (flight) => isOpenTo(plan, flight, this.#deps),
      // Without a lease what is under way cannot be joined: each newcomer would make a call of its own (invariant 19).
      queues: !isLeased(this.#deps.purgeLog),
      plan,
      client: purpose === 'interactive' ? plan.ask.client : undefined,
      start: (flight, ahead) =>
        this.#deps.background.own('fill', (signal) => this.#fly({ plan, purpose, flight, ahead }, signal)),
    });
  }

  /** Waits for what has to be waited for, and fetches. Nothing is waited for with a lease and without a fleet. */
  #fly(voyage: Voyage, signal: AbortSignal): Promise<FillResult> {
    const { purgeLog, fillLocks } = this.#deps;
    const { plan, purpose, flight, ahead } = voyage;
    const waits = ahead !== undefined || fillLocks !== undefined || !isLeased(purgeLog);
    return waits ? this.#flyLater(voyage, signal) : this.#send(plan, purpose, flight, signal);
  }

  async #flyLater({ plan, purpose, flight, ahead }: Voyage, signal: AbortSignal): Promise<FillResult> {
    const { purgeLog, clock, fillLocks } = this.#deps;
    if (ahead !== undefined) await landed(ahead);
    else if (!isLeased(purgeLog)) await burstOver(flight, clock, signal);
    if (fillLocks === undefined || !isLeased(purgeLog)) return this.#send(plan, purpose, flight, signal);
    const turn = await takeTurn(this.#deps, fillLocks, plan, signal);
    if (turn.kind === 'fetch') return this.#sendLocked({ plan: improved(plan, turn), purpose, flight }, turn, signal);
    if (turn.kind === 'failed') {
      flight.depart(purgeLog.position());
      return turn;
    }
    const { position } = turn.read.item;
    if (!mayServe(purgeLog, plan.ask, turn.read.item)) return this.#send(plan, purpose, flight, signal);
    this.#deps.search?.learn(plan.ask.keyed, turn.read.item);
    // All who wait now came before it was found to be valid. Who joins from here on has to look for himself.
    flight.depart(position);
    return turn;
  }

  async #sendLocked(
    { plan, purpose, flight }: Omit<Voyage, 'ahead'>,
    { lock }: Extract<Turn, { kind: 'fetch' }>,
    signal: AbortSignal,
  ): Promise<FillResult> {
    let ended: FillResult | undefined;
    try {
      ended = await this.#send(plan, purpose, flight, signal);
      return ended;
    } finally {
      // Where upstream varies the marker and the variant are two writes, under other keys than the lock's perhaps; and what is
      // stored under a rule for queries is also under the whole query of who was first.
      const keys = ended?.kind === 'stored' ? [plan.ask.keyed.key, baseKeyOf(ended.item.key), ended.item.key] : [];
      lock?.release(outcomeOf(ended), [...new Set(keys)]);
    }
  }

  #send(
    plan: FetchPlan,
    purpose: UpstreamCall['purpose'],
    flight: Flight<FillResult, FetchPlan>,
    signal: AbortSignal,
  ): Promise<FillResult> {
    // Nothing comes between the position and the request (invariant 2).
    const position = this.#deps.purgeLog.position();
    flight.depart(position);
    return fill(this.#deps, { ...this.#inputOf(plan, purpose, position), isWanted: () => flight.isWanted }, signal);
  }

  #inputOf(plan: FetchPlan, purpose: UpstreamCall['purpose'], position: Position | undefined): FillInput {
    const { ask } = plan;
    // A purge may have come since it was found: then nothing of it may live on, not even by a 304.
    const usable =
      plan.found !== undefined && position !== undefined && mayStillServe(this.#deps.purgeLog, ask, plan.found);
    const found = usable ? plan.found : undefined;
    return {
      route: ask.route,
      keyed: ask.keyed,
      requestFields: ask.requestFields,
      purpose,
      validate: validatedBy(plan, found),
      known: found?.item,
      isVariant: isOfVariant(plan),
      position,
      mayStore: !requestForbidsStoring(ask.route.policy, ask.requestFields),
      staleFallback: (purpose !== 'interactive' && isGood(found)) || hasStaleFallback(this.#deps, plan),
      // Nor is there anybody to tell: whoever it is done for has been answered.
      onInterim: purpose === 'interactive' ? interimsFor(ask) : undefined,
    };
  }

  #note(plan: FetchPlan, result: FillResult): void {
    const { key } = plan;
    const nowMs = this.#nowMs();
    if (result.kind === 'failed') {
      if (result.failure !== 'timeout') return;
      const kind = appearanceOf(this.#deps, plan);
      // What the other process' request looked like is not known here.
      const isOfOthers = result.elsewhere === true && kind !== '';
      if (!isOfOthers) this.#silent.note(key, kind, nowMs);
      return;
    }
    if (this.#silent.size > 0) this.#silent.forget(key, appearanceOf(this.#deps, plan), nowMs);
    if (isForAll(this.#deps, plan, result) || isReplaced(this.#deps, plan, result)) this.#unshared.forget(key);
    else this.#unshared.note(key, nowMs);
  }

  #isSilent(plan: FetchPlan): boolean {
    return this.#silent.size > 0 && this.#silent.has(plan.key, appearanceOf(this.#deps, plan), this.#nowMs());
  }

  #nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }
}
