import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { judge, type Bar, type BenchOptions } from './bars.ts';
import { chooseCores } from './http/cores.ts';
import { figureLines } from './table.ts';

/** For a bench program that is run by itself: `if (import.meta.main) await runAlone(bars)`. Sets the exit code: 1 where a bar is missed. */
export async function runAlone(bars: readonly Bar[]): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } },
  });
  const options: BenchOptions = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    cores: chooseCores(),
    say: (line) => process.stderr.write(`${line}\n`),
  };
  process.stdout.write(`${machineLine(options)}\n`);
  let missed = false;
  for (const bar of bars) {
    const figures = await bar.run(options);
    process.stdout.write(`\n${bar.title}\n${figureLines(figures).join('\n')}\n`);
    missed ||= figures.some((figure) => judge(figure).verdict === 'missed');
  }
  process.exitCode = missed ? 1 : 0;
}

/** The machine and the way to measure, as one line. */
export function machineLine({ cores, rounds, seconds }: BenchOptions): string {
  const shared = cores.server === cores.load ? ' (only one core: they share it)' : '';
  return (
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}, servers on core ${cores.server}, ` +
    `load on core ${cores.load}${shared}; ${rounds} alternating rounds of ${seconds} s`
  );
}
