import * as fc from 'fast-check';

/** One clause as a report shows it. */
export interface Told {
  readonly id: string;
  /** RFC and section, or `own`. */
  readonly of: string;
  readonly says: string;
}

export interface Clause<Input> extends Told {
  readonly holds: (input: Input) => boolean;
}

/** How often each clause was the one that decided. */
export type Coverage = Map<string, number>;

/** A part of the rules, the cases that it is tried on, and the functions that it is held against. */
export interface Part<One, Policy> {
  readonly name: string;
  readonly clauses: readonly Told[];
  readonly cases: fc.Arbitrary<One>;
  /** As it is; tests put broken ones in its place. */
  readonly policy: Policy;
  /** Where policy and rules disagree, in words; `undefined` where they agree. Clauses that decided are counted. */
  readonly difference: (one: One, policy: Policy, coverage?: Coverage) => string | undefined;
  /** The case, a line for each thing in it. */
  readonly describe: (one: One) => string;
}

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
export function compare<One, Policy>(
  part: Part<One, Policy>,
  { numRuns, seed }: Run,
  policy: Policy = part.policy,
): Findings {
  const coverage: Coverage = new Map(part.clauses.map(({ id }) => [id, 0]));
  const property = fc.property(part.cases, (one) => {
    const differs = part.difference(one, policy, coverage);
    if (differs !== undefined) throw new Difference(`${differs}\n${part.describe(one)}`);
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

/** Clauses that never decided, in words. */
export function idleClauses(clauses: readonly Told[], coverage: Coverage): readonly string[] {
  const idle = clauses.filter(({ id }) => (coverage.get(id) ?? 0) === 0);
  return idle.map(({ id, of, says }) => `${id} (${of}): ${says}`);
}

export function decided({ id }: Pick<Told, 'id'>, coverage: Coverage | undefined): void {
  coverage?.set(id, (coverage.get(id) ?? 0) + 1);
}

/** The first clause that holds, counted; the last of a table always does. */
export function firstOf<Input, C extends Clause<Input>>(table: readonly C[], input: Input, coverage?: Coverage): C {
  const clause = table.find((one) => one.holds(input));
  if (clause === undefined) throw new Error('the last clause always holds');
  decided(clause, coverage);
  return clause;
}

/** The two in words where they are not the same. */
export function differ(what: string, policy: unknown, rules: unknown): string | undefined {
  const [is, should] = [JSON.stringify(policy), JSON.stringify(rules)];
  return is === should ? undefined : `${what}: the policy says ${is}, the rules say ${should}`;
}

/** A line for each member. */
export function describeMembers(members: object): string {
  return Object.entries(members)
    .map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`)
    .join('\n');
}
