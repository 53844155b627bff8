import { decideOnFailure, isFailureStatus } from '../core/failure-policy.ts';
import { confirms, freshenByHead } from '../core/freshen.ts';
import { freshnessOf, initialAgeMs } from '../core/freshness.ts';
import { hasMarks } from '../core/loop-marks.ts';
import { loopDetected } from '../core/via.ts';
import { answerReasons, failureReasons, passReason, storableReason } from '../core/reasons.ts';
import { selectingFields } from '../core/storage-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { baseKeyOf, varyNames } from '../core/vary.ts';
import { searchRule } from '../core/no-vary-search.ts';
import { dryRun, type DryRun, type DryRunParts } from './dry-run.ts';
import type { KeyableRequest } from './want-content.ts';
import { lifetimeNotes } from './explain-lifetime.ts';
import type { ExplainedAnswer, ExplainedNote, ExplainedReply } from './explained-http.ts';
import { answerCodingNotes, sharingNotes } from './explain-fields.ts';
import type { OnFailure } from './explain-fallback.ts';
import type { Usable } from './explain-parts.ts';
import { searchSource, searchWords } from './explain-search.ts';
import type { Ask } from './respond.ts';
import type { SupposedHead } from './upstream-ports.ts';

/** A request that is looked up, and the answer that upstream is supposed to give to it. */
export interface SupposedAnswer {
  readonly request: KeyableRequest;
  readonly content: Uint8Array;
  readonly ask: Ask;
  readonly found: Usable;
  readonly onFailure: OnFailure;
  readonly answer: SupposedHead;
  readonly nowMs: number;
}

/** What a run came to, in words. */
interface Verdict {
  readonly token: string | null;
  readonly reason: string;
}

/** What would be done with the answer; of a request that is answered from store, as if nothing were. */
export async function explainAnswer(parts: DryRunParts, supposed: SupposedAnswer): Promise<ExplainedAnswer> {
  const { request, content, answer } = supposed;
  const first = await dryRun(parts, { request, content, answer });
  if (first.calls > 0) return explained(supposed, first, []);
  const run = await dryRun(parts, { request, content, answer, unstored: true });
  if (run.calls === 0) return { ...nothing, token: null, reason: answerReasons.unasked, sent: replyOf(run) };
  const text = 'the request is answered from store; this is what a fetch of it would come to';
  const found = { read: undefined, marker: undefined, isLeftAlone: false };
  const onFailure = { read: undefined, absent: failureReasons.nothing };
  return explained({ ...supposed, found, onFailure }, run, [{ topic: 'storage', text }]);
}

/** Of an answer that comes to nothing. */
export const nothing = { stored: false, key: null, tags: [], invalidates: [], notes: [] } as const;

function explained(asSent: SupposedAnswer, run: DryRun, first: readonly ExplainedNote[]): ExplainedAnswer {
  const { stored, invalidated, read } = run;
  if (read?.kind === 'failure') {
    const reason = `${answerReasons.refused}: ${read.detail}`;
    return { ...nothing, token: read.failure, reason, sent: replyOf(run), notes: first };
  }
  // As it was handed to the exchange.
  const supposed = { ...asSent, answer: read ?? asSent.answer };
  const { ask, nowMs } = supposed;
  const { route, keyed } = ask;
  const { token, reason } = verdictOf(supposed, run);
  const lived =
    stored === undefined
      ? lifetimeOfPassed(supposed)
      : lifetimeNotes({ item: stored, staleSinceMs: undefined, policy: route.policy, keyed, nowMs });
  return {
    stored: stored !== undefined,
    token,
    reason,
    sent: run.calls > 1 ? null : uncut(supposed.answer, replyOf(run)),
    key: stored?.key ?? null,
    tags: stored?.tags ?? [],
    invalidates: invalidated,
    notes: [
      ...first,
      ...lived,
      ...(stored === undefined ? [] : sharingNotes(ask, supposed.answer, stored)),
      ...answerCodingNotes(ask, { sent: asSent.answer, received: supposed.answer }, stored),
      ...varyNotes(supposed, stored),
      ...queryNotes(supposed),
    ],
  };
}

/** What the client would be sent. */
export function replyOf({ response, cacheStatus }: DryRun): ExplainedReply {
  return { status: response?.status ?? null, cacheStatus };
}

/** Which part of its content is sent depends on how much there is, and nobody has said that. */
function uncut({ status }: SupposedHead, reply: ExplainedReply): ExplainedReply {
  const isCut = status === 200 && (reply.status === 206 || reply.status === 416);
  return isCut ? { ...reply, status: null } : reply;
}

