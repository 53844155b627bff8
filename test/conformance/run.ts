import { resolve } from 'node:path';

import { startProgram } from '../support/program.ts';
import { openProbe } from './probe.ts';
import { openResults } from './results-file.ts';
import { type ConformanceOptions, parseConformance, usage, UsageError } from './run-arguments.ts';
import { judge, meetsBar, renderScore, scoreOf } from './score.ts';
import {
  endAll,
  freePort,
  openSuite,
  runClient,
  startServer,
  type Suite,
  SuiteError,
  type SuiteResults,
} from './suite.ts';

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
  // First of all: it would be a pity after three minutes.
  using out = options.out === undefined ? undefined : openResults(options.out);
  const tests = suite.groups.reduce((sum, group) => sum + group.tests.length, 0);
  await print(process.stdout, `cache-tests ${suite.version}: ${tests} tests, against ${nameOf(options)}\n`);
  const results = await resultsOf(suite, options);
  const judged = judge(suite.groups, results);
  await print(process.stdout, renderScore(suite.groups, judged));
  out?.write(results);
  return meetsBar(scoreOf(judged)) ? 0 : 1;
}

function nameOf({ tested }: ConformanceOptions): string {
  return tested.kind === 'program' ? `the built program with ${tested.config}` : tested.base;
}

async function resultsOf(suite: Suite, options: ConformanceOptions): Promise<SuiteResults> {
  const port = options.originPort === 0 ? await freePort() : options.originPort;
  await using stack = new AsyncDisposableStack();
  const { base } = stack.use(await startTested(options, port));
  stack.use(await startServer(suite, port));
  return await runClient(suite, base, patienceMs);
}

/** What is tested, which passes requests on to the port, on which nothing listens yet. */
async function startTested(options: ConformanceOptions, port: number): Promise<AsyncDisposable & { base: string }> {
  await using probe = await openProbe(port);
  await using stack = new AsyncDisposableStack();
  const { tested } = options;
  const base = tested.kind === 'running' ? tested.base : stack.use(await startWith(tested.config, port)).proxy;
  await probe.reach(base, nameOf(options));
  const started = stack.move();
  return { base, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function startWith(config: string, port: number): ReturnType<typeof startProgram> {
  try {
    return await startProgram({
      config: { file: resolve(config) },
      env: { FORECACHE_UPSTREAM: `http://127.0.0.1:${port}`, FORECACHE_LOG_LEVEL: 'warn' },
    });
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new SuiteError(`the program did not start with ${config}: ${text}`, { cause });
  }
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
process.once('SIGHUP', () => process.exit(129));
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
// Whatever a socket has left behind: what there was to say is written, and a job must not wait for more.
process.exit(await codeOf(process.argv.slice(2)));
