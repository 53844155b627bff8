import { conditionsPart } from './conditions.ts';
import { exchangesPart } from './difference.ts';
import { collapsingPart } from './collapsing.ts';
import { invalidationPart } from './invalidation.ts';
import { headPart, validationPart } from './validation.ts';
import { storedFieldsPart } from './stored-fields.ts';
import { compare, type Findings, type Part, type Run, type Told } from './part.ts';

/** A part for whoever runs all of them, whatever their cases are. */
interface AnyPart {
  readonly name: string;
  readonly clauses: readonly Told[];
  readonly compare: (run: Run) => Findings;
}

function any<One, Policy>(part: Part<One, Policy>): AnyPart {
  return { name: part.name, clauses: part.clauses, compare: (run) => compare(part, run) };
}

/** All of the rules. */
export const parts: readonly AnyPart[] = [
  any(exchangesPart),
  any(conditionsPart),
  any(storedFieldsPart),
  any(invalidationPart),
  any(validationPart),
  any(headPart),
  any(collapsingPart),
];
