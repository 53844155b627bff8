import { formatCacheStatus } from '../core/cache-status.ts';
import { classifyRequest, type Classification } from '../core/classify-request.ts';
import type { ListenerConfig, UpstreamConfig } from '../core/config.ts';
import { contentTooLarge } from '../core/content-key.ts';
import { fieldValue } from '../core/fields.ts';
import type { GraphqlReader } from '../core/graphql-text.ts';
import { malformedRequest, refusedMethod } from '../core/methods.ts';
import { forwardsLeft } from '../core/max-forwards.ts';
import { keySteps } from '../core/key-steps.ts';
import { deriveKey } from '../core/key.ts';
import type { LoopMarks } from '../core/loop-marks.ts';
import { ok, type Problem, type Result } from '../core/problem.ts';
import { followsRules, relayTarget } from '../core/relay-target.ts';
import { relayReasons } from '../core/reasons.ts';
import type { RouteMatch, RouteTable } from '../core/route-table.ts';
import type { Route } from '../core/route.ts';
import { hopsOf, loopDetected } from '../core/via.ts';
import {
  type CoherenceParts,
  explainedCoherence,
  explainedStored,
  judge,
  lookUp,
  maskedTarget,
  readOnce,
  type Usable,
} from './explain-parts.ts';
import { dryRun, type DryRun } from './dry-run.ts';
import { explainContent, type WholeRequest } from './explain-content.ts';
import { decide, type Decided, decideSilent, decideUnleased, forwardedNoMore, refusal } from './explain-decision.ts';
import { explainHttp, explainRelayed, type SupposedLookUp } from './explain-http.ts';
import { fallbackOf } from './explain-fallback.ts';
import { arrive, originForm } from './explain-place.ts';
import { readRequest, readResponse } from './explain-request.ts';
import { parseUrl, type Located } from './locate.ts';
import type { ExplainRequest, Explanation } from './operations.ts';
import { noRoute } from './own-answers.ts';
import { ownRequestOf } from './own-request.ts';
import type { LearnedSearch } from './learned-search.ts';
import type { Clock, ContentDecoder, Sha256, StoredView, UnleasedReads } from './ports.ts';
import type { Ask } from './respond.ts';
import type { Silences } from './silent-keys.ts';
import type { AnswerReader, SupposedHead } from './upstream-ports.ts';
import type { KeyableRequest } from './want-content.ts';

export interface ExplainerParts extends CoherenceParts {
  readonly table: RouteTable;
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  readonly answers: AnswerReader;
  /** With the ports that they are bound to, as soon as they are. */
  readonly listeners: () => readonly ListenerConfig[];
  /** `undefined`: explained from the configuration alone, as if nothing were stored. */
  readonly store: StoredView | undefined;
  /** As the exchange has them; `undefined`: no request is known to have come back. */
  readonly loops?: LoopMarks;
  /** As the exchange knows it; `undefined`: nothing was learnt. */
  readonly search?: Pick<LearnedSearch, 'peek' | 'copy'>;
  /** As the fetcher has them; `undefined`: the lease cannot be lost. */
  readonly unleased?: UnleasedReads;
  /** As the fetcher knows them; `undefined`: no key is known to be kept waiting. */
  readonly silent?: Pick<Silences, 'size' | 'has'>;
  /** As the exchange has it; `undefined`: what is stored is explained in the coding that it is stored in. */
  readonly decoder?: ContentDecoder;
  /** There where a route needs it. */
  readonly graphql: GraphqlReader | undefined;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** What a listener refuses before there is a route; `undefined` where it does not. `undefined` as a whole: no listener's limits are known. */
  readonly listener?: ListenerRefusals;
  /** What the HTTP parser knows, in its spelling. */
  readonly methods: ReadonlySet<string>;
}

/** What is refused for more than its route. */
export interface ListenerRefusals {
  /** For its head: `target` is path and query. */
  head(request: {
    readonly method: string;
    readonly target: string;
    readonly fields: WholeRequest['fields'];
  }): Problem | undefined;
  /** Content of requests that are relayed. Bytes. */
  readonly maxBodyBytes: number;
  /** Of our kind, that a request which is relayed has passed. */
  readonly maxHops: number;
}

export interface Explainer {
  /**
   * What would happen to the request now: the decisions of a real one, on what is stored, without its acts. Nothing is
   * changed, called, or counted, not even as a use for eviction. Refused with a 400 only where the input is no request;
   * a request that the proxy would refuse is explained.
   */
  explain(input: ExplainRequest): Promise<Result<Explanation>>;
}

