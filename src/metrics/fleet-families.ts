import type { CoherenceStatus, RedisStatus } from '../cache/fleet-ports.ts';
import { counter, gauge, histogram, type Family, type Sample } from './family.ts';
import type { FleetTally } from './fleet-tally.ts';
import type { TokenTally } from './tallies.ts';

/** The families of the fleet's coherence: the lease, the purge log, epochs, jobs. */
export function coherenceFamilies(tally: FleetTally, status: CoherenceStatus): readonly Family[] {
  return [
    ...coherenceGauges(status),
    counted('forecache_lease_changes_total', 'Times that the lease was gained or lost.', tally.leaseChanges, 'state'),
    counted(
      'forecache_epoch_changes_total',
      'Times that all that was stored before became invalid, by reason.',
      tally.epochChanges,
      'reason',
    ),
    counted('forecache_syncs_total', 'Looks at the purge log, by result.', tally.syncs, 'result'),
    histogram('forecache_sync_duration_seconds', 'Time that a look at the purge log took.', [
      [{}, tally.syncDurations],
    ]),
    histogram('forecache_purge_ack_seconds', 'Time in which other processes acknowledged purges of this one.', [
      [{}, tally.acknowledgements],
    ]),
    counter(
      'forecache_purge_laggards_total',
      'Processes that had not acknowledged a purge of this one at its end.',
      bare(tally.laggards),
    ),
    counted(
      'forecache_purges_refused_total',
      'Purges that could not be guaranteed (503), by source.',
      tally.refusedPurges,
      'source',
    ),
    counted(
      'forecache_reads_refused_total',
      'Stored responses that were found and not served, by reason.',
      tally.refusedReads,
      'reason',
    ),
    counted(
      'forecache_job_leases_total',
      'Jobs of the fleet that were asked for, by what came of it.',
      tally.jobLeases,
      'result',
    ),
  ];
}

function coherenceGauges(status: CoherenceStatus): readonly Family[] {
  const ageMs = status.leaseAgeMs;
  return [
    gauge('forecache_lease_held', 'Whether anything may be served from store: 1 or 0.', bare(status.leased ? 1 : 0)),
    gauge(
      'forecache_lease_age_seconds',
      'Time since the lease was last renewed, from when the call was sent; absent before the first.',
      ageMs === undefined ? [] : bare(ageMs / 1000),
    ),
    gauge(
      'forecache_lease_length_seconds',
      'Nominal length of a lease; it is given up at nine tenths of that age.',
      bare(status.leaseMs / 1000),
    ),
    gauge('forecache_purge_log_position', 'Last purge of the epoch that was applied here.', bare(status.applied)),
    gauge('forecache_purge_log_lag', 'Purges that are known and not applied here.', bare(status.lag)),
    gauge('forecache_purge_table_scopes', 'Scopes in the purge table.', bare(status.scopes)),
    gauge('forecache_clock_skew_seconds', 'Wall clock of Redis less that of this process.', bare(status.skewMs / 1000)),
  ];
}

/** As Prometheus shows it: the worse, the higher. */
const breakerValue: Readonly<Record<RedisStatus['breaker'], number>> = { closed: 0, 'half-open': 1, open: 2 };

/** The families of the Redis tier. */
export function redisFamilies(tally: FleetTally, status: RedisStatus): readonly Family[] {
  return [
    gauge(
      'forecache_redis_breaker_state',
      'Whether Redis is asked: 0 yes (closed), 1 once to try (half-open), 2 no (open).',
      bare(breakerValue[status.breaker]),
    ),
    counted(
      'forecache_redis_breaker_changes_total',
      'Times that the breaker took a state.',
      tally.breakerChanges,
      'state',
    ),
    gauge('forecache_redis_pending_bytes', 'Bytes of values under way to Redis.', bare(status.pendingBytes)),
    gauge('forecache_redis_pending_max_bytes', 'Bytes that may be under way.', bare(status.maxPendingBytes)),
    counter(
      'forecache_redis_operations_total',
      'Calls to Redis, made or not, by operation and result.',
      operationSamples(tally.operations),
    ),
    histogram(
      'forecache_redis_operation_duration_seconds',
      'Time that a call to Redis took; those that were not made are no part of it.',
      [...tally.operationDurations].map(([operation, durations]) => [{ operation }, durations] as const),
    ),
    counted(
      'forecache_redis_bytes_total',
      'Bytes of values that were read, and that Redis took, as they are there.',
      tally.operationBytes,
      'operation',
    ),
    counted(
      'forecache_redis_unusable_values_total',
      'Values that were read and could not be used, by reason.',
      tally.unusableValues,
      'reason',
    ),
  ];
}

function operationSamples(operations: TokenTally): readonly Sample[] {
  return [...operations.entries()].map(([token, value]) => {
    const [operation = 'other', result = 'other'] = token.split('|');
    return { labels: { operation, result }, value };
  });
}

/** A counter by the tokens of the tally, under one label. */
function counted(name: string, help: string, tally: TokenTally, label: string): Family {
  const samples = [...tally.entries()].map(([token, value]) => ({ labels: { [label]: token }, value }));
  return counter(name, help, samples);
}

function bare(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}
