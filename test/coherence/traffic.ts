import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { askOf, patienceMs } from './ask-sidecar.ts';
import { isComplete, sourceOf, type FaultEvent, type Purge, type Read } from './history.ts';
import { groupsField, surrogatesField } from './learn-upstream.ts';
import { learnPlaces, randomUnsafe, tagsOfAnswer } from './learn-world.ts';
import { changePlace, purgePlaces } from './purge-places.ts';
import type { Random } from './random.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { fetchedField, versionField, type VersionedUpstream } from './upstream.ts';
import { type Place, places, randomSelection, ruledPlaces, type Selector, type Deck } from './world.ts';

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
  // Half of the reads go to six places, so that some requests meet one another's fetches.
  const place = random.chance(0.5) ? random.pick(hotPlaces) : random.pick(places);
  await readPlace(part, sidecar, { ...by, target: place.target, language: random.pick(languages) });
}

/** Three where the configuration makes the keys, and all spellings of one resource. */
const hotPlaces: readonly Place[] = [...ruledPlaces.slice(0, 3), ...learnPlaces.slice(0, 3)];

const languages = ['de', 'en', 'de, en;q=0.5', 'fr;q=0.5, en'] as const;

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
  const said = [reply.headers[groupsField], reply.headers[surrogatesField]].join(' ');
  const tags = tagsOfAnswer(target, {
    cacheStatus: reply.cacheStatus,
    tags: said,
    rule: [reply.headers['no-vary-search']].flat().join(', '),
  });
  const read: Read = { startMs, endMs, sidecar: sidecar.name, key: target, version, fetchedMs, source, tags };
  recorded.reads.push(read);
  return read;
}

export interface PurgerOptions {
  readonly sidecars: readonly SidecarProcess[];
  readonly upstream: VersionedUpstream;
  readonly pauseMs: number;
  /** That of all purgers, so that few purges are by all selectors. */
  readonly deck: Deck;
}

/** Purges by one selector after the other, through whichever sidecar; what was not promised has its turn again. */
export async function runPurger(part: Part, { sidecars, upstream, pauseMs, deck }: PurgerOptions): Promise<void> {
  const { random, signal } = part;
  while (!signal.aborted) {
    await sleep(random.whole(0, 2 * pauseMs));
    const sidecar = random.pick(sidecars);
    if (sidecar.ports === undefined) continue;
    const by = deck.next();
    const purge = await purgeOnce(part, { sidecar, by, upstream });
    if (!isComplete(purge)) deck.putBack(by);
  }
}

function purgeOnce(
  part: Part,
  { sidecar, by, upstream }: { sidecar: SidecarProcess; by: Selector; upstream: VersionedUpstream },
): Promise<Purge> {
  const { random, recorded } = part;
  if (by === 'unsafe') return changePlace(part, sidecar, randomUnsafe(random));
  const shownKeys = recorded.reads.slice(-200).flatMap(({ tags }) => tags.filter((tag) => tag.startsWith('key:')));
  const field = { origin: upstream.origin, shownKeys: shownKeys.map((tag) => tag.slice('key:'.length)) };
  return purgePlaces(part, sidecar, { selection: randomSelection(random, by, field), upstream });
}
