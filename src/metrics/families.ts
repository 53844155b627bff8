import type { StoreStats } from '../cache/ports.ts';
import type { Counters, RouteTally } from './counters.ts';
import {
  callResultNames,
  fwdIndex,
  fwdNames,
  methodNames,
  outcomeIndex,
  outcomeNames,
  purgeByNames,
  purposeNames,
  statusClassNames,
  tierIndex,
  tierNames,
} from './labels.ts';
import type { DurationTally } from './tallies.ts';
import { counter, gauge, histogram, type Family, type Labels, type Sample } from './family.ts';

/** The families of the data path: requests, upstream calls, storage. */
export function requestFamilies(counters: Counters): readonly Family[] {
  const requests: Sample[] = [];
  const durations: [Labels, DurationTally][] = [];
  const bytes: Sample[] = [];
  const stale: Sample[] = [];
  for (const [route, tally] of counters.routes) {
    for (const [outcomePlace, outcome] of outcomeNames.entries()) {
      requests.push(...requestSamples(route, tally, outcomePlace));
      const duration = tally.durations[outcomePlace];
      if (duration !== undefined && duration.count > 0) durations.push([{ route, outcome }, duration]);
      const sent = tally.bytes[outcomePlace] ?? 0;
      if (sent > 0) bytes.push({ labels: { route, outcome }, value: sent });
    }
    for (const outcome of ['stale', 'stale-error'] as const) {
      stale.push({ labels: { route, outcome }, value: tally.outcomes[outcomeIndex[outcome]] ?? 0 });
    }
  }
  return [
    counter('forecache_requests_total', 'Requests, each counted once, when its response has ended.', requests),
    histogram('forecache_request_duration_seconds', 'Time from request head to response end.', durations),
    counter('forecache_sent_bytes_total', 'Content bytes sent to clients.', bytes),
    counter('forecache_stale_total', 'Stale responses served, those after an upstream failure apart.', stale),
    ...cacheFamilies(counters),
  ];
}

function requestSamples(route: string, tally: RouteTally, outcomePlace: number): readonly Sample[] {
  const samples: Sample[] = [];
  const outcome = outcomeNames[outcomePlace] ?? 'error';
  for (const [methodPlace, method] of methodNames.entries()) {
    const first = (outcomePlace * methodNames.length + methodPlace) * statusClassNames.length;
    for (const [classPlace, statusClass] of statusClassNames.entries()) {
      const value = tally.requests[first + classPlace] ?? 0;
      if (value > 0) samples.push({ labels: { route, outcome, method, status_class: statusClass }, value });
    }
  }
  return samples;
}

function cacheFamilies(counters: Counters): readonly Family[] {
  const hits: Sample[] = [];
  const misses: Sample[] = [];
  const collapsed: Sample[] = [];
  const storage: Sample[] = [];
  for (const [route, tally] of counters.routes) {
    // The usual series exist from the start, so that the first increase is seen by rate().
    for (const [place, tier] of tierNames.entries()) {
      const value = tally.hitsByTier[place] ?? 0;
      if (value > 0 || place === tierIndex.memory) hits.push({ labels: { route, tier }, value });
    }
    for (const [place, reason] of fwdNames.entries()) {
      const value = tally.missesByFwd[place] ?? 0;
      if (value > 0 || place === fwdIndex['uri-miss']) misses.push({ labels: { route, reason }, value });
    }
    collapsed.push({ labels: { route }, value: tally.outcomes[outcomeIndex.collapsed] ?? 0 });
    for (const [result, value] of tally.storage.entries()) storage.push({ labels: { route, result }, value });
  }
  return [
    counter('forecache_hits_total', 'Requests answered from store, stale ones included.', hits),
    counter('forecache_misses_total', 'Requests for which upstream answered first, by RFC 9211 reason.', misses),
    counter('forecache_collapsed_total', 'Requests answered from the fetch of another one.', collapsed),
    counter('forecache_storage_total', 'Complete upstream responses, by whether and why they were stored.', storage),
  ];
}

/** The families of upstream calls. */
export function upstreamFamilies(counters: Counters): readonly Family[] {
  const calls: Sample[] = [];
  const broken: Sample[] = [];
  const putOffs: Sample[] = [];
  const durations: [Labels, DurationTally][] = [];
  for (const [upstream, tally] of counters.upstreams) {
    for (const [purposePlace, purpose] of purposeNames.entries()) {
      for (const [resultPlace, result] of callResultNames.entries()) {
        const value = tally.calls[purposePlace * callResultNames.length + resultPlace] ?? 0;
        if (value > 0) calls.push({ labels: { upstream, purpose, result }, value });
      }
    }
    putOffs.push({ labels: { upstream }, value: tally.putOffs[0] ?? 0 });
    for (const [failure, value] of tally.brokenBodies.entries()) broken.push({ labels: { upstream, failure }, value });
    if (tally.durations.count > 0) durations.push([{ upstream }, tally.durations]);
  }
  return [
    counter('forecache_upstream_calls_total', 'Calls made upstream, by purpose and status class or failure.', calls),
    counter(
      'forecache_upstream_broken_bodies_total',
      'Upstream answers that broke off or proved wrong behind their heads, by kind of failure.',
      broken,
    ),
    counter(
      'forecache_upstream_put_offs_total',
      'Answers to warming and refreshes that put off all of them by Retry-After.',
      putOffs,
    ),
    histogram(
      'forecache_upstream_call_duration_seconds',
      'Time from the start of an upstream call to its response head or its failure.',
      durations,
    ),
  ];
}

