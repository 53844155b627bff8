/** A text, or bytes. */
interface Searched<T> {
  indexOf(needle: T, from: number): number;
}

/** What is covered by one value, or by some that overlap. */
export interface FoundRange {
  readonly start: number;
  /** Behind its last character or byte. */
  readonly end: number;
}

/**
 * Where values stand, in order. Every occurrence counts, also one that overlaps another, of the same value too: what is masked
 * for one must not hide that there is another. Ranges that only touch stay apart. None of the needles is empty.
 */
export function foundRanges<T extends { readonly length: number }>(
  searched: Searched<NoInfer<T>>,
  needles: readonly T[],
): readonly FoundRange[] {
  const found: FoundRange[] = [];
  for (const needle of needles) {
    const before = found.length;
    for (let start = searched.indexOf(needle, 0); start !== -1; start = searched.indexOf(needle, start + 1)) {
      add(found, before, { start, end: start + needle.length });
    }
  }
  if (found.length < 2) return found;
  const ranges: FoundRange[] = [];
  for (const range of found.toSorted((a, b) => a.start - b.start)) add(ranges, 0, range);
  return ranges;
}

/** To the last one where they overlap, unless that is one of the first `fixed`. */
function add(ranges: FoundRange[], fixed: number, range: FoundRange): void {
  const last = ranges.at(-1);
  if (last === undefined || ranges.length === fixed || range.start >= last.end) ranges.push(range);
  else ranges[ranges.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
}
