import { deflateRawSync, deflateSync, gzipSync, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import { Inflater } from '../../../src/store/redis/inflater.ts';
import { Dice } from '../../support/spellings.ts';

/** JSON of about so many bytes that does not repeat too much. */
function bodyOf(dice: Dice, bytes: number): Buffer {
  const hours: object[] = [];
  while (hours.length * 40 < bytes) hours.push({ at: dice.roll(100_000), degrees: dice.roll(400) / 10 });
  return Buffer.from(JSON.stringify(hours).slice(0, Math.max(1, bytes)));
}

/** What Node's own call gives of it, with the rule that it is exactly so long. */
function expected(coded: Buffer, length: number): string | undefined {
  try {
    const body = inflateSync(coded, { maxOutputLength: length, chunkSize: Math.max(64, length + 1) });
    return body.byteLength === length ? body.toString('latin1') : undefined;
  } catch {
    return undefined;
  }
}

/** What would become the text if there were that text before it; with the checksum of the text. */
function reachingBack(text: string): Buffer {
  const whole = deflateSync(text);
  return Buffer.concat([
    whole.subarray(0, 2),
    deflateRawSync(text, { dictionary: Buffer.from(text) }),
    whole.subarray(-4),
  ]);
}

const nodes = [
  ['the parts of a stream', undefined],
  ['inflateSync, on a Node that is not known', '99.0.0'],
] as const;

describe.each(nodes)('decompressing by %s', (_, node) => {
  test('gives each body, one after the other, in bytes of its own', () => {
    const dice = new Dice(39);
    const inflater = new Inflater(node);
    const bodies = Array.from({ length: 300 }, () => bodyOf(dice, 1 + dice.roll(16_384)));
    const all = bodies.map((body) => inflater.inflate(deflateSync(body, { level: 3 }), body.byteLength));
    // Looked at when all others have been decompressed: none was written over another.
    expect(all.map((body) => body?.toString())).toEqual(bodies.map(String));
  });

  test.each([1, 2, 63, 64, 65, 16_384, 65_535, 65_536])('gives a body of %i bytes', (length) => {
    const body = Buffer.alloc(length, 'abc');
    expect(new Inflater(node).inflate(deflateSync(body), length)?.equals(body)).toBe(true);
  });

  test('gives nothing of what is not exactly so long', () => {
    const inflater = new Inflater(node);
    const body = Buffer.alloc(5000, 'abcdef');
    const coded = deflateSync(body);
    for (const length of [1, 4999, 5001, 20_000]) expect(inflater.inflate(coded, length)).toBeUndefined();
    expect(inflater.inflate(coded, 5000)?.equals(body)).toBe(true);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no stream of zlib', Buffer.from('not compressed')],
    ['gzip', gzipSync('a'.repeat(100))],
    ['a dictionary that is not there', deflateSync('a'.repeat(100), { dictionary: Buffer.from('aaaa') })],
    ['what is said to be bytes of the body before it', reachingBack('b'.repeat(100))],
    ['a stream that is cut', deflateSync('a'.repeat(100)).subarray(0, -1)],
    ['a checksum that is wrong', Buffer.concat([deflateSync('a'.repeat(100)).subarray(0, -4), Buffer.alloc(4)])],
  ])('gives nothing of %s, and the next body all the same', (_name, coded) => {
    const inflater = new Inflater(node);
    for (let times = 0; times < 3; times += 1) {
      expect(inflater.inflate(coded, 100)).toBeUndefined();
      expect(inflater.inflate(deflateSync('b'.repeat(100)), 100)?.toString()).toBe('b'.repeat(100));
    }
  });

  test('is as Node’s own call is, whatever happened to the bytes', () => {
    const dice = new Dice(3939);
    const inflater = new Inflater(node);
    const differing: string[] = [];
    let whole = 0;
    for (let step = 0; step < 3000; step += 1) {
      const body = bodyOf(dice, 1 + dice.roll(3000));
      let coded = Buffer.from(deflateSync(body, { level: dice.roll(10) }));
      const kind = dice.roll(4);
      if (kind === 0) coded[dice.roll(coded.length)] = dice.roll(256);
      if (kind === 1) coded = coded.subarray(0, dice.roll(coded.length + 1));
      if (kind === 2) coded = Buffer.concat([coded, Buffer.alloc(dice.roll(20), dice.roll(256))]);
      const length = Math.max(1, body.byteLength + (dice.roll(5) === 0 ? dice.roll(3) - 1 : 0));
      const wanted = expected(coded, length);
      if (inflater.inflate(coded, length)?.toString('latin1') !== wanted) differing.push(`${step}: ${kind}`);
      if (wanted !== undefined) whole += 1;
    }
    expect(differing).toEqual([]);
    expect(whole).toBeGreaterThan(1000);
  });
});

test('bodies lie side by side in one piece of memory, and their number does not make them keep more', () => {
  const inflater = new Inflater();
  const coded = deflateSync('c'.repeat(10_000));
  const memory = new Set<ArrayBufferLike>();
  for (let count = 0; count < 12; count += 1) {
    const body = inflater.inflate(coded, 10_000);
    if (body !== undefined) memory.add(body.buffer);
  }
  expect([...memory].map(({ byteLength }) => byteLength)).toEqual([65_536, 65_536]);
});
