import type { AlterationName } from './alterations.ts';
import { groupSelection, learnPlaces } from './learn-world.ts';
import { placeAt, type Rig } from './rig.ts';
import { duringFetch, readBeside, type Scenario } from './scenarios.ts';
import type { Place } from './world.ts';

/** As a scenario, of a rule that is taken away by altering the program. */
export interface LearnScenario extends Pick<Scenario, 'what' | 'attempts' | 'play'> {
  readonly rule: AlterationName;
  /** 500 unless told otherwise. */
  readonly leaseMs?: number;
}

/** Spellings of one resource, which is of `g1` unless it is moved. */
export const plain = learnPlaceAt(0);
const tracked = learnPlaceAt(1);

function learnPlaceAt(index: number): Place {
  const place = learnPlaces[index];
  if (place === undefined) throw new RangeError('no such place');
  return place;
}

const none = { location: undefined, contentLocation: undefined, groups: [] } as const;

const ofGroup = (rig: Rig) => groupSelection('g1', rig.upstream.origin);

/** Has both forget the rule, so that the next answer is stored under its whole query too, as what teaches it. */
async function unlearn(rig: Rig): Promise<void> {
  const [one] = rig.sidecars;
  rig.upstream.learn.set(plain.target, { rule: 'none' });
  await rig.purge(one, plain);
  for (const sidecar of rig.sidecars) await rig.read(sidecar, plain);
  rig.upstream.learn.set(plain.target, { rule: 'utm' });
  await rig.purge(one, plain);
}

export const learnScenarios: readonly LearnScenario[] = [
  {
    rule: 'searchTag',
    what: 'one URL is purged by a sidecar that knows of no rule for queries, and another one is read where both are one',
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      await rig.hold(one, plain);
      await rig.purge(other, tracked);
      await rig.read(one, plain);
    },
  },
  {
    rule: 'taughtTag',
    what: 'one URL is purged, and a sidecar that knows of no rule for queries reads another one of the same resource',
    // What is written without a lease does not reach Redis, and the other's look there may take longer than it waits: both then fetch.
    attempts: 5,
    async play(rig) {
      const [one, other] = rig.sidecars;
      // Code that runs for the first time holds a process up for longer than a lease.
      for (const sidecar of rig.sidecars) await rig.hold(sidecar, placeAt(0));
      await unlearn(rig);
      await rig.hold(one, tracked);
      await rig.purge(one, plain);
      await rig.read(other, tracked);
    },
  },
  {
    rule: 'upstreamTags',
    what: 'a group is purged of which only upstream has said who is in it',
    attempts: 1,
    async play(rig) {
      const [one, other] = rig.sidecars;
      await rig.hold(one, plain);
      await rig.purgeBy(other, ofGroup(rig));
      await rig.read(one, plain);
    },
  },
  {
    rule: 'joinedTags',
    what: 'a read begins after the purge of a group, while what turns out to be of that group is still fetched',
    // The lease may end before the read, which has to come while the fetch is under way.
    leaseMs: 2_000,
    attempts: 5,
    async play(rig, attempt) {
      const [one] = rig.sidecars;
      // The first one waits for as long as `settle` would; the others make it be fetched again.
      await rig.purge(one, plain);
      const reading = { at: one, place: plain };
      await duringFetch(rig, reading, async (answer) => {
        await rig.purgeBy(one, ofGroup(rig));
        await readBeside(rig, reading, { answer, attempt });
      });
    },
  },
  {
    rule: 'heldAnswer',
    what: 'a resource is changed by way of one sidecar, and another one holds it and cannot hear of that',
    // The lease may end before the read.
    attempts: 5,
    async play(rig) {
      const [one, other] = rig.sidecars;
      for (const wire of one.wires) wire.heal();
      await rig.hold(one, plain);
      for (const wire of one.wires) wire.pause(['up', 'down']);
      await rig.change(other, { method: 'PUT', place: plain, effects: none });
      await rig.read(one, plain);
    },
  },
];
