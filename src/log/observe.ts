import type { Observer, PurgeRecord, UpstreamCallRecord } from '../cache/ports.ts';
import type { LogConfig } from '../core/config.ts';
import type { RequestRecord } from '../core/outcome.ts';
import { createFleetLines } from './fleet-lines.ts';
import type { LogFields } from './redact.ts';
import { untold } from './untold.ts';

// A target may be as long as its limit allows; a line need not be.
const maxUrlLength = 2048;
const maxNames = 20;

/** What it needs of the log. */
interface Lines {
  readonly debug: (fields: LogFields, message: string) => void;
  readonly info: (fields: LogFields, message: string) => void;
  readonly warn: (fields: LogFields, message: string) => void;
  /** False where lines of this level go nowhere. */
  readonly writes: (level: 'debug' | 'info') => boolean;
  /** The text up to this length, no part of a known secret at its end. */
  readonly shortened: (text: string, length: number) => string;
}

/** Writes what happens: one line per request where `log.requests` says so, purges and warming always, trouble of the fleet within bounds, the rest at `debug`. */
export function createLogObserver(
  log: Lines,
  config: Pick<LogConfig, 'requests'>,
  nowMs: () => number = () => performance.now(),
): Observer {
  const requests = config.requests && log.writes('info');
  const debug = log.writes('debug');
  const shortened = ({ url }: Pick<RequestRecord | UpstreamCallRecord, 'url'>): string =>
    log.shortened(url, maxUrlLength);
  const fleet = createFleetLines(log, nowMs);
  return {
    request(record) {
      if (requests) log.info(requestFields(record, shortened(record)), 'request');
    },
    repeats: () => (requests ? undefined : untold),
    upstreamCall(call) {
      const [level, message] = lineOf(call);
      if (level !== 'debug' || debug) log[level]({ ...rounded(call), url: shortened(call) }, message);
    },
    brokenBody(record) {
      log.warn({ ...record }, 'upstream answer broke off');
    },
    storage(route, result) {
      if (debug) log.debug({ route, result }, 'storage');
    },
    purge(record) {
      if (record.complete && record.missing.length === 0) log.info(purgeFields(record), 'purge');
      else log.warn(purgeFields(record), record.complete ? 'purge with sidecars missing' : 'purge not complete yet');
    },
    warm(record) {
      if (record.failed === 0) log.info(rounded(record), 'warmed');
      else log.warn(rounded(record), record.fetched + record.reused > 0 ? 'warming failed in part' : 'warming failed');
    },
    fleet,
    limit(option) {
      // At `debug`: whoever floods the limits should not flood the log as well; the metric counts them.
      if (debug) log.debug({ option }, 'limit hit');
    },
  };
}

function lineOf(call: UpstreamCallRecord): readonly ['debug' | 'info' | 'warn', string] {
  // Agents with short timeouts would flood the log, and an operator has nothing to mend. The request's own line has it, and the metrics.
  if (call.clientGone === true) return ['debug', 'upstream call given up'];
  if (call.failure !== undefined) return ['warn', 'upstream call failed'];
  if (call.retryAfterMs !== undefined) return ['info', 'upstream puts off warming and refreshes'];
  return ['debug', 'upstream call'];
}

/** Members without a value are left out of the line. */
function requestFields(record: RequestRecord, url: string): Record<string, string | number | undefined> {
  return {
    method: record.method,
    url,
    route: record.route,
    outcome: record.outcome,
    status: record.status,
    durationMs: microseconds(record.durationMs),
    bytesSent: record.bytesSent,
    tier: record.tier,
    fwd: record.fwd,
    upstream: record.upstream,
    problem: record.problem,
    traceId: record.traceId,
    listener: record.listener,
  };
}

/** Who is missing serves nothing from store until it has caught up; of many, some names and the number will do. */
function purgeFields({ missing, ...record }: PurgeRecord): LogFields {
  const fields = rounded(record);
  if (missing.length === 0) return fields;
  return { ...fields, missing: missing.slice(0, maxNames), missingCount: missing.length };
}

function rounded(record: { readonly durationMs: number }): LogFields {
  return { ...record, durationMs: microseconds(record.durationMs) };
}

/** What a clock says beyond that is noise. */
function microseconds(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}
