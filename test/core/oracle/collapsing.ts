/**
 * A second statement of who may have the answer that was fetched for another: RFC 9111 §4, "A cache can use a response that is
 * stored or storable to satisfy multiple requests, provided that it is allowed to reuse that response for the requests in
 * question." Choices (`own`): on `ignore` routes the key alone decides the answer, so all who have the key may have it; a
 * failure is for all unless a field of the one request may have caused it; purges count as docs/coherence.md has them.
 */
import * as fc from 'fast-check';
import type { FetchPlan } from '../../../src/cache/fetch-plan.ts';
import type { FillResult } from '../../../src/cache/fill-types.ts';
import { shareOf } from '../../../src/cache/sharing.ts';
import { variantKeyOf } from '../../../src/cache/store-fill.ts';
import type { FailureKind } from '../../../src/core/failure.ts';
import { sha256 } from '../../support/operations.ts';
import { FakeClock } from '../../support/clock.ts';
import { cases as exchanges, lineOf, of, some } from './cases.ts';
import { describeCase, storageInputOf, storedOf } from './difference.ts';
import type { Case } from './facts.ts';
import { type Line, linesOf } from './literal-fields.ts';
import { type Clause, type Coverage, describeMembers, differ, firstOf, type Part } from './part.ts';
import { type Facts, factsOf, forbidsStoring, momentOf, uses, varyOf } from './rules.ts';
import { decideStorage } from '../../../src/core/storage-policy.ts';

/** A GET that is under way, its answer, and another GET of the same key that waits for it. */
interface Shared {
  /** `request` is the one that was sent, `later` the one that waits; `nowMs` is when the answer is complete. */
  readonly exchange: Case;
  /** `fetched`: by this process; `taken`: from the shared tier, where another process has put it. */
  readonly came: 'fetched' | 'taken' | FailureKind;
  /** The waiting request came before the other was sent. */
  readonly early: boolean;
  readonly purged: 'no' | 'soft' | 'hard';
  /** What a 304 has made of it may not be stored. */
  readonly unshared: boolean;
}

interface Asked {
  readonly shared: Shared;
  readonly facts: Facts;
}

type Share = ReturnType<typeof shareOf>;

const isFailure = ({ shared: { came } }: Asked): boolean => came !== 'fetched' && came !== 'taken';

/** Fields as upstream sees them: those that the route forwards, a Cookie only by its name; conditions are the proxy's own. */
function sent({ exchange: { route } }: Shared, fields: readonly Line[]): readonly Line[] {
  const { forwardHeaders } = route;
  return fields.filter(([name]) => {
    if (name === 'if-none-match') return false;
    return forwardHeaders.includes(name) || (name !== 'cookie' && forwardHeaders.includes('*'));
  });
}

/** Values of the cases are single words, so that the same text is what "match" comes to (RFC 9111 §4.1). */
function isSameIn(shared: Shared, name: string): boolean {
  const { request, later } = shared.exchange;
  const [one, other] = [request, later].map((fields) => JSON.stringify(linesOf(sent(shared, fields), name)));
  return one === other;
}

const isStorable = ({ facts }: Asked): boolean => !forbidsStoring.some((clause) => clause.holds(facts));

const use = ({ facts }: Asked) => firstOf(uses, momentOf(facts)).use;

/** The first that holds. */
const sharing: readonly (Clause<Asked> & { readonly gives: Share })[] = [
  {
    id: 'K1',
    of: 'own',
    says: 'purged while it was fetched, and the request came after the fetch began',
    holds: ({ shared: { early, purged } }) => !early && purged === 'hard',
    gives: 'retry',
  },
  {
    id: 'K2',
    of: 'own',
    says: 'made stale by a soft purge while it was fetched, and the request came after the fetch began',
    holds: (asked) => {
      const { early, purged } = asked.shared;
      return !early && purged === 'soft' && !isFailure(asked) && isStorable(asked);
    },
    gives: 'retry',
  },
  {
    id: 'K3',
    of: 'own (RFC 9111 §7.1)',
    says: 'broken off by upstream, or malformed: not for a request that looks different to upstream',
    holds: (asked) =>
      ['reset', 'malformed', 'truncated', 'too-large'].includes(asked.shared.came) &&
      JSON.stringify(sent(asked.shared, asked.shared.exchange.request)) !==
        JSON.stringify(sent(asked.shared, asked.shared.exchange.later)),
    gives: 'alone',
  },
  { id: 'K4', of: 'own', says: 'upstream failed, which it would do again', holds: isFailure, gives: 'use' },
  {
    id: 'K5',
    of: 'own',
    says: 'not to be stored, on a route where the key alone decides the answer',
    holds: (asked) => !isStorable(asked) && asked.facts.mode === 'ignore',
    gives: 'use',
  },
  {
    id: 'K6',
    of: 'RFC 9111 §4',
    says: 'neither stored nor storable',
    holds: (asked) => !isStorable(asked) || (asked.shared.came === 'fetched' && asked.shared.unshared),
    gives: 'alone',
  },
  {
    id: 'K7',
    of: 'RFC 9111 §4, §4.1',
    says: 'a field that Vary names does not match',
    holds: ({ shared, facts }) => !varyOf(facts).every((name) => isSameIn(shared, name)),
    gives: 'alone',
  },
  {
    id: 'K8',
    of: 'own',
    says: 'on a route where the key alone decides the answer, what was just fetched is for all',
    holds: ({ shared, facts }) => facts.mode === 'ignore' && shared.came === 'fetched',
    gives: 'use',
  },
  {
    id: 'K9',
    of: 'RFC 9111 §4, §4.2, §5.2',
    says: 'fresh, and as the request wants it',
    holds: (asked) => use(asked) === 'reuse',
    gives: 'use',
  },
  {
    id: 'K10',
    of: 'own (RFC 9111 §4)',
    says: 'stale, from the shared tier: it may have been stored before the request came',
    holds: (asked) => asked.shared.came === 'taken',
    gives: 'alone',
  },
  {
    id: 'K11',
    of: 'RFC 9111 §4, §4.2.4',
    says: 'stale, and to be served so to this request without being validated first',
    holds: (asked) => use(asked) !== 'ask',
    gives: 'use',
  },
  {
    id: 'K12',
    of: 'RFC 9111 §4',
    says: 'not to be reused for this request without validation',
    holds: () => true,
    gives: 'alone',
  },
];

