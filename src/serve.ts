import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';

import { createApp, type App } from './app.ts';
import { exitCode } from './cli/io.ts';
import { formatIssue } from './config/issue.ts';
import { workersOf } from './core/worker-shares.ts';
import { endLean } from './lean.ts';
import { loadConfigFile } from './offline.ts';
import type { Environment } from './config/env.ts';
import { processMemoryFor, youngBytesFor } from './process-memory.ts';
import type { StopAsks } from './stop-signal.ts';

/**
 * `forecache serve`: runs until it is asked to stop, answers with the exit code. Nothing is bound before the config has
 * loaded, and nothing at all where the ask came while the program was read.
 */
export async function serve(configFile: string, env: Environment, asks: StopAsks): Promise<number> {
  const config = loadConfigFile(configFile, env);
  endLean({ staysSmall: config.ok && workersOf(config.value, availableParallelism()) === 1 });
  if (!config.ok) {
    process.stderr.write(`${config.error.map(formatIssue).join('\n')}\n`);
    return exitCode.usage;
  }
  // The second one is from whoever does not want to wait for drain and grace.
  void asks.second.then(() => process.exit(exitCode.failed));
  // The program is read without a turn of the event loop, and only that delivers signals.
  await setImmediate();
  if (asks.heard()) return exitCode.ok;
  const { maxBytes } = config.value.store.memory;
  let app: App;
  try {
    app = await createApp(config.value, {
      processMemory: processMemoryFor(maxBytes),
      youngBytes: youngBytesFor(maxBytes),
      rehearses: true,
    });
  } catch (error) {
    // The system's own words name the address and the reason (EADDRINUSE, EACCES).
    process.stderr.write(`forecache: cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCode.failed;
  }
  process.stdout.write(`${readyLine(app)}\n`);
  await asks.first;
  await app.stop();
  return exitCode.ok;
}

function readyLine(app: App): string {
  const [first, ...others] = app.listeners.map(baseUrl);
  const more = others.length === 0 ? '' : ` (also ${others.join(', ')})`;
  return `forecache ready: proxy ${first}${more} admin ${baseUrl(app.admin)}`;
}

/** RFC 3986 §3.2.2: an IPv6 address stands in brackets. */
function baseUrl({ host, port }: { readonly host: string; readonly port: number }): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
