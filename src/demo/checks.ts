import type { Figures } from './figures.ts';

/** Two figures that must agree, taken in different places, and whether they do. */
export interface Check {
  readonly holds: boolean;
  readonly text: string;
}

/** What the simulators counted themselves. */
export interface UpstreamCounts {
  readonly weather: number;
  readonly events: number;
  /** Calls of the event API that carried its key. */
  readonly authorised: number;
}

/** What `GET /api/metrics/cache` said. */
export interface ReportCounts {
  readonly hits: number;
  readonly misses: number;
  readonly errors: number;
  /** Percent. */
  readonly hitRate: number;
  /** All upstream calls, and of them those that no client waited for: the configured warming, if it was due. */
  readonly calls: number;
  readonly background: number;
}

/** `hit_rate` is rounded; further off than this is another figure. */
const rateTolerance = 0.06;

/** Reads the members that the contract names; NaN, which agrees with nothing, for those that are not there. */
export function reportCounts(report: ReadonlyMap<string, unknown>): ReportCounts {
  const number = (name: string): number => {
    const value = report.get(name);
    return typeof value === 'number' ? value : Number.NaN;
  };
  return {
    hits: number('hits'),
    misses: number('misses'),
    errors: number('errors'),
    hitRate: number('hit_rate'),
    calls: number('upstream_calls'),
    background: number('upstream_calls_background'),
  };
}

/** Lays the agents' figures beside those of the proxy and of the upstreams. */
export function crossChecks(figures: Figures, report: ReportCounts, upstream: UpstreamCounts): readonly Check[] {
  const { requests, hits, misses, collapsed, failed, questions, hitRatio } = figures;
  const calls = upstream.weather + upstream.events;
  const fetched = misses.count - collapsed;
  const agrees = report.hits === hits.count && report.misses === misses.count && report.errors === 0;
  return [
    {
      holds: failed === 0 && requests === hits.count + misses.count,
      text: `agents: ${requests} requests = ${hits.count} hits + ${fetched} fetched + ${collapsed} collapsed, ${failed} failed`,
    },
    {
      holds: agrees && Math.abs(report.hitRate - hitRatio) <= rateTolerance,
      text: `proxy:  /api/metrics/cache counts ${report.hits} hits, ${report.misses} misses, ${report.errors} errors, hit rate ${report.hitRate} %`,
    },
    {
      holds: calls === report.calls && calls === fetched + report.background && onePerQuestion(figures, report),
      text:
        `upstream: the simulators counted ${calls} calls, the proxy ${report.calls}, for ${questions} different questions` +
        (report.background === 0 ? '' : ` and ${report.background} to warm`),
    },
  ];
}

/** Nothing was fetched twice; what was warmed may not have been fetched at all. */
function onePerQuestion({ questions, misses, collapsed }: Figures, { background }: ReportCounts): boolean {
  const fetched = misses.count - collapsed;
  return background === 0 ? fetched === questions : fetched <= questions && fetched + background >= questions;
}

/** The key went where it must and nowhere else. */
export function custodyCheck(upstream: UpstreamCounts, leaks: readonly string[]): Check {
  const where = leaks.length === 0 ? 'and is in no answer, listing, metric or log' : `but is in ${leaks.join(', ')}`;
  return {
    holds: leaks.length === 0 && upstream.authorised === upstream.events,
    text: `key:    the event API saw its key in ${upstream.authorised} of ${upstream.events} calls; no agent sent it, ${where}`,
  };
}
