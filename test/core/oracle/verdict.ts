import { type Coverage, firstOf, type Told } from './part.ts';
import { type Case, type Obeyed } from './facts.ts';
import {
  afterFailure,
  afterFullAnswer,
  afterSoftTimeout,
  factsOf,
  forbidsPostStoring,
  forbidsStale,
  forbidsStoring,
  bounds,
  lifetimeOf,
  lifetimes,
  type Moment,
  momentOf,
  type Times,
  timesOf,
  type UseClause,
  uses,
  varyOf,
  wantsGatewayTimeout,
} from './rules.ts';

/** What the rules say of one case. */
export interface Verdict {
  readonly isStored: boolean;
  readonly isStoredOfPost: boolean;
  readonly ends: boolean;
  readonly vary: readonly string[];
  readonly initialAgeMs: number;
  readonly times: Times;
  readonly lifetime: string;
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
  readonly reuse: string;
  readonly servesOnFailure: boolean;
  readonly wantsGatewayTimeout: boolean;
  readonly servesOnSoftTimeout: boolean;
}

/** Every clause of every table, for a report that shows those that never decide. */
export const allClauses: readonly Told[] = [
  ...forbidsStoring,
  ...forbidsPostStoring,
  ...lifetimes,
  ...bounds,
  ...forbidsStale,
  ...uses,
  ...afterFailure,
  ...afterSoftTimeout,
  ...afterFullAnswer,
];

export function judge(one: Case, coverage?: Coverage): Verdict {
  const facts = factsOf(one);
  const decided = (clauses: readonly Pick<Told, 'id'>[]): void => {
    // Of several that hold none decides alone: without any one of them the answer would be the same.
    const [only, ...others] = clauses;
    if (only !== undefined && others.length === 0) coverage?.set(only.id, (coverage.get(only.id) ?? 0) + 1);
  };
  const against = forbidsStoring.filter((clause) => clause.holds(facts));
  decided(against);
  const againstPost = forbidsPostStoring.filter((clause) => clause.holds(facts));
  if (against.length === 0) decided(againstPost);
  const { clause: lifetime, endsMs } = lifetimeOf(facts);
  decided([lifetime]);
  decided(bounds.filter((bound) => bound.holds(facts) && bound.endsMs(facts) < endsMs));
  decided(forbidsStale.filter((clause) => clause.holds(facts)));
  const moment = momentOf(facts);
  const use = firstOf(uses, moment);
  const onFailure = firstOf(afterFailure, moment);
  const onSoftTimeout = firstOf(afterSoftTimeout, moment);
  const isStored = against.length === 0;
  if (isStored) for (const clause of [use, onFailure, onSoftTimeout]) decided([clause]);
  return {
    isStored,
    isStoredOfPost: isStored && againstPost.length === 0,
    ends: firstOf(afterFullAnswer, facts, coverage).ends,
    vary: varyOf(facts),
    initialAgeMs: facts.initialAgeMs,
    times: timesOf(facts),
    lifetime: lifetime.id,
    // §5.1: Age is delta-seconds, of which the greatest is 2^31 (§1.2.2).
    ageSeconds: Math.min(Math.floor(moment.ageMs / 1000), 2_147_483_648),
    ttlSeconds: Math.floor(moment.leftMs / 1000),
    reuse: reuseOf(use, moment, facts.laterClient),
    servesOnFailure: onFailure.serves,
    wantsGatewayTimeout: wantsGatewayTimeout(moment),
    servesOnSoftTimeout: onSoftTimeout.serves,
  };
}

/** §4.3.1: what has a validator is validated, the rest is fetched; with only-if-cached it is refused (§5.2.1.7). */
function reuseOf(use: UseClause, moment: Moment, client: Pick<Obeyed, 'has'>): string {
  switch (use.use) {
    case 'reuse':
    case 'reuse-stale':
    case 'max-stale':
      return use.use;
    case 'ask':
      if (client.has('only-if-cached')) return 'refuse';
      // What is past its retention counts as gone.
      return moment.facts.hasValidator && use.id !== 'U1' ? 'validate' : 'fetch';
  }
}
