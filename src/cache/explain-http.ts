import { isUnsafe } from '../core/methods.ts';
import { failureProblem } from '../core/failure-policy.ts';
import { answerReasons, passReason, storableReason } from '../core/reasons.ts';
import { formatCacheStatus, withKey } from '../core/cache-status.ts';
import type { Fwd } from '../core/outcome.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { dryRun, type DryRun, type DryRunParts } from './dry-run.ts';
import { explainAnswer, nothing, replyOf } from './explain-answer.ts';
import { interimNotes, relayedCodingNotes } from './explain-fields.ts';
import { expireAtNotes, lifetimeNotes } from './explain-lifetime.ts';
import { type Asked, clientNotes, requestNotes } from './explain-notes.ts';
import type { OnFailure } from './explain-fallback.ts';
import type { Looked, Usable } from './explain-parts.ts';
import type { ExplainedAnswer, ExplainedNote, ExplainedReply } from './explained-http.ts';
import type { Ask } from './respond.ts';
import type { ReadAnswer, SupposedHead } from './upstream-ports.ts';

/** A request, and perhaps the answer that upstream is supposed to give to it. */
export interface Supposed {
  readonly request: ProxyRequest;
  readonly content: Uint8Array;
  readonly answer: SupposedHead | undefined;
}

