import { duplexPair, type Duplex } from 'node:stream';

import { createAdminServer } from './admin/admin-server.ts';
import { readPurge } from './admin/read-purge.ts';
import type { AdminServices } from './admin/services.ts';
import { createPurger, type Purger } from './cache/purge.ts';
import type { Clock } from './cache/ports.ts';
import type { AdminConfig } from './core/config.ts';
import { buildRouteTable } from './core/route-table.ts';
import type { Position, StoredResponse } from './core/stored-response.ts';
import { createLog, type Log } from './log/log.ts';
import { sha256 } from './sha256.ts';
import { createLocalPurgeLog, type LocalPurgeLog } from './store/local-purge-log.ts';
import { createMemoryStore, type MemoryStore } from './store/memory-store.ts';

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
 * How often each is done. V8 keeps what it has learnt of a function's operands, and makes code without an interpreter, from
 * some calls on: a first purge took 2.5 to 4 ms of CPU behind one round, 1.9 to 2.3 behind four, 1.4 behind sixteen.
 */
const rounds = 8;

/** What a purge covers is looked through behind its answer. Milliseconds. */
const lookThroughMs = 20;

/**
 * V8 compiles a function with its first call, and a purge through the admin listener calls some 150 that nothing else does: 4 to 5 ms
 * for which all traffic waits, where each later purge takes half a millisecond (docs/decisions/0023-purges-are-rehearsed.md). So a
 * process that is ready purges what it has put in a store of its own, a few bytes that are gone afterwards, through an admin
 * interface of its own that has no port, in short turns. What is configured, stored, counted and logged has no part in it. Rejects
 * where a purge is not answered as it must be.
 */
export async function rehearsePurges(clock: Clock): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = await buildStage(clock, stack);
  // First without the interface, so that what both compile is not compiled in one turn.
  for (const purge of purges) await rehearseAlone(stage, purge);
  const client = await connect(stage, stack);
  for (let round = 0; round < rounds; round += 1) {
    for (const purge of purges) {
      putProp(stage);
      await ask(client, purge);
      await wait(clock, lookThroughMs);
    }
  }
}

/**
 * {@link rehearsePurges} for a thread that is told of purges and has no admin interface: what counts and carries them out. Never
 * rejects for what a purge says.
 */
export async function rehearseTold(clock: Clock): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = await buildStage(clock, stack);
  for (let round = 0; round < rounds; round += 1) {
    for (const purge of purges) await rehearseAlone(stage, purge);
  }
}

interface Stage {
  readonly clock: Clock;
  readonly log: Log;
  readonly purgeLog: LocalPurgeLog;
  readonly store: MemoryStore;
  readonly purger: Purger;
}

async function buildStage(clock: Clock, stack: AsyncDisposableStack): Promise<Stage> {
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'rehearsal' });
  const store = stack.use(createMemoryStore({ maxBytes: 2 ** 16, routeLimits: new Map(), purgeLog, clock }));
  await turn();
  // Lines are made as real ones are, and go nowhere.
  const log = stack.use(createLog({ level: 'info', requests: false }, { stream: { write: () => undefined } }));
  await turn();
  const table = buildRouteTable([]);
  if (!table.ok) throw new Error('no table of no routes');
  const purger = createPurger({ table: table.value, purgeLog, counter: store, observer: log.observer, clock, sha256 });
  await turn();
  return { clock, log, purgeLog, store, purger };
}

/** Of what it answers nothing is asked here: each is done through the interface as well, or said of what is real. */
async function rehearseAlone(stage: Stage, purge: Readonly<Record<string, unknown>>): Promise<void> {
  putProp(stage);
  await turn();
  const command = readPurge(purge);
  await turn();
  if (command.ok) await stage.purger.purge({ ...command.value, source: 'api' });
  await wait(stage.clock, lookThroughMs);
}

interface Client {
  readonly connection: Duplex;
  /** What comes next; nothing where the connection has ended. */
  readonly read: () => Promise<{ readonly value?: unknown }>;
}

async function connect({ clock, log, purger }: Stage, stack: AsyncDisposableStack): Promise<Client> {
  const server = createAdminServer({ config: noPort, services: servicesOf(purger), clock, log, version: '' });
  const [outside, inside] = duplexPair();
  stack.defer(() => void outside.destroy());
  await turn();
  // What the interface asks of a socket alone.
  server.accept(Object.assign(inside, { setTimeout: (): Duplex => inside }));
  await turn();
  const answers = outside[Symbol.asyncIterator]();
  return { connection: outside, read: () => answers.next() };
}

function putProp({ store, purgeLog, clock }: Stage): void {
  store.put(propOf(purgeLog.position(), clock.nowMs()));
}

/** What waits meanwhile comes first. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** Resolves with the answer's last byte, rejects where it is none of a purge of one response. */
async function ask({ connection, read }: Client, purge: Readonly<Record<string, unknown>>): Promise<void> {
  const content = JSON.stringify(purge);
  connection.write(
    `POST /api/purge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${content.length}\r\n\r\n`,
  );
  // What reads the head is compiled in another turn than what reads the content.
  await turn();
  connection.write(content);
  let answer = '';
  while (!answer.endsWith('}\n')) {
    const { value } = await read();
    if (!Buffer.isBuffer(value)) throw new Error('rehearsed purge: no answer');
    answer += value.toString('latin1');
  }
  const isRight = answer.startsWith('HTTP/1.1 200 ') && answer.includes('"matched":1,');
  if (!isRight) throw new Error(`rehearsed purge: ${answer}`);
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
