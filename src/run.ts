import { exitCode } from './cli/io.ts';
import { runCli } from './cli/program.ts';
import { watchOutput } from './output.ts';
import type { StopAsks } from './stop-signal.ts';
import { version } from './version.ts';

/** The command line on this process: its exit code. `asks` are what ends `serve`. */
export async function run(argv: readonly string[], asks: StopAsks): Promise<number> {
  const output = watchOutput(process.stdout, process.stderr);
  const code = await runCli(argv, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    version,
    // Loaded when needed: `purge` and `stats` are over before the proxy's own packages would have been read.
    serve: async (configFile) => (await import('./serve.ts')).serve(configFile, process.env, asks),
    loadConfig: async (configFile) => (await import('./offline.ts')).loadConfigFile(configFile, process.env),
    explainOffline: async (configFile, request) =>
      (await import('./offline.ts')).explainOffline(configFile, process.env, request),
  });
  // What could not be written is no success, whatever the command thought.
  return (await output.failed()) && code === exitCode.ok ? exitCode.failed : code;
}
