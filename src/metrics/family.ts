import { durationBounds, type DurationTally } from './tallies.ts';

export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition. */
export interface Sample {
  /** Where it differs from the family's: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** A metric family as plain data, in the form that prom-client takes from other processes. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly aggregator: 'first';
  readonly values: readonly Sample[];
}

export function counter(name: string, help: string, values: readonly Sample[]): Family {
  return { name, help, type: 'counter', aggregator: 'first', values };
}

export function gauge(name: string, help: string, values: readonly Sample[]): Family {
  return { name, help, type: 'gauge', aggregator: 'first', values };
}

export function histogram(
  name: string,
  help: string,
  series: readonly (readonly [labels: Labels, tally: DurationTally])[],
): Family {
  const values = series.flatMap(([labels, tally]) => durationSamples(name, labels, tally));
  return { name, help, type: 'histogram', aggregator: 'first', values };
}

function durationSamples(name: string, labels: Labels, tally: DurationTally): readonly Sample[] {
  const samples: Sample[] = [];
  let below = 0;
  for (const [index, bound] of [...durationBounds, Number.POSITIVE_INFINITY].entries()) {
    below += tally.buckets[index] ?? 0;
    const le = Number.isFinite(bound) ? String(bound) : '+Inf';
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: below });
  }
  samples.push({ metricName: `${name}_sum`, labels, value: tally.sumSeconds });
  samples.push({ metricName: `${name}_count`, labels, value: below });
  return samples;
}
