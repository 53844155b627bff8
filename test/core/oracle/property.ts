import { describe, expect, it } from 'vitest';
import { compare, idleClauses, type Part } from './part.ts';

/** One seed for all: a failure is the same on every run. */
const SEED = 9111;

/** A test that the policy decides as the clauses say, each of them being the one that decides in some case. */
export function agrees<One, Policy>(part: Part<One, Policy>, numRuns = 5000): void {
  describe(`the policy, against a second statement of the rules: ${part.name}`, () => {
    it(`decides as the clauses say in ${numRuns} cases, each clause being the one that decides in some`, () => {
      const { cases, counterexample, coverage } = compare(part, { numRuns, seed: SEED });
      expect(counterexample).toBeUndefined();
      expect(cases).toBe(numRuns);
      expect(idleClauses(part.clauses, coverage)).toEqual([]);
    }, 120_000);
  });
}

/** A test for each policy that is broken on purpose: the comparison shows it. */
export function findsOut<One, Policy>(part: Part<One, Policy>, mutants: Readonly<Record<string, Policy>>): void {
  describe(`a policy that is broken on purpose: ${part.name}`, () => {
    it.each(Object.entries(mutants))(
      'is found out where it %s',
      (_name, policy) => {
        const { counterexample } = compare(part, { numRuns: 5000, seed: SEED }, policy);
        expect(counterexample).toMatch(/the policy says .*, the rules say /);
      },
      60_000,
    );
  });
}
