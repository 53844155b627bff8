import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { UpstreamBodyError } from '../../src/cache/upstream-ports.ts';
import { decodedFields } from '../../src/core/response-fields.ts';
import { codingsOf, createContentDecoder, decodeStream } from '../../src/upstream/decode.ts';

const text = Buffer.from('{"hourly":{"temperature_2m":[3.1,3.0,2.8]}}'.repeat(50));
const decoder = createContentDecoder();

async function failureOf(result: Promise<Buffer> | undefined): Promise<string> {
  try {
    return `decoded ${(await result)?.length ?? 'nothing'}`;
  } catch (error) {
    if (error instanceof UpstreamBodyError) return error.failure;
    throw error;
  }
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('decoding', () => {
  test.each([
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['GZIP', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', text],
    ['gzip, br', brotliCompressSync(gzipSync(text))],
    ['zstd, identity, deflate, gzip', gzipSync(deflateSync(zstdCompressSync(text)))],
  ])('takes off %s', async (coding, coded) => {
    expect(await decoder.decode(coding, coded, 10_000)).toEqual(text);
  });

  test('gives the same bytes however the coded ones are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 2000 }),
        fc.integer({ min: 1, max: 64 }),
        fc.constantFrom('gzip', 'deflate', 'br', 'zstd'),
        async (bytes, size, coding) => {
          const plain = Buffer.from(bytes);
          const coded = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync };
          const codings = codingsOf([['content-encoding', coding]]) ?? [];
          const parts: Buffer[] = [];
          const pieces = inPieces(Buffer.from(coded[coding](plain)), size);
          for await (const part of decodeStream(pieces, codings, 2000)) parts.push(part);
          expect(Buffer.concat(parts)).toEqual(plain);
        },
      ),
      { seed: 7, numRuns: 60 },
    );
  });

  test.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, br'])('of no bytes in %s is an empty body', async (coding) => {
    expect(await decoder.decode(coding, Buffer.alloc(0), 10)).toEqual(Buffer.alloc(0));
  });

  test('leaves codings that it does not know, and towers of codings, alone', () => {
    expect(decoder.decode('compress', text, 10)).toBeUndefined();
    expect(decoder.decode('gzip, dcb', text, 10)).toBeUndefined();
    expect(decoder.decode('gzip, gzip, gzip, gzip, gzip', text, 10)).toBeUndefined();
  });

  test.each(['gzip', 'deflate', 'br', 'zstd'])('of bytes that are no %s fails as malformed', async (coding) => {
    expect(await failureOf(decoder.decode(coding, Buffer.from('x{"a":1} is not compressed at all'), 1000))).toBe(
      'malformed',
    );
  });

  test.each([
    ['gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
  ])('of a %s body that was cut fails as truncated', async (coding, coded) => {
    expect(await failureOf(decoder.decode(coding, coded.subarray(0, coded.length - 8), 10_000))).toBe('truncated');
  });
});

describe('a compression bomb', () => {
  const zeros = Buffer.alloc(64 * 1024 * 1024);

  test.each([
    ['gzip', gzipSync(zeros)],
    ['deflate', deflateSync(zeros)],
    ['br', brotliCompressSync(zeros, { params: {} })],
    ['zstd', zstdCompressSync(zeros)],
  ])('in %s is cut at the bound, in bounded memory', async (coding, bomb) => {
    expect(zeros.length / bomb.length).toBeGreaterThan(900);
    const before = process.memoryUsage().arrayBuffers;
    let decoded = 0;
    const codings = codingsOf([['content-encoding', coding]]) ?? [];
    const reading = (async () => {
      for await (const part of decodeStream(inPieces(bomb, 16 * 1024), codings, 1024 * 1024)) decoded += part.length;
    })();
    await expect(reading).rejects.toMatchObject({ failure: 'too-large' });
    expect(decoded).toBeLessThanOrEqual(1024 * 1024);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });

  test('inside another is cut at the first layer that is too large', async () => {
    const nested = gzipSync(gzipSync(zeros));
    expect(await failureOf(decoder.decode('gzip, gzip', nested, 30_000))).toBe('too-large');
  });

  test('is passed exactly at the bound', async () => {
    const coded = gzipSync(Buffer.alloc(1000));
    expect(await failureOf(decoder.decode('gzip', coded, 1000))).toBe('decoded 1000');
    expect(await failureOf(decoder.decode('gzip', coded, 999))).toBe('too-large');
  });
});

describe('the fields of a decoded response', () => {
  test('lose what described the coded bytes and keep Vary; the validator becomes weak', () => {
    expect(
      decodedFields([
        ['content-type', 'application/json'],
        ['content-encoding', 'gzip'],
        ['content-length', '20'],
        ['content-md5', 'x'],
        ['content-digest', 'sha-256=:x:'],
        ['repr-digest', 'sha-256=:x:'],
        ['digest', 'x'],
        ['etag', '"v1"'],
        ['vary', 'accept-encoding'],
      ]),
    ).toEqual([
      ['content-type', 'application/json'],
      ['etag', 'W/"v1"'],
      ['vary', 'accept-encoding'],
    ]);
    expect(decodedFields([['etag', 'W/"v1"']])).toEqual([['etag', 'W/"v1"']]);
  });
});
