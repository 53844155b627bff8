import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { judge, type BenchOptions, type Figure } from './bars.ts';
import { barsPlot } from './plot.ts';

/** One bar as it was last measured. */
export interface BarResult {
  readonly title: string;
  /** ISO 8601, UTC. */
  readonly measuredAt: string;
  /** Commit of the checkout; with `+` where it has changes that are not committed. Empty outside of one. */
  readonly commit: string;
  readonly machine: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly figures: readonly Figure[];
}

/** Results by the bar's name, in the order of measurement. */
export type Results = Readonly<Record<string, BarResult>>;

/** Where results are kept beside the plot: `bars.json` and `bars.svg` in the folder. */
export function readResults(folder: string): Results {
  const path = join(folder, 'bars.json');
  if (!existsSync(path)) return {};
  const results: Results = JSON.parse(readFileSync(path, 'utf8'));
  return results;
}

/** Replaces what was measured anew and keeps the rest, each bar with the date and commit of its own measurement. */
export function writeResults(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  const told = Object.fromEntries(Object.entries(results).map(([name, result]) => [name, withVerdicts(result)]));
  writeFileSync(join(folder, 'bars.json'), `${JSON.stringify(told, undefined, 2)}\n`);
  writeFileSync(join(folder, 'bars.svg'), barsPlot(Object.values(results).flatMap(({ figures }) => figures)));
}

/** Medians and verdicts beside the rounds, for those who read the file without this program. */
function withVerdicts(result: BarResult): unknown {
  return { ...result, figures: result.figures.map((figure) => ({ ...figure, judged: judge(figure) })) };
}

export function barResult(title: string, figures: readonly Figure[], { rounds, seconds }: BenchOptions): BarResult {
  const machine = `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
  return { title, measuredAt: new Date().toISOString(), commit: commit(), machine, rounds, seconds, figures };
}

function commit(): string {
  try {
    return (
      git('rev-parse', '--short', 'HEAD').trim() + (git('status', '--porcelain', '--', '../src') === '' ? '' : '+')
    );
  } catch {
    // No checkout, or no git: the figures hold all the same.
    return '';
  }
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}
