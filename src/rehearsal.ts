import { duplexPair, type Duplex } from 'node:stream';

import { createAdminServer } from './admin/admin-server.ts';
import type { AdminServices } from './admin/services.ts';
import { createPurger, type Purger } from './cache/purge.ts';
import type { Clock } from './cache/ports.ts';
import type { AdminConfig } from './core/config.ts';
import { buildRouteTable } from './core/route-table.ts';
import type { Position, StoredResponse } from './core/stored-response.ts';
import { createLogObserver } from './log/observe.ts';
import { sha256 } from './sha256.ts';
import { createLocalPurgeLog } from './store/local-purge-log.ts';
import { createMemoryStore } from './store/memory-store.ts';

/** One by each selector that another path runs for; the last two are what is done most. Each covers {@link propOf}. */
const purges: readonly Readonly<Record<string, unknown>>[] = [
  { all: true },
  { key: 'rehearsal|/' },
  { prefix: '/' },
  { tags: ['prop:1', 'prop:2'] },
  { tag: 'prop:1', dryRun: true },
  { tag: 'prop:1', soft: true },
  { tag: 'prop:1' },
];

/**
 * V8 compiles a function with its first call, and a purge through the admin listener calls some 150 that nothing else does: 4 to 5 ms
 * for which all traffic waits, where each later purge takes half a millisecond (docs/decisions/0023-purges-are-rehearsed.md). So a
 * process that is ready purges what it has put in a store of its own, a few bytes that are gone afterwards, through an admin
 * interface of its own that has no port. What is configured, stored, counted and logged has no part in it. Rejects where a
 * purge is not answered as it must be.
 */
export async function rehearsePurges(clock: Clock): Promise<void> {
  await using stage = new AsyncDisposableStack();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'rehearsal' });
  const store = stage.use(createMemoryStore({ maxBytes: 2 ** 16, routeLimits: new Map(), purgeLog, clock }));
  const table = buildRouteTable([]);
  if (!table.ok) throw new Error('no table of no routes');
  const observer = createLogObserver(unheard, { requests: false });
  const purger = createPurger({ table: table.value, purgeLog, counter: store, observer, clock, sha256 });
  const services = servicesOf(purger);
  const server = createAdminServer({ config: noPort, services, clock, log: unheard, version: '' });
  const [outside, inside] = duplexPair();
  stage.defer(() => void outside.destroy());
  // What the interface asks of a socket alone.
  server.accept(Object.assign(inside, { setTimeout: (): Duplex => inside }));
  for (const purge of purges) {
    store.put(propOf(purgeLog.position(), clock.nowMs()));
    await ask(outside, purge);
    // What it covers is looked through behind its answer.
    await new Promise<void>((resolve) => void clock.after(20, resolve));
  }
}

/** Resolves with the answer's last byte, rejects where it is none of a purge of one response. */
function ask(connection: Duplex, purge: Readonly<Record<string, unknown>>): Promise<void> {
  const content = JSON.stringify(purge);
  const head = `POST /api/purge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${content.length}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    let answer = '';
    const read = (chunk: Buffer): void => {
      answer += chunk.toString('latin1');
      if (!answer.endsWith('}\n')) return;
      connection.off('data', read);
      if (answer.startsWith('HTTP/1.1 200 ') && answer.includes('"matched":1,')) resolve();
      else reject(new Error(`rehearsed purge: ${answer}`));
    };
    connection.on('data', read);
    connection.once('error', reject);
    connection.once('close', () => reject(new Error('rehearsed purge: no answer')));
    connection.write(head + content);
  });
}

const noPort: AdminConfig = { host: 'localhost', port: 0, token: undefined, maxBodyBytes: 1024 };

function none(): never {
  throw new Error('purges alone are rehearsed');
}

function servicesOf(purger: Purger): AdminServices {
  return {
    purge: (command) => purger.purge(command),
    warm: none,
    explain: none,
    list: none,
    metricsReport: none,
    resetMetrics: none,
    prometheus: none,
    state: () => 'ready',
  };
}

const unheard = {
  debug: (): void => {},
  info: (): void => {},
  warn: (): void => {},
  error: (): void => {},
  writes: (): boolean => false,
};

function propOf(position: Position, nowMs: number): StoredResponse {
  const untilMs = nowMs + 60_000;
  return {
    kind: 'response',
    key: 'rehearsal|/',
    route: 'rehearsal',
    upstream: 'rehearsal',
    url: '/',
    tags: ['prop:1', 'prop:2'],
    position,
    status: 200,
    fields: [['content-type', 'text/plain']],
    body: Buffer.from('prop'),
    requestTimeMs: nowMs,
    responseTimeMs: nowMs,
    initialAgeMs: 0,
    freshness: {
      freshUntilMs: untilMs,
      swrUntilMs: untilMs,
      sieUntilMs: untilMs,
      retainUntilMs: untilMs,
      mustRevalidate: false,
      alwaysValidate: false,
      source: 'rule ttl',
    },
    etag: undefined,
    lastModified: undefined,
  };
}
