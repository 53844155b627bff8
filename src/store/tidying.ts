import type { Pages } from './pages.ts';
import type { StoredRecords } from './stored-records.ts';

/** A page of which at most this much is live is emptied where nothing else is to be done. */
const shareInIdleness = 0.5;

/** Empty pages that are kept for what comes next. */
const emptyPagesKept = 2;

/** Steps for one empty page: giving it back takes 0.2 ms. */
const stepsPerTrim = 16;

/** Whether there is memory to be given back. `size`: how many records there are. */
export function isUntidy(pages: Pages, size: number): boolean {
  if (pages.emptyPages > (size === 0 ? 0 : emptyPagesKept)) return true;
  return pages.sharedPages > emptyPagesKept && pages.sparsest(shareInIdleness) !== undefined;
}

/** Empties a page, or gives back an empty one, in short steps. For what {@link isUntidy} alone. */
export function* tidyOnce(pages: Pages, records: StoredRecords): Generator<void, void, void> {
  const page = pages.sharedPages > emptyPagesKept ? pages.sparsest(shareInIdleness) : undefined;
  if (page !== undefined) yield* records.moveOut(page);
  else pages.trim();
  for (let step = 0; step < stepsPerTrim; step += 1) yield;
}
