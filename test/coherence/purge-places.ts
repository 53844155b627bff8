import type { Reply } from '../support/http.ts';
import { askOf, patienceMs } from './ask-sidecar.ts';
import type { Purge } from './history.ts';
import { effectsField, type WireEffects } from './learn-upstream.ts';
import { learnPlaces, resourceOf, searchTagsOf, type Unsafe } from './learn-world.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import type { Part } from './traffic.ts';
import { type Changed, changedField, fetchedField, type VersionedUpstream } from './upstream.ts';
import type { Place, Selection } from './world.ts';

/** Bumps the versions of what it purges, then purges it, and notes what was promised. */
export async function purgePlaces(
  { recorded, signal }: Pick<Part, 'recorded' | 'signal'>,
  sidecar: SidecarProcess,
  { selection, upstream }: { readonly selection: Selection; readonly upstream: VersionedUpstream },
): Promise<Purge> {
  const { by, body, covers, tags } = selection;
  const targets = covers.map(({ target }) => target);
  const covered = coveredBy(
    targets,
    upstream.bump([...targets, ...tags.flatMap((tag) => upstream.learn.taggedBy(tag))]),
  );
  const startMs = performance.now();
  const reply = await askOf(sidecar.ports?.adminPort, '/api/purge', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
  });
  const endMs = performance.now();
  const purge: Purge = { startMs, endMs, sidecar: sidecar.name, by, tags, ...covered, ...promiseOf(reply) };
  recorded.purges.push(purge);
  return purge;
}

/** Of those targets, and of whatever else is a spelling of a resource with one of the new versions. */
function coveredBy(
  targets: readonly string[],
  versions: ReadonlyMap<string, number>,
): Pick<Purge, 'least' | 'leastTagged'> {
  const withVersions = (all: readonly string[]): ReadonlyMap<string, number> =>
    new Map(
      all.flatMap((target) => {
        const version = versions.get(resourceOf(target));
        return version === undefined ? [] : [[target, version] as const];
      }),
    );
  return { least: withVersions(targets), leastTagged: withVersions(learnPlaces.map(({ target }) => target)) };
}

/** The proxy holds the answer to an unsafe request back for its purge no longer than two seconds; less, for clocks. */
const holdsBackMs = 1_950;

/**
 * An unsafe request that upstream carries out. It promises what a purge does, and does so by its answer, unless that was held back
 * for too long, or the sidecar has written that it could not purge. It counts from its arrival upstream: its own answer
 * may be stored, and what arrived later and is older has an older version.
 */
export async function changePlace(
  part: Pick<Part, 'recorded' | 'signal'>,
  sidecar: SidecarProcess,
  unsafe: Unsafe,
): Promise<Purge> {
  const { place, effects } = unsafe;
  const sentMs = performance.now();
  const reply = await askOf(sidecar.ports?.proxyPort, place.target, {
    method: unsafe.method,
    headers: { 'accept-language': 'en', [effectsField]: JSON.stringify(wireEffects(effects)) },
    signal: AbortSignal.any([part.signal, AbortSignal.timeout(patienceMs)]),
  });
  const endMs = performance.now();
  if (reply !== undefined && reply.headers[changedField] === undefined) {
    part.recorded.refusals.push(`${reply.status} ${unsafe.method} ${sidecar.name} ${reply.text.slice(0, 200)}`);
  }
  const covers = [place, effects.location, effects.contentLocation].filter((one) => one !== undefined);
  const outcome = reply === undefined ? unanswered(sentMs) : changedBy(reply, { covers, endMs });
  const purge: Purge = {
    endMs,
    sidecar: sidecar.name,
    by: 'unsafe',
    missing: [],
    tags: [...searchTagsOf(covers), ...effects.groups.map((group) => `group:${group}`)],
    ...outcome,
    // Asked for when the history is judged, by when the sidecar's log has been read to its end.
    get complete() {
      return outcome.complete && !sidecar.mayHaveRefused(sentMs, endMs);
    },
  };
  part.recorded.purges.push(purge);
  return purge;
}

function wireEffects({ location, contentLocation, groups }: Unsafe['effects']): WireEffects {
  return {
    groups,
    ...(location === undefined ? {} : { location: location.target }),
    ...(contentLocation === undefined ? {} : { contentLocation: contentLocation.target }),
  };
}

type ChangeOutcome = Pick<Purge, 'startMs' | 'status' | 'complete' | 'least' | 'leastTagged'>;

function unanswered(startMs: number): ChangeOutcome {
  return { startMs, status: 0, complete: false, least: new Map(), leastTagged: new Map() };
}

function changedBy(
  { status, headers }: Reply,
  { covers, endMs }: { readonly covers: readonly Place[]; readonly endMs: number },
): ChangeOutcome {
  const text = headers[changedField];
  // The proxy's own word, of an upstream that it could not ask: nothing has changed.
  if (typeof text !== 'string') return { ...unanswered(endMs), status };
  const { headMs, versions }: Changed = JSON.parse(text);
  const targets = covers.map(({ target }) => target);
  return {
    startMs: Number(headers[fetchedField]),
    status,
    complete: endMs - headMs < holdsBackMs,
    ...coveredBy(targets, new Map(versions)),
  };
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
