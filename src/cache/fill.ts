import { isFailureStatus } from '../core/failure-policy.ts';
import type { FieldLines } from '../core/fields.ts';
import { forwardedFields } from '../core/forwarded-fields.ts';
import { freshenStored, validationFields } from '../core/freshen.ts';
import { storableFields } from '../core/hop-by-hop.ts';
import type { CachePolicy } from '../core/route.ts';
import { decideStorage, type StorageDecision } from '../core/storage-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { variantKey } from '../core/vary.ts';
import { collectBody } from './collect-body.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import type { Sha256, UpstreamAnswer, UpstreamResponse } from './ports.ts';

/** Fetches (or validates) and stores. Never throws for anything that upstream does. */
export async function fill(deps: FillDeps, input: FillInput, signal: AbortSignal): Promise<FillResult> {
  const answer = await callUpstream(deps, input, signal);
  if (answer.kind === 'failure') return { kind: 'failed', failure: answer.failure, detail: answer.detail };
  if (answer.status === 304 && input.validate !== undefined) return freshen(deps, input, input.validate, answer);
  const decision = storageDecision(input, answer);
  if (decision.kind === 'pass') return pass(deps, input, answer, decision.reason);
  return take(deps, input, answer, decision);
}

async function callUpstream(deps: FillDeps, input: FillInput, signal: AbortSignal): Promise<UpstreamAnswer> {
  const startedMs = deps.clock.monotonicMs();
  const { canonical } = input.keyed;
  const answer = await deps.upstream.fetch(
    {
      canonical,
      fields: [
        ...forwardedFields(input.route, input.requestFields),
        ...(input.validate === undefined ? [] : validationFields(input.validate)),
      ],
      // Ruled routes store one identity form; honour routes keep upstream's bytes as they are (RFC 9111 §3.1).
      decode: input.route.policy.upstreamCacheControl !== 'honour',
      purpose: input.purpose,
    },
    signal,
  );
  deps.observer.upstreamCall({
    upstream: canonical.upstream,
    route: input.route.name,
    purpose: input.purpose,
    status: answer.kind === 'response' ? answer.status : undefined,
    failure: answer.kind === 'failure' ? answer.failure : undefined,
    durationMs: deps.clock.monotonicMs() - startedMs,
  });
  return answer;
}

function storageDecision(
  input: FillInput,
  answer: UpstreamResponse,
): Extract<StorageDecision, { kind: 'store' }> | { readonly kind: 'pass'; readonly reason: string } {
  if (!input.mayStore) return { kind: 'pass', reason: 'request-no-store' };
  if (input.position === undefined) return { kind: 'pass', reason: 'lease' };
  if (input.staleFallback && isFailureStatus(answer.status)) return { kind: 'pass', reason: 'status' };
  return decideStorage({
    route: input.route,
    requestFields: input.requestFields,
    status: answer.status,
    fields: answer.fields,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
  });
}

/** An answer that is not stored: collected where waiters may share it or a stale response may replace it, else streamed. */
async function pass(deps: FillDeps, input: FillInput, answer: UpstreamResponse, reason: string): Promise<FillResult> {
  const { policy } = input.route;
  const ruled = policy.upstreamCacheControl === 'ignore';
  const fields = passedFields(answer, policy);
  deps.observer.storage(input.route.name, reason);
  if (!ruled && !isFailureStatus(answer.status)) {
    answer.body.streamed();
    return stream(answer, { fields, chunks: answer.body.chunks(), reason });
  }
  const collected = await collectBody(answer.body, policy.maxStoredBytes);
  switch (collected.kind) {
    case 'complete':
      return { kind: 'answer', status: answer.status, fields, bytes: collected.bytes, reason, shareable: ruled };
    case 'overflow':
      return stream(answer, { fields, chunks: collected.chunks, reason });
    case 'broken':
      return { kind: 'failed', failure: collected.failure, detail: collected.detail };
  }
}

/** On ruled routes nobody's cookies and quota reach an agent, stored or not; honour routes pass on what upstream sent. */
function passedFields(answer: UpstreamResponse, policy: CachePolicy): FieldLines {
  if (policy.upstreamCacheControl === 'honour') return answer.fields;
  return storableFields(answer.fields, policy, answer.status);
}

type Streamed = Extract<FillResult, { kind: 'stream' }>;

function stream(answer: UpstreamResponse, passed: Pick<Streamed, 'fields' | 'chunks' | 'reason'>): Streamed {
  const { status, body } = answer;
  return { kind: 'stream', status, length: body.length, ...passed, cancel: () => body.cancel() };
}

