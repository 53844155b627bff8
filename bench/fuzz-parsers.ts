/**
 * Feeds the parsers of what others send with generated texts, and compares them with slow readers of the same grammars:
 * `node bench/fuzz-parsers.ts [--texts N] [--seed S]`, 200,000 texts for each parser by default. The long form of
 * test/core/fuzz-parsers.test.ts; ends with 1 and the smallest text found where the two differ.
 */
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { parserProperties } from '../test/core/oracle/parser-properties.ts';

const { values } = parseArgs({
  options: { texts: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } },
});
const run = { numRuns: Number(values.texts), seed: Number(values.seed) };
if (!Number.isSafeInteger(run.numRuns) || run.numRuns < 1 || !Number.isSafeInteger(run.seed)) {
  throw new Error('--texts and --seed take whole numbers');
}

for (const { name, texts, check } of parserProperties) {
  const startMs = performance.now();
  const details = fc.check(fc.property(texts, check), run);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${name}: ${details.numRuns} texts, ${seconds} s${details.failed ? ', differs' : ''}`);
  if (!details.failed) continue;
  process.exitCode = 1;
  console.error(`  ${JSON.stringify(details.counterexample)}: ${String(details.errorInstance)}`);
}
