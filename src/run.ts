import { exitCode } from './cli/io.ts';
import { watchOutput } from './output.ts';
import type { StopAsks } from './stop-signal.ts';
import { version } from './version.ts';

/** The command line on this process: its exit code. `asks` are what ends `serve`. */
export async function run(argv: readonly string[], asks: StopAsks): Promise<number> {
  const output = watchOutput(process.stdout, process.stderr);
  const serve = async (configFile: string): Promise<number> =>
    (await import('./serve.ts')).serve(configFile, process.env, asks);
  const served = plainServe(argv);
  const code = served === undefined ? await runCommand(argv, serve) : await serve(served);
  // What could not be written is no success, whatever the command thought.
  return (await output.failed()) && code === exitCode.ok ? exitCode.failed : code;
}

/**
 * The file of `serve --config FILE`, the spelling that starts a proxy everywhere: commander has nothing to find out
 * then, and its 10 MiB and 20 ms are saved. `undefined`: what was meant, and what is wrong with it, commander says.
 */
function plainServe(argv: readonly string[]): string | undefined {
  const [command, option, file = ''] = argv;
  const plain = argv.length === 3 && command === 'serve' && (option === '--config' || option === '-c');
  return plain && file !== '' && !file.startsWith('-') ? file : undefined;
}

async function runCommand(argv: readonly string[], serve: (configFile: string) => Promise<number>): Promise<number> {
  const { runCli } = await import('./cli/program.ts');
  return runCli(argv, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    version,
    // Loaded when needed: `purge` and `stats` are over before the proxy's own packages would have been read.
    serve,
    loadConfig: async (configFile) => (await import('./offline.ts')).loadConfigFile(configFile, process.env),
    explainOffline: async (configFile, request) =>
      (await import('./offline.ts')).explainOffline(configFile, process.env, request),
  });
}