export function createExplainer(parts: ExplainerParts): Explainer {
  return {
    async explain(input) {
      const read = readRequest(input);
      if (!read.ok) return read;
      const answer = readResponse(input.response);
      if (!answer.ok) return answer;
      const { method, fields } = read.value;
      const { table, listeners } = parts;
      const arrival = arrive({ table, listeners: listeners() }, input, fieldValue(fields, 'host'));
      if (!arrival.ok) return arrival;
      const coherence = explainedCoherence(parts);
      const unserved = unheard(parts, input.url, read.value) ?? unservedMethod(parts, method);
      if (unserved !== undefined) return ok({ ...unserved, coherence });
      switch (arrival.value.kind) {
        case 'invalid':
          return ok({ ...rejected(method, arrival.value.problem), coherence });
        case 'unrouted':
          return ok({ ...rejected(method, noRoute(), arrival.value.hint), coherence });
        case 'routed':
          return ok({ ...(await explainRouted(parts, arrival.value.located, read.value, answer.value)), coherence });
      }
    },
  };
}

async function explainRouted(
  parts: ExplainerParts,
  { match, place }: Located,
  read: Pick<WholeRequest, 'method' | 'fields' | 'hasContent' | 'body'>,
  answer: SupposedHead | undefined,
): Promise<Explanation> {
  const { route } = match;
  const request: WholeRequest = { ...place, ...read, absolute: false };
  const classified = classifyRequest(route, request);
  const known = { ...nothing, method: read.method, route: route.name, steps: keySteps(match, request, parts.sha256) };
  const routed: Routed = { match, request, arrived: request, answer, known };
  switch (classified.kind) {
    case 'reject':
      return { ...known, ...refused(classified.problem) };
    case 'relay':
      return explainRelay(parts, routed, classified);
    case 'lookup':
      break;
  }
  const whole = explainContent(route, request, { form: classified.content, graphql: parts.graphql });
  switch (whole.kind) {
    case 'reject':
      return { ...known, ...refused(whole.problem) };
    case 'relay':
      return explainRelay(parts, routed, whole);
    case 'answer':
      return explainLookUp(parts, { ...routed, request: whole.request }, classified.head);
  }
}

async function explainLookUp(
  parts: ExplainerParts,
  { match, request, arrived, answer, known }: Routed,
  head: boolean,
): Promise<Explanation> {
  const { route } = match;
  const keyed = deriveKey(match, request, parts.sha256);
  if (!keyed.ok) return { ...known, ...refused(keyed.error) };
  const asKeyed = parts.search?.peek(keyed.value) ?? keyed.value;
  const ask: Ask = { route, keyed: asKeyed, requestFields: request.fields, head };
  const store = parts.store === undefined ? undefined : readOnce(parts.store);
  const looked = store === undefined ? undefined : await lookUp({ ...parts, store }, ask);
  const nowMs = parts.clock.nowMs();
  const { invalidity, usable } = judge(parts, ask, looked);
  const { key, url, tags, canonical } = asKeyed;
  const onFailure = fallbackOf(parts, ask, usable);
  const supposed = { request: arrived, content: arrived.body, answer, ask, looked, usable, onFailure, nowMs };
  const dryParts = { ...parts, store };
  const run = await dryRun(dryParts, { ...supposed, answer: undefined });
  return {
    ...known,
    steps: asKeyed.steps(),
    key,
    url,
    tags,
    upstream: upstreamOf(parts, route, { method: methodOf(ask, usable, run), target: canonical.target }),
    stored: explainedStored(looked, { nowMs, invalidity }),
    ...decidedOn(parts, supposed, run),
    ...(await explainHttp(dryParts, supposed, run)),
  };
}

function decidedOn(
  { coherence }: ExplainerParts,
  { ask, usable, onFailure, nowMs }: Pick<SupposedLookUp, 'ask' | 'usable' | 'onFailure' | 'nowMs'>,
  { isSilent, response }: Pick<DryRun, 'isSilent' | 'response'>,
): Decided {
  if (response?.meta.problem === loopDetected.code) return refusal(loopDetected);
  if (isSilent) return decideSilent(ask, onFailure, nowMs);
  return coherence?.status().leased === false ? decideUnleased(ask) : decide(ask, usable, nowMs);
}