const tenant = some(40, of('a', 'b'));

const sharedCases: fc.Arbitrary<Shared> = fc
  .tuple(
    exchanges,
    fc.record({
      came: fc.oneof(
        { weight: 6, arbitrary: of<Shared['came']>('fetched') },
        { weight: 2, arbitrary: of<Shared['came']>('taken') },
        {
          weight: 1,
          arbitrary: of<Shared['came']>('reset', 'malformed', 'truncated', 'too-large', 'dns', 'connect', 'timeout'),
        },
      ),
      early: fc.boolean(),
      purged: of<Shared['purged']>('no', 'no', 'no', 'no', 'hard', 'soft'),
      unshared: of(false, false, false, false, false, true),
    }),
    fc.record({
      // How long its content took.
      afterMs: of(0, 0, 1, 500, 10_000),
      varies: of(false, false, true),
      tenants: fc.tuple(tenant, tenant),
      isSame: fc.boolean(),
      status: of(undefined, undefined, 200),
    }),
  )
  .map(
    ([
      exchange,
      shared,
      {
        afterMs,
        varies,
        tenants: [one, other],
        isSame,
        status,
      },
    ]) => {
      const { response, request, responseTimeMs } = exchange;
      const later = isSame ? request : [...exchange.later, ...lineOf('x-tenant', other)];
      return {
        ...shared,
        exchange: {
          ...exchange,
          route: { ...exchange.route, headers: [] },
          method: 'GET',
          status: status ?? exchange.status,
          response: varies ? [...response, ['vary', 'X-Tenant']] : response,
          request: isSame ? request : [...request, ...lineOf('x-tenant', one)],
          later,
          nowMs: responseTimeMs + afterMs,
          staleSinceMs: undefined,
        },
      };
    },
  );

/** The function that {@link collapsingPart} holds against the rules. */
export interface CollapsingPolicy {
  readonly shareOf: typeof shareOf;
}

function planOf({ exchange: { route } }: Shared, requestFields: readonly Line[]): FetchPlan {
  const key = 'forecast|/forecast';
  const keyed = {
    key,
    canonical: { upstream: route.upstream, method: 'GET' as const, target: '/forecast', fields: [] },
    url: '/forecast',
    tags: [],
    zone: undefined,
    steps: () => [],
  };
  return { ask: { route, keyed, requestFields, head: false }, key, fwd: 'uri-miss', found: undefined, validate: false };
}

/** What the fetch came to. */
function resultOf(shared: Shared, leader: FetchPlan): FillResult {
  const { exchange, came, unshared } = shared;
  if (came !== 'fetched' && came !== 'taken') return { kind: 'failed', failure: came, detail: 'as it happens' };
  const decision = decideStorage(storageInputOf(exchange));
  const { status, response: fields } = exchange;
  if (decision.kind === 'pass') {
    const shareable = exchange.route.policy.upstreamCacheControl === 'ignore';
    return { kind: 'answer', status, fields, bytes: Buffer.alloc(0), reason: decision.reason, shareable, tags: [] };
  }
  const names = decision.vary;
  const key = names.length === 0 ? leader.key : variantKeyOf(sha256, leader.ask, { names });
  const item = { ...storedOf(exchange, decision), key };
  if (came === 'taken')
    return { kind: 'taken', read: { item, staleSinceMs: undefined, tier: 'redis', tally: { hits: 0 } }, names };
  return { kind: 'stored', item, fwdStatus: status, validated: unshared, put: 'stored', names, unshared };
}

function difference(shared: Shared, { shareOf: policy }: CollapsingPolicy, coverage?: Coverage): string | undefined {
  const { exchange, early, purged } = shared;
  const [leader, joiner] = [planOf(shared, exchange.request), planOf(shared, exchange.later)];
  const position = { epoch: 'oracle', seq: 0 };
  const deps = {
    purgeLog: {
      position: () => position,
      isValid: () => purged !== 'hard',
      softPurgedAtMs: () => (purged === 'soft' ? exchange.nowMs : undefined),
      append: () => Promise.reject(new Error('nobody purges here')),
    },
    clock: new FakeClock(exchange.nowMs),
    sha256,
  };
  const result = resultOf(shared, leader);
  const decided = policy(deps, joiner, { flight: { position }, early, leader }, result);
  // Who goes on under the key of another variant takes nothing of this answer, whoever else is there. Nor does who has something stale in
  // its place, or is alone.
  const isOther = typeof decided === 'object' && !(result.kind === 'stored' && result.item.key === decided.variant);
  const share = isOther || decided === 'instead' ? 'alone' : decided;
  return differ('share', share, firstOf(sharing, { shared, facts: factsOf(exchange) }, coverage).gives);
}

export const collapsingPart: Part<Shared, CollapsingPolicy> = {
  name: 'collapsed requests (RFC 9111 §4)',
  clauses: sharing,
  cases: sharedCases,
  policy: { shareOf },
  difference,
  describe: ({ exchange, ...rest }) => `${describeMembers(rest)}\n${describeCase(exchange)}`,
};
