import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Random } from './random.ts';

/** An upstream whose answers have versions, and show when they were fetched. */
export interface VersionedUpstream extends AsyncDisposable {
  readonly port: number;
  /** Requests so far. */
  readonly calls: number;
  /** Gives the target a new version and returns it. */
  bump(target: string): number;
}

/** Fields of an answer. A 304 sends them anew, and a cache puts them in the place of those that it stored (RFC 9111 §3.2). */
export const versionField = 'x-version';
export const fetchedField = 'x-fetched-ms';

/** How long an answer takes, milliseconds. */
export interface Pace {
  readonly leastMs: number;
  readonly mostMs: number;
}

/**
 * Listens on a free port of loopback. The version is read at a random instant between the arrival of the request and its
 * answer, as it is upstream where a database is asked in between: what is fetched around a purge may be older or newer.
 */
export async function startVersionedUpstream(
  random: Random,
  { leastMs, mostMs }: Pace = { leastMs: 5, mostMs: 300 },
): Promise<VersionedUpstream> {
  const versions = new Map<string, number>();
  let calls = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const fetchedMs = performance.now();
    calls += 1;
    const target = request.url ?? '/';
    const tookMs = random.whole(leastMs, mostMs);
    const lookedMs = tookMs * random.next();
    await sleep(lookedMs);
    const version = versions.get(target) ?? 0;
    await sleep(tookMs - lookedMs);
    const etag = `"${version}"`;
    response.setHeader('etag', etag);
    response.setHeader(versionField, version);
    response.setHeader(fetchedField, fetchedMs);
    response.setHeader('vary', 'accept-language');
    // What is stale is asked for behind the reader's back in one folder, and while the reader waits in the other.
    const grace = target.startsWith('/far/b') ? '' : ', stale-while-revalidate=1';
    response.setHeader('cache-control', `max-age=1${grace}`);
    if (request.headers['if-none-match'] === etag) {
      response.writeHead(304).end();
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ target, version, padding: '.'.repeat(500) }));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream has no port');
  return {
    port: address.port,
    get calls() {
      return calls;
    },
    bump(target) {
      const version = (versions.get(target) ?? 0) + 1;
      versions.set(target, version);
      return version;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
