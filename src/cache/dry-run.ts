import { appendCacheStatus, withDetail } from '../core/cache-status.ts';
import { type FieldLines, fieldValue } from '../core/fields.ts';
import type { GraphqlReader } from '../core/graphql-text.ts';
import { ok } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { RouteTable } from '../core/route-table.ts';
import type { StoredItem, StoredResponse } from '../core/stored-response.ts';
import { BackgroundWork } from './background.ts';
import { DecodedContents } from './decoded-contents.ts';
import { type DryStoreParts, DryStore } from './dry-store.ts';
import { Exchange, type ExchangeDeps } from './exchange.ts';
import { Fetcher } from './fetcher.ts';
import type { Handled, RelayDecision } from './handled.ts';
import { LearnedSearch } from './learned-search.ts';
import type { Clock, ContentDecoder, Observer, ProxyResponse, PurgeLog, Sha256, UnleasedReads } from './ports.ts';
import type { Silences } from './silent-keys.ts';
import { OneAnswer } from './one-answer.ts';
import type { AnswerReader, ReadAnswer, SupposedHead } from './upstream-ports.ts';

/** What a dry run needs: of what is stored and learnt it only reads. */
export interface DryRunParts extends DryStoreParts {
  readonly table: RouteTable;
  readonly upstreams: ExchangeDeps['upstreams'];
  readonly answers: AnswerReader;
  /** `undefined`: nothing was learnt. */
  readonly search?: Pick<LearnedSearch, 'copy'>;
  /** `undefined`: no request is known to have come back. */
  readonly loops?: ExchangeDeps['loops'];
  /** `undefined`: the lease cannot be lost. */
  readonly unleased?: UnleasedReads;
  /** `undefined`: no key is known to be kept waiting. */
  readonly silent?: Pick<Silences, 'size' | 'has'>;
  /** `undefined`: codings are left on. */
  readonly decoder?: ContentDecoder;
  /** There where a route needs it. */
  readonly graphql: GraphqlReader | undefined;
  readonly clock: Clock;
  readonly sha256: Sha256;
}

export interface DryRequest {
  readonly request: ProxyRequest;
  readonly content: Uint8Array;
  /** `undefined`: upstream cannot be reached. */
  readonly answer: SupposedHead | undefined;
  /** True: as if nothing were stored for it. */
  readonly unstored?: boolean;
}

/** What came of it. */
export interface DryRun {
  /** `undefined` where it was relayed: then the answer is upstream's. */
  readonly response: ProxyResponse | undefined;
  /** The value of Cache-Status that the client would be sent. */
  readonly cacheStatus: string;
  /** What the supposed answer came to; `undefined`: upstream was not asked. */
  readonly read: ReadAnswer | undefined;
  /** It is served stale at once, since upstream has kept such requests waiting until the timeout. */
  readonly isSilent: boolean;
  /** Calls upstream. All but the first fail, since one answer is all that is known. */
  readonly calls: number;
  /** By which upstream is called; `undefined`: it is not. */
  readonly method: string | undefined;
  /** What would be stored; where that is under several keys the first, which later requests look under. */
  readonly stored: StoredResponse | undefined;
  /** Scopes that would be purged, and keys (`k:KEY`) that would be dropped. */
  readonly invalidated: readonly string[];
  /** As told to the observer: why it is not stored, or `stored`. */
  readonly tokens: readonly string[];
}

/**
 * The way of one request through the exchange itself, with everything that it would act on put aside: nothing is stored,
 * purged, learnt, called or counted. So no rule has to be written down a second time to be explained.
 */
export async function dryRun(parts: DryRunParts, asked: DryRequest): Promise<DryRun> {
  const { table, upstreams, sha256, clock } = parts;
  const leased = parts.coherence?.status().leased !== false;
  const put: StoredItem[] = [];
  const invalidated: string[] = [];
  const tokens: string[] = [];
  const errors: unknown[] = [];
  const background = new BackgroundWork((_name, error) => errors.push(error));
  const search = parts.search?.copy() ?? new LearnedSearch({ limit: nothing }, clock);
  const decoder = parts.decoder ?? { decode: () => undefined, pieces: () => undefined };
  const observer = dryObserver(tokens);
  const upstream = new OneAnswer(clock, parts.answers, asked.answer);
  const silent = new SilentView(parts.silent);
  // One by one: whoever explains has the real store, purge log and locks at hand, and none of them may slip in.
  const deps: ExchangeDeps = {
    table,
    upstreams,
    sha256,
    upstream,
    store: new DryStore(asked.unstored === true ? { ...parts, store: undefined } : parts, { put, invalidated }),
    bodyCheck: { fails: () => undefined },
    decoder,
    decoded: new DecodedContents({ decoder, maxBytes: Number.POSITIVE_INFINITY, observer }),
    purgeLog: dryLog(leased, invalidated),
    observer,
    clock: leased ? neverLate(clock) : atOnce(clock),
    search,
    silent,
    background,
    ownHosts: new Set<string>(),
    graphql: parts.graphql,
    ...wherePresent(parts),
  };
  const { isCut, ...sent } = settle(parts, await handle(deps, asked), asked);
  if (isCut === true) tokens.push('too-large');
  await background.idle();
  if (errors.length > 0) throw errors[0];
  const stored = put.find((item) => item.kind === 'response');
  const isSilent = silent.held && sent.response?.meta.outcome === 'stale-error';
  const { calls, method, read } = upstream;
  return { read, ...sent, isSilent, calls, method, stored, invalidated, tokens };
}

