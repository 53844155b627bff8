import { runCli } from './cli/program.ts';
import { explainOffline, loadConfigFile } from './offline.ts';
import { serve } from './serve.ts';
import { version } from './version.ts';

/** The command line on this process: its exit code. */
export function run(argv: readonly string[]): Promise<number> {
  return runCli(argv, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    version,
    serve: (configFile) => serve(configFile, process.env),
    loadConfig: (configFile) => loadConfigFile(configFile, process.env),
    explainOffline: (configFile, request) => explainOffline(configFile, process.env, request),
  });
}
