import { distance } from 'fastest-levenshtein';

/**
 * The valid word that was most likely meant, `undefined` when none is near: at most two slips, or one in short words,
 * and letter case is no slip.
 */
export function nearest(given: string, valid: readonly string[]): string | undefined {
  // A word of a whole paragraph would cost time and never be near.
  if (given.length > 80) return undefined;
  const wanted = given.toLowerCase();
  let best: string | undefined;
  let bestDistance = wanted.length <= 3 ? 2 : 3;
  for (const word of valid) {
    const slips = distance(wanted, word.toLowerCase());
    if (slips < bestDistance && slips < word.length) {
      best = word;
      bestDistance = slips;
    }
  }
  return best;
}

/** ` (did you mean X?)` where a valid word is near, else the valid words, at most twelve of them. */
export function didYouMean(given: string, valid: readonly string[]): string {
  const word = nearest(given, valid);
  if (word !== undefined) return `; did you mean ${word}?`;
  if (valid.length === 0) return '';
  const more = valid.length > 12 ? `, and ${valid.length - 12} more` : '';
  return `; valid: ${valid.slice(0, 12).join(', ')}${more}`;
}
