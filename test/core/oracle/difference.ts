import type { Case } from './facts.ts';
import { cases } from './cases.ts';
import { type Coverage, describeMembers, differ, type Part } from './part.ts';
import { allClauses, judge, type Verdict } from './verdict.ts';
import { decideOnFailure, decideOnSoftTimeout } from '../../../src/core/failure-policy.ts';
import { freshnessOf, standingOf } from '../../../src/core/freshness.ts';
import { decideReuse, type ReuseDecision } from '../../../src/core/reuse-policy.ts';
import { decidePostStorage, decideStorage, endsStored, type StorageInput } from '../../../src/core/storage-policy.ts';
import type { StoredResponse } from '../../../src/core/stored-response.ts';
import { asAsked } from '../../../src/store/redis/as-asked.ts';

/** What is checked against the rules: the policy as it is, or one that was broken on purpose. */
export interface Policy {
  readonly decideStorage: typeof decideStorage;
  readonly decidePostStorage: typeof decidePostStorage;
  readonly endsStored: typeof endsStored;
  readonly freshnessOf: typeof freshnessOf;
  readonly decideReuse: typeof decideReuse;
  readonly decideOnFailure: typeof decideOnFailure;
  readonly decideOnSoftTimeout: typeof decideOnSoftTimeout;
}

const policyAsItIs: Policy = {
  decideStorage,
  decidePostStorage,
  endsStored,
  freshnessOf,
  decideReuse,
  decideOnFailure,
  decideOnSoftTimeout,
};

/** Where policy and rules disagree, in words; `undefined` where they agree. */
function difference(one: Case, policy: Policy, coverage?: Coverage): string | undefined {
  const said = judge(one, coverage);
  const input = storageInputOf(one);
  const { source, ...times } = policy.freshnessOf({ ...input, policy: one.route.policy });
  const stored = policy.decideStorage(input);
  const ofPost = policy.decidePostStorage(input, one.namesTarget);
  return (
    differ(`times (source ${source}, lifetime by ${said.lifetime})`, times, said.times) ??
    differ(`stored ${stored.kind === 'pass' ? stored.reason : ''}`, stored.kind === 'store', said.isStored) ??
    differ('ends what is stored', policy.endsStored(input), said.ends) ??
    differ('stored of a POST', ofPost.kind === 'store', said.isStoredOfPost) ??
    (stored.kind === 'store'
      ? (differ('vary', stored.vary, said.vary) ??
        differ('initial age', stored.initialAgeMs, said.initialAgeMs) ??
        laterDifference(one, policy, said, storedOf(one, stored)))
      : undefined)
  );
}

/** What the policy is told of the exchange. */
export function storageInputOf(one: Case): StorageInput {
  return {
    route: one.route,
    requestFields: one.request,
    keyed: { key: 'forecast|/forecast', zone: one.zone, canonical: { method: one.method } },
    status: one.status,
    fields: one.response,
    requestTimeMs: one.requestTimeMs,
    responseTimeMs: one.responseTimeMs,
  };
}

/** What is done later with what was stored. */
function laterDifference(one: Case, policy: Policy, said: Verdict, stored: StoredResponse): string | undefined {
  const { nowMs, staleSinceMs } = one;
  const shared = { stored, staleSinceMs, policy: one.route.policy, nowMs };
  const standing = standingOf(stored, staleSinceMs, nowMs);
  const reuse = policy.decideReuse({ ...shared, requestFields: one.later });
  const failed = policy.decideOnFailure({
    ...shared,
    requestFields: one.later,
    failure: one.failure,
  });
  const soft = policy.decideOnSoftTimeout({ ...shared, requestFields: one.later });
  const keyed = { key: stored.key, url: stored.url, tags: stored.tags, zone: one.zone };
  const read = asAsked(stored, { route: one.route, keyed });
  return (
    differ('age', standing.ageSeconds, said.ageSeconds) ??
    differ('ttl', standing.ttlSeconds, said.ttlSeconds) ??
    differ('reuse', nameOf(reuse), said.reuse) ??
    differ('served on failure', failed.kind === 'serve-stale', said.servesOnFailure) ??
    (failed.kind === 'problem' && said.wantsGatewayTimeout
      ? differ('status when cut off', failed.problem.status, 504)
      : undefined) ??
    differ('served on soft timeout', soft.kind === 'serve-stale', said.servesOnSoftTimeout) ??
    differ(
      'times as read from a shared store',
      read?.kind === 'response' ? read.freshness : undefined,
      stored.freshness,
    )
  );
}

function nameOf(reuse: ReuseDecision): string {
  return reuse.kind === 'reuse-stale' && !reuse.revalidate ? 'max-stale' : reuse.kind;
}

export function storedOf(
  one: Case,
  decision: Extract<ReturnType<typeof decideStorage>, { kind: 'store' }>,
): StoredResponse {
  const { fields, freshness, initialAgeMs, etag, lastModified, vary } = decision;
  const base = 'forecast|/forecast';
  return {
    kind: 'response',
    key: vary.length === 0 ? base : `${base} ${vary.join('|')}`,
    route: one.route.name,
    upstream: one.route.upstream,
    url: '/forecast',
    tags: [],
    position: { epoch: 'oracle', seq: 0 },
    status: one.status,
    fields,
    body: Buffer.alloc(0),
    requestTimeMs: one.requestTimeMs,
    responseTimeMs: one.responseTimeMs,
    initialAgeMs,
    freshness,
    etag,
    lastModified,
  };
}

/** An exchange, one line for each thing that decides. */
export function describeCase(one: Case): string {
  const { route, ...rest } = one;
  return describeMembers({ ...rest, ...describeRoute(route) });
}

function describeRoute({ policy, headers, forwardHeaders }: Case['route']): object {
  return { headers, forwardHeaders, policy: { ...policy, statusTtlMs: [...policy.statusTtlMs] } };
}

export const exchangesPart: Part<Case, Policy> = {
  name: 'storing and reusing (RFC 9111 §3, §3.5, §4 to §4.2.4, §5.2, RFC 5861, RFC 9213)',
  clauses: allClauses,
  cases,
  policy: policyAsItIs,
  difference,
  describe: describeCase,
};
