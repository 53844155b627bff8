import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { ask } from '../support/http.ts';
import { sourceOf, type FaultEvent, type Purge, type Read } from './history.ts';
import type { Random } from './random.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { fetchedField, versionField, type VersionedUpstream } from './upstream.ts';
import { places, randomSelection } from './world.ts';

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
      const { ports } = sidecar;
      if (ports === undefined) await sleep(20);
      else await readOnce(part, sidecar, { agent, port: ports.proxyPort });
      await sleep(random.whole(0, 2 * thinkMs));
    }
  } finally {
    agent.destroy();
  }
}

async function readOnce(
  { recorded, random, signal }: Part,
  sidecar: SidecarProcess,
  { agent, port }: { readonly agent: Agent; readonly port: number },
): Promise<void> {
  // Half of the reads go to three places, so that some requests meet one another's fetches.
  const place = random.chance(0.5) ? random.pick(places.slice(0, 3)) : random.pick(places);
  const headers = { 'accept-language': random.pick(['de', 'en']) };
  const startMs = performance.now();
  try {
    const reply = await ask(`http://127.0.0.1:${port}`, place.target, {
      agent,
      headers,
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    });
    const endMs = performance.now();
    if (reply.status !== 200) {
      recorded.refusals.push(`${reply.status} ${sidecar.name} ${reply.cacheStatus} ${reply.text.slice(0, 200)}`);
      return;
    }
    const version = Number(reply.headers[versionField]);
    const fetchedMs = Number(reply.headers[fetchedField]);
    if (!Number.isFinite(version + fetchedMs)) throw new TypeError('an answer without its version');
    const source = sourceOf(reply.cacheStatus);
    recorded.reads.push({ startMs, endMs, sidecar: sidecar.name, key: place.target, version, fetchedMs, source });
  } catch (error) {
    if (error instanceof TypeError) throw error;
    if (!signal.aborted) recorded.brokenReads += 1;
  }
}

/** Bumps versions, then purges what it bumped through a random sidecar, and notes what was promised. */
export async function runPurger(part: Part, { sidecars, upstream, pauseMs }: PurgerOptions): Promise<void> {
  const { random, signal } = part;
  while (!signal.aborted) {
    await sleep(random.whole(0, 2 * pauseMs));
    const sidecar = random.pick(sidecars);
    const { ports } = sidecar;
    if (ports !== undefined) await purgeOnce(part, { sidecar, port: ports.adminPort, upstream });
  }
}

export interface PurgerOptions {
  readonly sidecars: readonly SidecarProcess[];
  readonly upstream: VersionedUpstream;
  readonly pauseMs: number;
}

async function purgeOnce(
  { recorded, random, signal }: Part,
  {
    sidecar,
    port,
    upstream,
  }: { readonly sidecar: SidecarProcess; readonly port: number; readonly upstream: VersionedUpstream },
): Promise<void> {
  const { by, body, covers } = randomSelection(random);
  const least = new Map(covers.map(({ target }) => [target, upstream.bump(target)]));
  const startMs = performance.now();
  const answer = await purgeCall(port, body, signal);
  const endMs = performance.now();
  recorded.purges.push({ startMs, endMs, sidecar: sidecar.name, by, least, ...answer });
}

/** One call of `POST /api/purge`; status 0 where no answer came. */
async function purgeCall(
  port: number,
  body: unknown,
  signal: AbortSignal,
): Promise<Pick<Purge, 'status' | 'complete' | 'missing'>> {
  try {
    const reply = await ask(`http://127.0.0.1:${port}`, '/api/purge', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    });
    if (reply.status >= 400 && reply.status < 500) throw new TypeError(`purge refused: ${reply.text}`);
    const { complete, missing }: PurgeAnswer = JSON.parse(reply.text);
    return { status: reply.status, complete: complete === true, missing: missing ?? [] };
  } catch (error) {
    // A mistake of this program: no run must go on with purges that are none.
    if (error instanceof TypeError) throw error;
    return { status: 0, complete: false, missing: [] };
  }
}

interface PurgeAnswer {
  readonly complete?: boolean;
  readonly missing?: readonly string[];
}