function verdictOf(supposed: SupposedAnswer, run: DryRun): Verdict {
  const { ask, found } = supposed;
  const known = found.read?.item;
  // The second call is for the whole, where a 304 has confirmed something else.
  if (run.calls > 1) return { token: null, reason: answerReasons.unconfirmed };
  const token = run.tokens.at(-1);
  if (ask.head && known !== undefined && token === 'method') return headVerdict(supposed, known);
  if (run.stored !== undefined) return { token: null, reason: storedBecause(supposed, run.stored) };
  // An answer that is taken for a failure is not told as one that is not stored.
  const why = token ?? 'upstream-malformed';
  return { token: why, reason: staleInstead(supposed, run) ?? errorPassed(supposed, run) ?? passReason(why) };
}

function storedBecause({ found, answer }: SupposedAnswer, stored: StoredResponse): string {
  const known = found.read?.item;
  const isFreshened = answer.status === 304 && known !== undefined && confirms(known, answer.fields);
  return isFreshened ? answerReasons.freshened : storableReason(stored.freshness.source);
}

/** An error that a stored response is better than. */
function staleInstead({ ask, onFailure, answer, nowMs }: SupposedAnswer, run: DryRun): string | undefined {
  if (run.response?.meta.outcome !== 'stale-error' || !isFailureStatus(answer.status)) return undefined;
  const { reason } = decideOnFailure({
    failure: answer.status,
    stored: onFailure.read?.item,
    staleSinceMs: onFailure.read?.staleSinceMs,
    policy: ask.route.policy,
    requestFields: ask.requestFields,
    nowMs,
  });
  return `${answerReasons.outdone}: ${reason}`;
}

/** Why an error is not stored, whatever lifetime its status has. */
function errorPassed({ ask, answer }: SupposedAnswer, run: DryRun): string | undefined {
  if (run.tokens.at(-1) !== 'status' || !isFailureStatus(answer.status)) return undefined;
  if (run.response?.meta.outcome === 'stale') return answerReasons.behind;
  const isOneWay = answer.status === loopDetected.status && hasMarks(ask.requestFields);
  return isOneWay ? answerReasons['one-way'] : undefined;
}

function headVerdict({ ask, answer, nowMs }: SupposedAnswer, stored: StoredResponse): Verdict {
  const { route, keyed, requestFields } = ask;
  const times = { requestTimeMs: nowMs, responseTimeMs: nowMs };
  const { reason } = freshenByHead({ stored, route, keyed, requestFields, ...answer, ...times });
  return { token: 'method', reason: `${passReason('method')}: ${reason}` };
}

/** How long it would be fresh that is not stored: often the reason why it is not. */
function lifetimeOfPassed({ ask, answer, nowMs }: SupposedAnswer): readonly ExplainedNote[] {
  // A 304 has no lifetime but with what it confirms.
  if (answer.status === 304) return [];
  const { route, keyed } = ask;
  const head = { ...answer, requestTimeMs: nowMs, responseTimeMs: nowMs };
  const freshness = freshnessOf({ policy: route.policy, keyed, ...head });
  const item = {
    status: answer.status,
    freshness,
    initialAgeMs: initialAgeMs(head),
    requestTimeMs: nowMs,
    responseTimeMs: nowMs,
    fields: answer.fields,
    tags: keyed.tags,
  };
  const lived = lifetimeNotes({ item, staleSinceMs: undefined, policy: route.policy, keyed, nowMs });
  return lived.filter(({ topic }) => topic === 'lifetime' || topic === 'age');
}

function varyNotes(supposed: SupposedAnswer, stored: StoredResponse | undefined): readonly ExplainedNote[] {
  const { answer } = supposed;
  const named = varyNames(answer.fields);
  if (stored === undefined || named === '*') return [];
  if (stored.key === baseKeyOf(stored.key)) {
    const text =
      'Vary does not count, unlike in RFC 9111 §4.1: on a ruled route no field goes upstream but those that the key holds';
    return named.length === 0 ? [] : [{ topic: 'vary', text }];
  }
  const part = stored.key.slice(stored.key.indexOf(' ') + 1);
  return [{ topic: 'vary', text: `a variant, told apart by ${part} (${whyApart(supposed, named)})` }];
}

/** An error that one request may have caused is a variant by what that request sent, whatever Vary says. */
function whyApart({ ask, answer }: SupposedAnswer, named: readonly string[]): string {
  const unkeyed = selectingFields(ask.route, answer.status, []) ?? [];
  if (unkeyed.length === 0) return 'Vary, RFC 9111 §4.1';
  const varied = named.length === 0 ? '' : ', and those of Vary (RFC 9111 §4.1)';
  return `the request may have caused the error, so that every field that went upstream and is not in the key tells it apart${varied}; storeErrors: resource; RFC 9111 §7.1`;
}

function queryNotes({ ask, answer }: SupposedAnswer): readonly ExplainedNote[] {
  const rule = ask.keyed.search === undefined ? undefined : searchRule(answer.fields);
  if (rule === undefined || answer.status >= 400) return [];
  return [{ topic: 'query', text: `it says of later queries of this path: ${searchWords(rule)} (${searchSource})` }];
}
