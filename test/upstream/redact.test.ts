import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createRedactor, isText } from '../../src/upstream/redact.ts';
import { encoders } from '../support/encoders.ts';

function redactorOf(...values: string[]) {
  return createRedactor({
    query: new Map(values.map((value, index) => [`k${index}`, value])),
    headers: new Map(),
  });
}

async function* stream(parts: readonly string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

async function collected(chunks: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts).toString();
}

const masked = (redactor: ReturnType<typeof redactorOf>, parts: readonly string[]) =>
  collected(redactor.stream(stream(parts)));

/** Of values with every mark in them, with none that are plain, and with what takes several bytes or units. */
const secrets = [
  'Zm9v+YmFy&YmF6/cXV4==',
  'a/b d+1',
  "it's!*(1)",
  'a<b>&"c"-1',
  String.raw`\/&<`,
  '~`^|{}[]:@,;?#$%',
  'é😀/k\u2028',
];
const encodedSecrets = secrets.flatMap((value) =>
  [...encoders].map(([name, encode]): [string, string, string] => [name, value, encode(value)]),
);

describe('in texts', () => {
  test.each([
    ['raw', 'x a/b+c&d y', 'x *** y'],
    ['percent-encoded', '?k=a%2Fb%2Bc%26d', '?k=***'],
    ['percent-encoded in lower case', '?k=a%2fb%2bc%26d', '?k=***'],
    ['encoded twice', '?next=%2Fp%3Fk%3Da%252Fb%252Bc%2526d', '?next=%2Fp%3Fk%3D***'],
    ['as HTML', '<a href="a/b+c&amp;d">', '<a href="***">'],
    ['as JSON with escaped slashes', '{"k":"a\\/b+c&d"}', '{"k":"***"}'],
  ])('a value is found %s', (_name, text, clean) => {
    expect(redactorOf('a/b+c&d').text(text)).toBe(clean);
  });

  test.each(encodedSecrets)('a value is found as %s writes it: %j', async (_name, value, encoded) => {
    const redactor = redactorOf(value);
    expect(redactor.text(`k=${encoded}!`)).toBe('k=***!');
    const size = Buffer.byteLength(encoded);
    const clean = `k=${'*'.repeat(size)}!`;
    expect(await masked(redactor, [`k=${encoded}!`])).toBe(clean);
    expect(await masked(redactor, `k=${encoded}!`.match(/./gsu) ?? [])).toBe(clean);
  });

  test.each([
    ['each character in another way', 'k=a%2fb%252Bc&#x26;d!', 'k=***!'],
    ['one and the same in two ways', 'k=a\\u002fb+c&amp;amp;d!', 'k=***!'],
    ['in HTML within a link', 'k=a%2Fb%26%2343%3Bc%26amp%3Bd!', 'k=***!'],
  ])('a value is found with %s', (_name, text, clean) => {
    expect(redactorOf('a/b+c&d').text(text)).toBe(clean);
  });

  test.each([
    ['a character in none of the encodings', 'k=a%2Gb+c&d'],
    ['encoded three times', 'k=a%25252Fb+c&d'],
    ['with a character between', 'k=a//b+c&d'],
    ['another one', 'k=a%2Bb+c&d'],
  ])('what is no spelling is left: %s', (_name, text) => {
    expect(redactorOf('a/b+c&d').text(text)).toBe(text);
  });

  test('bytes of a field, which are read as Latin-1, are found whether they were UTF-8 or not', () => {
    const redactor = redactorOf('clé-é');
    expect(redactor.text(`x ${Buffer.from('clé-é').toString('latin1')} y clé-é z`)).toBe('x *** y *** z');
  });

  test.each([
    ['one goes on where the other ends', ['abcdef', 'defghi'], 'x abcdefghi y', 'x *** y'],
    ['the shorter one begins first', ['abcd', 'cdefgh'], 'x abcdefgh y', 'x *** y'],
    ['one has the other in the middle', ['acme-prod', 'x9-acme-prod-9f8e'], 'x x9-acme-prod-9f8e y', 'x *** y'],
    ['one repeats its own beginning', ['abcab'], 'x abcabcab y', 'x *** y'],
    ['they stand side by side', ['abcdef', 'defghi'], 'x abcdefdefghi y', 'x ****** y'],
  ])('no part of a value is left: %s', (_name, values, text, clean) => {
    expect(redactorOf(...values).text(text)).toBe(clean);
    expect(redactorOf(...values).fields([['link', text]])).toEqual([['link', clean]]);
  });

  test('a value shorter than four characters is not looked for', () => {
    const redactor = redactorOf('abc', '');
    expect([redactor.active, redactor.text('abc')]).toEqual([false, 'abc']);
  });
});

