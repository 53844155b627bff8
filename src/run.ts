import { runCli } from './cli/program.ts';
import { version } from './version.ts';

/** The command line on this process: its exit code. */
export function run(argv: readonly string[]): Promise<number> {
  return runCli(argv, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    version,
    // Loaded when needed: `purge` and `stats` are over before the proxy's own packages would have been read.
    serve: async (configFile) => (await import('./serve.ts')).serve(configFile, process.env),
    loadConfig: async (configFile) => (await import('./offline.ts')).loadConfigFile(configFile, process.env),
    explainOffline: async (configFile, request) =>
      (await import('./offline.ts')).explainOffline(configFile, process.env, request),
  });
}
