import type { FieldLines } from './fields.ts';
import { readName } from './read-name.ts';

/**
 * Request fields by which a request may be more than a plain one, each a bit: most requests have none of those that somebody
 * looks for, and each look through all fields by name took longer than to look at all of them once.
 */
export const special = {
  upgrade: 1,
  authorization: 2,
  cookie: 4,
  ifMatch: 8,
  ifUnmodifiedSince: 16,
  ifNoneMatch: 32,
  ifModifiedSince: 64,
  range: 128,
  cacheControl: 256,
  acceptEncoding: 512,
  methodOverride: 1024,
  traceparent: 2048,
  contentLength: 4096,
  transferEncoding: 8192,
  cdnLoop: 16384,
} as const;

const bits: ReadonlyMap<string, number> = new Map([
  ['upgrade', special.upgrade],
  ['authorization', special.authorization],
  ['cookie', special.cookie],
  ['if-match', special.ifMatch],
  ['if-unmodified-since', special.ifUnmodifiedSince],
  ['if-none-match', special.ifNoneMatch],
  ['if-modified-since', special.ifModifiedSince],
  ['range', special.range],
  ['cache-control', special.cacheControl],
  ['accept-encoding', special.acceptEncoding],
  ['x-http-method-override', special.methodOverride],
  ['x-http-method', special.methodOverride],
  ['x-method-override', special.methodOverride],
  ['traceparent', special.traceparent],
  ['content-length', special.contentLength],
  ['transfer-encoding', special.transferEncoding],
  ['cdn-loop', special.cdnLoop],
]);

/** The bits of {@link special} for which there is a line. What overrides the method does so under each name that is read as its own. */
export function specialOf(fields: FieldLines): number {
  let found = 0;
  for (const [name] of fields) {
    const read = readName(name);
    const bit = bits.get(read) ?? 0;
    found |= read === name ? bit : bit & special.methodOverride;
  }
  return found;
}
