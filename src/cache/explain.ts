import { classifyRequest, type Classification, type RelayReason } from '../core/classify-request.ts';
import type { ListenerConfig, UpstreamConfig } from '../core/config.ts';
import { fieldValue } from '../core/fields.ts';
import { keySteps } from '../core/key-steps.ts';
import { deriveKey } from '../core/key.ts';
import { ok, type Problem, type Result } from '../core/problem.ts';
import { followsRules, relayTarget } from '../core/relay-target.ts';
import { decideAbsent, decideReuse, leaseLostProblem, notStoredProblem } from '../core/reuse-policy.ts';
import type { RouteMatch, RouteTable } from '../core/route-table.ts';
import type { Route } from '../core/route.ts';
import {
  type CoherenceParts,
  explainedCoherence,
  explainedStored,
  judge,
  lookUp,
  maskedTarget,
  type Usable,
} from './explain-parts.ts';
import { explainContent, type WholeRequest } from './explain-content.ts';
import { arrive } from './explain-place.ts';
import { readRequest } from './explain-request.ts';
import type { Located } from './locate.ts';
import type { ExplainedDecision, ExplainRequest, Explanation } from './operations.ts';
import type { LearnedSearch } from './learned-search.ts';
import type { Clock, Sha256, StoredView } from './ports.ts';
import type { Ask } from './respond.ts';
import type { KeyableRequest } from './want-content.ts';

export interface ExplainerParts extends CoherenceParts {
  readonly table: RouteTable;
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  /** With the ports that they are bound to, as soon as they are. */
  readonly listeners: () => readonly ListenerConfig[];
  /** `undefined`: explained from the configuration alone, as if nothing were stored. */
  readonly store: StoredView | undefined;
  /** As the exchange knows it; `undefined`: nothing was learnt. */
  readonly search?: Pick<LearnedSearch, 'peek'>;
  readonly clock: Clock;
  readonly sha256: Sha256;
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
      const { method, fields } = read.value;
      const { table, listeners } = parts;
      const arrival = arrive({ table, listeners: listeners() }, input, fieldValue(fields, 'host'));
      if (!arrival.ok) return arrival;
      const coherence = explainedCoherence(parts);
      switch (arrival.value.kind) {
        case 'invalid':
          return ok({ ...rejected(method, arrival.value.problem), coherence });
        case 'unrouted':
          return ok({ ...rejected(method, noRoute, arrival.value.hint), coherence });
        case 'routed':
          return ok({ ...(await explainRouted(parts, arrival.value.located, read.value)), coherence });
      }
    },
  };
}

async function explainRouted(
  parts: ExplainerParts,
  { match, place }: Located,
  read: Pick<WholeRequest, 'method' | 'fields' | 'hasContent' | 'body'>,
): Promise<Explanation> {
  const { route } = match;
  const request: WholeRequest = { ...place, ...read, absolute: false };
  const classified = classifyRequest(route, request);
  const known = { ...nothing, method: read.method, route: route.name, steps: keySteps(match, request, parts.sha256) };
  switch (classified.kind) {
    case 'reject':
      return { ...known, ...refusal(classified.problem) };
    case 'relay':
      return explainRelay(parts, { match, request, known }, classified);
    case 'lookup':
      break;
  }
  const whole = explainContent(route, request, classified.content);
  switch (whole.kind) {
    case 'reject':
      return { ...known, ...refusal(whole.problem) };
    case 'relay':
      return explainRelay(parts, { match, request, known }, { fwd: 'method', reason: 'content', why: whole.why });
    case 'answer':
      return explainLookUp(parts, { match, request: whole.request, known }, classified.head);
  }
}

async function explainLookUp(
  parts: ExplainerParts,
  { match, request, known }: Routed,
  head: boolean,
): Promise<Explanation> {
  const { route } = match;
  const keyed = deriveKey(match, request, parts.sha256);
  if (!keyed.ok) return { ...known, ...refusal(keyed.error) };
  const asKeyed = parts.search?.peek(keyed.value) ?? keyed.value;
  const ask: Ask = { route, keyed: asKeyed, requestFields: request.fields, head };
  const { store } = parts;
  const looked = store === undefined ? undefined : await lookUp({ ...parts, store }, ask);
  const nowMs = parts.clock.nowMs();
  const { invalidity, usable } = judge(parts, ask, looked);
  const leased = parts.coherence?.status().leased !== false;
  const { key, url, tags, canonical } = asKeyed;
  return {
    ...known,
    steps: asKeyed.steps(),
    key,
    url,
    tags,
    upstream: upstreamOf(parts, route, canonical.target),
    stored: explainedStored(looked, { nowMs, invalidity }),
    ...(leased ? decide(ask, usable, nowMs) : decideUnleased(ask)),
  };
}

/** A request whose route is known. */
interface Routed {
  readonly match: RouteMatch;
  readonly request: KeyableRequest;
  /** What is known of it so far. */
  readonly known: Omit<Explanation, 'decision'>;
}

