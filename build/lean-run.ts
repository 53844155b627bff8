import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { leanFlags } from '../src/lean.ts';

/**
 * Runs `dist/main.js` such that what Node writes at its end is made under the flags of `src/lean.ts`:
 *
 *   node build/lean-run.ts MAIN ARGUMENT…
 */
const [node = '', , main = '', ...args] = process.argv;
process.argv = [node, main, ...args];
process.on('exit', () => {
  for (const flag of leanFlags) setFlagsFromString(flag);
});
createRequire(import.meta.url)(main);
