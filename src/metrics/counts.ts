import type { Counters, RouteTally, UpstreamTally } from './counters.ts';
import { bump, DurationTally, type TokenTally } from './tallies.ts';

/** All that a thread has counted since it started, as plain data that another thread can be sent. */
export interface Counts {
  readonly routes: ReadonlyMap<string, Numbers>;
  readonly upstreams: ReadonlyMap<string, Numbers>;
  readonly whole: Numbers;
  readonly warmJobs: ReadonlyMap<string, WarmNumbers>;
  readonly redisDurations: ReadonlyMap<RedisOperation, Durations>;
  readonly laggards: number;
}

/** What grows in one tally, in the order of {@link Growing}. */
interface Numbers {
  readonly arrays: readonly Float64Array[];
  readonly tokens: readonly (readonly (readonly [token: string, count: number])[])[];
  readonly durations: readonly Durations[];
}

type Durations = Pick<DurationTally, 'buckets' | 'sumSeconds'>;
type WarmNumbers = Readonly<Record<'runs' | 'fetched' | 'reused' | 'failed' | 'unasked', number>>;
type RedisOperation = Counters['fleetTally']['operationDurations'] extends Map<infer Name, unknown> ? Name : never;

/** The parts of a tally that grow: what is counted but missing here would be missing in the sums. */
interface Growing {
  readonly arrays: readonly Float64Array[];
  readonly tokens: readonly TokenTally[];
  readonly durations: readonly DurationTally[];
}

/** What has been counted by now; the counters go on. */
export function countsOf(counters: Counters): Counts {
  const { operationDurations, laggards } = counters.fleetTally;
  return {
    routes: new Map([...counters.routes].map(([name, tally]) => [name, taken(ofRoute(tally))])),
    upstreams: new Map([...counters.upstreams].map(([name, tally]) => [name, taken(ofUpstream(tally))])),
    whole: taken(ofWhole(counters)),
    warmJobs: new Map([...counters.warmJobs].map(([name, job]) => [name, { ...job }])),
    redisDurations: new Map([...operationDurations].map(([name, tally]) => [name, takenDurations(tally)])),
    laggards,
  };
}

/** Adds to counters of the same configuration what others have counted. */
export function addCounts(counters: Counters, counts: Counts): void {
  for (const [name, numbers] of counts.routes) {
    const tally = counters.routes.get(name);
    if (tally !== undefined) add(ofRoute(tally), numbers);
  }
  for (const [name, numbers] of counts.upstreams) {
    const tally = counters.upstreams.get(name);
    if (tally !== undefined) add(ofUpstream(tally), numbers);
  }
  add(ofWhole(counters), counts.whole);
  for (const [name, job] of counts.warmJobs) {
    const sum = counters.warmJobs.get(name) ?? { runs: 0, fetched: 0, reused: 0, failed: 0, unasked: 0 };
    sum.runs += job.runs;
    sum.fetched += job.fetched;
    sum.reused += job.reused;
    sum.failed += job.failed;
    sum.unasked += job.unasked;
    counters.warmJobs.set(name, sum);
  }
  const { fleetTally } = counters;
  for (const [name, durations] of counts.redisDurations) {
    const tally = fleetTally.operationDurations.get(name) ?? new DurationTally();
    addDurations(tally, durations);
    fleetTally.operationDurations.set(name, tally);
  }
  fleetTally.laggards += counts.laggards;
}

function ofRoute(tally: RouteTally): Growing {
  const { outcomes, bytes, requests, hitsByTier, missesByFwd, calls, answered, durations, storage } = tally;
  return {
    arrays: [outcomes, bytes, requests, hitsByTier, missesByFwd, calls, answered],
    tokens: [storage],
    durations,
  };
}

function ofUpstream({ calls, putOffs, brokenBodies, durations }: UpstreamTally): Growing {
  return { arrays: [calls, putOffs], tokens: [brokenBodies], durations: [durations] };
}

function ofWhole({ purgedBy, problems, limits, purges, purgeDurations, fleetTally }: Counters): Growing {
  const fleet = fleetTally;
  return {
    arrays: [purgedBy],
    tokens: [
      problems,
      limits,
      purges,
      fleet.leaseChanges,
      fleet.epochChanges,
      fleet.syncs,
      fleet.refusedReads,
      fleet.operations,
      fleet.operationBytes,
      fleet.unusableValues,
      fleet.breakerChanges,
      fleet.jobLeases,
      fleet.refusedPurges,
    ],
    durations: [purgeDurations, fleet.syncDurations, fleet.acknowledgements],
  };
}

function taken({ arrays, tokens, durations }: Growing): Numbers {
  return {
    arrays: arrays.map((array) => array.slice()),
    tokens: tokens.map((tally) => [...tally.entries()]),
    durations: durations.map(takenDurations),
  };
}

function takenDurations({ buckets, sumSeconds }: DurationTally): Durations {
  return { buckets: buckets.slice(), sumSeconds };
}

function add(growing: Growing, { arrays, tokens, durations }: Numbers): void {
  for (const [place, array] of growing.arrays.entries()) addArray(array, arrays[place]);
  for (const [place, tally] of growing.tokens.entries()) {
    for (const [token, count] of tokens[place] ?? []) tally.add(token, count);
  }
  for (const [place, tally] of growing.durations.entries()) {
    const more = durations[place];
    if (more !== undefined) addDurations(tally, more);
  }
}

function addArray(sums: Float64Array, more: Float64Array | undefined): void {
  if (more === undefined) return;
  for (const [index, count] of more.entries()) if (count !== 0) bump(sums, index, count);
}

function addDurations(tally: DurationTally, { buckets, sumSeconds }: Durations): void {
  addArray(tally.buckets, buckets);
  tally.sumSeconds += sumSeconds;
}
