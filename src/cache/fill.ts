import { isFailureStatus } from '../core/failure-policy.ts';
import { contentCodings } from '../core/content-coding.ts';
import { fieldValue } from '../core/fields.ts';
import {
  decideStorage,
  endsStored,
  isLatestWord,
  type StorageDecision,
  type StorageInput,
} from '../core/storage-policy.ts';
import type { StoreIf } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { bare, fetchHead } from './bare-answer.ts';
import { callUpstream, isOfItsWay, isUnasked } from './call-upstream.ts';
import { collectBody, type Collected } from './collect-body.ts';
import { onProxy, passedFields } from './passed-fields.ts';
import { freshen, storeResponse } from './store-fill.ts';
import { hasCutTags, tagged, tagsOfAnswer } from './tagged.ts';
import type { MaybePromise } from './ports.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import { UpstreamBodyError, type UpstreamResponse } from './upstream-ports.ts';

/**
 * Fetches (or validates) and stores. Never rejects for anything that upstream does. What needs not be waited for is done in the
 * step in which the answer is there: each step of its own is paid with every miss.
 */
export function fill(deps: FillDeps, asked: FillInput, signal: AbortSignal): Promise<FillResult> {
  if (asked.own?.method === 'HEAD') return fetchHead(deps, asked, signal);
  return callUpstream(deps, asked, signal, (answer): MaybePromise<FillResult> => {
    const input = deps.rules?.earlyPosition === false ? { ...asked, position: deps.purgeLog.position() } : asked;
    if (answer.kind === 'failure') return { kind: 'failed', failure: answer.failure, detail: answer.detail };
    const { validate } = input;
    if (answer.status === 304 && validate !== undefined) return validated(deps, { ...input, validate }, answer, signal);
    return answered(deps, input, answer);
  });
}

async function validated(
  deps: FillDeps,
  input: FillInput & { readonly validate: StoredResponse },
  answer: UpstreamResponse,
  signal: AbortSignal,
): Promise<FillResult> {
  const freshened = await freshen(deps, input, answer);
  // Upstream confirmed something else than what is stored, or what was purged meanwhile: ask for the whole, without a
  // condition. It is another request, so purges up to now are before it.
  return freshened ?? fill(deps, { ...input, validate: undefined, position: deps.purgeLog.position() }, signal);
}

function answered(deps: FillDeps, input: FillInput, answer: UpstreamResponse): MaybePromise<FillResult> {
  if (isUnasked(answer.status, input)) {
    answer.body.cancel();
    const detail = `upstream answered ${answer.status} to a plain GET`;
    return { kind: 'failed', failure: 'malformed', detail, fwdStatus: answer.status };
  }
  if (answer.status === 304) return bare(deps, input, answer, 'status');
  const decision = storageDecision(deps, input, answer);
  if (decision.kind === 'pass') return pass(deps, input, answer, decision.reason);
  return take(deps, { input, answer, decision });
}

type StoreDecision = Extract<StorageDecision, { kind: 'store' }>;

function storageDecision(
  deps: FillDeps,
  input: FillInput,
  answer: UpstreamResponse,
): StoreDecision | { readonly kind: 'pass'; readonly reason: string } {
  if (!input.mayStore) return { kind: 'pass', reason: 'request-no-store' };
  const isFailed = input.staleFallback && isFailureStatus(answer.status);
  if (isFailed || isOfItsWay(input, answer.status)) return { kind: 'pass', reason: 'status' };
  const decision = decideStorage(storageInput(input, answer));
  const isCut = decision.kind === 'store' && hasCutTags(deps, input, decision.fields);
  return isCut ? { kind: 'pass', reason: 'tags' } : decision;
}

function storageInput(
  { route, requestFields, keyed }: FillInput,
  { status, fields, requestTimeMs, responseTimeMs }: UpstreamResponse,
): StorageInput {
  return { route, requestFields, keyed, status, fields, requestTimeMs, responseTimeMs };
}

/** What the request found stored is older than the answer, and would be served on in its stale windows. */
async function drop(deps: FillDeps, { known }: FillInput): Promise<void> {
  if (known !== undefined) await deps.store.invalidate(known.key);
}

