import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { CoherenceRules } from '../../src/store/coherence/rules.ts';
import type { AlterationName } from './alterations.ts';
import type { Backend, Mode } from './backend.ts';
import { findViolations } from './checker.ts';
import { faultKinds } from './fault-kinds.ts';
import { runLane, type Fault, type Lane } from './faults.ts';
import { networkFaults, processFaults, skew, type WiredSidecar } from './fleet-faults.ts';
import type { Violation } from './history.ts';
import { seededRandom, type Random } from './random.ts';
import { startSidecarProcess } from './sidecar-process.ts';
import { startBackend } from './start-backend.ts';
import { emptyRecord, runClient, runPurger, type Recorded } from './traffic.ts';
import { startVersionedUpstream, type Pace } from './upstream.ts';
import { shuffledDeck, sidecarYaml } from './world.ts';

export interface RunOptions {
  readonly mode: Mode;
  /** Fixes what is tried (faults, purges, reads), though not how it meets: processes and sockets keep their own time. */
  readonly seed: number;
  readonly seconds: number;
  readonly sidecars: number;
  /** Threads of each sidecar that serve; 1 unless told otherwise. Their clocks are right. */
  readonly workers?: number;
  readonly clientsEach: number;
  readonly leaseMs: number;
  /** Kinds of faults; `undefined`: all that the mode has; none: nothing goes wrong, and clocks are right. */
  readonly faults?: readonly string[];
  /** Rules that are taken away. */
  readonly rules?: Partial<CoherenceRules>;
  /** What is altered in the program's text. */
  readonly altered?: readonly AlterationName[];
  /** Goes on past its time, to four times of it at most, until what was recorded is enough: a busy machine is slow. */
  readonly isEnough?: (recorded: Recorded, askedFaults: readonly string[]) => boolean;
  readonly pace?: Pace;
  /** A client waits so long between two reads, a purger between two purges, on average. */
  readonly thinkMs?: number;
  readonly purgePauseMs?: number;
  /** Quiet times between faults are multiplied with it; 1 unless told otherwise. */
  readonly calm?: number;
}

export interface Outcome {
  readonly recorded: Recorded;
  readonly violations: readonly Violation[];
  /** Kinds of faults that were asked for. */
  readonly asked: readonly string[];
  readonly upstreamCalls: number;
  /** What sidecars wrote to standard error: nothing, unless one broke. */
  readonly complaints: string;
}

/** Starts a fleet, lets clients read, purgers purge and faults happen, and checks all that was recorded. */
export async function runHistory(options: RunOptions): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'forecache-history-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const random = seededRandom(options.seed);
  const { mode, leaseMs } = options;
  if (mode === 'alone' && options.sidecars !== 1) throw new RangeError('without Redis there is no fleet');
  const backend = await startBackend({ mode, leaseMs, stack });
  const upstream = stack.use(await startVersionedUpstream(random.fork('upstream'), options.pace));
  const ground = { options, folder, backend, upstreamPort: upstream.port, stack, random: random.fork('skews') };
  const fleet = await startFleet(ground);
  const lanes = lanesOf(options, fleet, backend);
  const asked = lanes.flatMap(({ faults }) => faults.map(({ kind }) => kind));
  const recorded = emptyRecord();
  const ended = new AbortController();
  const part = (name: string) => ({ recorded, random: random.fork(name), signal: ended.signal });
  const sidecars = fleet.map(({ sidecar }) => sidecar);
  const { thinkMs = 40, purgePauseMs = 300 } = options;
  const purger = { sidecars, upstream, pauseMs: purgePauseMs, deck: shuffledDeck(random.fork('deck')) };
  const work = [
    ...sidecars.flatMap((sidecar) =>
      Array.from({ length: options.clientsEach }, (_, index) =>
        runClient(part(`${sidecar.name} client ${index}`), sidecar, thinkMs),
      ),
    ),
    // Two, so that one that waits for a stopped sidecar does not hold up all purges.
    ...[1, 2].map((number) => runPurger(part(`purger ${number}`), purger)),
    ...lanes.map((lane, index) => runLane(lane, part(`lane ${index}`))),
  ];
  try {
    await Promise.race([untilEnd(options, recorded, asked), Promise.all(work)]);
  } finally {
    ended.abort();
    await Promise.allSettled(work);
  }
  // What failed while it ended counts as well.
  await Promise.all(work);
  return {
    recorded,
    violations: findViolations(recorded),
    asked,
    upstreamCalls: upstream.calls,
    complaints: sidecars.map(({ complaints }) => complaints).join(''),
  };
}

