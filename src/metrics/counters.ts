import type {
  BrokenBodyRecord,
  Observer,
  PurgeRecord,
  Repeats,
  UpstreamCallRecord,
  WarmRecord,
} from '../cache/ports.ts';
import type { FleetEvent } from '../cache/fleet-ports.ts';
import type { RequestRecord } from '../core/outcome.ts';
import { FleetTally } from './fleet-tally.ts';
import {
  callResultNames,
  callResultOf,
  fwdIndex,
  fwdNames,
  methodNames,
  methodOf,
  outcomeIndex,
  outcomeNames,
  purgeByNames,
  purposeIndex,
  purposeNames,
  resetResult,
  statusClassNames,
  statusClassOf,
  tierIndex,
  tierNames,
} from './labels.ts';
import { bump, DurationTally, RepeatTally, TokenTally } from './tallies.ts';

/** Route of the requests that matched none. */
const noRoute = 'none';

/** What is counted of one route. The arrays' places are those of `labels.ts`. */
export class RouteTally {
  readonly outcomes = new Float64Array(outcomeNames.length);
  /** Content bytes sent, by outcome. */
  readonly bytes = new Float64Array(outcomeNames.length);
  /** By outcome, then method, then status class. */
  readonly requests = new Float64Array(outcomeNames.length * methodNames.length * statusClassNames.length);
  readonly durations: readonly DurationTally[] = outcomeNames.map(() => new DurationTally());
  readonly hitsByTier = new Float64Array(tierNames.length);
  readonly missesByFwd = new Float64Array(fwdNames.length);
  readonly storage = new TokenTally();
  /** Upstream calls by purpose, each attempt counted that came to a connection. */
  readonly calls = new Float64Array(purposeNames.length);
  /** Calls that were answered, and the milliseconds that they took: the measured latency of this route's upstream. */
  readonly answered = new Float64Array(2);
}

/** What is counted of one upstream. */
export class UpstreamTally {
  /** By purpose, then result. */
  readonly calls = new Float64Array(purposeNames.length * callResultNames.length);
  readonly durations = new DurationTally();
  /** Answers that broke off behind their heads, by kind of failure. */
  readonly brokenBodies = new TokenTally();
  /** Answers that put off warming and refreshes: one place. */
  readonly putOffs = new Float64Array(1);
}

interface Alike {
  readonly like: RequestRecord;
  readonly tally: RepeatTally;
}

interface WarmTally {
  runs: number;
  fetched: number;
  reused: number;
  failed: number;
  /** Of those that failed. */
  unasked: number;
}

/** As which warming by call is counted. */
const warmingByCall = 'api';

/** Counts what happens. Everything here only grows; what is shown since a reset is a difference (`report.ts`). */
export class Counters implements Observer {
  readonly upstreams: ReadonlyMap<string, UpstreamTally>;
  readonly problems = new TokenTally();
  readonly limits = new TokenTally();
  readonly fleetTally = new FleetTally();
  /** Purges, keyed `by|mode|source`. */
  readonly purges = new TokenTally();
  readonly purgedBy = new Float64Array(purgeByNames.length);
  readonly purgeDurations = new DurationTally();
  readonly warmJobs = new Map<string, WarmTally>();
  readonly #routes: ReadonlyMap<string, RouteTally>;
  /** Each is counted by its name; who makes up others cannot make series grow. */
  readonly #jobNames: ReadonlySet<string>;
  readonly #unmatched: RouteTally;
  readonly #unknownUpstream: UpstreamTally;
  /** What is alike of requests, by all that it is counted by. */
  readonly #alike = new Map<string, Alike>();

  /** Names of the configuration. */
  constructor(routeNames: Iterable<string>, upstreamNames: Iterable<string>, jobNames: Iterable<string>) {
    this.#jobNames = new Set([...jobNames, warmingByCall]);
    this.#routes = new Map([...routeNames, noRoute].map((name) => [name, new RouteTally()]));
    this.upstreams = new Map([...upstreamNames, noRoute].map((name) => [name, new UpstreamTally()]));
    this.#unmatched = this.#routes.get(noRoute) ?? new RouteTally();
    this.#unknownUpstream = this.upstreams.get(noRoute) ?? new UpstreamTally();
  }

