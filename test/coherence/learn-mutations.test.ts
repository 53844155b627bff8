import { afterEach, describe, expect, it } from 'vitest';

import { alterationNames, type AlterationName } from './alterations.ts';
import { findViolations } from './checker.ts';
import { isComplete } from './history.ts';
import { learnScenarios, plain } from './learn-scenarios.ts';
import { groupSelection } from './learn-world.ts';
import { startRig, type Rig } from './rig.ts';
import { settle, violationsIn } from './scenarios.ts';

const stacks: AsyncDisposableStack[] = [];
afterEach(async () => {
  await Promise.all(stacks.splice(0).map((stack) => stack.disposeAsync()));
});

function start(altered: readonly AlterationName[], leaseMs = 500): Promise<Rig> {
  const stack = new AsyncDisposableStack();
  stacks.push(stack);
  return startRig({ rules: {}, altered, leaseMs, stack });
}

describe.each(learnScenarios)('$what', (scenario) => {
  it(`is answered wrongly without the rule ${scenario.rule}`, { timeout: 60_000 }, async () => {
    const rig = await start([scenario.rule], scenario.leaseMs);
    expect(await violationsIn(scenario, rig)).toBeGreaterThan(0);
  });
});

it('is answered rightly with all rules, whatever of these happens', { timeout: 60_000 }, async () => {
  const rig = await start([]);
  for (const scenario of learnScenarios) {
    const before = rig.recorded.purges.filter(isComplete).length;
    expect([scenario.rule, await violationsIn({ ...scenario, attempts: 1 }, rig)]).toEqual([scenario.rule, 0]);
    expect(rig.recorded.purges.filter(isComplete).length).toBeGreaterThan(before);
    for (const { wires } of rig.sidecars) for (const wire of wires) wire.heal();
  }
  expect(rig.recorded.refusals).toEqual([]);
});

it('covers by a group what was in it when it was fetched, and not what is in it now', { timeout: 60_000 }, async () => {
  const rig = await start([]);
  const [one, other] = rig.sidecars;
  const fetchedMs = async (): Promise<number> => (await rig.read(one, plain))?.fetchedMs ?? Number.NaN;
  const purge = (group: string) => rig.purgeBy(other, groupSelection(group, rig.upstream.origin));
  await settle(rig);
  const first = await fetchedMs();
  rig.upstream.learn.set(plain.target, { groups: ['g2'] });
  await purge('g2');
  expect(await fetchedMs()).toBe(first);
  await purge('g1');
  const second = await fetchedMs();
  expect(second).toBeGreaterThan(first);
  await purge('g1');
  expect(await fetchedMs()).toBe(second);
  await purge('g2');
  expect(await fetchedMs()).toBeGreaterThan(second);
  expect(findViolations(rig.recorded)).toEqual([]);
});

it('shows of each rule that it is needed', () => {
  // That threads tell each other of purges is shown by a history of its own (short-run.test.ts).
  const ofWords = alterationNames.filter((name) => name !== 'toldPurges');
  expect(learnScenarios.map(({ rule }) => rule).toSorted()).toEqual(ofWords.toSorted());
});
