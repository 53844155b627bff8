import { createApp, type App } from './app.ts';
import { exitCode } from './cli/io.ts';
import { formatIssue } from './config/issue.ts';
import { loadConfigFile } from './offline.ts';
import type { Environment } from './config/env.ts';

/** `forecache serve`: runs until a signal, answers with the exit code. Nothing is bound before the config has loaded. */
export async function serve(configFile: string, env: Environment): Promise<number> {
  const config = loadConfigFile(configFile, env);
  if (!config.ok) {
    process.stderr.write(`${config.error.map(formatIssue).join('\n')}\n`);
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
 * Hears SIGTERM and SIGINT, and from a parent process that started this one through IPC the signals that it got, and
 * that it is gone. The second ask is the second of one kind: a signal to both processes is one ask. To be disposed of: a
 * channel that is listened to keeps the process alive.
 */
function hearStopAsks(): StopAsks {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const heard = new Set<Kind>();
  const heed = (kind: Kind) => (): void => {
    if (heard.has(kind)) second.resolve();
    heard.add(kind);
    first.resolve();
  };
  const [signalled, told] = [heed('signal'), heed('told')];
  for (const signal of stopSignals) process.on(signal, signalled);
  if (process.env['FORECACHE_PARENT'] === 'ipc') {
    process.on('message', told);
    process.on('disconnect', told);
    process.send?.('serving');
  }
  return {
    first: first.promise,
    second: second.promise,
    [Symbol.dispose]() {
      for (const signal of stopSignals) process.off(signal, signalled);
      process.off('message', told);
      process.off('disconnect', told);
    },
  };
}

/** By which way an ask came: to this process, or through the parent. */
type Kind = 'signal' | 'told';

const stopSignals = ['SIGTERM', 'SIGINT'] as const;
