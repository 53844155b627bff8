import { setTimeout as sleep } from 'node:timers/promises';

import type { CoherenceRules } from '../../src/store/coherence/rules.ts';
import { findViolations } from './checker.ts';
import { restartFromAside, saveAside } from './dumps.ts';
import { waitUntil } from './wait-until.ts';
import { placeAt, type Rig, type RigOptions } from './rig.ts';
import type { WiredSidecar } from './fleet-faults.ts';
import type { Place } from './world.ts';

/** Something that happens to a fleet, in which one rule is all that stands between it and a wrong answer. */
export interface Scenario {
  readonly rule: keyof CoherenceRules;
  readonly what: string;
  readonly options: Omit<RigOptions, 'rules' | 'stack'>;
  /** Once, or until there is a violation: the instants of some scenarios are not ours to choose. */
  readonly attempts: number;
  readonly play: (rig: Rig, attempt: number) => Promise<void>;
}

export const scenarios: readonly Scenario[] = [
  {
    rule: 'earlyPosition',
    what: 'a purge comes while a response is fetched, and the response is read after it',
    options: { leaseMs: 1_000 },
    // The lease may end before the response is stored, or read.
    attempts: 3,
    async play(rig, attempt) {
      const [one] = rig.sidecars;
      const place = placeAt(attempt);
      await rig.hold(one, placeAt(5));
      await duringFetch(rig, { at: one, place }, async () => void (await rig.purge(one, place)));
      await rig.read(one, place);
    },
  },
  {
    rule: 'checkedJoiner',
    what: 'a read begins after a purge, while a fetch from before it is still under way',
    options: { leaseMs: 1_000 },
    // The lease may end before the read.
    attempts: 5,
    async play(rig, attempt) {
      const [one] = rig.sidecars;
      await rig.hold(one, placeAt(1));
      // So that it is fetched again in each attempt; the first one waits for as long as `settle` would.
      await rig.purge(one, placeAt(0));
      await duringFetch(rig, { at: one, place: placeAt(0) }, async (answer) => {
        await rig.purge(one, placeAt(0));
        await readBeside(rig, { at: one, place: placeAt(0) }, { answer, attempt });
      });
    },
  },
  {
    rule: 'barrier',
    what: 'another sidecar hears of a purge later than the one that was asked',
    options: { leaseMs: 1_000 },
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      await settle(rig);
      await rig.hold(one, placeAt(0));
      for (const wire of one.wires) wire.delay(100);
      await rig.purge(other, placeAt(0));
      await rig.read(one, placeAt(0));
    },
  },
  {
    rule: 'lease',
    what: 'a sidecar cannot reach Redis while something is purged that it holds',
    options: { leaseMs: 500 },
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      await rig.hold(one, placeAt(0));
      for (const wire of one.wires) wire.pause(['up', 'down']);
      await rig.purge(other, placeAt(0));
      await rig.read(one, placeAt(0));
    },
  },
  {
    rule: 'leaseFromSend',
    what: 'the last answer that a sidecar gets from Redis comes late, and then a purge is made that it cannot hear of',
    options: { leaseMs: 1_000 },
    // Needs the purge within some 200 ms of the last renewal that Redis saw, which a busy machine misses a dozen times in a row.
    attempts: 20,
    async play(rig, attempt) {
      const [one, other] = rig.sidecars;
      if (attempt === 0) await settle(rig);
      for (const wire of one.wires) wire.heal();
      // Below what a call on the control connection may take, 0.4 of the lease.
      for (const wire of one.wires) wire.delay(340, ['down']);
      await rig.hold(one, placeAt(0));
      await sleep(attempt * 37);
      for (const wire of one.wires) wire.pause(['up']);
      await rig.purge(other, placeAt(0));
      await rig.read(one, placeAt(0));
    },
  },
  {
    rule: 'epoch',
    what: 'Redis comes back from a dump that lacks a purge, and the next purge takes its place in the log',
    options: { leaseMs: 500 },
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      const [node] = rig.nodes;
      if (node === undefined) throw new Error('no node');
      await rig.hold(other, placeAt(1));
      await rig.purge(other, placeAt(2));
      await saveAside(node);
      await rig.purge(other, placeAt(0));
      // What is held from here on was fetched after a purge that Redis is about to forget.
      await rig.purge(other, placeAt(1));
      await rig.hold(one, placeAt(1));
      await restartFromAside(node);
      await rig.hold(one, placeAt(2));
      await rig.hold(other, placeAt(2));
      await waitUntil(async () => (await rig.purge(other, placeAt(1))).complete, 'a purge that is complete');
      await rig.read(one, placeAt(1));
    },
  },
  {
    rule: 'replicaCheck',
    what: 'a replica has become master, the name has moved to it, and one sidecar still talks to the old master',
    options: { leaseMs: 500, replicas: 2 },
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      const [, next, last] = rig.nodes;
      if (next === undefined || last === undefined) throw new Error('no replicas');
      await rig.hold(one, placeAt(0));
      await next.cli('replicaof', 'no', 'one');
      await last.cli('replicaof', '127.0.0.1', String(next.port));
      const isFollowed = async (): Promise<boolean> => /state=online/.test(await next.cli('info', 'replication'));
      await waitUntil(isFollowed, 'a replica of the new master');
      for (const wire of other.wires) wire.moveTo(next.port);
      await waitUntil(async () => (await rig.purge(other, placeAt(0))).complete, 'a purge that is complete');
      await rig.read(one, placeAt(0));
    },
  },
];

/** Within a lease of the birth of an epoch, purges wait for a whole lease. One that does shows that this time is over. */
export async function settle(rig: Rig): Promise<void> {
  await rig.hold(rig.sidecars[1], placeAt(2));
  await rig.purge(rig.sidecars[1], placeAt(2));
}

/** What is read, and of whom. */
interface Reading {
  readonly at: WiredSidecar;
  readonly place: Place;
}

/**
 * Begins a fetch, does something as soon as the upstream has got it, and waits for its end. The upstream answers when that is done, or when
 * it calls `answer`, however long it takes.
 */
export async function duringFetch(
  rig: Rig,
  { at, place }: Reading,
  act: (answer: () => void) => Promise<void>,
): Promise<void> {
  const before = rig.upstream.calls;
  const answer = rig.upstream.hold();
  try {
    const fetched = rig.read(at, place);
    await waitUntil(async () => rig.upstream.calls > before, 'a fetch');
    await act(answer);
    answer();
    await fetched;
  } finally {
    answer();
  }
}

interface Answering {
  readonly answer: () => void;
  /** From 0. */
  readonly attempt: number;
}

/** Reads while a fetch is under way, which ends when the read has come as well. */
export async function readBeside(rig: Rig, { at, place }: Reading, { answer, attempt }: Answering): Promise<void> {
  const read = rig.read(at, place);
  await waitUntil(async () => (await rig.inFlight(at)) === 2, 'a second read');
  // It asks Redis before it joins the fetch, and may take its time.
  await sleep(50 * (attempt + 1));
  answer();
  await read;
}

/** Plays the scenario as often as it says, or until there is a violation; answers with how many there are. */
export async function violationsIn({ attempts, play }: Pick<Scenario, 'attempts' | 'play'>, rig: Rig): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    await play(rig, attempt);
    const found = findViolations(rig.recorded).length;
    if (found > 0) return found;
  }
  return 0;
}