/** The families of what operators and the proxy itself do. */
export function operationFamilies(counters: Counters): readonly Family[] {
  const jobs = [...counters.warmJobs];
  return [
    counter(
      'forecache_problems_total',
      "Error answers of the proxy's own, by problem code.",
      tokens(counters.problems, 'code'),
    ),
    counter('forecache_limit_hits_total', 'Limits that were hit, by option.', tokens(counters.limits, 'option')),
    counter(
      'forecache_purges_total',
      'Purges, by selector, mode and source.',
      [...counters.purges.entries()].map(([token, value]) => {
        const [by = 'other', mode = 'other', source = 'other'] = token.split('|');
        return { labels: { by, mode, source }, value };
      }),
    ),
    counter(
      'forecache_purged_responses_total',
      'Stored responses of the memory tier that purges covered.',
      purgeByNames.map((by, place) => ({ labels: { by }, value: counters.purgedBy[place] ?? 0 })),
    ),
    histogram('forecache_purge_duration_seconds', 'Time that a purge took to complete.', [
      [{}, counters.purgeDurations],
    ]),
    counter(
      'forecache_warm_runs_total',
      'Runs of warming jobs.',
      jobs.map(([job, tally]) => ({ labels: { job }, value: tally.runs })),
    ),
    counter(
      'forecache_warm_requests_total',
      'Requests of warming jobs, by result.',
      jobs.flatMap(([job, { fetched, reused, failed, unasked }]) =>
        Object.entries({ fetched, reused, failed: failed - unasked, unasked }).map(([result, value]) => ({
          labels: { job, result },
          value,
        })),
      ),
    ),
  ];
}

/** Of the data listeners. */
export interface LoadNumbers {
  readonly requestsInFlight: number;
  readonly connections: number;
  /** Requests that the fast lane has answered since the start. */
  readonly fastLane: number;
  /** Of them, those that differed in their target from all that it knew. */
  readonly newTargets: number;
  /** Of them, those whose answer took time. */
  readonly waits: number;
}

/** What the data listeners have on their hands. */
export function loadFamilies(load: LoadNumbers): readonly Family[] {
  return [
    gauge('forecache_requests_in_flight', 'Requests whose response has not ended.', [
      { labels: {}, value: load.requestsInFlight },
    ]),
    gauge('forecache_connections', 'Connections of clients.', [{ labels: {}, value: load.connections }]),
    counter('forecache_fast_lane_requests_total', 'Requests answered by the fast lane; counted with all others too.', [
      { labels: {}, value: load.fastLane },
    ]),
    counter('forecache_fast_lane_targets_total', 'Of them, those that differed in their target from all known ones.', [
      { labels: {}, value: load.newTargets },
    ]),
    counter('forecache_fast_lane_waits_total', 'Of those, the ones whose answer took time: misses, hits from Redis.', [
      { labels: {}, value: load.waits },
    ]),
  ];
}

/** The families of the memory tier. */
export function storeFamilies(stats: StoreStats): readonly Family[] {
  const tier = 'memory';
  const evictions = Object.entries({
    capacity: stats.evictedCapacity,
    retention: stats.evictedRetention,
    'route-limit': stats.evictedRouteLimit,
  });
  const now = (value: number): readonly Sample[] => [{ labels: { tier }, value }];
  return [
    gauge('forecache_store_responses', 'Stored responses.', now(stats.responses)),
    gauge('forecache_store_bytes', 'Bytes that stored responses take, bookkeeping included.', now(stats.bytes)),
    gauge('forecache_store_max_bytes', 'Bytes that stored responses may take.', now(stats.maxBytes)),
    gauge(
      'forecache_store_granted_bytes',
      'Bytes of those that the rest of the process has left room for so far.',
      now(stats.grantedBytes),
    ),
    gauge('forecache_store_tags', 'Tags in the index.', now(stats.tags)),
    counter(
      'forecache_store_evictions_total',
      'Stored responses that were evicted, by reason.',
      evictions.map(([reason, value]) => ({ labels: { tier, reason }, value })),
    ),
    counter(
      'forecache_store_refusals_total',
      'Responses that the tier refused as too large.',
      now(stats.refusedTooLarge),
    ),
  ];
}

function tokens(tally: Counters['problems'], label: string): readonly Sample[] {
  return [...tally.entries()].map(([token, value]) => ({ labels: { [label]: token }, value }));
}
