import { exitCode } from './io.ts';
import { asNumber, asRecord, isRecord, textOr, type JsonRecord } from './json.ts';
import type { Rendering } from './report.ts';
import { printableLine, table } from './terminal.ts';

/** The answer of `GET /api/metrics/cache`: a line for each route that was asked or that asked upstream, as warming does, and the whole below. */
export function renderStats(body: unknown): Rendering {
  const answer = asRecord(body);
  const routes = Object.entries(asRecord(answer['routes'])).filter(([, numbers]) => {
    const { requests, upstream_calls: calls } = asRecord(numbers);
    return asNumber(requests) + asNumber(calls) > 0;
  });
  const rows = routes.map(([name, numbers]) => row(name, asRecord(numbers)));
  const numeric = new Set(columns.keys().map((index) => index + 1));
  const counts = table([['ROUTE', ...columns.map(([title]) => title)], ...rows, row('all', answer)], numeric);
  return {
    text: `since ${printableLine(`${textOr(answer['since'])} (${scopeOf(answer)})`)}\n\n${counts}\n${facts(answer)}`,
    code: exitCode.ok,
  };
}

function scopeOf({ scope, sidecars }: JsonRecord): string {
  return scope === 'fleet' ? `fleet of ${asNumber(sidecars)}` : textOr(scope);
}

/** The answer of `POST /api/metrics/cache/reset`. */
export function renderReset(body: unknown): Rendering {
  const { missing } = asRecord(body);
  const ids = Array.isArray(missing) ? missing.map((id) => printableLine(textOr(id))) : [];
  const late = ids.length === 0 ? '' : `not heard of yet by ${ids.join(', ')}, whose counts are dropped when they do\n`;
  return { text: `counters set to zero\n${late}`, code: exitCode.ok };
}

const columns: readonly (readonly [title: string, member: string])[] = [
  ['REQUESTS', 'requests'],
  ['HITS', 'hits'],
  ['MISSES', 'misses'],
  ['ERRORS', 'errors'],
  ['HIT RATE', 'hit_rate'],
  ['STALE', 'stale'],
  ['COLLAPSED', 'collapsed'],
  ['UPSTREAM CALLS', 'upstream_calls'],
  ['AVOIDED', 'upstream_calls_avoided'],
];

function row(name: string, numbers: JsonRecord): readonly string[] {
  return [
    name,
    ...columns.map(([, member]) => {
      const value = asNumber(numbers[member]);
      return member === 'hit_rate' ? `${value.toFixed(1)} %` : String(value);
    }),
  ];
}

function facts(answer: JsonRecord): string {
  const rows: string[][] = [];
  const saved = answer['upstream_seconds_saved_estimate'];
  if (typeof saved === 'number') rows.push(['waiting saved', `about ${saved.toFixed(1)} s`]);
  rows.push(['sent', `${mebibytes(answer['bytes_sent'])}, of it ${mebibytes(answer['bytes_from_store'])} from store`]);
  if (isRecord(answer['store'])) {
    const { responses, bytes, max_bytes: maxBytes, evicted } = answer['store'];
    rows.push([
      'stored',
      `${asNumber(responses)} responses, ${mebibytes(bytes)} of ${mebibytes(maxBytes)}, ${asNumber(evicted)} evicted`,
    ]);
  }
  if (answer['purges'] !== undefined) {
    rows.push([
      'purges',
      `${asNumber(answer['purges'])}, covering ${asNumber(answer['purged_responses'])} stored responses`,
    ]);
  }
  if (isRecord(answer['warm'])) {
    const { runs, fetched, reused, failed } = answer['warm'];
    rows.push([
      'warming',
      `${asNumber(runs)} runs: ${asNumber(fetched)} fetched, ${asNumber(reused)} reused, ${asNumber(failed)} failed`,
    ]);
  }
  return table(rows);
}

function mebibytes(value: unknown): string {
  return `${(asNumber(value) / 1_048_576).toFixed(1)} MiB`;
}
