import { isComplete, type Read, sources, type Source, type Violation } from './history.ts';
import type { Outcome, RunOptions } from './run-history.ts';
import type { Recorded } from './traffic.ts';
import { selectors } from './world.ts';

/** What a run must have seen to prove anything. */
export interface Demands {
  readonly completedPurges: number;
  /** A completed purge by each. */
  readonly selectors: readonly string[];
  /** Each of these sources at least so often. */
  readonly reads: Readonly<Partial<Record<Source, number>>>;
  /** Each kind at least so often. */
  readonly faults: Readonly<Record<string, number>>;
  readonly learntReads: number;
}

/** Reads, by where they came from, and so on: how often what happened. */
export interface Counts {
  readonly reads: ReadonlyMap<string, number>;
  /** Purges by status; `200` are those that promised. */
  readonly purges: ReadonlyMap<string, number>;
  readonly selectors: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, number>;
  readonly completedPurges: number;
  /** Reads from store under a key that a rule of upstream's has made. */
  readonly learntReads: number;
}

export function countsOf({ reads, purges, faults }: Recorded): Counts {
  const completed = purges.filter(isComplete);
  return {
    reads: tally(reads.map(({ source }) => source)),
    purges: tally(purges.map(({ status }) => String(status))),
    selectors: tally(completed.map(({ by }) => by)),
    faults: tally(faults.map(({ kind }) => kind)),
    completedPurges: completed.length,
    learntReads: reads.filter(isLearnt).length,
  };
}

function isLearnt({ source, tags }: Read): boolean {
  return (source === 'memory' || source === 'redis') && tags.some((tag) => tag.startsWith('search:'));
}

/** What was missed of the demands, a sentence for each; none where the run proves something. */
export function vacuity(counts: Counts, demands: Demands): readonly string[] {
  return [
    ...short('completed purges', counts.completedPurges, demands.completedPurges),
    ...demands.selectors.flatMap((by) => short(`completed purges by ${by}`, counts.selectors.get(by) ?? 0, 1)),
    ...Object.entries(demands.reads).flatMap(([source, wanted]) =>
      short(`reads from ${source}`, counts.reads.get(source) ?? 0, wanted ?? 0),
    ),
    ...Object.entries(demands.faults).flatMap(([kind, wanted]) =>
      short(`faults of kind ${kind}`, counts.faults.get(kind) ?? 0, wanted),
    ),
    ...short('reads under keys by rules of upstream', counts.learntReads, demands.learntReads),
  ];
}

function short(what: string, seen: number, wanted: number): readonly string[] {
  return seen >= wanted ? [] : [`${what}: ${seen}, but at least ${wanted} are needed`];
}

/** What a run of that length with those faults must have seen at least: some tenth of what it usually sees. */
export function usualDemands(
  { seconds, mode, sidecars }: Pick<RunOptions, 'seconds' | 'mode' | 'sidecars'>,
  askedFaults: readonly string[],
): Demands {
  const each = Math.max(3, Math.floor(seconds / 5));
  // Without a fault no lease is lost.
  const lease = askedFaults.some((kind) => leaseLosing.has(kind)) ? { lease: each } : {};
  // Few readers wait for a validation: most of what is stale is validated in the background, or purged before.
  const shared = mode === 'alone' ? {} : { redis: each, validated: Math.floor(each / 3) };
  // One process alone never waits for what another one fetches.
  const fleet = sidecars > 1 ? { fleet: each } : {};
  return {
    completedPurges: Math.max(5, Math.floor(seconds / 2)),
    selectors,
    reads: { memory: 10 * each, miss: each, collapsed: each, ...shared, ...fleet, ...lease },
    faults: Object.fromEntries(askedFaults.map((kind) => [kind, 1])),
    learntReads: each,
  };
}

const leaseLosing: ReadonlySet<string> = new Set([
  'pause-up',
  'pause-down',
  'pause-both',
  'refuse',
  'redis-freeze',
  'redis-kill-empty',
  'redis-old-dump',
  'master-freeze',
  'master-kill',
  'owner-kill',
  'owner-freeze',
]);

/** For people: counts, and each violation with what happened around it. */
export function renderSummary(outcome: Outcome, counts: Counts, missed: readonly string[]): string {
  const { recorded, violations } = outcome;
  const perSource = sources.map((source) => `${source} ${counts.reads.get(source) ?? 0}`).join(', ');
  return [
    `reads       ${recorded.reads.length} (${perSource}); ${recorded.brokenReads} broke off`,
    `            ${counts.learntReads} from store under keys by rules of upstream`,
    `refused     ${recorded.refusals.length}${recorded.refusals
      .slice(0, 5)
      .map((line) => `\n            ${line}`)
      .join('')}`,
    `upstream    ${outcome.upstreamCalls} calls`,
    `purges      ${recorded.purges.length}, ${counts.completedPurges} completed; by status: ${listed(counts.purges)}`,
    `selectors   ${listed(counts.selectors)}`,
    `faults      ${recorded.faults.length}: ${listed(counts.faults)}`,
    `violations  ${violations.length}`,
    ...violations.slice(0, 10).map((violation) => renderViolation(violation, recorded)),
    ...(missed.length === 0 ? [] : ['vacuous:', ...missed.map((line) => `  ${line}`)]),
    ...(outcome.complaints === '' ? [] : ['sidecars wrote:', outcome.complaints.slice(0, 4_000)]),
  ].join('\n');
}

/** One violation with the purges of its key, the reads of its sidecar, and the faults before it. */
function renderViolation({ read, purge }: Violation, recorded: Recorded): string {
  const at = (ms: number): string => `${(ms - read.startMs).toFixed(1)} ms`;
  const version = purge.least.get(read.key);
  const purges = recorded.purges
    .filter(({ least, endMs }) => least.has(read.key) && endMs < read.endMs)
    .slice(-4)
    .map(
      (one) =>
        `purge by ${one.by} at ${one.sidecar}, ${at(one.startMs)} to ${at(one.endMs)}, status ${one.status}, least ${one.least.get(read.key)}, missing ${one.missing.length}`,
    );
  const reads = recorded.reads
    .filter(({ key, sidecar, startMs }) => key === read.key && sidecar === read.sidecar && startMs < read.startMs)
    .slice(-4)
    .map(
      (one) =>
        `read at ${one.sidecar}, ${at(one.startMs)} to ${at(one.endMs)}, ${one.source}, version ${one.version}, fetched ${at(one.fetchedMs)}`,
    );
  const faults = recorded.faults
    .filter(({ startMs, endMs }) => startMs < read.endMs && endMs > purge.startMs - 3_000)
    .map((one) => `fault ${one.kind} of ${one.what}, ${at(one.startMs)} to ${at(one.endMs)}`);
  return [
    `- ${read.key} at ${read.sidecar} from ${read.source}: version ${read.version} fetched ${at(read.fetchedMs)}; the purge by ${purge.by} at ${purge.sidecar} (${at(purge.startMs)} to ${at(purge.endMs)}) asked for ${version}`,
    ...[...purges, ...reads, ...faults].map((line) => `    ${line}`),
  ].join('\n');
}

function tally(words: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([word, count]) => `${word} ${count}`)
    .join(', ');
}
