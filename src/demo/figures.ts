import type { Observation } from './agents.ts';

/** What a run came to, as the agents saw it. */
export interface Figures {
  readonly requests: number;
  readonly agents: number;
  /** Different texts on the wire. */
  readonly spellings: number;
  /** Different questions behind them. */
  readonly questions: number;
  readonly hits: Latencies;
  /** Requests that waited for an upstream call of their own or of another request. */
  readonly misses: Latencies;
  readonly collapsed: number;
  /** Answers that are no 200, or carry no `Cache-Status` of the proxy's. */
  readonly failed: number;
  /** Hits of all requests, percent. */
  readonly hitRatio: number;
  /** Upstream calls that were not made. */
  readonly callsSaved: number;
  /** What the hits would have waited for upstream, measured on the same question's own call, less what they did wait. */
  readonly secondsSaved: number;
  readonly bytesSent: number;
}

/** Milliseconds; 0 where there was nothing to measure. */
export interface Latencies {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

/** The smallest value that at least `part` of the values do not exceed (nearest rank); 0 for no values. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
}

export function latenciesOf(values: readonly number[]): Latencies {
  return { count: values.length, p50: percentile(values, 0.5), p99: percentile(values, 0.99) };
}

/** Sums a run up. */
export function figuresOf(observations: readonly Observation[]): Figures {
  const hits = observations.filter(({ outcome }) => outcome === 'hit');
  const fetched = observations.filter(({ outcome }) => outcome === 'fetched');
  const collapsed = observations.filter(({ outcome }) => outcome === 'collapsed');
  const upstreamMs = new Map(fetched.map(({ identity, tookMs }) => [identity, tookMs]));
  const savedMs = hits.map(({ identity, tookMs }) => Math.max(0, (upstreamMs.get(identity) ?? tookMs) - tookMs));
  return {
    requests: observations.length,
    agents: new Set(observations.map(({ agent }) => agent)).size,
    spellings: new Set(observations.map(({ target }) => target)).size,
    questions: new Set(observations.map(({ identity }) => identity)).size,
    hits: latenciesOf(hits.map(({ tookMs }) => tookMs)),
    misses: latenciesOf([...fetched, ...collapsed].map(({ tookMs }) => tookMs)),
    collapsed: collapsed.length,
    failed: observations.filter(({ status, outcome }) => status !== 200 || outcome === 'none').length,
    hitRatio: observations.length === 0 ? 0 : (100 * hits.length) / observations.length,
    callsSaved: hits.length + collapsed.length,
    secondsSaved: savedMs.reduce((sum, ms) => sum + ms, 0) / 1000,
    bytesSent: observations.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
