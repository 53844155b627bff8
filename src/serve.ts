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
  // From here on, so that a signal while it starts is an ordinary stop too.
  using asks = hearStopAsks();
  let app: App;
  try {
    app = await createApp(config.value);
  } catch (error) {
    // The system's own words name the address and the reason (EADDRINUSE, EACCES).
    process.stderr.write(`forecache: cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCode.failed;
  }
  process.stdout.write(`${readyLine(app)}\n`);
  await asks.first;
  // The second one is from whoever does not want to wait for drain and grace.
  void asks.second.then(() => process.exit(exitCode.failed));
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

interface StopAsks extends Disposable {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
}

/**
 * Hears SIGTERM, SIGINT, and that a parent process that started this one through IPC is gone. To be disposed of: a
 * channel that is listened to keeps the process alive.
 */
function hearStopAsks(): StopAsks {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let asked = false;
  const heed = (): void => {
    if (asked) second.resolve();
    else first.resolve();
    asked = true;
  };
  const asks = process.env['FORECACHE_PARENT'] === 'ipc' ? [...stopSignals, 'disconnect'] : stopSignals;
  for (const ask of asks) process.on(ask, heed);
  return {
    first: first.promise,
    second: second.promise,
    [Symbol.dispose]: () => asks.forEach((ask) => void process.off(ask, heed)),
  };
}

const stopSignals: readonly string[] = ['SIGTERM', 'SIGINT'];
