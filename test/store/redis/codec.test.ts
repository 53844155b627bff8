import * as fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { crc32, deflateSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import type { StoredItem } from '../../../src/core/stored-response.ts';
import {
  decodeItem,
  encodeHead,
  encodeItem,
  headBytes,
  type Decoded,
  type UnusableReason,
} from '../../../src/store/redis/codec.ts';
import { compressed, maxDeflatedBytes, maxSyncBytes } from '../../../src/store/redis/compress.ts';
import { MAX_TAGS } from '../../../src/core/tags.ts';
import { maxKeptLine, maxPackedBytes } from '../../../src/store/redis/packed-meta.ts';
import { seededRandom } from '../../coherence/random.ts';
import { ownBytes, storedResponse, varyMarker } from '../../support/stored-items.ts';

const nowMs = Date.UTC(2026, 10, 23, 12);
const position = { epoch: '0123456789abcdef', seq: 7 };
const reading = { skewMs: 0, maxBodyBytes: 16 * 2 ** 20 };

function encode(item: StoredItem, skewMs = 0): Buffer {
  const bytes = item.kind === 'response' ? item.body : Buffer.alloc(0);
  return encodeItem(item, { bytes, isCompressed: false }, skewMs);
}

function encodeZstd(item: StoredItem & { kind: 'response' }): Buffer {
  return encodeItem(item, { bytes: zstdCompressSync(item.body), isCompressed: true }, 0);
}

const some = storedResponse({ position, nowMs });

/** The value with a part of it changed and its checksum made good: what a foreign writer could write. */
function forged(value: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(value);
  change(copy);
  copy.writeUInt32BE(crc32(copy.subarray(0, copy.length - 4)), copy.length - 4);
  return copy;
}

/** A whole, checked value with this meta and body. */
function valueOf(meta: unknown, body: Buffer = Buffer.alloc(0), flags = 0): Buffer {
  const text = Buffer.from(JSON.stringify(meta));
  const value = Buffer.concat([Buffer.alloc(headBytes), text, body, Buffer.alloc(4)]);
  encodeHead(some, 0).copy(value);
  value[3] = flags;
  value.writeUInt32BE(text.length, 24);
  return forged(value, () => undefined);
}

const text = fc.string({ unit: 'binary', maxLength: 40 });
const timeMs = fc.integer({ min: 0, max: 2 ** 45 });
const anyItem: fc.Arbitrary<StoredItem> = fc
  .record({
    key: text,
    route: text,
    upstream: text,
    url: text,
    tags: fc.array(text, { maxLength: 5 }),
    seq: fc.nat(2 ** 31),
    epoch: fc.stringMatching(/^[0-9a-f]{16}$/),
    marker: fc.boolean(),
    names: fc.array(text, { maxLength: 3 }),
    languages: fc.option(fc.array(fc.tuple(text, text), { maxLength: 16 }), { nil: undefined }),
    status: fc.integer({ min: 200, max: 999 }),
    fields: fc.array(
      fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,20}$/), fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,30}$/)),
    ),
    body: fc.uint8Array({ maxLength: 400 }),
    times: fc.tuple(timeMs, timeMs, timeMs, timeMs, timeMs, timeMs),
    initialAgeMs: fc.nat(),
    mustRevalidate: fc.boolean(),
    alwaysValidate: fc.boolean(),
    source: text,
    etag: fc.option(text, { nil: undefined }),
    lastModified: fc.option(text, { nil: undefined }),
  })
  .map((drawn) => {
    const {
      languages,
      key,
      route,
      upstream,
      url,
      tags,
      epoch,
      seq,
      names,
      status,
      fields,
      initialAgeMs,
      etag,
      lastModified,
    } = drawn;
    const [requestTimeMs, responseTimeMs, freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs] = drawn.times;
    const { mustRevalidate, alwaysValidate, source } = drawn;
    const common = { key, route, upstream, url, tags, position: { epoch, seq } };
    if (drawn.marker) return { kind: 'vary', ...common, names, languages, retainUntilMs };
    const freshness = { freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs, mustRevalidate, alwaysValidate, source };
    const times = { requestTimeMs, responseTimeMs, initialAgeMs, freshness };
    return { kind: 'response', ...common, status, fields, body: Buffer.from(drawn.body), ...times, etag, lastModified };
  });