/** An answer that is not stored: collected where waiters may share it or a stale response may replace it, else streamed. */
async function pass(deps: FillDeps, input: FillInput, answer: UpstreamResponse, reason: string): Promise<FillResult> {
  const { policy } = input.route;
  const ruled = policy.upstreamCacheControl === 'ignore';
  const fields = passedFields(deps, input, answer);
  deps.observer.storage(input.route.name, reason);
  // Purges by the tags that it has now would not find what is stored.
  if (reason === 'tags' || endsStored(storageInput(input, answer))) await drop(deps, input);
  if (!ruled && !isFailureStatus(answer.status)) {
    answer.body.streamed();
    return stream(answer, { fields, chunks: answer.body.chunks(), reason });
  }
  const collected = await collectBody(answer.body, policy.maxStoredBytes);
  switch (collected.kind) {
    case 'complete':
      return { ...complete(deps, input, answer, collected.bytes), reason };
    case 'overflow':
      return stream(answer, { fields, chunks: collected.chunks, reason, isOneWay: isOfItsWay(input, answer.status) });
    case 'broken':
      return { kind: 'failed', failure: collected.failure, detail: collected.detail, fwdStatus: answer.status };
  }
}

function complete(
  deps: FillDeps,
  input: FillInput,
  answer: UpstreamResponse,
  bytes: Buffer,
): Omit<Extract<FillResult, { kind: 'answer' }>, 'reason'> {
  const { status } = answer;
  const { tags, cut } = tagsOfAnswer(deps, input, answer.fields);
  // Nobody could say of one whose tags are not all known whether a purge has come since.
  const isOneWay = isOfItsWay(input, status);
  const shareable = input.route.policy.upstreamCacheControl === 'ignore' && !cut && !isOneWay;
  return { kind: 'answer', status, fields: passedFields(deps, input, answer), bytes, shareable, isOneWay, tags };
}

type Streamed = Extract<FillResult, { kind: 'stream' }>;

function stream(
  answer: UpstreamResponse,
  passed: Pick<Streamed, 'fields' | 'chunks' | 'reason' | 'isOneWay'>,
): Streamed {
  const { status, body } = answer;
  return { kind: 'stream', status, length: body.length, ...passed, cancel: () => body.cancel() };
}

/** An answer that may be stored. */
interface Taking {
  readonly input: FillInput;
  readonly answer: UpstreamResponse;
  readonly decision: StoreDecision;
}

/** Stores it, once it proves complete and passes the route's check. */
function take(deps: FillDeps, taking: Taking): MaybePromise<FillResult> {
  const collected = collectBody(taking.answer.body, taking.input.route.policy.maxStoredBytes);
  return collected instanceof Promise
    ? collected.then((late) => taken(deps, taking, late))
    : taken(deps, taking, collected);
}

function taken(deps: FillDeps, taking: Taking, collected: Collected): MaybePromise<FillResult> {
  const { input, answer } = taking;
  switch (collected.kind) {
    case 'broken':
      return { kind: 'failed', failure: collected.failure, detail: collected.detail, fwdStatus: answer.status };
    case 'overflow':
      return overflowed(deps, taking, collected.chunks);
    case 'complete':
      break;
  }
  const { bytes } = collected;
  const refusal = refusalOf(deps, input, answer, bytes);
  if (refusal instanceof Promise) {
    return refusal.then((late) =>
      late === undefined ? keep(deps, taking, bytes) : refused(deps, taking, bytes, late),
    );
  }
  return refusal === undefined ? keep(deps, taking, bytes) : refused(deps, taking, bytes, refusal);
}

async function overflowed(
  deps: FillDeps,
  { input, answer }: Taking,
  chunks: AsyncIterable<Buffer>,
): Promise<FillResult> {
  const { route } = input;
  deps.observer.storage(route.name, 'too-large');
  deps.observer.limit('routes.maxStoredBytes');
  if (isLatestWord(route, answer.status)) await drop(deps, input);
  return stream(answer, { fields: passedFields(deps, input, answer), chunks, reason: 'too-large' });
}

