import { classifyRequest, type RelayReason } from '../core/classify-request.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { deriveKey } from '../core/key.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { decideAbsent, decideReuse, notStoredProblem } from '../core/reuse-policy.ts';
import type { RouteTable } from '../core/route-table.ts';
import { explainedStored, lookUp, maskedTarget, type Looked } from './explain-parts.ts';
import { locate, type Located } from './locate.ts';
import type { ExplainedDecision, ExplainRequest, Explanation } from './operations.ts';
import type { Clock, ResponseStore, Sha256, StoreInspector } from './ports.ts';
import type { Ask } from './respond.ts';

export interface ExplainerParts {
  readonly table: RouteTable;
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  /** `undefined`: explained from the configuration alone, as if nothing were stored. */
  readonly store: ResponseStore | undefined;
  readonly inspector: Pick<StoreInspector, 'summary'> | undefined;
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
  async function explain(input: ExplainRequest): Promise<Result<Explanation>> {
    const method = input.method ?? 'GET';
    const fields = requestFields(input.headers ?? {});
    if (!token.test(method)) return refused(notARequest('The method is no token (RFC 9110 §9.1).'));
    if (!fields.ok) return fields;
    const located = locate(parts.table, input.url, fieldValue(fields.value, 'host'));
    if (!located.ok) return ok(rejected(method, located.error));
    // Where several listeners or hosts govern a bare path, the plain one is what a client without them would get.
    const [first] = located.value;
    if (first === undefined) return ok(rejected(method, noRoute));
    return ok(await explainRouted(first, { method, fields: fields.value }));
  }

  async function explainRouted(
    { match, place }: Located,
    { method, fields }: Pick<ProxyRequest, 'method' | 'fields'>,
  ): Promise<Explanation> {
    const { route } = match;
    const request: ProxyRequest = { ...place, absolute: false, method, fields, hasContent: hasContent(fields) };
    const known = { ...nothing, method, route: route.name };
    const classified = classifyRequest(route, request);
    switch (classified.kind) {
      case 'reject':
        return { ...known, ...refusal(classified.problem) };
      case 'relay':
        return {
          ...known,
          decision: { would: 'relayed', fwd: classified.fwd, reason: relayReasons[classified.reason] },
        };
      case 'lookup':
        break;
    }
    const keyed = deriveKey(match, request, parts.sha256);
    if (!keyed.ok) return { ...known, ...refusal(keyed.error) };
    const ask: Ask = { route, keyed: keyed.value, requestFields: fields, head: classified.head };
    const looked = parts.store === undefined ? undefined : await lookUp(parts.store, ask, parts.sha256);
    const nowMs = parts.clock.nowMs();
    const { decision, problem } = decide(ask, looked, nowMs);
    const { key, url, tags, steps, canonical } = keyed.value;
    const target = maskedTarget(route, canonical, parts.upstreams.get(route.upstream));
    return {
      method,
      route: route.name,
      key,
      url,
      tags,
      upstream: { name: canonical.upstream, target },
      steps: steps(),
      stored: explainedStored(looked, nowMs, parts.inspector),
      decision,
      problem,
    };
  }

  return { explain };
}

interface Decided {
  readonly decision: ExplainedDecision;
  readonly problem: Problem | null;
}

/** The exchange's decision, in words. */
function decide(ask: Ask, looked: Looked | undefined, nowMs: number): Decided {
  const { policy } = ask.route;
  if (looked?.read === undefined) {
    const absent = decideAbsent(policy, ask.requestFields, looked?.variant === true ? 'vary-miss' : 'uri-miss');
    return absent.kind === 'refuse' ? notStored(absent.reason) : forwarded('miss', absent.fwd, absent.reason);
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

const nothing = { key: null, url: null, tags: [], upstream: null, steps: [], stored: null, problem: null } as const;

function rejected(method: string, problem: Problem): Explanation {
  return { ...nothing, method, route: null, ...refusal(problem) };
}

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/u;

function requestFields(headers: Readonly<Record<string, string>>): Result<FieldLines> {
  const fields: (readonly [string, string])[] = [];
  for (const [name, value] of Object.entries(headers)) {
    // What node:http would not let in must not be explained as if it could come.
    if (!token.test(name) || !/^[\t\u0020-\u007e\u0080-\u00ff]*$/u.test(value)) {
      return refused(notARequest('A header has a name or a value that no request can have (RFC 9110 §5).'));
    }
    fields.push([name.toLowerCase(), value.trim()]);
  }
  return ok(fields);
}

/** RFC 9112 §6: content is announced by either field. */
function hasContent(fields: FieldLines): boolean {
  return fieldValue(fields, 'transfer-encoding') !== undefined || Number(fieldValue(fields, 'content-length') ?? 0) > 0;
}

function notARequest(detail: string): Problem {
  return { status: 400, code: 'explain-invalid', title: 'Not a request', detail };
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
};
