import type { StoredItem, StoredResponse } from '../core/stored-response.ts';

/**
 * Bytes that a stored response takes beside its body and its text: the item and its parts as V8 objects, the Buffer with
 * its ArrayBuffer and allocation (a third of it all), the record, its places in maps and indexes. All four constants are
 * growth of RSS as `node bench/memory-overhead.ts` measures it (Node 26, x64), rounded up.
 */
export const responseOverheadBytes = 1300;

/** The same for a Vary marker, which has no body, fields or freshness. */
const markerOverheadBytes = 600;

/** One `[name, value]` pair: array, elements, two string headers and rounding; same measurement. */
const fieldOverheadBytes = 116;

/** One tag beside its characters, where no other item has it: a shared one takes a third of that. */
const tagOverheadBytes = 136;

/** What the item counts for in the tier. Text counts a byte a character: keys, tags and fields are ASCII nearly always. */
export function sizeOfItem(item: StoredItem): number {
  let bytes = item.key.length + item.url.length;
  for (const tag of item.tags) bytes += tag.length + tagOverheadBytes;
  if (item.kind === 'vary') {
    for (const name of item.names) bytes += name.length + tagOverheadBytes;
    for (const [language, sent] of item.languages ?? []) {
      bytes += language.length + sent.length + fieldOverheadBytes;
    }
    return bytes + markerOverheadBytes;
  }
  for (const [name, value] of item.fields) bytes += name.length + value.length + fieldOverheadBytes;
  return bytes + item.body.buffer.byteLength + responseOverheadBytes;
}

/** As {@link sizeOfItem}, of the item as {@link withOwnBody} would make it. */
export function sizeWithOwnBody(item: StoredItem): number {
  const spareBytes = item.kind === 'vary' ? 0 : item.body.buffer.byteLength - item.body.byteLength;
  return sizeOfItem(item) - spareBytes;
}

const noBytes: Buffer = Buffer.alloc(0);

/**
 * The item with a body that keeps nothing else alive. A Buffer may be a small view into a large allocation (a socket's chunk,
 * Node's 64 KiB pool): storing the view would hold all of it and make the byte count a lie. Bodies that fill at least seven
 * eighths of what they hold are not copied.
 */
export function withOwnBody(item: StoredItem): StoredItem {
  if (item.kind === 'vary') return item;
  const { body } = item;
  if (body.buffer.byteLength - body.byteLength <= body.byteLength / 8) return item;
  const copy: StoredResponse = { ...item, body: body.byteLength === 0 ? noBytes : ownCopy(body) };
  return copy;
}

function ownCopy(body: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(body.byteLength);
  body.copy(copy);
  return copy;
}
