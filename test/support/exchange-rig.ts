import { Exchange } from '../../src/cache/exchange.ts';
import { Fetcher } from '../../src/cache/fetcher.ts';
import type { FetchRules } from '../../src/cache/fill-types.ts';
import type { ClientLink } from '../../src/cache/handled.ts';
import type { FillAnswer, FillClaim, FillLocks, FleetEvent } from '../../src/cache/fleet-ports.ts';
import type {
  Observer,
  ProxyResponse,
  PurgeLog,
  PurgeReceipt,
  PurgeRequest,
  ResponseStore,
} from '../../src/cache/ports.ts';
import type { UpstreamAnswer, UpstreamCall } from '../../src/cache/upstream-ports.ts';
import { LearnedSearch } from '../../src/cache/learned-search.ts';
import { createRefresher } from '../../src/cache/refresh.ts';
import { RetryTimes } from '../../src/cache/retry-times.ts';
import type { FailureKind } from '../../src/core/failure.ts';
import type { FieldLines } from '../../src/core/fields.ts';
import type { Problem, Result } from '../../src/core/problem.ts';
import type { Route } from '../../src/core/route.ts';
import type { Position, StoredItem, StoredResponse } from '../../src/core/stored-response.ts';
import { createBodyCheck } from '../../src/upstream/body-check.ts';
import { createContentDecoder } from '../../src/upstream/decode.ts';
import { decodedContents } from './decoded.ts';
import { createLocalPurgeLog, type LocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from './clock.ts';
import { keyedOf, sha256, tableOf, TestBackground } from './operations.ts';
import { fieldsOf, freshnessWith, HOUR, requestOf, routeOf, storedOf } from './policy.ts';

/** A purge log whose lease a test takes away and gives back. */
class LeasedLog implements PurgeLog {
  leased = true;
  /** Answered to appends instead of doing them. */
  refusal: Problem | undefined;
  readonly #log: LocalPurgeLog;

  constructor(log: LocalPurgeLog) {
    this.#log = log;
  }

  position(): Position | undefined {
    return this.leased ? this.#log.position() : undefined;
  }

  /** As the log of a fleet, which knows of others that may be ahead. */
  isValid(item: Parameters<PurgeLog['isValid']>[0]): boolean {
    return item.position.seq <= this.#log.position().seq && this.#log.isValid(item);
  }

  softPurgedAtMs(item: Parameters<PurgeLog['isValid']>[0]): number | undefined {
    return this.#log.softPurgedAtMs(item);
  }

  async append(request: PurgeRequest): Promise<Result<PurgeReceipt>> {
    return this.refusal === undefined ? this.#log.append(request) : { ok: false, error: this.refusal };
  }
}

/** An upstream call that the test answers. */
export interface Call extends UpstreamCall {
  readonly signal: AbortSignal;
  /** `framed`: false where the content ends with its connection. */
  answer(status: number, body?: string, fields?: FieldLines, framed?: boolean): void;
  fail(failure?: FailureKind): void;
  crash(): void;
}

/** Fill locks whose answers the test gives: each claim by the next, past the last by the last again. */
export class ScriptedLocks implements FillLocks {
  readonly claims: FillClaim[] = [];
  readonly released: string[] = [];
  /** Keys that each release names. */
  readonly written: (readonly string[])[] = [];
  answers: readonly (FillAnswer | ((claim: FillClaim) => FillAnswer))[];
  /** Told before a release is noted. */
  onRelease: () => void = () => {};

  constructor(...answers: readonly (FillAnswer | ((claim: FillClaim) => FillAnswer))[]) {
    this.answers = answers;
  }

  /** This process fetches. */
  get ours(): FillAnswer {
    return {
      kind: 'ours',
      lock: {
        release: (outcome, keys = []) => {
          this.onRelease();
          this.released.push(outcome);
          this.written.push(keys);
        },
      },
    };
  }

  async claim(claim: FillClaim): Promise<FillAnswer> {
    this.claims.push(claim);
    const answer = this.answers[Math.min(this.claims.length, this.answers.length) - 1];
    if (answer === undefined) throw new Error('no answer to a claim');
    return typeof answer === 'function' ? answer(claim) : answer;
  }
}

/** A request to a rig. */
export interface Asked {
  readonly method?: string;
  readonly path?: string;
  /** `name: value` lines. */
  readonly fields?: readonly string[];
  readonly client?: ClientLink;
}

/** What the client sees of an answer. */
export interface Seen {
  readonly status: number;
  readonly text: string;
  readonly cacheStatus: string;
  readonly outcome: string;
  readonly fwd: string | undefined;
  readonly fields: FieldLines;
}

export interface RigOptions {
  readonly routes?: readonly Route[];
  readonly locks?: ScriptedLocks;
  readonly rules?: FetchRules;
  readonly random?: () => number;
  /** `store.redis.purgeWait`; left out: there is no Redis. */
  readonly purgeWaitMs?: number;
  /** Stands between the exchange and the memory tier. */
  readonly between?: (store: MemoryStore) => ResponseStore;
}

/** The exchange on a real memory tier, in virtual time; upstream, lease and fill locks are in the test's hand. */
export class ExchangeRig implements Disposable {
  readonly clock = new FakeClock();
  readonly local = createLocalPurgeLog({ clock: this.clock, instanceId: 'e', searching: true });
  readonly log = new LeasedLog(this.local);
  readonly memory = createMemoryStore({
    maxBytes: 10_000_000,
    routeLimits: new Map(),
    purgeLog: this.local,
    clock: this.clock,
  });
  readonly background = new TestBackground();
  readonly calls: Call[] = [];
  readonly fleet: FleetEvent[] = [];
  readonly storage: string[] = [];
  /** Options whose limits were met. */
  readonly limits: string[] = [];
  readonly search = new LearnedSearch({ limit: (option) => void this.limits.push(option) }, this.clock);
  readonly refusedInvalidations: string[] = [];
  readonly exchange: Exchange;
  readonly refresher: ReturnType<typeof createRefresher>;
  readonly #routes: readonly Route[];
  /** Bodies that were let go unread. */
  cancelled = 0;
  /** Calls that have not been answered; and the most that there were at once. */
  underWay = 0;
  peak = 0;

  constructor({ routes = [routeOf()], locks, rules, random, purgeWaitMs, between }: RigOptions = {}) {
    this.#routes = routes;
    const deps = {
      table: tableOf(routes),
      store: between?.(this.memory) ?? this.memory,
      unleased: this.memory,
      purgeLog: this.log,
      upstream: { fetch: (call: UpstreamCall, signal: AbortSignal) => this.#call(call, signal) },
      upstreams: new Map([['weather', { origin: 'http://weather.test', totalTimeoutMs: 10_000 }]]),
      background: this.background,
      observer: this.#observer(),
      clock: this.clock,
      sha256,
      search: this.search,
      retryTimes: new RetryTimes(this.clock),
      bodyCheck: createBodyCheck(),
      decoder: createContentDecoder(),
      decoded: decodedContents(),
      ownHosts: new Set<string>(),
      onInvalidationRefused: (route: string, problem: Problem) =>
        void this.refusedInvalidations.push(`${route}: ${problem.code}`),
      ...(locks === undefined ? {} : { fillLocks: locks }),
      graphql: undefined,
      ...(rules === undefined ? {} : { rules }),
      ...(random === undefined ? {} : { random }),
      ...(purgeWaitMs === undefined ? {} : { purgeWaitMs }),
    };
    const fetcher = new Fetcher(deps);
    this.exchange = new Exchange(deps, fetcher);
    this.refresher = createRefresher(deps, fetcher);
  }

  /** A request; resolves with its answer. */
  async get(path = '/forecast', ...fields: readonly string[]): Promise<Seen> {
    return this.ask({ path, fields });
  }

  async head(path = '/forecast', ...fields: readonly string[]): Promise<Seen> {
    return this.ask({ method: 'HEAD', path, fields });
  }

  /** As {@link get}, by another method or from a client that hears interim responses. */
  async ask({ method = 'GET', path = '/forecast', fields = [], client }: Asked): Promise<Seen> {
    const [bare = '', query] = path.split('?');
    const request = requestOf({ method, path: bare, query, fields: fieldsOf(...fields) });
    const handled = await this.exchange.handle(request, client);
    if (handled.kind !== 'response') throw new Error('relayed');
    return seen(handled.response);
  }

  /** Everything that can go on without time, calls or locks does. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
  }

  /** Time passes in steps, and what it sets going goes on. */
  async pass(ms: number, stepMs = 1): Promise<void> {
    await this.settle();
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      this.clock.advance(Math.min(stepMs, leftMs));
      await this.settle();
    }
  }

  /** The call that came as number `index`, from 0. */
  call(index: number): Call {
    const call = this.calls[index];
    if (call === undefined) throw new Error(`no call ${index} of ${this.calls.length}`);
    return call;
  }

  async purge(...scopes: readonly string[]): Promise<void> {
    const receipt = await this.local.append({ scopes: scopes.length === 0 ? ['all'] : scopes, soft: false });
    if (!receipt.ok) throw new Error(receipt.error.detail);
  }

  /** A response as another process would have stored it now. */
  stored(path = '/forecast', traits: Partial<StoredResponse> = {}): StoredResponse {
    const { key, url, tags } = keyedOf(tableOf(this.#routes), path);
    const nowMs = this.clock.nowMs();
    const freshness = freshnessWith({
      freshUntilMs: nowMs + HOUR,
      swrUntilMs: nowMs + HOUR,
      sieUntilMs: nowMs + 2 * HOUR,
      retainUntilMs: nowMs + 3 * HOUR,
    });
    return storedOf({
      key,
      url,
      tags,
      position: this.local.position(),
      body: Buffer.from('stored'),
      requestTimeMs: nowMs,
      responseTimeMs: nowMs,
      freshness,
      ...traits,
    });
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }

  #call(call: UpstreamCall, signal: AbortSignal): Promise<UpstreamAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
    const requestTimeMs = this.clock.nowMs();
    this.underWay += 1;
    this.peak = Math.max(this.peak, this.underWay);
    const end = (answer: UpstreamAnswer): void => {
      this.underWay -= 1;
      resolve(answer);
    };
    const times = () => ({ requestTimeMs, responseTimeMs: this.clock.nowMs(), attempts: 1 });
    const fail = (failure: FailureKind): void => end({ kind: 'failure', failure, detail: 'no connection', ...times() });
    if (signal.aborted) fail('aborted');
    this.calls.push({
      ...call,
      signal,
      answer: (status, text = '', fields = [], framed = true) => {
        const body = { ...bodyOf(text, () => (this.cancelled += 1)), framed };
        end({ kind: 'response', status, fields, body, ...times() });
      },
      fail: (failure = 'connect') => fail(failure),
      crash: () => reject(new Error('a bug')),
    });
    return promise;
  }

  #observer(): Observer {
    return {
      request: ignore,
      upstreamCall: ignore,
      brokenBody: ignore,
      storage: (_route, result) => void this.storage.push(result),
      purge: ignore,
      warm: ignore,
      limit: (option) => void this.limits.push(option),
      fleet: (event) => void this.fleet.push(event),
    };
  }
}

/** A memory tier that answers `get` late, as the shared one does; the test says when. */
export function lateStore(memory: MemoryStore, gates: (() => void)[]): ResponseStore {
  return {
    tier: 'redis',
    async get(key) {
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.push(resolve);
      const read = memory.get(key);
      await promise;
      return read === undefined ? undefined : { ...read, tier: 'redis' };
    },
    peek: (key) => memory.peek(key),
    put: (item: StoredItem) => memory.put(item),
    invalidate: (key) => memory.invalidate(key),
  };
}

function ignore(): void {
  // Nobody counts here.
}

function bodyOf(text: string, cancel: () => void) {
  return {
    length: Buffer.byteLength(text),
    async *chunks() {
      if (text !== '') yield Buffer.from(text);
    },
    streamed: () => {},
    cancel,
  };
}

async function seen({ status, fields, body, meta }: ProxyResponse): Promise<Seen> {
  const parts: Buffer[] = [];
  if (body.kind === 'bytes') parts.push(body.bytes);
  if (body.kind === 'stream') for await (const chunk of body.chunks) parts.push(chunk);
  const cacheStatus = fields.filter(([name]) => name === 'cache-status').map(([, value]) => value);
  return {
    status,
    text: Buffer.concat(parts).toString(),
    cacheStatus: cacheStatus.join(', '),
    outcome: meta.outcome,
    fwd: meta.fwd,
    fields,
  };
}
