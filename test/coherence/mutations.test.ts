import { afterEach, describe, expect, it } from 'vitest';

import { allRules } from '../../src/store/coherence/rules.ts';
import { isComplete } from './history.ts';
import { startRig } from './rig.ts';
import { scenarios, violationsIn } from './scenarios.ts';

const stacks: AsyncDisposableStack[] = [];
afterEach(async () => {
  await Promise.all(stacks.splice(0).map((stack) => stack.disposeAsync()));
});

async function play(scenario: (typeof scenarios)[number], rules: Parameters<typeof startRig>[0]['rules']) {
  const stack = new AsyncDisposableStack();
  stacks.push(stack);
  const rig = await startRig({ ...scenario.options, rules, stack });
  const violations = await violationsIn(scenario, rig);
  return { violations, promised: rig.recorded.purges.filter(isComplete).length, refusals: rig.recorded.refusals };
}

describe.each(scenarios)('$what', (scenario) => {
  it(`is answered wrongly without the rule ${scenario.rule}`, { timeout: 60_000 }, async () => {
    const { violations } = await play(scenario, { [scenario.rule]: false });
    expect(violations).toBeGreaterThan(0);
  });

  it('is answered rightly with all rules', { timeout: 60_000 }, async () => {
    const { violations, promised, refusals } = await play(
      { ...scenario, attempts: Math.min(3, scenario.attempts) },
      {},
    );
    expect({ violations, refusals }).toEqual({ violations: 0, refusals: [] });
    expect(promised).toBeGreaterThan(0);
  });
});

it('shows of each rule that it is needed', () => {
  expect(scenarios.map(({ rule }) => rule).toSorted()).toEqual(Object.keys(allRules).toSorted());
});
