import type { Cores } from './http/cores.ts';

/** How a bar is measured. */
export interface BenchOptions {
  /** Alternating rounds: in each, every server is measured once, one after the other. At least 1; 5 for a result to publish. */
  readonly rounds: number;
  /** How long a server is measured in a round, in seconds. */
  readonly seconds: number;
  readonly cores: Cores;
  /** Tells how far it is: one line without a line end. */
  readonly say: (line: string) => void;
}

/** What one round measured. */
export interface Round {
  readonly ours: number;
  /** The rival in the same round; absent where the bar is a number and not a ratio. */
  readonly rival?: number;
}

/** What was measured for one line of the table: a ratio to a rival, or a number beside a limit. */
export interface Figure {
  /** The bar's name, as `--only` takes it. */
  readonly bar: string;
  /** Number of the requirement that sets the limit. */
  readonly requirement: number;
  /** What was measured, in a few words: `CPU per hit, 1 KB`. */
  readonly what: string;
  /** The program that it is measured beside; absent where each round has no `rival`. */
  readonly rival?: string;
  /** Unit of `ours` and `rival` of each round: `µs`, `ms`, `MiB`, `B`, `%`; empty for a pure number. */
  readonly unit: string;
  readonly rounds: readonly Round[];
  /** For the ratio `ours / rival`, or for `ours` where there is no rival; absent where the figure is told and not judged. */
  readonly limit?: number;
  /** `least`: the figure must reach the limit (hits kept); default `most`: it must not exceed it. */
  readonly bound?: 'most' | 'least';
  /** Which of the rounds is judged: the median (default), or the worst (pauses, peaks of memory). */
  readonly judge?: 'median' | 'worst';
}

/** One bar: what `npm run bench -- --only NAME` runs. */
export interface Bar {
  readonly name: string;
  readonly requirement: number;
  /** One line for the list of bars. */
  readonly title: string;
  /** Rejects where it cannot be measured (a rival is missing and cannot be had, a server answers otherwise than expected). */
  readonly run: (options: BenchOptions) => Promise<readonly Figure[]>;
}

/** Median and range of some numbers; all NaN where there is none. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of an even number of values the mean of the two in the middle. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return { median: (lower + upper) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** The rounds of a figure that has no rival. */
export function roundsOf(values: readonly number[]): readonly Round[] {
  return values.map((ours) => ({ ours }));
}

/** A figure with its verdict. */
export interface Verdict {
  /** Of `ours / rival` of each round, or of `ours`. */
  readonly value: Spread;
  readonly ours: Spread;
  /** Absent where there is no rival. */
  readonly rival?: Spread;
  /** `told`: there is no limit. A figure that is NaN (nothing measured) is missed. */
  readonly verdict: 'met' | 'missed' | 'told';
}

/** Ratios are taken within a round, so that what slows the machine down for a while slows both. */
export function judge(figure: Figure): Verdict {
  const ours = spreadOf(figure.rounds.map((round) => round.ours));
  const least = figure.bound === 'least';
  if (figure.rival === undefined) return { value: ours, ours, verdict: verdictOf(figure, ours, least) };
  const value = spreadOf(figure.rounds.map((round) => round.ours / (round.rival ?? Number.NaN)));
  const rival = spreadOf(figure.rounds.map((round) => round.rival ?? Number.NaN));
  return { value, ours, rival, verdict: verdictOf(figure, value, least) };
}

function verdictOf(figure: Figure, value: Spread, least: boolean): Verdict['verdict'] {
  if (figure.limit === undefined) return 'told';
  const worst = least ? value.min : value.max;
  const judged = figure.judge === 'worst' ? worst : value.median;
  // Comparisons with NaN are false: what could not be measured is not met.
  return (least ? judged >= figure.limit : judged <= figure.limit) ? 'met' : 'missed';
}
