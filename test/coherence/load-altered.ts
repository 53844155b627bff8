import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

import { type Alteration, alterations, isAlteration } from './alterations.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

/**
 * Preloaded (`node --import`) where alterations are asked for by name in the environment: everything in `src/` is loaded from
 * now on with its text altered. Ends the process where the text is not there: an alteration that alters nothing proves nothing.
 */
const wanted: readonly Alteration[] = (process.env['ALTERATIONS'] ?? '')
  .split(',')
  .filter((name) => isAlteration(name))
  .map((name) => alterations[name]);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const own = wanted.filter(({ file }) => url.startsWith('file:') && fileURLToPath(url) === `${src}${file}`);
    if (own.length === 0 || loaded.source === undefined || loaded.source === null) return loaded;
    const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    return { ...loaded, source: own.reduce(altered, text) };
  },
});

function altered(text: string, { file, from, to }: Alteration): string {
  if (text.split(from).length !== 2) throw new Error(`src/${file} does not have once: ${from}`);
  return text.replace(from, () => to);
}
