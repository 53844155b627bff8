import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machineLine } from './alone.ts';
import { judge, type Bar, type BenchOptions, type Figure } from './bars.ts';
import { chooseCores } from './http/cores.ts';
import { bars } from './registry.ts';
import { barResult, readResults, writeResults, type Results } from './results.ts';
import { runShort } from './short.ts';
import { figureLines } from './table.ts';

const usage = `usage: npm run bench -- [--only NAME,…] [--rounds 5] [--seconds 3] [--out FOLDER] [--list]
       npm run bench -- --short [--record]

Measures each bar beside its rivals on this machine: server and load pinned to a core each, in alternating rounds, the
server's processor time a request from /proc. Rivals that are missing are got from Debian's packages, which it says.
What each bar measures, and how: docs/benchmarks.md. Exit code 1 where a bar is missed or cannot be measured.

  --only NAME,…   these bars alone
  --rounds N      alternating rounds (5; 1 to 50)
  --seconds N     how long a server is measured in a round (3; 1 to 60)
  --out FOLDER    writes bars.json and bars.svg there; bars that are not run keep what it has (bench/results)
  --list          names the bars
  --short         a minute, without rivals that need installing: fails on gross regressions alone
  --record        with --short: what it measures is what later runs are compared with
`;

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The figures, or the reason why there are none: one bar that cannot be measured does not keep the others from it. */
async function tryBar(bar: Bar, options: BenchOptions): Promise<readonly Figure[] | undefined> {
  try {
    return await bar.run(options);
  } catch (error) {
    process.stdout.write(`NOT MEASURED: ${bar.name}: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

/** Resolves to whether each bar was measured and met. */
async function runBars(chosen: readonly Bar[], options: BenchOptions, folder: string): Promise<boolean> {
  process.stdout.write(`${machineLine(options)}\n`);
  let results: Results = readResults(folder);
  const all: Figure[] = [];
  let failed = false;
  for (const bar of chosen) {
    process.stdout.write(`\n${bar.name}: ${bar.title}\n`);
    const figures = await tryBar(bar, options);
    if (figures === undefined) {
      failed = true;
      continue;
    }
    process.stdout.write(`${figureLines(figures).join('\n')}\n`);
    all.push(...figures);
    // After each bar: what was measured is there, whatever happens to the next.
    results = { ...results, [bar.name]: barResult(bar.title, figures, options) };
    writeResults(folder, inOrder(results));
  }
  const missed = all.filter((figure) => judge(figure).verdict === 'missed');
  process.stdout.write(`\n${figureLines(all.filter(({ limit }) => limit !== undefined)).join('\n')}\n`);
  for (const { bar, what, rival } of missed) {
    process.stdout.write(`MISSED: ${bar}: ${what}${rival === undefined ? '' : `, beside ${rival}`}\n`);
  }
  process.stdout.write(`written to ${join(folder, 'bars.json')} and bars.svg\n`);
  return !failed && missed.length === 0;
}

/** Results in the order of the bars, whatever was measured last; of bars that are no more, none. */
function inOrder(results: Results): Results {
  return Object.fromEntries(
    bars.flatMap(({ name }) => {
      const result = results[name];
      return result === undefined ? [] : [[name, result]];
    }),
  );
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
    list: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
const names = values.only?.split(',') ?? bars.map(({ name }) => name);
const unknown = names.filter((name) => bars.every((bar) => bar.name !== name));
const usable = unknown.length === 0 && rounds >= 1 && rounds <= 50 && seconds >= 1 && seconds <= 60;

if (values.help || !usable) {
  process.stdout.write(unknown.length === 0 ? usage : `there is no bar ${unknown.join(', ')}; --list names them\n`);
  process.exitCode = values.help ? 0 : 64;
} else if (values.list) {
  for (const { name, requirement, title } of bars)
    process.stdout.write(`${name.padEnd(14)} (${requirement}) ${title}\n`);
} else if (values.short) {
  process.exitCode = (await runShort(say, values.record)) ? 0 : 1;
} else {
  const chosen = bars.filter(({ name }) => names.includes(name));
  const options: BenchOptions = { rounds, seconds, cores: chooseCores(), say };
  process.exitCode = (await runBars(chosen, options, values.out)) ? 0 : 1;
}
