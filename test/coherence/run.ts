import { parseRun, usage, UsageError } from './run-arguments.ts';
import { runHistory } from './run-history.ts';
import { countsOf, renderSummary, usualDemands, vacuity } from './summary.ts';

/** Runs once as the command line says, prints what was seen, and answers with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseRun(args, Date.now() % 1_000_000);
  if (options === undefined) {
    await print(process.stdout, usage);
    return 0;
  }
  const { mode, seed, seconds, leaseMs } = options;
  await print(process.stdout, `mode ${mode}, seed ${seed}, ${seconds} s, lease ${leaseMs} ms`);
  const outcome = await runHistory(options);
  const counts = countsOf(outcome.recorded);
  const missed = vacuity(counts, usualDemands(options, outcome.asked));
  await print(process.stdout, renderSummary(outcome, counts, missed));
  const refused = outcome.recorded.refusals.length;
  return outcome.violations.length + missed.length + refused + outcome.complaints.length === 0 ? 0 : 1;
}

/** Resolves when it has been written. */
function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
  });
}

async function codeOf(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    await print(process.stderr, `${error.message}\n\n${usage}`);
    return 64;
  }
}

// Ends with all of its processes.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
// Whatever a socket has left behind: what there was to say is written, and a job must not wait for more.
process.exit(await codeOf(process.argv.slice(2)));
