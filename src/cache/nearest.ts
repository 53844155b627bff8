/** The known word nearest to a misspelt one, `undefined` where none is near enough to be meant. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  // Words come from callers; the cost is the product of the lengths.
  const text = word.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(text.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(text, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements from one word to the other (Levenshtein), a row at a time. */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const shorter = Math.min(above[column] ?? 0, current[column - 1] ?? 0) + 1;
      current.push(Math.min(replaced, shorter));
    }
    above = current;
  }
  return above[to.length] ?? 0;
}