async function refused(deps: FillDeps, { input, answer }: Taking, bytes: Buffer, reason: string): Promise<FillResult> {
  deps.observer.storage(input.route.name, reason);
  // What fails the route's check is no better than a failure.
  if (reason === 'close-delimited' && isLatestWord(input.route, answer.status)) await drop(deps, input);
  return { ...complete(deps, input, answer, bytes), reason };
}

function keep(deps: FillDeps, taking: Taking, bytes: Buffer): MaybePromise<FillResult> {
  const { input, answer, decision } = taking;
  const stored = buildStored(deps, input, answer, { decision, bytes });
  const facts = { vary: decision.vary, fwdStatus: answer.status, validated: false };
  const result = storeResponse(deps, input, stored, facts);
  return result instanceof Promise ? result.then((late) => kept(deps, taking, late)) : kept(deps, taking, result);
}

function kept(deps: FillDeps, { input, answer }: Taking, result: FillResult): MaybePromise<FillResult> {
  if (result.kind !== 'stored') return result;
  const { route } = input;
  const isHonoured = route.policy.upstreamCacheControl === 'honour';
  const own = isHonoured ? { ...result, received: passedFields(deps, input, answer) } : result;
  const isEnd = result.put === 'too-large' && isLatestWord(route, answer.status);
  return isEnd ? drop(deps, input).then(() => own) : own;
}

/** Of an answer what decides whether and how it is stored, once it is complete. */
export interface CompleteAnswer extends Omit<UpstreamResponse, 'kind' | 'body' | 'attempts'> {
  readonly body: Pick<UpstreamResponse['body'], 'framed'>;
}

/** Why a complete body is not stored although its head allows it. */
export function refusalOf(
  deps: Pick<FillDeps, 'bodyCheck' | 'decoder'>,
  input: Pick<FillInput, 'route'>,
  answer: CompleteAnswer,
  bytes: Buffer,
): MaybePromise<string | undefined> {
  // A reset may have cut it off without a sign (RFC 9112 §8): complete by all appearances is not enough.
  if (!answer.body.framed) return 'close-delimited';
  const { storeIf } = input.route.policy;
  if (storeIf === undefined || answer.status < 200 || answer.status > 299) return undefined;
  const codings = contentCodings(fieldValue(answer.fields, 'content-encoding'));
  if (codings.length === 0) return deps.bodyCheck.fails(storeIf, bytes);
  return refusalOfCoded(deps, { storeIf, codings, maxBytes: input.route.policy.maxStoredBytes }, bytes);
}

/** An honour route keeps upstream's coding; the check is about what it holds. */
async function refusalOfCoded(
  deps: Pick<FillDeps, 'bodyCheck' | 'decoder'>,
  rule: { readonly storeIf: StoreIf; readonly codings: readonly string[]; readonly maxBytes: number },
  bytes: Buffer,
): Promise<string | undefined> {
  try {
    const identity = await deps.decoder.decode(rule.codings.join(', '), bytes, rule.maxBytes);
    return identity === undefined ? 'undecodable' : deps.bodyCheck.fails(rule.storeIf, identity);
  } catch (error) {
    if (error instanceof UpstreamBodyError) return 'undecodable';
    throw error;
  }
}

/** What is stored of it, under the key that it has where upstream does not vary. */
export function buildStored(
  deps: Pick<FillDeps, 'upstreams'>,
  input: Pick<FillInput, 'route' | 'keyed' | 'position'>,
  answer: CompleteAnswer,
  found: { readonly decision: StoreDecision; readonly bytes: Buffer },
): StoredResponse {
  const { keyed, route } = input;
  const { decision } = found;
  return tagged(deps, input, {
    kind: 'response',
    key: keyed.key,
    route: route.name,
    upstream: route.upstream,
    url: keyed.url,
    tags: keyed.tags,
    position: input.position ?? { epoch: '', seq: 0 },
    status: answer.status,
    fields: onProxy(deps, route, decision.fields),
    body: found.bytes,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
    initialAgeMs: decision.initialAgeMs,
    freshness: decision.freshness,
    etag: decision.etag,
    lastModified: decision.lastModified,
  });
}