interface Ground {
  readonly options: RunOptions;
  readonly folder: string;
  readonly backend: Backend;
  readonly upstreamPort: number;
  readonly stack: AsyncDisposableStack;
  readonly random: Random;
}

function startFleet(ground: Ground): Promise<readonly WiredSidecar[]> {
  const { options, folder, backend, upstreamPort, stack, random } = ground;
  const { leaseMs, rules = {}, altered = [], faults } = options;
  const clocksAreWrong = faults === undefined || faults.includes('clock-step');
  return Promise.all(
    Array.from({ length: options.sidecars }, async (_, index) => {
      const skewMs = clocksAreWrong ? skew(random.next()) : 0;
      const { wires, redis } = await backend.connectSidecar();
      const yaml = sidecarYaml({ upstreamPort, redis, leaseMs, workers: options.workers });
      const sidecar = await startSidecarProcess({ name: `s${index + 1}`, folder, yaml, rules, altered }, skewMs);
      return { sidecar: stack.use(sidecar), wires };
    }),
  );
}

function lanesOf(
  { mode, faults, leaseMs, calm = 1 }: RunOptions,
  fleet: readonly WiredSidecar[],
  backend: Backend,
): readonly Lane[] {
  const lane = (all: readonly Fault[], leastCalmMs: number, mostCalmMs: number): Lane => ({
    faults: faults === undefined ? all : all.filter(({ kind }) => faults.includes(kind)),
    leastCalmMs: leastCalmMs * calm,
    mostCalmMs: mostCalmMs * calm,
  });
  const network = mode === 'alone' ? [] : networkFaults(fleet, leaseMs);
  const process = processFaults(fleet, leaseMs);
  const found = [...network, ...process, ...backend.faults].map(({ kind }) => kind);
  if (found.toSorted().join() !== faultKinds[mode].toSorted().join()) throw new Error('fault-kinds.ts is out of date');
  const unknown = (faults ?? []).filter((kind) => !found.includes(kind));
  if (unknown.length > 0) throw new RangeError(`no such faults in this mode: ${unknown.join(', ')}`);
  return [lane(network, 300, 1_500), lane(process, 500, 2_000), lane(backend.faults, 1_000, 4_000)].filter(
    (one) => one.faults.length > 0,
  );
}

/**
 * So long after its answer an unsafe request may still turn out to be none that purged: a line of the log that says so, or the end
 * of its sidecar, is seen later than the answer (see `mayHaveRefused`).
 */
const settledAfterMs = 1_500;

/** Without the purges of which it is not certain yet that they stay what they are. */
function settled(recorded: Recorded): Recorded {
  const beforeMs = performance.now() - settledAfterMs;
  return { ...recorded, purges: recorded.purges.filter(({ endMs }) => endMs < beforeMs) };
}

/** Resolves when the time is over and what was recorded is enough. */
async function untilEnd(
  { seconds, isEnough = () => true }: RunOptions,
  recorded: Recorded,
  asked: readonly string[],
): Promise<void> {
  await sleep(seconds * 1_000);
  const latestMs = performance.now() + 3 * seconds * 1_000;
  while (!isEnough(settled(recorded), asked) && performance.now() < latestMs) await sleep(200);
}
