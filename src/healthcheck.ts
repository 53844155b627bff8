import { get } from 'node:http';

/**
 * The container's health check, since the image is not to need a shell: `node dist/healthcheck.js [PATH]` asks the
 * admin listener of `FORECACHE_ADMIN_LISTEN` and ends with 0 where it answers 200, else with 1 and the reason.
 * PATH is `/healthz` unless told otherwise: a proxy that drains (`/readyz` 503) is not sick.
 */

const timeoutMs = 2500;

/** Where to ask: a listener on all addresses is asked on loopback. */
function adminAddress(listen: string): URL {
  const url = new URL(`http://${listen}`);
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  if (url.hostname === '[::]') url.hostname = '[::1]';
  return url;
}

function statusOf(url: URL): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', reject);
  });
}

async function check(): Promise<void> {
  const address = adminAddress(process.env['FORECACHE_ADMIN_LISTEN'] || '127.0.0.1:9090');
  const status = await statusOf(new URL(process.argv[2] ?? '/healthz', address));
  if (status !== 200) throw new Error(`answered ${status}`);
}

check().catch((error: unknown) => {
  process.stderr.write(`unhealthy: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
