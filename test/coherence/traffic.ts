import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { ask, type Ask, type Reply } from '../support/http.ts';
import { isComplete, sourceOf, type FaultEvent, type Purge, type Read } from './history.ts';
import type { Random } from './random.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { fetchedField, versionField, type VersionedUpstream } from './upstream.ts';
import { places, randomSelection, shuffledSelectors, type Selection } from './world.ts';

/** All that a run writes down. Everything is recorded in this process, by its monotonic clock. */
export interface Recorded {
  readonly reads: Read[];
  readonly purges: Purge[];
  readonly faults: FaultEvent[];
  /** Calls without an answer: their sidecar was killed, or stopped for too long. */
  brokenReads: number;
  /** Answers that were none, such as `503 near`; the upstream never fails, so there should be no such answer. */
  readonly refusals: string[];
}

export function emptyRecord(): Recorded {
  return { reads: [], purges: [], faults: [], brokenReads: 0, refusals: [] };
}

export interface Part {
  readonly recorded: Recorded;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Longer than any fault lasts. */
const patienceMs = 10_000;

/** One client of one sidecar: one connection, one request at a time, so that a stopped sidecar stalls only its own clients. */
export async function runClient(part: Part, sidecar: SidecarProcess, thinkMs: number): Promise<void> {
  const { random, signal } = part;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    while (!signal.aborted) {
      if (sidecar.ports === undefined) await sleep(20);
      else await readOnce(part, sidecar, { agent });
      await sleep(random.whole(0, 2 * thinkMs));
    }
  } finally {
    agent.destroy();
  }
}

async function readOnce(part: Part, sidecar: SidecarProcess, by: { readonly agent: Agent }): Promise<void> {
  const { random } = part;
  // Half of the reads go to three places, so that some requests meet one another's fetches.
  const place = random.chance(0.5) ? random.pick(places.slice(0, 3)) : random.pick(places);
  await readPlace(part, sidecar, { ...by, target: place.target, language: random.pick(['de', 'en']) });
}

export interface ReadOptions {
  readonly target: string;
  readonly language?: string;
  readonly agent?: Agent;
}

/** One read, noted with where its answer came from; `undefined` where there was none, or one that is none. */
export async function readPlace(
  { recorded, signal }: Pick<Part, 'recorded' | 'signal'>,
  sidecar: SidecarProcess,
  { target, language = 'en', agent }: ReadOptions,
): Promise<Read | undefined> {
  const startMs = performance.now();
  const reply = await askOf(sidecar.ports?.proxyPort, target, {
    headers: { 'accept-language': language },
    signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    ...(agent === undefined ? {} : { agent }),
  });
  const endMs = performance.now();
  if (reply === undefined) {
    if (!signal.aborted) recorded.brokenReads += 1;
    return undefined;
  }
  if (reply.status !== 200) {
    recorded.refusals.push(`${reply.status} ${sidecar.name} ${reply.cacheStatus} ${reply.text.slice(0, 200)}`);
    return undefined;
  }
  const version = Number(reply.headers[versionField]);
  const fetchedMs = Number(reply.headers[fetchedField]);
  if (!Number.isFinite(version + fetchedMs)) throw new TypeError('an answer without its version');
  const source = sourceOf(reply.cacheStatus);
  const read: Read = { startMs, endMs, sidecar: sidecar.name, key: target, version, fetchedMs, source };
  recorded.reads.push(read);
  return read;
}

/** `undefined`: nobody answered, or not to the end. */
async function askOf(port: number | undefined, target: string, options: Ask): Promise<Reply | undefined> {
  if (port === undefined) return undefined;
  try {
    return await ask(`http://127.0.0.1:${port}`, target, options);
  } catch {
    return undefined;
  }
}

export interface PurgerOptions {
  readonly sidecars: readonly SidecarProcess[];
  readonly upstream: VersionedUpstream;
  readonly pauseMs: number;
}

/** Purges by one selector after the other, through whichever sidecar; what was not promised has its turn again. */
export async function runPurger(part: Part, { sidecars, upstream, pauseMs }: PurgerOptions): Promise<void> {
  const { random, signal } = part;
  let deck = shuffledSelectors(random);
  while (!signal.aborted) {
    await sleep(random.whole(0, 2 * pauseMs));
    const sidecar = random.pick(sidecars);
    if (sidecar.ports === undefined) continue;
    const by = deck.pop();
    if (by === undefined) {
      deck = shuffledSelectors(random);
      continue;
    }
    const purge = await purgePlaces(part, sidecar, { selection: randomSelection(random, by), upstream });
    // Last of its deck: else faults decide which selectors a short run checks.
    if (!isComplete(purge)) deck.unshift(by);
  }
}

/** Bumps the versions of what it purges, then purges it, and notes what was promised. */
export async function purgePlaces(
  { recorded, signal }: Pick<Part, 'recorded' | 'signal'>,
  sidecar: SidecarProcess,
  { selection, upstream }: { readonly selection: Selection; readonly upstream: VersionedUpstream },
): Promise<Purge> {
  const { by, body, covers } = selection;
  const least = new Map(covers.map(({ target }) => [target, upstream.bump(target)]));
  const startMs = performance.now();
  const reply = await askOf(sidecar.ports?.adminPort, '/api/purge', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
  });
  const endMs = performance.now();
  const purge: Purge = { startMs, endMs, sidecar: sidecar.name, by, least, ...promiseOf(reply) };
  recorded.purges.push(purge);
  return purge;
}

/** What the answer promises; status 0 where there is none. */
function promiseOf(reply: Reply | undefined): Pick<Purge, 'status' | 'complete' | 'missing'> {
  if (reply === undefined) return { status: 0, complete: false, missing: [] };
  // A mistake of this program: no run must go on with purges that are none.
  if (reply.status >= 400 && reply.status < 500) throw new TypeError(`purge refused: ${reply.text}`);
  const { complete, missing = [] }: PurgeAnswer = JSON.parse(reply.text);
  return { status: reply.status, complete: complete === true, missing };
}

interface PurgeAnswer {
  readonly complete?: boolean;
  readonly missing?: readonly string[];
}