  /** What repeats have counted is added when it is asked for. */
  get routes(): ReadonlyMap<string, RouteTally> {
    for (const { like, tally } of this.#alike.values()) this.#addAlike(like, tally);
    return this.#routes;
  }

  request(record: RequestRecord): void {
    const route = this.#route(record.route);
    const outcome = outcomeIndex[record.outcome];
    this.#count(record, 1);
    bump(route.bytes, outcome, record.bytesSent);
    route.durations[outcome]?.add(record.durationMs);
  }

  repeats(like: RequestRecord): Repeats | undefined {
    if (like.problem !== undefined) return undefined;
    const name = [
      this.#routes.has(like.route ?? '') ? like.route : '',
      like.outcome,
      methodOf(like.method),
      statusClassOf(like.status),
      like.tier,
      like.fwd,
    ].join('|');
    const known = this.#alike.get(name);
    if (known !== undefined) return known.tally;
    const tally = new RepeatTally();
    this.#alike.set(name, { like, tally });
    return tally;
  }

  upstreamCall(call: UpstreamCallRecord): void {
    const route = this.#route(call.route);
    const purpose = purposeIndex[call.purpose];
    // By route, what upstream saw: reports take calls for what it costs. By upstream, what came of each attempt.
    bump(route.calls, purpose, call.unsent === true ? call.attempts - 1 : call.attempts);
    if (call.status !== undefined && call.durationMs >= 0) {
      bump(route.answered, 0);
      bump(route.answered, 1, call.durationMs);
    }
    const upstream = this.upstreams.get(call.upstream) ?? this.#unknownUpstream;
    const first = purpose * callResultNames.length;
    bump(upstream.calls, first + callResultOf(call));
    if (call.attempts > 1) bump(upstream.calls, first + resetResult, call.attempts - 1);
    upstream.durations.add(call.durationMs);
    if (call.retryAfterMs !== undefined) bump(upstream.putOffs, 0);
  }

  brokenBody({ upstream, failure }: BrokenBodyRecord): void {
    (this.upstreams.get(upstream) ?? this.#unknownUpstream).brokenBodies.add(failure);
  }

  storage(route: string, result: string): void {
    this.#route(route).storage.add(result);
  }

  purge(record: PurgeRecord): void {
    this.purges.add(`${record.by}|${record.soft ? 'soft' : 'hard'}|${record.source}`);
    bump(this.purgedBy, purgeByNames.indexOf(record.by), record.matched);
    this.purgeDurations.add(record.durationMs);
  }

  warm(record: WarmRecord): void {
    const name = this.#jobNames.has(record.job) ? record.job : 'other';
    const job = this.warmJobs.get(name) ?? { runs: 0, fetched: 0, reused: 0, failed: 0, unasked: 0 };
    job.runs += 1;
    job.fetched += record.fetched;
    job.reused += record.reused;
    job.failed += record.failed;
    job.unasked += record.unasked ?? 0;
    this.warmJobs.set(name, job);
  }

  limit(option: string): void {
    this.limits.add(option);
  }

  fleet(event: FleetEvent): void {
    this.fleetTally.add(event);
  }

  #count(record: RequestRecord, requests: number): void {
    const route = this.#route(record.route);
    const outcome = outcomeIndex[record.outcome];
    bump(route.outcomes, outcome, requests);
    const methodPlace = outcome * methodNames.length + methodOf(record.method);
    bump(route.requests, methodPlace * statusClassNames.length + statusClassOf(record.status), requests);
    if (isHit[outcome] === true) bump(route.hitsByTier, tierIndex[record.tier ?? 'none'], requests);
    if (isMiss[outcome] === true) bump(route.missesByFwd, fwdIndex[record.fwd ?? 'none'], requests);
    if (record.problem !== undefined) this.problems.add(record.problem, requests);
  }

  #addAlike(like: RequestRecord, tally: RepeatTally): void {
    const route = this.#route(like.route);
    const outcome = outcomeIndex[like.outcome];
    const durations = route.durations[outcome];
    if (durations === undefined) return;
    const { count, bytes } = tally.moveTo(durations);
    if (count === 0) return;
    this.#count(like, count);
    bump(route.bytes, outcome, bytes);
  }

  #route(name: string | undefined): RouteTally {
    return name === undefined ? this.#unmatched : (this.#routes.get(name) ?? this.#unmatched);
  }
}

const isHit = outcomeNames.map((name) => name === 'hit' || name === 'stale' || name === 'stale-error');
const isMiss = outcomeNames.map((name) => name === 'miss' || name === 'collapsed' || name === 'revalidated');