describe('in bodies', () => {
  test('a value becomes as many stars; nothing else changes, the given buffer neither', async () => {
    const body = '{"message":"key s3cret is over quota","key":"s3cret"}';
    const given = Buffer.from(body);
    const clean = await collected(redactorOf('s3cret').stream(Readable.from([given])));
    expect(clean).toBe('{"message":"key ****** is over quota","key":"******"}');
    expect(given.toString()).toBe(body);
  });

  test('no value is left and no length changes, however a stream is cut', async () => {
    const overlapping = ['abab', 'babac', 'aaaa'];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 6 }), { maxLength: 12 }),
        async (parts) => {
          const redactor = redactorOf(...overlapping);
          const clean = await collected(redactor.stream(stream(parts)));
          expect(clean).toHaveLength(parts.join('').length);
          for (const secret of overlapping) expect(clean).not.toContain(secret);
        },
      ),
      { seed: 11, numRuns: 500 },
    );
  });

  test('a stream passes on at once what cannot be the beginning of a value', async () => {
    const redactor = redactorOf('s3cret');
    const iterator = redactor.stream(stream(['data: 1\n\n', 'ends with s3c', 'ret!']))[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.toString()).toBe('data: 1\n\n');
    expect((await iterator.next()).value?.toString()).toBe('ends with ');
    expect((await iterator.next()).value?.toString()).toBe('******!');
  });
});

describe('in bodies, of values that contain or overlap each other', () => {
  // The brackets say what is covered.
  test.each([
    ['one begins with the other', ['acme-prod', 'acme-prod-9f8e7d6c5b4a'], 'bad key [acme-prod-9f8e7d6c5b4a]!'],
    ['one has the other in the middle', ['acme-prod', 'x9-acme-prod-9f8e'], 'bad key [x9-acme-prod-9f8e]!'],
    ['one ends with the other', ['acme-prod', 'x9-acme-prod'], 'bad key [x9-acme-prod]!'],
    ['one goes on where the other ends', ['abcdef', 'defghi', 'ghijkl'], '<[abcdefghijkl]>'],
    ['one repeats its own beginning', ['abcab'], '<[abcabcabcab]>'],
    ['percent-encoding of one has the other', ['acme', 'acme/9f8e'], 'k=[acme%2F9f8e]!'],
    ['one is what another is in percent-encoding', ['a/b/c-12345', '2Fc-1234'], 'k=[a%2Fb%2Fc-12345]&'],
  ])('%s: all of each is masked, whatever the split', async (_name, values, marked) => {
    const redactor = redactorOf(...values);
    const text = marked.replaceAll(/[[\]]/g, '');
    const expected = marked.replace(/\[(.*)\]/, (_all, covered: string) => '*'.repeat(covered.length));
    expect(await masked(redactor, [text])).toBe(expected);
    expect(await masked(redactor, text.split(''))).toBe(expected);
    for (let at = 1; at < text.length; at++) {
      expect(await masked(redactor, [text.slice(0, at), text.slice(at)])).toBe(expected);
    }
  });

  test('any split gives the bytes of the whole, and no more is held back than the longest value is long', async () => {
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '/'), minLength: 4, maxLength: 9 });
    const overlapping = fc.tuple(part, part).map(([a, b]) => [a, b, a + b, a.slice(2) + b.slice(0, 3)]);
    const scene = fc.record({
      values: overlapping,
      pieces: fc.array(
        fc.oneof(
          fc.nat(3),
          fc.string({
            unit: fc.constantFrom('a', 'b', '/', '%2F', '%2f', '%', '&#47;', '&amp;#', '47;', '*', ' '),
            maxLength: 4,
          }),
        ),
        { maxLength: 12 },
      ),
      cuts: fc.array(fc.nat(200), { maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(scene, async ({ values, pieces, cuts }) => {
        const redactor = redactorOf(...values);
        const text = pieces.map((piece) => (typeof piece === 'string' ? piece : (values[piece] ?? ''))).join('');
        const whole = await masked(redactor, [text]);
        expect(whole).toBe(starred(text, values));
        expect(await masked(redactor, text.split(''))).toBe(whole);
        const places = cuts.toSorted((a, b) => a - b);
        const parts = [...places, text.length].map((to, index) => text.slice(places[index - 1] ?? 0, to));
        // Each character of the longest value may be spelt in nine (`&amp;#47;`).
        const most = 9 * Math.max(...values.map((value) => value.length)) - 1;
        expect(await heldMost(redactor, parts)).toBeLessThanOrEqual(most);
        expect(await masked(redactor, parts)).toBe(whole);
      }),
      { seed: 35, numRuns: 500 },
    );
  });

  test('what one value covers is passed on at once, though another may begin in it', async () => {
    const redactor = redactorOf('acme-prod', 'acme-prod-9f8e7d6c5b4a');
    const iterator = redactor.stream(stream(['key acme-prod', '-9f8e7d6c5b4a!']))[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.toString()).toBe('key *********');
    expect((await iterator.next()).value?.toString()).toBe('*************!');
  });

  test('the given buffers are not changed', async () => {
    const given = ['key acme-prod', '-9f8e7d6c5b4a!', 'acme-prod'].map((text) => Buffer.from(text));
    await collected(redactorOf('acme-prod', 'acme-prod-9f8e7d6c5b4a').stream(Readable.from(given)));
    expect(given.map(String)).toEqual(['key acme-prod', '-9f8e7d6c5b4a!', 'acme-prod']);
  });
});

