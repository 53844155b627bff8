/**
 * Compares the caching policy with a second, independent statement of RFC 9111, RFC 5861 and RFC 9213 on generated exchanges.
 * `node bench/policy-property.ts [--cases N] [--seed S]`: a million cases by default. Prints how often each clause of the rules
 * was the one that decided; ends with 1 and the smallest case found where the two differ. docs/http-caching.md tells of a run.
 */
import { parseArgs } from 'node:util';
import { compare, idleClauses } from '../test/core/oracle/report.ts';
import { allClauses } from '../test/core/oracle/verdict.ts';

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '9111' } },
});
const run = { numRuns: Number(values.cases), seed: Number(values.seed) };
if (!Number.isSafeInteger(run.numRuns) || run.numRuns < 1 || !Number.isSafeInteger(run.seed)) {
  throw new Error('--cases and --seed take whole numbers');
}

const startMs = performance.now();
const { cases, counterexample, coverage } = compare(run);
const seconds = (performance.now() - startMs) / 1000;

for (const { id, of, says } of allClauses) {
  console.log(`${String(coverage.get(id)).padStart(8)}  ${id.padEnd(4)} ${of}: ${says}`);
}
console.log(`${cases} cases, seed ${run.seed}, ${seconds.toFixed(1)} s`);
const idle = idleClauses(coverage);
if (counterexample === undefined && idle.length > 0) console.log(`never decided: ${idle.join('; ')}`);
if (counterexample !== undefined) {
  console.error(counterexample);
  process.exitCode = 1;
}
