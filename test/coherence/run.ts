import { parseArgs } from 'node:util';

import { modes, type Mode } from './backend.ts';
import { runHistory, type RunOptions } from './run-history.ts';
import { countsOf, renderSummary, usualDemands, vacuity } from './summary.ts';

const usage = `node test/coherence/run.ts [--mode alone|standalone|sentinel|cluster] [--seed N] [--seconds 60] [--sidecars 4]
  [--clients 4] [--lease 1000] [--faults all|none|KIND,KIND] [--without RULE,RULE] [--think 40] [--purge-pause 300]

Runs a fleet of sidecars under faults and checks that no read that began after a completed purge got anything older.
Exit code 1: a violation, a refusal, or a run that proves nothing.`;

/** Runs once as the command line says, prints what was seen, and answers with the exit code. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: 'standalone' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      seconds: { type: 'string', default: '60' },
      sidecars: { type: 'string', default: '4' },
      clients: { type: 'string', default: '4' },
      lease: { type: 'string', default: '1000' },
      faults: { type: 'string', default: 'all' },
      without: { type: 'string', default: '' },
      think: { type: 'string', default: '40' },
      'purge-pause': { type: 'string', default: '300' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const options: RunOptions = {
    mode: modeOf(values.mode),
    seed: Number(values.seed),
    seconds: Number(values.seconds),
    sidecars: Number(values.sidecars),
    clientsEach: Number(values.clients),
    leaseMs: Number(values.lease),
    thinkMs: Number(values.think),
    purgePauseMs: Number(values['purge-pause']),
    rules: Object.fromEntries(words(values.without).map((rule) => [rule, false])),
    ...(values.faults === 'all' ? {} : { faults: values.faults === 'none' ? [] : words(values.faults) }),
  };
  process.stdout.write(
    `mode ${options.mode}, seed ${options.seed}, ${options.seconds} s, lease ${options.leaseMs} ms\n`,
  );
  const outcome = await runHistory(options);
  const counts = countsOf(outcome.recorded);
  const missed = vacuity(counts, usualDemands(options.seconds, outcome.asked, options.mode));
  process.stdout.write(`${renderSummary(outcome, counts, missed)}\n`);
  const refused = outcome.recorded.refusals.length;
  return outcome.violations.length + missed.length + refused + outcome.complaints.length === 0 ? 0 : 1;
}

function modeOf(text: string): Mode {
  const mode = modes.find((one) => one === text);
  if (mode !== undefined) return mode;
  throw new RangeError(`no such mode: ${text}\n${usage}`);
}

function words(list: string): readonly string[] {
  return list.split(',').filter((word) => word !== '');
}

// Ends with all of its processes.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
process.exitCode = await main();
