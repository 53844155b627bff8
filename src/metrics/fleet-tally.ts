import type { FleetEvent } from '../cache/fleet-ports.ts';
import { DurationTally, TokenTally } from './tallies.ts';

type Redis = Extract<FleetEvent, { readonly kind: 'redis' }>;

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
  #last = { operation: '', result: '', token: '' };

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
    const last = this.#last;
    // The same text as the last time, which a map finds without reading it: most are hits.
    if (last.operation !== operation || last.result !== result) {
      this.#last = { operation, result, token: `${operation}|${result}` };
    }
    this.operations.add(this.#last.token);
    if (bytes > 0) this.operationBytes.add(operation, bytes);
    // What was not sent took no time, and would only hide how long the rest took.
    if (durationMs === undefined) return;
    let durations = this.operationDurations.get(operation);
    if (durations === undefined) this.operationDurations.set(operation, (durations = new DurationTally()));
    durations.add(durationMs);
  }
}

/** These series exist from the start, so that the first increase is seen by rate(). */
function known(tokens: readonly string[]): TokenTally {
  const tally = new TokenTally();
  for (const token of tokens) tally.add(token, 0);
  return tally;
}
