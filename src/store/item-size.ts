import type { StoredItem } from '../core/stored-response.ts';
import { distinct } from '../core/tags.ts';
import type { PackedItem } from './packed-item.ts';
import { boundsOf, packItem } from './packed-item.ts';
import type { Pages } from './pages.ts';
import { pageBytesOf } from './pages.ts';
import { membershipBytes } from './scope-index.ts';
import { ownPageBytes, recordBytes } from './stored-records.ts';
import { hasUrlKey } from './url-scopes.ts';

/**
 * Bytes that an unpacked response takes beside its body and its text: the item and its parts as V8 objects, the Buffer with
 * its ArrayBuffer and allocation, the read. All three constants are growth of RSS (Node 26, x64), rounded up.
 */
const readOverheadBytes = 1300;

/** One `[name, value]` pair: array, elements, two string headers and rounding; same measurement. */
const fieldOverheadBytes = 116;

/** One tag, or name of a marker. */
const textOverheadBytes = 64;

/**
 * A body of more has a page of its own, and is handed out as it is; one of less is copied when it is unpacked, which takes a
 * microsecond at most.
 */
const mostInlineBytes = 16_384;

/** Bytes of a body that goes with its item into a page of that size. */
export function mostInline(pageBytes: number): number {
  return Math.min(mostInlineBytes, pageBytes / 8);
}

/** What an item counts for that is alone in the tier. */
export function sizeOfPacked({ item, length, ownBody }: PackedItem): number {
  const body = ownBody === undefined ? 0 : ownBody.byteLength + ownPageBytes;
  return recordBytes + membershipBytes * membershipsOf(item) + length + body;
}

/** With that of its URL, where it has one. A repeated tag is one. */
function membershipsOf(item: StoredItem): number {
  return distinct(item.tags).length + (hasUrlKey(item) ? 0 : 1);
}

/** The same, in a tier of that size; small ones have small pages. */
export function sizeOfItem(item: StoredItem, maxBytes = 2 ** 26): number {
  return sizeOfPacked(packItem(item, mostInline(pageBytesOf(maxBytes))));
}

/** What an item is sure to take of pages, without packing it. */
export function leastNeeded(item: StoredItem, pages: Pick<Pages, 'needs' | 'pageBytes'>): number {
  if (item.kind === 'vary') return 0;
  const bodyBytes = item.body.byteLength;
  if (bodyBytes > mostInline(pages.pageBytes)) return bodyBytes;
  const { least, most } = boundsOf(item);
  const leastNeed = pages.needs(least);
  // Where both would begin a page, so does what is between them.
  if (leastNeed === pages.pageBytes && pages.needs(most) === pages.pageBytes) return pages.pageBytes;
  return leastNeed === 0 ? 0 : least;
}

/** What an item takes unpacked. Text counts a byte a character: keys, tags and fields are ASCII nearly always. */
export function sizeOfRead(item: StoredItem): number {
  let bytes = readOverheadBytes + 2 * item.key.length + item.url.length;
  for (const tag of item.tags) bytes += tag.length + textOverheadBytes;
  if (item.kind === 'vary') return bytes + item.names.length * textOverheadBytes;
  for (const [name, value] of item.fields) bytes += name.length + value.length + fieldOverheadBytes;
  // A body that is a page of its own counts there.
  return item.body.byteLength > mostInlineBytes ? bytes : bytes + item.body.byteLength;
}
