import type { FleetEvent } from '../cache/fleet-ports.ts';
import { type Count, DurationTally, TokenTally } from './tallies.ts';

type Redis = Extract<FleetEvent, { readonly kind: 'redis' }>;

/** Where an operation with its result is counted. What of it was never met has no series. */
interface Operation {
  readonly operation: Redis['operation'];
  readonly result: Redis['result'];
  readonly count: Count;
  bytes: Count | undefined;
  durations: DurationTally | undefined;
}

/** Each operation with each result. */
const maxOperationResults = 256;

/** Counts what the shared tier and the fleet do. Everything here only grows. */
export class FleetTally {
  readonly leaseChanges = known(['gained', 'lost']);
  readonly epochChanges = known(['new', 'gone', 'failover', 'log-lost', 'behind']);
  readonly syncs = known(['ok']);
  readonly syncDurations = new DurationTally();
  readonly acknowledgements = new DurationTally();
  laggards = 0;
  readonly refusedReads = known(['lease', 'epoch', 'floor', 'purged']);
  /** Keyed `operation|result`. */
  readonly operations = new TokenTally(maxOperationResults);
  readonly operationBytes = new TokenTally();
  readonly operationDurations = new Map<Redis['operation'], DurationTally>();
  readonly unusableValues = known(['foreign', 'version', 'truncated', 'checksum', 'collision', 'coding']);
  readonly breakerChanges = known(['open', 'half-open', 'closed']);
  readonly jobLeases = known(['ours', 'running', 'done', 'unavailable', 'lost']);
  readonly refusedPurges = known(['api', 'method', 'schedule']);
  #last: Operation | undefined = undefined;

  add(event: FleetEvent): void {
    switch (event.kind) {
      case 'lease':
        return this.leaseChanges.add(event.state);
      case 'epoch':
        return this.epochChanges.add(event.reason);
      case 'sync':
        this.syncs.add(event.result);
        return this.syncDurations.add(event.durationMs);
      case 'acknowledged':
        this.laggards += event.missing;
        return event.sidecars.forEach(({ appliedMs }) => this.acknowledgements.add(appliedMs));
      case 'refused':
        return this.refusedReads.add(event.reason);
      case 'redis':
        return this.#addOperation(event);
      case 'unusable':
        return this.unusableValues.add(event.reason);
      case 'breaker':
        return this.breakerChanges.add(event.state);
      case 'job':
        return this.jobLeases.add(event.result);
      case 'purge-refused':
        return this.refusedPurges.add(event.source);
    }
  }

  #addOperation({ operation, result, durationMs, bytes }: Redis): void {
    let last = this.#last;
    // Most are hits, as the last one was.
    if (last === undefined || last.operation !== operation || last.result !== result) {
      const count = this.operations.of(`${operation}|${result}`);
      this.#last = last = { operation, result, count, bytes: undefined, durations: undefined };
    }
    last.count.value += 1;
    if (bytes > 0) (last.bytes ??= this.operationBytes.of(operation)).value += bytes;
    // What was not sent took no time, and would only hide how long the rest took.
    if (durationMs !== undefined) (last.durations ??= this.#durationsOf(operation)).add(durationMs);
  }

  #durationsOf(operation: Redis['operation']): DurationTally {
    let durations = this.operationDurations.get(operation);
    if (durations === undefined) this.operationDurations.set(operation, (durations = new DurationTally()));
    return durations;
  }
}

/** These series exist from the start, so that the first increase is seen by rate(). */
function known(tokens: readonly string[]): TokenTally {
  const tally = new TokenTally();
  for (const token of tokens) tally.add(token, 0);
  return tally;
}
