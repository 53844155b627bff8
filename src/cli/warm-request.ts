import { ok, refused, type Result } from '../core/problem.ts';

export interface WarmOptions {
  readonly location?: readonly string[];
  readonly route?: string;
  /** `name=value` each. */
  readonly with?: readonly string[];
}

/** Combinations past this are more likely a slip than a wish. */
const maxRequests = 1000;

/** The body of `POST /api/warm`; the error is a sentence. A name given several times makes a request for each value. */
export function warmBody(options: WarmOptions): Result<object, string> {
  const { location = [], with: pairs = [] } = options;
  const byLocation = location.length > 0;
  if (byLocation === (options.route !== undefined)) {
    return refused('say what to warm: --location for the configured jobs, or --route with --with for one route');
  }
  if (byLocation) {
    return pairs.length === 0
      ? ok({ locations: location })
      : refused('--with goes with --route; the configured jobs have their own parameters');
  }
  const values = new Map<string, string[]>();
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    if (equals < 1) return refused(`a parameter is written name=value, not ${pair}`);
    const name = pair.slice(0, equals);
    const given = values.get(name) ?? [];
    given.push(pair.slice(equals + 1));
    values.set(name, given);
  }
  const count = [...values.values()].reduce((product, given) => product * given.length, 1);
  if (count > maxRequests) return refused(`these parameters make ${count} requests; ${maxRequests} is the most`);
  return ok({ route: options.route, with: combinations([...values]) });
}

function combinations(values: readonly (readonly [string, readonly string[]])[]): readonly object[] {
  let sets: (readonly (readonly [string, string])[])[] = [[]];
  for (const [name, given] of values) {
    sets = sets.flatMap((set) => given.map((value) => [...set, [name, value] as const]));
  }
  return sets.map((set) => Object.fromEntries(set));
}