function explainRelay(
  parts: ExplainerParts,
  { match, request, known }: Routed,
  { fwd, reason, why }: Omit<Extract<Classification, { kind: 'relay' }>, 'kind'> & { readonly why?: string },
): Explanation {
  const target = relayTarget(match, request, { reason, sha256: parts.sha256 });
  // Where the rules do not hold, no parameter becomes another.
  const shown = followsRules(reason) ? known : { ...known, steps: [] };
  if (!target.ok) return { ...shown, ...refusal(target.error) };
  const upstream = upstreamOf(parts, match.route, target.value);
  return { ...shown, upstream, decision: { would: 'relayed', fwd, reason: sayWhy(relayReasons[reason], why) } };
}

function sayWhy(reason: string, why: string | undefined): string {
  return why === undefined ? reason : `${reason}: it is ${why}`;
}

function upstreamOf(parts: ExplainerParts, route: Route, target: string): Explanation['upstream'] {
  return { name: route.upstream, target: maskedTarget(route, target, parts.upstreams.get(route.upstream)) };
}

interface Decided {
  readonly decision: ExplainedDecision;
  readonly problem: Problem | null;
}

/** The exchange's decision, in words. */
function decide(ask: Ask, looked: Usable, nowMs: number): Decided {
  const { policy } = ask.route;
  if (looked.read === undefined) {
    const absent = decideAbsent(policy, ask.requestFields, looked.marker === undefined ? 'uri-miss' : 'vary-miss');
    if (absent.kind === 'refuse') return notStored(absent.reason);
    return forwarded('miss', absent.fwd, looked.isLeftAlone ? leftAlone : absent.reason);
  }
  const { item: stored, staleSinceMs } = looked.read;
  const reuse = decideReuse({ stored, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
  switch (reuse.kind) {
    case 'reuse':
      return { decision: { would: 'hit', fwd: null, reason: reuse.reason }, problem: null };
    case 'reuse-stale': {
      const behind = reuse.revalidate ? '; upstream is asked behind the answer' : '';
      return { decision: { would: 'stale', fwd: null, reason: `${reuse.reason}${behind}` }, problem: null };
    }
    case 'validate':
      return forwarded('revalidated', reuse.fwd, `${reuse.reason}; upstream is asked with the stored validators`);
    case 'fetch':
      return forwarded('miss', reuse.fwd, reuse.reason);
    case 'refuse':
      return notStored(reuse.reason);
  }
}

/** The exchange's decision while the lease is lost. */
function decideUnleased({ route, requestFields }: Ask): Decided {
  const absent = decideAbsent(route.policy, requestFields);
  if (absent.kind === 'refuse') return notStored(absent.reason);
  switch (route.onLeaseLost) {
    case 'error':
      return refusal(leaseLostProblem());
    case 'bypass':
      return forwarded('miss', 'bypass', noLease);
    case 'serve-if-upstream-fails':
      return forwarded('miss', 'bypass', `${noLease}; if upstream fails, what memory holds is served`);
  }
}

const leftAlone = 'Redis is left alone for a while (its breaker is open), so nothing is read from it';
const noLease = 'no lease on the purge log, so nothing is served from store';

function forwarded(would: 'miss' | 'revalidated', fwd: NonNullable<ExplainedDecision['fwd']>, reason: string): Decided {
  return { decision: { would, fwd, reason }, problem: null };
}

function notStored(reason: string): Decided {
  return { ...refusal(notStoredProblem()), decision: { would: 'error', fwd: null, reason } };
}

/** Below 500 the proxy refuses the request itself; from 500 on it has no answer to give. */
function refusal(problem: Problem): Decided {
  const would = problem.status < 500 ? 'rejected' : 'error';
  return { decision: { would, fwd: null, reason: problem.detail }, problem };
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
} as const;

/** `hint`: more than the client is told. */
function rejected(method: string, problem: Problem, hint?: string): Explanation {
  const { decision } = refusal(problem);
  const reason = hint === undefined ? decision.reason : `${decision.reason} ${hint}`;
  return { ...nothing, method, route: null, problem, decision: { ...decision, reason } };
}

const noRoute: Problem = {
  status: 404,
  code: 'route-not-found',
  title: 'No route',
  detail: 'No route matches this path and host.',
};

const relayReasons: Readonly<Record<RelayReason, string>> = {
  'cache-off': 'the route is not cached',
  method: 'the method is neither GET nor HEAD',
  upgrade: 'the request asks for another protocol (Upgrade)',
  authorization: 'the request has Authorization, which the route does not key, so nothing may be shared',
  cookie: 'the request has a Cookie, which the route does not key, so nothing may be shared',
  'method-override': 'the request names another method in a field that goes upstream',
  precondition: 'only upstream can evaluate If-Match and If-Unmodified-Since (RFC 9111 §4.3.2)',
  'content-type': 'the route does not read content of this type, so it cannot be in the key (RFC 10008 §2.7)',
  content: 'the content is not one GraphQL operation that only reads, so it must reach upstream (RFC 9110 §9.2.1)',
};
