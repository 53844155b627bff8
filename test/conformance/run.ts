import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { startProgram } from '../support/program.ts';
import { type ConformanceOptions, parseConformance, usage, UsageError } from './run-arguments.ts';
import { judge, meetsBar, renderScore, scoreOf } from './score.ts';
import { endAll, openSuite, runClient, startServer, type Suite, SuiteError, type SuiteResults } from './suite.ts';

/** The suite takes two to three minutes: its tests wait three seconds each, 25 at a time. */
const patienceMs = 15 * 60_000;

/** Runs the suite as the command line says, prints the score, and answers with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseConformance(args);
  if (options === undefined) {
    await print(process.stdout, usage);
    return 0;
  }
  const suite = await openSuite(options.suite);
  const tests = suite.groups.reduce((sum, group) => sum + group.tests.length, 0);
  await print(process.stdout, `cache-tests ${suite.version}: ${tests} tests, against ${nameOf(options)}\n`);
  const results = await resultsOf(suite, options);
  const judged = judge(suite.groups, results);
  await print(process.stdout, renderScore(suite.groups, judged));
  if (options.out !== undefined) {
    writeFileSync(options.out, `${JSON.stringify(Object.fromEntries(results), null, 2)}\n`);
  }
  return meetsBar(scoreOf(judged)) ? 0 : 1;
}

function nameOf({ tested }: ConformanceOptions): string {
  return tested.kind === 'program' ? `the built program with ${tested.config}` : tested.base;
}

async function resultsOf(suite: Suite, { tested, originPort }: ConformanceOptions): Promise<SuiteResults> {
  await using server = await startServer(suite, originPort);
  if (tested.kind === 'running') return runClient(suite, tested.base, patienceMs);
  await using program = await startProgram({
    config: { file: resolve(tested.config) },
    env: { FORECACHE_UPSTREAM: `http://127.0.0.1:${server.port}`, FORECACHE_LOG_LEVEL: 'warn' },
  });
  return await runClient(suite, program.proxy, patienceMs);
}

/** Resolves when it has been written. */
function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolved, reject) => {
    stream.write(`${text}\n`, (error) => (error ? reject(error) : resolved()));
  });
}

async function codeOf(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    const wrongUse = error instanceof UsageError;
    const text = error instanceof Error ? error.message : String(error);
    await print(process.stderr, wrongUse ? `${text}\n\n${usage}` : text);
    if (!wrongUse && !(error instanceof SuiteError) && error instanceof Error)
      await print(process.stderr, error.stack ?? '');
    return wrongUse ? 64 : 2;
  }
}

// The program hears by its channel that this process is gone; the suite's two programs do not.
process.once('exit', endAll);
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
// Whatever a socket has left behind: what there was to say is written, and a job must not wait for more.
process.exit(await codeOf(process.argv.slice(2)));
