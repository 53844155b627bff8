import type { OutcomeName } from '../core/outcome.ts';
import type { Counters, RouteTally } from './counters.ts';
import { outcomeIndex, outcomeNames, purposeIndex, purposeNames } from './labels.ts';
import { sum } from './tallies.ts';

/** Counts of everything that a report tells, whole numbers throughout so that sums of many processes stay exact. */
export interface Totals {
  /** By route name; the places are those of {@link routeColumns}. */
  readonly routes: ReadonlyMap<string, Float64Array>;
  /** The places are those of {@link wholeColumns}. */
  readonly whole: Float64Array;
}

export const bytesAt = outcomeNames.length;
export const callsAt = bytesAt + outcomeNames.length;
export const answeredAt = callsAt + purposeNames.length;
/** Microseconds, because sums of fractions differ by the order in which they are made. */
export const answeredMicrosAt = answeredAt + 1;

/** Names that stay when places move: processes of two versions add to the same counts. */
const routeColumns: readonly string[] = [
  ...outcomeNames.map((name) => `outcome.${name}`),
  ...outcomeNames.map((name) => `bytes.${name}`),
  ...purposeNames.map((name) => `calls.${name}`),
  'answered',
  'answeredMicros',
];
const wholeColumns: readonly string[] = ['warm.runs', 'warm.fetched', 'warm.reused', 'warm.failed', 'purges', 'purged'];
const routePlace = new Map(routeColumns.map((name, place) => [name, place]));
const wholePlace = new Map(wholeColumns.map((name, place) => [name, place]));

export function countOf(totals: Float64Array, name: OutcomeName): number {
  return totals[outcomeIndex[name]] ?? 0;
}

export function bytesOf(totals: Float64Array, name: OutcomeName): number {
  return totals[bytesAt + outcomeIndex[name]] ?? 0;
}

export function callsOf(totals: Float64Array, purpose: keyof typeof purposeIndex): number {
  return totals[callsAt + purposeIndex[purpose]] ?? 0;
}

/** All that was counted since the start of the process. */
export function totalsOf(counters: Counters): Totals {
  const warm = { runs: 0, fetched: 0, reused: 0, failed: 0 };
  for (const job of counters.warmJobs.values()) {
    warm.runs += job.runs;
    warm.fetched += job.fetched;
    warm.reused += job.reused;
    warm.failed += job.failed;
  }
  const { runs, fetched, reused, failed } = warm;
  return {
    routes: new Map([...counters.routes].map(([name, tally]) => [name, totalsOfRoute(tally)])),
    whole: Float64Array.of(runs, fetched, reused, failed, counters.purgeDurations.count, sum(counters.purgedBy)),
  };
}

function totalsOfRoute({ outcomes, bytes, calls, answered }: RouteTally): Float64Array {
  const [answers = 0, answeredMs = 0] = answered;
  return Float64Array.of(...outcomes, ...bytes, ...calls, answers, Math.round(answeredMs * 1000));
}

/** What was counted between the two. */
export function minus(now: Totals, before: Totals): Totals {
  const none = new Float64Array(0);
  return {
    routes: new Map([...now.routes].map(([name, counts]) => [name, less(counts, before.routes.get(name) ?? none)])),
    whole: less(now.whole, before.whole),
  };
}

/** Both together, of processes of the same configuration. */
export function plus(one: Totals, other: Totals): Totals {
  return {
    routes: new Map([...one.routes].map(([name, counts]) => [name, more(counts, other.routes.get(name))])),
    whole: more(one.whole, other.whole),
  };
}

function more(one: Float64Array, other: Float64Array | undefined): Float64Array {
  return one.map((count, place) => count + (other?.[place] ?? 0));
}

function less(now: Float64Array, before: Float64Array): Float64Array {
  return now.map((count, place) => count - (before[place] ?? 0));
}

/** Totals by name, for a place that knows nothing of routes: only what is not zero. */
export function fieldsOf({ routes, whole }: Totals): ReadonlyMap<string, number> {
  const fields = new Map<string, number>();
  const add = (name: string, count: number | undefined): void => {
    if (count !== undefined && count !== 0) fields.set(name, count);
  };
  for (const [place, column] of wholeColumns.entries()) add(column, whole[place]);
  for (const [route, counts] of routes) {
    for (const [place, column] of routeColumns.entries()) add(`${column}:${route}`, counts[place]);
  }
  return fields;
}

/** The reverse. What it does not know is left out: a process of another version wrote it. */
export function totalsOfFields(fields: ReadonlyMap<string, number>, routeNames: Iterable<string>): Totals {
  const routes = new Map([...routeNames].map((name) => [name, new Float64Array(routeColumns.length)]));
  const whole = new Float64Array(wholeColumns.length);
  for (const [name, count] of fields) {
    const colon = name.indexOf(':');
    const ofWhole = wholePlace.get(name);
    const ofRoute = colon === -1 ? undefined : routePlace.get(name.slice(0, colon));
    if (ofWhole !== undefined) whole[ofWhole] = count;
    if (ofRoute === undefined) continue;
    const route = name.slice(colon + 1);
    const counts = routes.get(route) ?? new Float64Array(routeColumns.length);
    counts[ofRoute] = count;
    routes.set(route, counts);
  }
  return { routes, whole };
}