describe('a value in Redis', () => {
  test('gives back whatever was put into it, on any two clocks that know how far they are off', () => {
    fc.assert(
      fc.property(anyItem, fc.integer({ min: -3_600_000, max: 3_600_000 }), (item, skewMs) => {
        // A clock that is off sees all times as much earlier or later.
        fc.pre(item.kind === 'vary' || item.requestTimeMs + skewMs >= 0);
        const value = encode(item, skewMs);
        expect(decodeItem(value, { ...reading, key: item.key, skewMs })).toEqual({ kind: 'item', item });
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  test('has the position and the request time on Redis’ clock where scripts look for them', () => {
    const value = encode(some, 1500.4);
    expect(value.subarray(0, 28).toString('hex')).toBe(
      `46430200${position.epoch}${(7).toString(16).padStart(12, '0')}` +
        `${(some.requestTimeMs + 1500).toString(16).padStart(12, '0')}${value.readUInt32BE(24).toString(16).padStart(8, '0')}`,
    );
    expect(encodeHead(some, 1500.4).subarray(3, 24)).toEqual(value.subarray(3, 24));
  });

  test('costs less than 700 bytes beside the body of a plausible forecast', () => {
    expect(encode(some).byteLength - some.body.byteLength).toBeLessThan(700);
  });

  test('invariant 14: a key of another one’s digest is a collision, never another’s body', () => {
    expect(decodeItem(encode(some), { ...reading, key: `${some.key}&x=1` })).toEqual(unusable('collision'));
  });

  test('a body is the part of the value that it is there, and is not copied for those who only send it', () => {
    const chunk = Buffer.alloc(65_536);
    const value = encode(some);
    value.copy(chunk, 100);
    const decoded = decodeItem(chunk.subarray(100, 100 + value.length), { ...reading, key: some.key });
    expect(decoded).toEqual({ kind: 'item', item: some });
    if (decoded instanceof Promise || decoded.kind !== 'item' || decoded.item.kind !== 'response')
      throw new Error('no item');
    expect(decoded.item.body.buffer).toBe(chunk.buffer);
  });

  test.each(['', '0123', '0123456789ABCDEF', 'somebody-else---'])('an epoch %j is refused', (epoch) => {
    expect(() => encode(storedResponse({ position: { epoch, seq: 0 }, nowMs }))).toThrow(RangeError);
  });
});

describe('invariant 14: what is no whole value of ours is a miss', () => {
  const languages = [
    ['de', 'de,en;q=0.5'],
    ['en-gb', 'en'],
  ] as const;
  const marker: StoredItem = { ...varyMarker({ position, nowMs }), languages };
  const packed = storedResponse({ position, nowMs, body: Buffer.alloc(5000, 'abc ') });
  const values: readonly (readonly [string, StoredItem, Buffer])[] = [
    ['a response', some, encode(some)],
    ['a marker', marker, encode(marker)],
    ['a compressed response', packed, encodeZstd(packed)],
  ];

  test.each(values)('%s cut at any byte', (_, item, value) => {
    for (let length = 0; length < value.length; length += 1) {
      const decoded = decodeItem(value.subarray(0, length), { ...reading, key: item.key });
      expect(decoded, `${length} bytes`).toMatchObject({ kind: 'unusable' });
    }
    expect(decodeItem(value.subarray(0, -1), { ...reading, key: item.key })).toEqual(unusable('truncated'));
  });

  test.each(values)('%s with any bit flipped', (_, item, value) => {
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      const copy = Buffer.from(value);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeItem(copy, { ...reading, key: item.key }), `bit ${bit}`).toMatchObject({ kind: 'unusable' });
    }
  });

  test.each(values)('%s with bytes changed, inserted, dropped or moved at random', (_, item, value) => {
    const random = seededRandom(14);
    for (let round = 0; round < 2000; round += 1) {
      const at = random.whole(0, value.length);
      const to = random.whole(at, value.length);
      const noise = randomNoise(random, random.whole(0, 8));
      const copy = Buffer.concat([value.subarray(0, at), noise, value.subarray(to)]);
      if (copy.equals(value)) continue;
      expect(decodeItem(copy, { ...reading, key: item.key })).toMatchObject({ kind: 'unusable' });
    }
  });

  test('random bytes, with and without the first of ours', async () => {
    for (let round = 0; round < 2000; round += 1) {
      const noise = randomBytes(round % 300);
      expect(await decodeItem(noise, { ...reading, key: '' })).toMatchObject({ kind: 'unusable' });
      const alike = Buffer.concat([encode(some).subarray(0, 4), noise]);
      expect(await decodeItem(alike, { ...reading, key: '' })).toMatchObject({ kind: 'unusable' });
    }
  });

  const plain = {
    k: 'k',
    r: 'r',
    p: 'p',
    u: 'u',
    t: [],
    n: 0,
    b: 0,
    s: 200,
    f: [],
    d: [0, 0, 0, 0, 0],
    a: 0,
    m: 0,
    o: 'x',
  };

  test('a checked value whose meta is as it should be is an item', () => {
    expect(decodeItem(valueOf(plain), { ...reading, key: 'k' })).toMatchObject({ kind: 'item' });
  });

  test.each([
    ['no object', null],
    ['an array', []],
    ['a key that is no text', { ...plain, k: 1 }],
    ['tags that are no texts', { ...plain, t: [1] }],
    ['a status below 200', { ...plain, s: 199 }],
    ['a status above 999', { ...plain, s: 1000 }],
    ['a field line of three', { ...plain, f: [['a', 'b', 'c']] }],
    ['a field name that would split the answer', { ...plain, f: [['a\r\nb', 'c']] }],
    ['a field value that would split the answer', { ...plain, f: [['a', 'b\r\nset-cookie: c']] }],
    ['a field value that no answer can have', { ...plain, f: [['a', '\u{1F600}']] }],
    ['a field value with a DEL', { ...plain, f: [['a', 'b\x7f']] }],
    ['a field value with a tab and a NUL', { ...plain, f: [['a', '\t\0']] }],
    ['a field name in capitals', { ...plain, f: [['A', 'b']] }],
    ['a field without a name', { ...plain, f: [['', 'b']] }],
    ['a framing of its own', { ...plain, f: [['transfer-encoding', 'chunked']] }],
    [
      'a field of one connection',
      {
        ...plain,
        f: [
          ['a', 'b'],
          ['connection', 'keep-alive'],
        ],
      },
    ],
    ['a switch of protocols', { ...plain, f: [['upgrade', 'h2c']] }],
    ['too few times', { ...plain, d: [0, 0, 0, 0] }],
    ['a time that is no number', { ...plain, d: [0, 0, 0, 0, null] }],
    ['an age below 0', { ...plain, a: -1 }],
    ['an etag that is no text', { ...plain, e: 7 }],
    ['a length below 0', { ...plain, n: -1 }],
    ['a body longer than it says', { ...plain, n: 1 }],
  ])('%s', (_, meta) => {
    expect(decodeItem(valueOf(meta), { ...reading, key: 'k' })).toEqual(unusable('foreign'));
  });

  test('a field value of all characters that one can have is kept', () => {
    const all = Array.from({ length: 256 }, (_, unit) => String.fromCharCode(unit));
    const value = all.filter((one) => /[\t\x20-\x7e\x80-\xff]/.test(one)).join('');
    expect(decodeItem(valueOf({ ...plain, f: [['a', value]] }), { ...reading, key: 'k' })).toMatchObject({
      item: { fields: [['a', value]] },
    });
  });

  test('has as many tags as can be written, and no more', () => {
    const tags = Array.from({ length: MAX_TAGS + 1 }, (_, index) => `t${index}`);
    const most = tags.slice(1);
    expect(decodeItem(valueOf({ ...plain, t: most }), { ...reading, key: 'k' })).toMatchObject({
      item: { tags: most },
    });
    expect(decodeItem(valueOf({ ...plain, t: tags }), { ...reading, key: 'k' })).toEqual(unusable('foreign'));
  });

  test('tells variants apart by as many fields, of as many characters, as can be written, and no more', () => {
    const leading = { k: 'k', r: 'r', p: 'p', u: '/', t: [], n: 0, b: 0, d: [1000] };
    const read = (parts: object) =>
      decodeItem(valueOf({ ...leading, ...parts }, undefined, 2), { ...reading, key: 'k' });
    const names = Array.from({ length: 256 }, (_, index) => `f${index}`.padEnd(256, '-'));
    expect(read({ v: names })).toMatchObject({ item: { kind: 'vary', names } });
    expect(read({ v: [...names, 'g'] })).toEqual(unusable('foreign'));
    expect(read({ v: ['f'.padEnd(257, '-')] })).toEqual(unusable('foreign'));
    const long = 'x'.repeat(80);
    expect(read({ v: ['accept-language'], g: [[long, long]] })).toMatchObject({ item: { languages: [[long, long]] } });
    expect(read({ v: ['accept-language'], g: [[`${long}x`, long]] })).toEqual(unusable('foreign'));
    expect(read({ v: ['accept-language'], g: [[long, `${long}x`]] })).toEqual(unusable('foreign'));
  });

  test('bytes that are no UTF-8 are in no field value', () => {
    const value = valueOf({ ...plain, f: [['a', 'b?']] });
    const torn = forged(value, (copy) => copy.writeUInt8(0xff, copy.indexOf('b?') + 1));
    expect(decodeItem(torn, { ...reading, key: 'k' })).toEqual(unusable('foreign'));
  });

  const { s: _s, f: _f, a: _a, m: _m, o: _o, ...bare } = plain;
  const plainMarker = { ...bare, v: ['accept'], d: [0] };
  const MARKER = 2;

  test('a marker from before languages were written is one that knows none', () => {
    const decoded = decodeItem(valueOf(plainMarker, Buffer.alloc(0), MARKER), { ...reading, key: 'k' });
    expect(decoded).toMatchObject({ kind: 'item', item: { kind: 'vary', names: ['accept'] } });
    expect(decoded).not.toHaveProperty('item.languages');
  });

  test.each([
    ['that are no list', {}],
    ['that are no pairs', ['de']],
    ['in a triple', [['de', 'de', 'de']]],
    ['that are no texts', [['de', 1]]],
    ['that are more than any marker has', Array.from({ length: 17 }, () => ['de', 'de'])],
  ])('languages %s', (_, g) => {
    const value = valueOf({ ...plainMarker, g }, Buffer.alloc(0), MARKER);
    expect(decodeItem(value, { ...reading, key: 'k' })).toEqual(unusable('foreign'));
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'truncated'],
    ['another’s text', Buffer.from('{"temperature":21}'), 'foreign'],
    ['a later version', forged(encode(some), (copy) => copy.writeUInt8(3, 2)), 'version'],
    ['flags of a later version', forged(encode(some), (copy) => copy.writeUInt8(4, 3)), 'version'],
    ['compressed bytes that are none', forged(encode(some), (copy) => copy.writeUInt8(1, 3)), 'coding'],
  ] as const)('%s says why', (_, value, reason) => {
    expect(decodeItem(value, { ...reading, key: some.key })).toEqual(unusable(reason));
  });

  test.each([
    ['zlib', deflateSync],
    ['zstd', zstdCompressSync],
  ])('a body compressed by %s that is longer, shorter or more cut than it says is none', (_, compress) => {
    const coded = compress(Buffer.alloc(1000));
    const meta = (b: number) => ({ ...plain, n: coded.length, b });
    expect(decodeItem(valueOf(meta(1000), coded, 1), { ...reading, key: 'k' })).toMatchObject({ kind: 'item' });
    for (const said of [0, 1, 999, 1001]) {
      expect(decodeItem(valueOf(meta(said), coded, 1), { ...reading, key: 'k' })).toEqual(unusable('coding'));
    }
    for (let length = 0; length < coded.length; length += 1) {
      const cut = valueOf({ ...plain, n: length, b: 1000 }, coded.subarray(0, length), 1);
      expect(decodeItem(cut, { ...reading, key: 'k' })).toEqual(unusable('coding'));
    }
  });

  test('a body that would become larger than any that is written is not decompressed', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(2 ** 20));
    const value = valueOf({ ...plain, n: bomb.length, b: 2 ** 20 }, bomb, 1);
    expect(await decodeItem(value, { ...reading, key: 'k', maxBodyBytes: 2 ** 20 })).toMatchObject({ kind: 'item' });
    const before = process.memoryUsage().arrayBuffers;
    expect(decodeItem(value, { ...reading, key: 'k', maxBodyBytes: 2 ** 20 - 1 })).toEqual(unusable('coding'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 19);
  });

  test('a bomb that says it is small is stopped at what it says', async () => {
    const large = Buffer.alloc(64 * 2 ** 20);
    for (const bomb of [zstdCompressSync(large), deflateSync(large)]) {
      for (const said of [100, maxSyncBytes + 1]) {
        const value = valueOf({ ...plain, n: bomb.length, b: said }, bomb, 1);
        expect(await decodeItem(value, { ...reading, key: 'k' })).toEqual(unusable('coding'));
      }
    }
  });
});

function metaBytesOf(value: Buffer): number {
  return value.readUInt32BE(24);
}

describe('a response in version 2', () => {
  const ascii = fc.stringMatching(/^[\x20-\x7e]{0,40}$/);
  const inAscii = fc
    .record({
      key: ascii,
      url: ascii,
      route: ascii,
      upstream: ascii,
      tags: fc.array(ascii, { maxLength: 5 }),
      fields: fc.array(fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,20}$/), ascii), { maxLength: 8 }),
      etag: fc.option(ascii, { nil: undefined }),
      lastModified: fc.option(ascii, { nil: undefined }),
      initialAgeMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
      status: fc.integer({ min: 200, max: 999 }),
      freshness: fc
        .record({ mustRevalidate: fc.boolean(), alwaysValidate: fc.boolean() })
        .map((marks) => ({ ...some.freshness, ...marks })),
    })
    .map((drawn): StoredItem => ({ ...some, ...drawn }));

  test('gives back whatever is of printable ASCII', () => {
    fc.assert(
      fc.property(inAscii, (item) => {
        const value = encode(item);
        expect(value[2]).toBe(2);
        expect(decodeItem(value, { ...reading, key: item.key })).toEqual({ kind: 'item', item });
      }),
      { seed: 32, numRuns: 300 },
    );
  });

  test.each([
    ['a text beyond ASCII', { fields: [['a', 'ü']] }],
    ['a tab in a value', { fields: [['a', 'b\tc']] }],
    ['a control character in a tag', { tags: ['a\nb'] }],
    ['more than a meta may have', { fields: [['a', 'b'.repeat(8192)]] }],
  ] as const)('is written as version 1 where it has %s, and read so', (_, traits) => {
    const item: StoredItem = { ...some, ...traits };
    const value = encode(item);
    expect(value[2]).toBe(1);
    expect(decodeItem(value, { ...reading, key: item.key })).toEqual({ kind: 'item', item });
  });

  test('has at most as many bytes of meta as one may have', () => {
    const least = metaBytesOf(encode({ ...some, fields: [['a', '']] }));
    const fits = encode({ ...some, fields: [['a', 'b'.repeat(maxPackedBytes - least)]] });
    expect([fits[2], metaBytesOf(fits)]).toEqual([2, maxPackedBytes]);
    expect(decodeItem(fits, { ...reading, key: some.key })).toMatchObject({ kind: 'item' });
    expect(encode({ ...some, fields: [['a', 'b'.repeat(maxPackedBytes - least + 1)]] })[2]).toBe(1);
  });

  test('of a version before, as JSON, is read', () => {
    const { key: k, route: r, upstream: p, url: u, tags: t, status: s, fields: f, initialAgeMs: a, body } = some;
    const { freshness, requestTimeMs } = some;
    const { freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs, source: o } = freshness;
    const times = [some.responseTimeMs, freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs];
    const d = times.map((time) => time - requestTimeMs);
    const lengths = { n: body.length, b: body.length };
    const value = valueOf({ k, r, p, u, t, ...lengths, s, f, d, a, m: 0, o }, body);
    expect(value[2]).toBe(1);
    expect(decodeItem(value, { ...reading, key: some.key })).toEqual({ kind: 'item', item: some });
  });

  const meta = headBytes;
  const value = encode({ ...some, etag: '"1"' });
  const nameAt = value.indexOf('content-type');
  const dateAt = value.indexOf('Mon, 23');

  test.each([
    ['a field name that would split the answer', (copy) => copy.write('\r\n', nameAt)],
    ['a field name in capitals', (copy) => copy.write('C', nameAt)],
    ['a field name with a colon', (copy) => copy.write(':', nameAt)],
    ['a field value that would split the answer', (copy) => copy.write('\r\n', dateAt)],
    ['a field value with a NUL', (copy) => copy.write('\0', dateAt)],
    ['a field value with a DEL', (copy) => copy.write('\x7f', dateAt)],
    ['a byte that is not ASCII', (copy) => copy.writeUInt8(0xff, dateAt)],
    ['another byte that is not ASCII', (copy) => copy.writeUInt8(0x80, dateAt)],
    ['a control character at its very end', (copy) => copy.write('\x1f', meta + copy.readUInt32BE(24) - 1)],
    ['an age that is no number', (copy) => copy.writeDoubleLE(Number.NaN, meta)],
    ['an age below 0', (copy) => copy.writeDoubleLE(-1, meta)],
    ['a time that is no number', (copy) => copy.writeDoubleLE(Infinity, meta + 8)],
    ['a time with a fraction', (copy) => copy.writeDoubleLE(0.5, meta + 40)],
    ['a body longer than it says', (copy) => copy.writeUInt32LE(1, meta + 48)],
    ['a status below 200', (copy) => copy.writeUInt16LE(199, meta + 56)],
    ['a status above 999', (copy) => copy.writeUInt16LE(1000, meta + 56)],
    ['more tags than it has', (copy) => copy.writeUInt16LE(0xffff, meta + 60)],
    ['fewer fields than it has', (copy) => copy.writeUInt16LE(1, meta + 62)],
    ['a text longer than it is', (copy) => copy.writeUInt16LE(1000, meta + 66)],
    ['a text shorter than it is', (copy) => copy.writeUInt16LE(0, meta + 66)],
    ['the flag of a marker', (copy) => copy.writeUInt8(2, 3)],
    ['less than every meta has', (copy) => copy.writeUInt32BE(79, 24)],
  ] as const satisfies readonly (readonly [string, (copy: Buffer) => number])[])('with %s is foreign', (_, change) => {
    expect(decodeItem(forged(value, change), { ...reading, key: some.key })).toEqual(unusable('foreign'));
  });

  test('that is too short for any meta, with a bad checksum, is told as that', () => {
    const short = Buffer.from(value.subarray(0, headBytes + 4));
    short.writeUInt32BE(0, 24);
    expect(decodeItem(short, { ...reading, key: some.key })).toEqual(unusable('checksum'));
  });

  test('with a field that has no name is foreign', () => {
    const copy = encode({ ...some, tags: [], fields: [['a', 'b']] });
    const nameless = forged(copy, (bytes) => {
      bytes.writeUInt16LE(0, meta + 80);
      bytes.writeUInt16LE(2, meta + 82);
    });
    expect(decodeItem(nameless, { ...reading, key: some.key })).toEqual(unusable('foreign'));
  });

  test.each([
    'connection',
    'keep-alive',
    'proxy-authenticate',
    'proxy-authentication-info',
    'proxy-authorization',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ])('with the field %s of one connection is foreign, however often it comes', (name) => {
    for (const said of ['chunked', 'x'.repeat(maxKeptLine)]) {
      const planted = encode({
        ...some,
        fields: [
          ['content-type', 'text/plain'],
          [name, said],
        ],
      });
      expect(planted[2]).toBe(2);
      for (let time = 0; time < 2; time += 1) {
        expect(decodeItem(planted, { ...reading, key: some.key })).toEqual(unusable('foreign'));
      }
    }
  });

  test('whatever a foreign writer makes of its meta, gives no text that an answer cannot have', () => {
    const random = seededRandom(32);
    const end = meta + value.readUInt32BE(24);
    let items = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const decoded = decodeItem(
        forged(value, (copy) => {
          for (let count = random.whole(1, 3); count > 0; count -= 1) {
            copy[random.whole(meta, end - 1)] = random.whole(0, 255);
          }
        }),
        { ...reading, key: some.key },
      );
      if (decoded instanceof Promise || decoded.kind !== 'item') continue;
      const { item } = decoded;
      if (item.kind !== 'response') throw new Error('no response');
      items += 1;
      for (const [name, said] of item.fields) expect(`${name}\n${said}`).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+\n[ -~]*$/);
      expect([item.url, item.route, item.upstream, item.etag ?? '', ...item.tags].join('')).toMatch(/^[ -~]*$/);
      expect(item.body).toEqual(some.body);
    }
    expect(items).toBeGreaterThan(1000);
  });

  test('has a line of its own where one that was read before is the beginning of it', () => {
    const random = seededRandom(33);
    const letters = (most: number): string =>
      Array.from({ length: random.whole(1, most) }, () => String.fromCodePoint(random.whole(0x61, 0x7a))).join('');
    for (let round = 0; round < 5000; round += 1) {
      const [first, more] = [letters(10), letters(10)];
      for (const line of [['a', first] as const, ['a', first + more] as const]) {
        const item: StoredItem = { ...some, tags: [], fields: [line] };
        expect(decodeItem(encode(item), { ...reading, key: some.key })).toMatchObject({ item: { fields: [line] } });
      }
    }
  });

  test('has lines of its own, however many others have been read', () => {
    const lines = Array.from(
      { length: 3000 },
      (_, index) => [`x-${index % 7}`, `${'v'.repeat(index % 150)}${index}`] as const,
    );
    for (const line of [...lines, ...lines.toReversed(), ...lines]) {
      const item: StoredItem = { ...some, fields: [line, ['date', 'x']] };
      expect(decodeItem(encode(item), { ...reading, key: some.key })).toMatchObject({ item: { fields: item.fields } });
    }
  });
});