/** An answer that may be stored, once it proves complete and passes the route's check. */
async function take(
  deps: FillDeps,
  input: FillInput,
  answer: UpstreamResponse,
  decision: Extract<StorageDecision, { kind: 'store' }>,
): Promise<FillResult> {
  const { route } = input;
  const { policy } = route;
  const collected = await collectBody(answer.body, policy.maxStoredBytes);
  const fields = passedFields(answer, policy);
  switch (collected.kind) {
    case 'broken':
      return { kind: 'failed', failure: collected.failure, detail: collected.detail };
    case 'overflow':
      deps.observer.storage(route.name, 'too-large');
      deps.observer.limit('routes.maxStoredBytes');
      return stream(answer, { fields, chunks: collected.chunks, reason: 'too-large' });
    case 'complete':
      break;
  }
  const shareable = policy.upstreamCacheControl === 'ignore';
  const refusal = refusalOf(deps, input, answer, collected.bytes);
  if (refusal !== undefined) {
    deps.observer.storage(route.name, refusal);
    return { kind: 'answer', status: answer.status, fields, bytes: collected.bytes, reason: refusal, shareable };
  }
  return store(deps, input, buildStored(deps, input, answer, { decision, bytes: collected.bytes }), {
    vary: decision.vary,
    fwdStatus: answer.status,
    validated: false,
  });
}

/** Why a complete body is not stored although its head allows it. */
function refusalOf(deps: FillDeps, input: FillInput, answer: UpstreamResponse, bytes: Buffer): string | undefined {
  // A reset may have cut it off without a sign (RFC 9112 §8): complete by all appearances is not enough.
  if (!answer.body.framed) return 'close-delimited';
  const { storeIf } = input.route.policy;
  if (storeIf === undefined || answer.status !== 200) return undefined;
  return deps.bodyCheck.fails(storeIf, bytes);
}

function buildStored(
  deps: FillDeps,
  input: FillInput,
  answer: UpstreamResponse,
  found: { readonly decision: Extract<StorageDecision, { kind: 'store' }>; readonly bytes: Buffer },
): StoredResponse {
  const { keyed, route } = input;
  const { decision } = found;
  return {
    kind: 'response',
    key: decision.vary.length === 0 ? keyed.key : variantKeyOf(deps.sha256, input, decision.vary),
    route: route.name,
    upstream: route.upstream,
    url: keyed.url,
    tags: keyed.tags,
    position: input.position ?? { epoch: '', seq: 0 },
    status: answer.status,
    fields: decision.fields,
    body: found.bytes,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
    initialAgeMs: decision.initialAgeMs,
    freshness: decision.freshness,
    etag: decision.etag,
    lastModified: decision.lastModified,
  };
}

/** The key of the variant that these request fields select (RFC 9111 §4.1): what upstream saw counts, no more. */
export function variantKeyOf(
  sha256: Sha256,
  input: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>,
  names: readonly string[],
): string {
  const sent = [...input.keyed.canonical.fields, ...forwardedFields(input.route, input.requestFields)];
  return variantKey(input.keyed.key, names, sent, sha256);
}

interface StoreFacts {
  readonly vary: readonly string[];
  readonly fwdStatus: number;
  readonly validated: boolean;
}

async function store(deps: FillDeps, input: FillInput, item: StoredResponse, facts: StoreFacts): Promise<FillResult> {
  if (facts.vary.length > 0) {
    await deps.store.put({
      kind: 'vary',
      key: input.keyed.key,
      route: item.route,
      upstream: item.upstream,
      url: item.url,
      tags: item.tags,
      position: item.position,
      names: facts.vary,
      retainUntilMs: item.freshness.retainUntilMs,
    });
  }
  const put = await deps.store.put(item);
  deps.observer.storage(item.route, put);
  return { kind: 'stored', item, fwdStatus: facts.fwdStatus, validated: facts.validated, put };
}

/** RFC 9111 §4.3.4: the stored response lives on with the 304's fields, under a position taken before the validation. */
async function freshen(
  deps: FillDeps,
  input: FillInput,
  stored: StoredResponse,
  answer: UpstreamResponse,
): Promise<FillResult> {
  answer.body.cancel();
  const freshened = freshenStored({
    stored,
    route: input.route,
    requestFields: input.requestFields,
    fields: answer.fields,
    requestTimeMs: answer.requestTimeMs,
    responseTimeMs: answer.responseTimeMs,
  });
  const { response, storage } = freshened;
  const item: StoredResponse = { ...response, tags: input.keyed.tags, position: input.position ?? stored.position };
  // The 304 took away the right to keep it: it answers the request that asked, and nobody after it.
  if (storage.kind === 'pass') await deps.store.invalidate(stored.key);
  if (storage.kind === 'pass' || input.position === undefined || !input.mayStore) {
    return { kind: 'stored', item, fwdStatus: 304, validated: true, put: 'purged' };
  }
  return store(deps, input, item, { vary: [], fwdStatus: 304, validated: true });
}
