import { createApp, type App } from './app.ts';
import { exitCode } from './cli/io.ts';
import { loadConfigFile } from './offline.ts';
import type { Environment } from './config/env.ts';

/** `forecache serve`: runs until a signal, answers with the exit code. Nothing is bound before the config has loaded. */
export async function serve(configFile: string, env: Environment): Promise<number> {
  const config = loadConfigFile(configFile, env);
  if (!config.ok) {
    process.stderr.write(`${config.error.join('\n')}\n`);
    return exitCode.usage;
  }
  let app: App;
  try {
    app = await createApp(config.value);
  } catch (error) {
    // The system's own words name the address and the reason (EADDRINUSE, EACCES).
    process.stderr.write(`forecache: cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCode.failed;
  }
  process.stdout.write(`${readyLine(app)}\n`);
  await stopSignal();
  // The second signal is for whoever does not want to wait for drain and grace.
  const impatient = stopSignal().then(() => process.exit(exitCode.failed));
  await Promise.race([app.stop(), impatient]);
  return exitCode.ok;
}

function readyLine(app: App): string {
  const [first, ...others] = app.listeners.map((listener) => `http://${listener.host}:${listener.port}`);
  const more = others.length === 0 ? '' : ` (also ${others.join(', ')})`;
  return `forecache ready: proxy ${first}${more} admin http://${app.admin.host}:${app.admin.port}`;
}

/** Resolves with the next SIGTERM or SIGINT, or when a parent process that started this one through IPC is gone. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
    if (process.env['FORECACHE_PARENT'] === 'ipc') process.once('disconnect', () => resolve());
  });
}