describe('compressing', () => {
  test('a body that becomes a fifth smaller is kept so, and comes back', async () => {
    const item = storedResponse({ position, nowMs, body: ownBytes('{"temperature":21.5},'.repeat(200)) });
    const bytes = await compressed(item.body);
    if (bytes === undefined) throw new Error('not compressed');
    expect(bytes.byteLength).toBeLessThan(item.body.byteLength * 0.8);
    const value = encodeItem(item, { bytes, isCompressed: true }, 0);
    expect(decodeItem(value, { ...reading, key: item.key })).toEqual({ kind: 'item', item });
  });

  test('a body that does not is left alone', async () => {
    // Three quarters noise: zstd saves a little less than a fifth at 0.82, a little more at 0.78.
    const random = seededRandom(1);
    const partly = (noisy: number) => Buffer.concat([randomNoise(random, noisy), Buffer.alloc(10_000 - noisy)]);
    expect(await compressed(partly(8200))).toBeUndefined();
    expect(await compressed(partly(7800))).toBeDefined();
  });

  test('by zlib up to 16 KiB and by zstd beyond, and both come back', () => {
    for (const [length, first] of [
      [maxDeflatedBytes, 0x78],
      [maxDeflatedBytes + 1, 0x28],
    ] as const) {
      const item = storedResponse({ position, nowMs, body: Buffer.alloc(length, 'ab') });
      const bytes = compressed(item.body);
      if (!Buffer.isBuffer(bytes)) throw new Error('not compressed at once');
      expect(bytes[0]).toBe(first);
      const value = encodeItem(item, { bytes, isCompressed: true }, 0);
      expect(decodeItem(value, { ...reading, key: item.key })).toEqual({ kind: 'item', item });
    }
  });

  test('by zstd, as versions before this one wrote small bodies too, is read', () => {
    const item = storedResponse({ position, nowMs, body: Buffer.alloc(1000, 'ab') });
    expect(decodeItem(encodeZstd(item), { ...reading, key: item.key })).toEqual({ kind: 'item', item });
  });

  test('up to 64 KiB at once, beyond in a thread', async () => {
    expect(compressed(Buffer.alloc(maxSyncBytes))).not.toBeInstanceOf(Promise);
    const large = compressed(Buffer.alloc(maxSyncBytes + 1));
    expect(large).toBeInstanceOf(Promise);
    expect(await large).toBeInstanceOf(Buffer);
  });

  test('a large body is decompressed in a thread too', async () => {
    const item = storedResponse({ position, nowMs, body: Buffer.alloc(maxSyncBytes + 1, 'ab') });
    const decoded = decodeItem(encodeZstd(item), { ...reading, key: item.key });
    expect(decoded).toBeInstanceOf(Promise);
    expect(await decoded).toEqual({ kind: 'item', item });
  });
});

function unusable(reason: UnusableReason): Decoded {
  return { kind: 'unusable', reason };
}

function randomNoise(random: { whole(least: number, most: number): number }, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.whole(0, 255)));
}
