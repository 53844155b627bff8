import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createRedactor, isText } from '../../src/upstream/redact.ts';

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
    const secrets = ['abab', 'babac', 'aaaa'];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 6 }), { maxLength: 12 }),
        async (parts) => {
          const redactor = redactorOf(...secrets);
          const clean = await collected(redactor.stream(stream(parts)));
          expect(clean).toHaveLength(parts.join('').length);
          for (const secret of secrets) expect(clean).not.toContain(secret);
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
