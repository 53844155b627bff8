/**
 * Compares the caching policy with a second, independent statement of RFC 9111, RFC 5861 and RFC 9213 on generated cases.
 * `node bench/policy-property.ts [--cases N] [--seed S] [--part WORD]`: a million cases of each part by default; only parts with
 * that word in their name. Prints how often each clause of the rules was the one that decided; ends with 1 and the smallest case
 * found where the two differ. docs/http-caching.md tells of a run.
 */
import { parseArgs } from 'node:util';
import { idleClauses } from '../test/core/oracle/part.ts';
import { parts } from '../test/core/oracle/parts.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '9111' },
    part: { type: 'string', default: '' },
  },
});
const run = { numRuns: Number(values.cases), seed: Number(values.seed) };
if (!Number.isSafeInteger(run.numRuns) || run.numRuns < 1 || !Number.isSafeInteger(run.seed)) {
  throw new Error('--cases and --seed take whole numbers');
}
const asked = parts.filter(({ name }) => name.includes(values.part));
if (asked.length === 0) throw new Error(`--part takes a word of: ${parts.map(({ name }) => name).join('; ')}`);

for (const { name, clauses, compare } of asked) {
  const startMs = performance.now();
  const { cases, counterexample, coverage } = compare(run);
  const seconds = (performance.now() - startMs) / 1000;
  console.log(name);
  for (const { id, of, says } of clauses) {
    console.log(`${String(coverage.get(id)).padStart(8)}  ${id.padEnd(4)} ${of}: ${says}`);
  }
  console.log(`${cases} cases, seed ${run.seed}, ${seconds.toFixed(1)} s`);
  const idle = idleClauses(clauses, coverage);
  if (counterexample === undefined && idle.length > 0) console.log(`never decided: ${idle.join('; ')}`);
  if (counterexample !== undefined) {
    console.error(counterexample);
    process.exitCode = 1;
  }
}
