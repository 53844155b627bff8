import type { FleetEvent } from '../cache/fleet-ports.ts';
import { LineBudget } from './line-budget.ts';
import type { LogFields } from './redact.ts';

/** What it needs of the log. */
interface Lines {
  readonly debug: (fields: LogFields, message: string) => void;
  readonly info: (fields: LogFields, message: string) => void;
  readonly warn: (fields: LogFields, message: string) => void;
  readonly writes: (level: 'debug' | 'info') => boolean;
}

/** A line that an operator should see. */
interface Line {
  readonly level: 'info' | 'warn';
  /** Lines of one are limited together. */
  readonly budget: string;
  readonly fields: LogFields;
  readonly message: string;
  /** Of what takes turns between good and bad: said once where it is good, and only after it was said to be bad. */
  readonly state?: { readonly of: string; readonly good: boolean };
}

/**
 * Writes what an operator should know of the fleet: leases, epochs, the breaker, values that cannot be used, purges and
 * jobs that could not be done. The rest is at `debug`. Lines of trouble are limited; the next one of its kind says how many
 * were not written (`unsaid`). Each trouble that was said is said to be over. `nowMs` never goes back.
 */
export function createFleetLines(log: Lines, nowMs: () => number): (event: FleetEvent) => void {
  const debug = log.writes('debug');
  const budget = new LineBudget(nowMs);
  const lastSaid = new Map<string, boolean>();
  const refusals = new Refusals();
  let epochs = 0;

  function write({ level, fields, message, state, budget: kind }: Line): void {
    if (state?.good === true) {
      if (lastSaid.get(state.of) !== true) log[level](fields, message);
    } else {
      const unsaid = budget.spend(kind);
      if (unsaid === undefined) return;
      log[level](unsaid === 0 ? fields : { ...fields, unsaid }, message);
    }
    if (state !== undefined) lastSaid.set(state.of, state.good);
  }

  return (event) => {
    // Of each look at Redis: never a line but at `debug`.
    if (event.kind === 'redis' && !debug) return;
    if (event.kind === 'epoch') epochs += 1;
    const line = refusals.isNews(event) ? lineOf(event, epochs) : undefined;
    if (line !== undefined) write(line);
    else if (debug) log.debug(debugFields(event), 'fleet');
  };
}

function lineOf(event: FleetEvent, epochs: number): Line | undefined {
  switch (event.kind) {
    case 'lease':
      // Every ordinary stop ends with it: no trouble, and nobody is there to whom it could be said to be over.
      return event.left === true ? undefined : leaseLine(event.state);
    case 'breaker':
      return breakerLine(event.state);
    case 'epoch':
      return epochLine(event, epochs === 1);
    case 'unusable':
      return warning('unusable', { reason: event.reason }, 'value in Redis cannot be used');
    case 'purge-refused':
      return warning('purge', { code: event.code, source: event.source }, 'purge not guaranteed');
    case 'job':
      return jobLine(event.name, event.result);
    case 'sync':
      return syncLine(event.result);
    case 'acknowledged':
    case 'refused':
    case 'redis':
      return undefined;
  }
}

function leaseLine(change: 'gained' | 'lost'): Line {
  const good = change === 'gained';
  const message = good ? 'lease gained' : 'lease lost: nothing is served from store';
  return { level: good ? 'info' : 'warn', budget: 'lease', fields: {}, message, state: { of: 'lease', good } };
}

/**
 * What Redis answers to whoever asks for a lease, and goes on answering. Of the others the connection tells, or that the lease
 * is lost.
 */
function syncLine(result: Extract<FleetEvent, { readonly kind: 'sync' }>['result']): Line | undefined {
  switch (result) {
    case 'auth':
    case 'readonly':
    case 'noreplicas':
    case 'clusterdown':
    case 'oom':
    case 'other': {
      const message = 'no lease, since Redis refuses the purge log: nothing is served from store';
      return { level: 'warn', budget: 'sync', fields: { result }, message, state: { of: 'lease', good: false } };
    }
    case 'ok':
    case 'closed':
    case 'timeout':
    case 'loading':
      return undefined;
  }
}

/** A process that never gets a lease loses none, so why it has none is said; once, since it asks again and again. */
class Refusals {
  #isLeased = false;
  #last: string | undefined;

  isNews(event: FleetEvent): boolean {
    if (event.kind === 'lease') {
      this.#isLeased = event.state === 'gained';
      this.#last = undefined;
    }
    if (event.kind !== 'sync' || syncLine(event.result) === undefined) return true;
    if (this.#isLeased || this.#last === event.result) return false;
    this.#last = event.result;
    return true;
  }
}

function breakerLine(change: 'open' | 'half-open' | 'closed'): Line | undefined {
  // One probe after another: it is open still.
  if (change === 'half-open') return undefined;
  const good = change === 'closed';
  const message = good ? 'breaker closed' : 'breaker open: Redis is not asked';
  return { level: good ? 'info' : 'warn', budget: 'breaker', fields: {}, message, state: { of: 'breaker', good } };
}

function epochLine({ reason, epoch }: Extract<FleetEvent, { readonly kind: 'epoch' }>, isFirst: boolean): Line {
  // The first process of a fleet finds nothing there, and that is how it should be.
  const level = reason === 'new' && isFirst ? 'info' : 'warn';
  const message = 'new epoch: what was stored before is not served';
  return { level, budget: 'epoch', fields: { reason, epoch }, message };
}

function jobLine(job: string, result: Extract<FleetEvent, { readonly kind: 'job' }>['result']): Line | undefined {
  switch (result) {
    case 'unavailable':
      return warning('job unavailable', { job }, 'job put off: Redis does not answer');
    case 'lost':
      return warning('job lost', { job }, 'lease of a job lapsed while it ran');
    case 'ours':
    case 'running':
    case 'done':
      return undefined;
  }
}

function warning(budget: string, fields: LogFields, message: string): Line {
  return { level: 'warn', budget, fields, message };
}

function debugFields({ kind, ...rest }: FleetEvent): LogFields {
  return { event: kind, ...rest };
}
