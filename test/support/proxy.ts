import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type App, createApp } from '../../src/app.ts';
import type { Clock } from '../../src/cache/ports.ts';
import { formatIssue } from '../../src/config/issue.ts';
import { loadConfigFile } from '../../src/offline.ts';
import { ask, type Ask, type Reply } from './http.ts';

/** A proxy in this process, on free ports. */
export interface TestProxy extends AsyncDisposable {
  readonly app: App;
  /** Base URL of the default listener. */
  readonly origin: string;
  readonly admin: string;
  get(target: string, options?: Ask): Promise<Reply>;
  /** A JSON call to the admin listener; the parsed answer with its status. */
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: unknown }>;
}

export interface TestProxyOptions {
  /** The YAML of the whole file; `${NAME}` as in any config. */
  readonly yaml: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/** Starts the real thing from real YAML; throws with every issue where it does not load. */
export async function startTestProxy(options: TestProxyOptions): Promise<TestProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  try {
    const file = join(folder, 'forecache.yaml');
    writeFileSync(file, options.yaml);
    const config = loadConfigFile(file, options.env ?? {});
    if (!config.ok) throw new Error(config.error.map(formatIssue).join('\n'));
    const app = await createApp(config.value, options.clock === undefined ? {} : { clock: options.clock });
    return wrap(app);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function wrap(app: App): TestProxy {
  const [listener] = app.listeners;
  if (listener === undefined) throw new Error('no listener');
  const origin = `http://${listener.host}:${listener.port}`;
  const admin = `http://${app.admin.host}:${app.admin.port}`;
  return {
    app,
    origin,
    admin,
    get: (target, options) => ask(origin, target, options),
    async call(method, path, body) {
      const reply = await ask(admin, path, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const isJson = (reply.headers['content-type'] ?? '').includes('json');
      return { status: reply.status, body: isJson ? JSON.parse(reply.text) : reply.text };
    },
    [Symbol.asyncDispose]: () => app.stop(),
  };
}

/** A file with one upstream and these routes; server and admin on free ports, no drain delay. */
export function yamlFor(origin: string, routes: string, more = ''): string {
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  api: { origin: "${origin}", timeout: 5s }
routes:
${routes}
${more}
`;
}
