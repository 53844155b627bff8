import { allRules } from '../../../src/store/coherence/rules.ts';
import { explore } from './explorer.ts';

/**
 * `node test/store/coherence/explore.ts`: two purges and a fail-over, with the answers to one of the two sidecars delayed or lost
 * at any point. Millions of worlds and some minutes; the tests explore the same without the delays, and the delays with less.
 */
for (const slow of ['ann', 'bob'] as const) {
  const { worlds, completed, violation } = explore({
    rules: allRules,
    purges: 2,
    failOver: true,
    slow,
    maxWorlds: 6_000_000,
  });
  process.stdout.write(
    `answers to ${slow} delayed or lost: ${worlds} worlds, ${completed[2]} with both purges complete\n`,
  );
  if (violation === undefined) continue;
  process.stdout.write(`VIOLATION: ${JSON.stringify(violation, undefined, 2)}\n`);
  process.exitCode = 1;
}
