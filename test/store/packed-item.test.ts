import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StoredItem } from '../../src/core/stored-response.ts';
import { Origins } from '../../src/store/origins.ts';
import { boundsOf, packItem, writePacked } from '../../src/store/packed-item.ts';
import { hasKey, keyAt, lengthAt, rowOf, unpackItem, unpackScopes } from '../../src/store/unpack-item.ts';
import { ownBytes, storedResponse } from '../support/stored-items.ts';

const text = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 10 }));
const timeMs = fc.oneof(
  fc.integer({ min: 0, max: 4_000_000_000_000 }),
  fc.double({ min: 0, max: 4e12, noNaN: true }),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY, 0),
);
const pairs = fc.array(fc.tuple(text, text), { maxLength: 12 });
const common = {
  key: text,
  route: text,
  upstream: text,
  url: text,
  tags: fc.array(text, { maxLength: 6 }),
  position: fc.record({ epoch: text, seq: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }) }),
};
const response = fc.record({
  kind: fc.constant('response' as const),
  ...common,
  status: fc.integer({ min: 200, max: 599 }),
  fields: pairs,
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  requestTimeMs: timeMs,
  responseTimeMs: timeMs,
  initialAgeMs: fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.double({ min: 0, max: 1e6, noNaN: true })),
  freshness: fc.record({
    freshUntilMs: timeMs,
    swrUntilMs: timeMs,
    sieUntilMs: timeMs,
    retainUntilMs: timeMs,
    mustRevalidate: fc.boolean(),
    alwaysValidate: fc.boolean(),
    source: text,
  }),
  etag: fc.option(text, { nil: undefined }),
  lastModified: fc.option(text, { nil: undefined }),
});
const marker = fc.record({
  kind: fc.constant('vary' as const),
  ...common,
  names: fc.array(text, { maxLength: 4 }),
  languages: fc.option(pairs, { nil: undefined }),
  retainUntilMs: timeMs,
});

/** The item as it comes out of a page in which other things lie before and behind it. */
function throughPage(item: StoredItem, mostInline: number, row = 7) {
  const packed = packItem(item, mostInline);
  const page = Buffer.alloc(packed.length + 200, 0xa5);
  writePacked(packed, row, page, 100);
  expect(page.subarray(0, 100).every((byte) => byte === 0xa5)).toBe(true);
  expect(page.subarray(100 + packed.length).every((byte) => byte === 0xa5)).toBe(true);
  return { page, packed, origin: new Origins().take(item) };
}

test('what is packed comes out as it went in, whatever its text, times and bytes are', () => {
  fc.assert(
    fc.property(fc.oneof(response, marker), fc.constantFrom(0, 100, 1000), (item, mostInline) => {
      const { page, packed, origin } = throughPage(item, mostInline);
      expect(unpackItem(page, 100, origin, packed.ownBody ?? 'for good')).toEqual(item);
      expect(unpackItem(page, 100, origin, packed.ownBody ?? 'for once')).toEqual(item);
      const { key, route, upstream, url, tags, position } = item;
      expect(unpackScopes(page, 100, origin)).toEqual({ key, route, upstream, url, tags, position });
      expect([lengthAt(page, 100), rowOf(page, 100), keyAt(page, 100)]).toEqual([packed.length, 7, key]);
    }),
    { numRuns: 2000, seed: 20_261_126 },
  );
});

test.each(['x', '\u00E9', '\u20AC'])('text of any length comes out as it went in, where it ends with %s', (last) => {
  // About as long as what is copied before there is a page for it: 16 KiB, with 17 bytes before the text and numbers behind it.
  for (let length = 16_250; length < 16_400; length += 1) {
    const traits = { position: { epoch: 'e', seq: 0 }, nowMs: 1000, body: ownBytes('as it was') };
    const item = storedResponse({ ...traits, key: 'r|/', fields: [['long', 'v'.repeat(length) + last]] });
    const { page, origin } = throughPage(item, 100);
    expect(unpackItem(page, 100, origin, 'for good')).toEqual(item);
  }
});

test('an item is under its key and under no other', () => {
  fc.assert(
    fc.property(response, text, (item, other) => {
      const { page } = throughPage(item, 1000);
      expect(hasKey(page, 100, item.key)).toBe(true);
      expect(hasKey(page, 100, other)).toBe(other === item.key);
      expect(hasKey(page, 100, `${item.key}x`)).toBe(false);
    }),
    { numRuns: 1000, seed: 20_261_126 },
  );
});

test('a validator that is a field as well, and the end that a URL shares with its key, take no bytes', () => {
  const position = { epoch: 'e', seq: 0 };
  const traits = { position, nowMs: 1000, fields: [['etag', '"of-some-length"']] as const };
  const plain = storedResponse({
    ...traits,
    key: 'r|/a/long/path?with=a&query=too',
    url: '/a/long/path?with=a&query=too',
  });
  const same = { ...plain, etag: '"of-some-length"' };
  const other = { ...plain, url: '/b/lonf/patg?witg=a&querz=ton' };
  expect(packItem(same, 100).length).toBe(packItem(plain, 100).length);
  expect(packItem(other, 100).length - packItem(plain, 100).length).toBeGreaterThanOrEqual(28);
});

test('a body that was unpacked for good keeps no page alive, and is not changed when the page is written anew', () => {
  const item = storedResponse({ position: { epoch: 'e', seq: 0 }, nowMs: 1000, body: ownBytes('as it was') });
  const { page, origin } = throughPage(item, 100);
  const [good, once] = [unpackItem(page, 100, origin, 'for good'), unpackItem(page, 100, origin, 'for once')];
  page.fill(0);
  expect([good, once]).toEqual([item, item]);
  expect(good.kind === 'response' && good.body.buffer.byteLength).toBe(9);
});

test('the length of what is packed is within its bounds, which are known before', () => {
  fc.assert(
    fc.property(response, (item) => {
      const { least, most } = boundsOf(item);
      const { length } = packItem(item, 1_000_000);
      expect(length).toBeGreaterThanOrEqual(least);
      expect(length).toBeLessThanOrEqual(most);
    }),
    { numRuns: 2000 },
  );
});
