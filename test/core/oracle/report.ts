import * as fc from 'fast-check';
import { cases } from './cases.ts';
import { difference, type Policy, policyAsItIs } from './difference.ts';
import type { Case } from './facts.ts';
import { allClauses, type Coverage } from './verdict.ts';

export interface Run {
  readonly numRuns: number;
  readonly seed: number;
}

/** What a run over generated cases has shown. */
export interface Findings {
  readonly cases: number;
  /** The smallest case found on which policy and rules differ, in words; `undefined` where they agree. */
  readonly counterexample: string | undefined;
  /** How often each clause was the one that decided, by its id, those that never did among them. */
  readonly coverage: Coverage;
}

/** Compares policy and rules on generated cases, the same ones for the same seed. */
export function compare({ numRuns, seed }: Run, policy: Policy = policyAsItIs): Findings {
  const coverage: Coverage = new Map(allClauses.map(({ id }) => [id, 0]));
  const property = fc.property(cases, (one) => {
    const differs = difference(one, policy, coverage);
    if (differs !== undefined) throw new Difference(`${differs}\n${describeCase(one)}`);
  });
  const { failed, numRuns: done, errorInstance } = fc.check(property, { numRuns, seed });
  if (failed && !(errorInstance instanceof Difference)) {
    throw new Error(`no decision at all, of cases from seed ${seed}`, { cause: errorInstance });
  }
  return {
    cases: done,
    counterexample: errorInstance instanceof Difference ? errorInstance.message : undefined,
    coverage,
  };
}

/** Told from an error of the code under test, which is no finding but a crash. */
class Difference extends Error {}

function describeCase(one: Case): string {
  const { route, ...rest } = one;
  const { policy, headers, forwardHeaders } = route;
  const shown = { ...rest, headers, forwardHeaders, policy: { ...policy, statusTtlMs: [...policy.statusTtlMs] } };
  return Object.entries(shown)
    .map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`)
    .join('\n');
}

/** Clauses that never decided, in words. */
export function idleClauses(coverage: Coverage): readonly string[] {
  const idle = allClauses.filter(({ id }) => (coverage.get(id) ?? 0) === 0);
  return idle.map(({ id, of, says }) => `${id} (${of}): ${says}`);
}