/** A request that is looked up, and what was found. */
export interface SupposedLookUp extends Supposed {
  readonly ask: Ask;
  /** Whether it may be served or not. */
  readonly looked: Looked | undefined;
  readonly usable: Usable;
  readonly onFailure: OnFailure;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** The part of an explanation that is HTTP caching. */
export interface ExplainedHttp {
  readonly sent: ExplainedReply | null;
  readonly notes: readonly ExplainedNote[];
  readonly answer: ExplainedAnswer | null;
}

/** Of a request that is looked up. `run`: without an answer of upstream's. */
export async function explainHttp(parts: DryRunParts, supposed: SupposedLookUp, run: DryRun): Promise<ExplainedHttp> {
  const { request, content, answer, ask, looked, usable: found, onFailure, nowMs } = supposed;
  const asked = { ask, found, onFailure, nowMs };
  const { policy } = ask.route;
  const { keyed } = ask;
  const read = looked?.read;
  const lived = read === undefined ? [] : lifetimeNotes({ ...read, policy, keyed, nowMs });
  const expiry = expireAtNotes({ policy, keyed, nowMs });
  return {
    sent: isAsked(run) ? forwardedReply(ask, run) : replyOf(run),
    notes: [...lived, ...expiry, ...notesOnRun(parts, asked, run)],
    answer: answer === undefined ? null : await explainAnswer(parts, { ...asked, request, content, answer }),
  };
}

/** Whether upstream is asked before the client is answered. */
function isAsked({ calls, response, isSilent }: DryRun): boolean {
  return calls > 0 && response?.meta.outcome !== 'stale' && !isSilent;
}

function notesOnRun(parts: DryRunParts, asked: Omit<Asked, 'status'>, run: DryRun): readonly ExplainedNote[] {
  const { response } = run;
  if (isAsked(run)) return requestNotes(parts.sha256, { ...asked, status: undefined });
  // An answer of the proxy's own is about nothing but what the request demands.
  if (response?.meta.problem !== undefined) return clientNotes(asked.ask);
  return requestNotes(parts.sha256, { ...asked, status: response?.status });
}

/** The label as far as it is known before upstream has answered. */
function forwardedReply(ask: Ask, { response }: DryRun): ExplainedReply {
  const fwd = response?.meta.fwd;
  const line = formatCacheStatus(withKey(fwd === undefined ? { hit: false } : { hit: false, fwd }, ask));
  return { status: null, cacheStatus: line };
}

/** Of a request that is relayed. */
export async function explainRelayed(
  parts: DryRunParts,
  { request, content, answer }: Supposed,
  { route, fwd, reason }: { readonly route: Route; readonly fwd: Fwd; readonly reason: string },
): Promise<ExplainedHttp> {
  const run = await dryRun(parts, { request, content, answer: answer ?? { status: 204, fields: [] } });
  const sent = { status: null, cacheStatus: formatCacheStatus({ hit: false, fwd }) };
  const gone = answer === undefined ? invalidationNotes(route, request, run) : [];
  const notes = [...gone, ...interimNotes(route, true)];
  return { sent, notes, answer: answer === undefined ? null : relayedAnswer({ route, request, answer, reason }, run) };
}

function invalidationNotes(route: Route, { method }: ProxyRequest, run: DryRun): readonly ExplainedNote[] {
  if (!isUnsafe(method)) return [];
  return [{ topic: 'invalidation', text: `${invalidationText(route, run)} (RFC 9111 §4.4)` }];
}

function invalidationText(route: Route, { invalidated }: DryRun): string {
  if (invalidated.length > 0) {
    return `a 2xx or 3xx answer makes invalid what is stored for this URL, and for those of this origin in Location and Content-Location: ${invalidated.join(', ')}`;
  }
  if (route.cache === 'off') return 'nothing is made invalid: the route is not cached';
  switch (route.policy.upstreamCacheControl) {
    case 'ignore':
      return 'nothing is made invalid: the route ignores the caching fields of upstream';
    case 'cap':
      return 'only the groups that Cache-Group-Invalidation names are made invalid, since the rule decides here (RFC 9875 §3)';
    case 'honour':
      return 'nothing is made invalid: no key can be made of this URL';
  }
}

/** A request that is relayed, and what upstream is supposed to answer. */
interface RelayedAnswer {
  readonly route: Route;
  readonly request: ProxyRequest;
  readonly answer: SupposedHead;
  /** Why it is relayed. */
  readonly reason: string;
}

function relayedAnswer(relayed: RelayedAnswer, run: DryRun): ExplainedAnswer {
  const { request, answer } = relayed;
  const { stored, invalidated, read } = run;
  if (read?.kind === 'failure') return refusedRelay(read, run);
  const gone: readonly ExplainedNote[] = [{ topic: 'invalidation', text: goneText(request, answer, invalidated) }];
  return {
    stored: stored !== undefined,
    token: stored === undefined ? (run.tokens.at(-1) ?? null) : null,
    reason: stored === undefined ? notKept(relayed, run) : keptReason(stored),
    sent: { status: answer.status, cacheStatus: run.cacheStatus },
    key: stored?.key ?? null,
    tags: stored?.tags ?? [],
    invalidates: invalidated,
    notes: [
      ...(isUnsafe(request.method) ? gone : []),
      ...relayedCodingNotes(request, { sent: answer, received: read ?? answer }),
    ],
  };
}

function keptReason({ freshness }: StoredResponse): string {
  return `${storableReason(freshness.source)}; ${answerReasons['post-kept']}`;
}

function notKept({ route, request, reason }: RelayedAnswer, { tokens }: DryRun): string {
  if (tokens.at(-1) === 'too-large') return `${reason}; ${passReason('too-large')}`;
  const honours = route.policy.upstreamCacheControl === 'honour' && route.cache === 'on';
  return honours && request.method === 'POST' ? `${reason}; ${answerReasons['post-unkept']}` : reason;
}

function refusedRelay(
  { failure, detail }: Extract<ReadAnswer, { kind: 'failure' }>,
  { cacheStatus }: DryRun,
): ExplainedAnswer {
  const { status } = failureProblem(failure);
  const reason = `${answerReasons.refused}: ${detail}`;
  return { ...nothing, token: failure, reason, sent: { status, cacheStatus } };
}

function goneText({ method }: ProxyRequest, { status }: SupposedHead, invalidated: readonly string[]): string {
  if (invalidated.length > 0) return `${method} has changed it: ${invalidated.join(', ')} (RFC 9111 §4.4)`;
  return status >= 400
    ? 'an error changes nothing, so nothing is made invalid (RFC 9111 §4.4)'
    : 'nothing is made invalid by it on this route (RFC 9111 §4.4)';
}
