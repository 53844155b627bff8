import { readFrom, type Searched, type SpeltValue, unitAt } from './spelt-value.ts';

/** What is covered by one value, or by some that overlap. */
export interface FoundRange {
  readonly start: number;
  /** Behind its last character or byte. */
  readonly end: number;
}

/**
 * Where values stand, in order. Every occurrence counts, also one that overlaps another, of the same value too: what is masked
 * for one must not hide that there is another. Ranges that only touch stay apart.
 */
export function foundRanges(searched: Searched, values: readonly SpeltValue[]): readonly FoundRange[] {
  const found: FoundRange[] = [];
  for (const value of values) for (const range of rangesOf(searched, value)) found.push(range);
  if (found.length < 2) return found;
  const ranges: FoundRange[] = [];
  for (const range of found.toSorted((a, b) => a.start - b.start)) add(ranges, range);
  return ranges;
}

/** From where on there may be a spelling of a value that goes on behind the end; the end itself where there is none. */
export function openFrom(searched: Searched, values: readonly SpeltValue[]): number {
  let first = searched.length;
  for (const value of values) {
    let at = nextBeginning(searched, Math.max(0, searched.length - value.longest + 1), first, value);
    while (at < first) {
      if (readFrom(searched, at, value).open) first = at;
      else at = nextBeginning(searched, at + 1, first, value);
    }
  }
  return first;
}

function rangesOf(searched: Searched, value: SpeltValue): readonly FoundRange[] {
  const ranges: FoundRange[] = [];
  if (value.anchor === undefined) {
    readAll(searched, value, { from: 0, to: searched.length }, ranges);
    return ranges;
  }
  // The places from which a spelling would have its anchor where that is found; each once.
  const { text, bytes, least, most } = value.anchor;
  let unread = 0;
  const next = (from: number): number =>
    typeof searched === 'string' ? searched.indexOf(text, from) : searched.indexOf(bytes, from);
  for (let hit = next(0); hit !== -1; hit = next(hit + 1)) {
    readAll(searched, value, { from: Math.max(unread, hit - most), to: hit - least + 1 }, ranges);
    unread = Math.max(unread, hit - least + 1);
  }
  return ranges;
}

function readAll(
  searched: Searched,
  value: SpeltValue,
  { from, to }: { readonly from: number; readonly to: number },
  ranges: FoundRange[],
): void {
  for (let start = nextBeginning(searched, from, to, value); start < to;) {
    const { ends } = readFrom(searched, start, value);
    if (ends.length > 0) add(ranges, { start, end: Math.max(...ends) });
    start = nextBeginning(searched, start + 1, to, value);
  }
}

/** To the last one where they overlap. */
function add(ranges: FoundRange[], range: FoundRange): void {
  const last = ranges.at(-1);
  if (last === undefined || range.start >= last.end) ranges.push(range);
  else ranges[ranges.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
}

/** Where a value may begin: most places are ruled out by one look or two. `to` where there is none before that. */
function nextBeginning(searched: Searched, from: number, to: number, { first, second }: SpeltValue): number {
  const { may } = first;
  for (let at = from; at < to; at++) {
    // Not ruled out: what is behind the end, and characters beyond Latin-1, which are rare.
    if (may[unitAt(searched, at)] !== 0 && second.may[unitAt(searched, at + second.at)] !== 0) return at;
  }
  return to;
}