/** Stated another way: each place of the text is tried for each value, each slash of which may be spelt by itself. */
function starred(text: string, values: readonly string[]): string {
  const spelt = values.map(
    (value) => new RegExp(value.replaceAll('/', String.raw`(?:\/|%2[Ff]|%252[Ff]|\\/|&#47;|&amp;#47;)`), 'y'),
  );
  const chars = text.split('');
  for (let at = 0; at < text.length; at++) {
    for (const one of spelt) {
      one.lastIndex = at;
      if (one.test(text)) chars.fill('*', at, one.lastIndex);
    }
  }
  return chars.join('');
}

/** The most bytes that had been given and were not passed on when the next ones were asked for. */
async function heldMost(redactor: ReturnType<typeof redactorOf>, parts: readonly string[]): Promise<number> {
  let held = 0;
  let most = 0;
  const given = async function* (): AsyncGenerator<Buffer> {
    for (const part of parts) {
      held += part.length;
      yield Buffer.from(part);
      most = Math.max(most, held);
    }
  };
  for await (const chunk of redactor.stream(given())) held -= chunk.length;
  return most;
}

describe('in content that is no text', () => {
  const binary = [['content-type', 'image/png']] as const;
  const clean = (redactor: ReturnType<typeof redactorOf>, text: string) =>
    collected(redactor.stream(stream([text.slice(0, 5), text.slice(5)]), binary));

  test('a value that nothing holds by chance is found in every spelling', async () => {
    const redactor = redactorOf('a/b+c&d1');
    expect(redactor.searches(binary)).toBe(true);
    expect(await clean(redactor, '\0a/b+c&d1\0?k=a%2Fb%2Bc%26d1')).toBe('\0********\0?k=**************');
  });

  test.each([
    ['seven characters', 'k3y-123'],
    ['a number', '12345678'],
    ['the largest number', '1234567890123456'],
    ['a word', 'Password'],
    ['a long word', 'ANTICIPATIVELYX'],
  ])('a value that may be there by chance is left: %s', async (_name, value) => {
    const redactor = redactorOf(value);
    expect([redactor.active, redactor.searches(binary), redactor.searches([])]).toEqual([true, false, true]);
    expect(await clean(redactor, `\0${value}\0`)).toBe(`\0${value}\0`);
    expect(await collected(redactor.stream(stream([value])))).toBe('*'.repeat(value.length));
  });

  test.each([
    ['eight characters', 'k3y-1234'],
    ['more digits than a number has', '12345678901234567'],
    ['more letters than a word has', 'anticipativelyxx'],
    ['letters of both cases', 'passWord'],
  ])('a value just past that is masked: %s', async (_name, value) => {
    expect(await clean(redactorOf(value), `\0${value}\0`)).toBe(`\0${'*'.repeat(value.length)}\0`);
  });
});

test.each([
  ['application/x-ndjson', undefined, true],
  ['application/ndjson', undefined, true],
  ['application/jsonl; charset=utf-8', undefined, true],
  ['application/x-jsonlines', undefined, true],
  ['application/json-seq', undefined, true],
  ['application/geo+json-seq', undefined, true],
  ['application/vnd.x+ndjson', undefined, true],
  ['application/csv', undefined, true],
  ['image/svg+xml', undefined, true],
  ['application/jsonp-archive', undefined, false],
  ['application/json', 'UTF-8', true],
  ['application/json', 'utf-8, br', false],
  ['application/json; charset=utf-8', undefined, true],
  ['application/json ; charset=utf-8', undefined, true],
  ['application/problem+json', undefined, true],
  ['text/html', 'identity', true],
  [undefined, undefined, true],
  ['application/json', 'gzip', false],
  ['application/octet-stream', undefined, false],
  ['image/png', undefined, false],
])('a body of type %s in coding %s is text: %s', (type, coding, expected) => {
  const fields = [
    ...(type === undefined ? [] : [['content-type', type] as const]),
    ...(coding === undefined ? [] : [['content-encoding', coding] as const]),
  ];
  expect(isText(fields)).toBe(expected);
});