/** A request whose route is known. */
interface Routed {
  readonly match: RouteMatch;
  /** As it is looked up. */
  readonly request: KeyableRequest;
  readonly arrived: WholeRequest;
  /** What upstream is supposed to answer. */
  readonly answer: SupposedHead | undefined;
  /** What is known of it so far. */
  readonly known: Omit<Explanation, 'decision'>;
}

async function explainRelay(
  parts: ExplainerParts,
  { match, request, arrived, answer, known }: Routed,
  { fwd, reason, why }: Omit<Extract<Classification, { kind: 'relay' }>, 'kind'> & { readonly why?: string },
): Promise<Explanation> {
  const target = relayTarget(match, request, { reason, sha256: parts.sha256 });
  // Where the rules do not hold, no parameter becomes another.
  const shown = followsRules(reason) ? known : { ...known, steps: [] };
  if (forwardsLeft(request.method, request.fields) === 0) return { ...shown, ...forwardedNoMore };
  const { maxBodyBytes = Number.POSITIVE_INFINITY, maxHops = Number.POSITIVE_INFINITY } = parts.listener ?? {};
  const isLoop = hopsOf(request.fields) > maxHops || parts.loops?.isLoop(match.route.name, request) === true;
  if (isLoop) return { ...shown, ...refused(loopDetected) };
  if (!target.ok) return { ...shown, ...refused(target.error) };
  const declared = Number(fieldValue(request.fields, 'content-length') ?? 0);
  if (Math.max(arrived.body.length, declared) > maxBodyBytes)
    return { ...shown, ...refused(contentTooLarge(maxBodyBytes)) };
  const upstream = upstreamOf(parts, match.route, { method: request.method, target: target.value });
  const words = sayWhy(relayReasons[reason], why);
  const supposed = { request: arrived, content: arrived.body, answer };
  const http = await explainRelayed(parts, supposed, { route: match.route, fwd, reason: words });
  return { ...shown, upstream, decision: { would: 'relayed', fwd, reason: words }, ...http };
}

function sayWhy(reason: string, why: string | undefined): string {
  return why === undefined ? reason : `${reason}: it ${why}`;
}

function upstreamOf(
  { upstreams }: ExplainerParts,
  route: Route,
  { method, target }: { readonly method: string; readonly target: string },
): Explanation['upstream'] {
  return { name: route.upstream, method, target: maskedTarget(route, target, upstreams.get(route.upstream)) };
}

/** Of a request that is answered from store: that of a fetch. */
function methodOf(ask: Ask, { read }: Pick<Usable, 'read'>, { method }: DryRun): string {
  return method ?? ownRequestOf(ask, read !== undefined)?.method ?? ask.keyed.canonical.method;
}

/** What a listener refuses for its head. */
function unheard(
  { listener }: ExplainerParts,
  url: string,
  { method, fields }: Pick<WholeRequest, 'method' | 'fields'>,
): Explanation | undefined {
  const target = parseUrl(url);
  if (!target.ok) return undefined;
  const problem = listener?.head({ method, target: originForm(target.value), fields });
  return problem && rejected(method, problem);
}

/** What the server refuses before it looks for a route; `undefined` for other methods. */
function unservedMethod({ methods }: ExplainerParts, method: string): Explanation | undefined {
  const problem = refusedMethod(method);
  if (problem !== undefined) return rejected(method, problem);
  if (methods.has(method)) return undefined;
  return rejected(
    method,
    malformedRequest(),
    `${method} is no method that is known here (methods are case-sensitive, RFC 9110 §9.1).`,
  );
}

const nothing = {
  key: null,
  url: null,
  tags: [],
  upstream: null,
  steps: [],
  stored: null,
  coherence: null,
  problem: null,
  sent: null,
  notes: [],
  answer: null,
} as const;

/** What the proxy refuses by itself. */
function refused(problem: Problem): Decided & Pick<Explanation, 'sent'> {
  const cacheStatus = formatCacheStatus({ hit: false, detail: problem.code });
  return { ...refusal(problem), sent: { status: problem.status, cacheStatus } };
}

/** `hint`: more than the client is told. */
function rejected(method: string, problem: Problem, hint?: string): Explanation {
  const { decision, sent } = refused(problem);
  const reason = hint === undefined ? decision.reason : `${decision.reason} ${hint}`;
  return { ...nothing, method, route: null, problem, sent, decision: { ...decision, reason } };
}