async function handle(deps: ExchangeDeps, { request, content }: DryRequest): Promise<Handled> {
  const handled = await new Exchange(deps, new Fetcher(deps)).handle(request);
  return handled.kind === 'content' ? handled.wanted.resume(content) : handled;
}

type Settled = Pick<DryRun, 'response' | 'cacheStatus'> & { readonly read?: ReadAnswer; readonly isCut?: boolean };

function settle(parts: DryRunParts, handled: Handled, { request, answer }: DryRequest): Settled {
  switch (handled.kind) {
    case 'content':
      throw new Error('content was asked for twice');
    case 'relay':
      return { response: undefined, ...settleRelay(parts, handled.relay, { request, answer }) };
    case 'response': {
      const { response } = handled;
      if (response.body.kind === 'stream') response.body.cancel();
      return { response, cacheStatus: lineOf(response.fields) };
    }
  }
}

function settleRelay(
  { clock, answers }: DryRunParts,
  relay: RelayDecision,
  { request, answer }: Pick<DryRequest, 'request' | 'answer'>,
): Omit<Settled, 'response'> {
  if (answer === undefined) return { cacheStatus: relay.cacheStatus };
  const { method, fields } = request;
  const read = answers.relayed({ method, fields, route: relay.route }, answer);
  if (read.kind === 'failure') {
    return { read, cacheStatus: withDetail(relay.cacheStatus, read.failure, answer.status) };
  }
  const atMs = clock.nowMs();
  const head = { status: read.status, fields: read.fields, requestTimeMs: atMs, responseTimeMs: atMs };
  const { tap } = relay.settled(head);
  const isOver = (read.length ?? 0) > relay.route.policy.maxStoredBytes;
  // Nothing of the content is there to be counted.
  tap?.end(!isOver);
  return {
    read,
    isCut: isOver && tap !== undefined,
    cacheStatus: lineOf(appendCacheStatus(read.fields, relay.cacheStatus)),
  };
}

/** All members: those of caches nearer to the origin go before ours. */
function lineOf(fields: FieldLines): string {
  return fieldValue(fields, 'cache-status') ?? '';
}

/** Knows what is known, and takes in nothing. */
class SilentView implements Silences {
  /** What was asked for is known to be kept waiting. */
  held = false;
  readonly size: number;
  readonly #known: Pick<Silences, 'has'> | undefined;

  constructor(known: Pick<Silences, 'size' | 'has'> | undefined) {
    this.size = known?.size ?? 0;
    this.#known = known;
  }

  has(key: string, kind: string, nowMs: number): boolean {
    this.held = this.#known?.has(key, kind, nowMs) === true;
    return this.held;
  }

  note(): void {
    // Nothing is learnt.
  }

  forget(): void {
    // Nor forgotten.
  }
}

function nothing(): void {
  // Nobody is told of anything.
}

function dryObserver(tokens: string[]): Observer {
  return {
    request: nothing,
    upstreamCall: nothing,
    brokenBody: nothing,
    storage: (_route, result) => void tokens.push(result),
    purge: nothing,
    warm: nothing,
    limit: nothing,
    fleet: nothing,
  };
}

function wherePresent({ loops, unleased }: DryRunParts): Pick<ExchangeDeps, 'loops' | 'unleased'> {
  return {
    ...(loops === undefined ? {} : { loops }),
    ...(unleased === undefined ? {} : { unleased: uncounted(unleased) }),
  };
}

/** Whoever answers with what is read counts that. */
function uncounted(reads: UnleasedReads): UnleasedReads {
  return {
    peekUnleased: (key) => {
      const read = reads.peekUnleased(key);
      return read && { ...read, tally: { ...read.tally } };
    },
  };
}

/** What is stored was judged when it was read; its own appends are the only ones there are. */
function dryLog(leased: boolean, invalidated: string[]): PurgeLog {
  let seq = 0;
  return {
    position: () => (leased ? { epoch: 'dry', seq } : undefined),
    isValid: () => true,
    softPurgedAtMs: () => undefined,
    append: async ({ scopes }) => {
      seq += 1;
      invalidated.push(...scopes);
      return ok({ id: `dry/${seq}`, complete: true, sidecars: [], missing: [] });
    },
  };
}

/** Upstream answers in no time, so that no timer ends. */
function neverLate(clock: Clock): Clock {
  return { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs(), after: () => nothing };
}

/** Without a lease a fetch waits for others to join it. Nobody will. */
function atOnce(clock: Clock): Clock {
  return {
    ...neverLate(clock),
    after: (_delayMs, callback) => {
      const timer = new AbortController();
      void soon(callback, timer.signal);
      return () => timer.abort();
    },
  };
}

async function soon(callback: () => void, cancelled: AbortSignal): Promise<void> {
  await Promise.resolve();
  if (!cancelled.aborted) callback();
}
