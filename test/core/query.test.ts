import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodePathText,
  decodeQueryText,
  encodePathText,
  encodeQueryValue,
  hasBrokenEscape,
  parseQuery,
  recodeQueryText,
} from '../../src/core/query.ts';

describe('a query', () => {
  test('is cut at & alone, and at the first = of a piece', () => {
    expect(parseQuery('a=1;b=2&c==&d&=e&&f=')).toEqual([
      { rawName: 'a', rawValue: '1;b=2' },
      { rawName: 'c', rawValue: '=' },
      { rawName: 'd', rawValue: undefined },
      { rawName: '', rawValue: 'e' },
      { rawName: 'f', rawValue: '' },
    ]);
    expect(parseQuery('')).toEqual([]);
    expect(parseQuery(undefined)).toEqual([]);
  });

  test('keeps the names of object prototypes and all repeats', () => {
    expect(parseQuery('__proto__=1&constructor=2&__proto__=3').map((pair) => pair.rawName)).toEqual([
      '__proto__',
      'constructor',
      '__proto__',
    ]);
  });

  test('tells broken escapes', () => {
    expect(['%', '%2', '%zz', 'a%2Gb', '%%41', '%41%4'].every(hasBrokenEscape)).toBe(true);
    expect(['', 'a', '%41', '%c3%A9'].some(hasBrokenEscape)).toBe(false);
  });
});

describe('decoding', () => {
  test('reads + as a space in a query and as a plus in a path', () => {
    expect(decodeQueryText('S%C3%A3o+Paulo')).toBe('São Paulo');
    expect(decodeQueryText('a%2Bb')).toBe('a+b');
    expect(decodePathText('a+b%20c')).toBe('a+b c');
  });

  test('reads each character of ASCII, whatever stands before and behind it', () => {
    const codes = Array.from({ length: 128 }, (_, code) => code);
    const raws = codes.map((code) => `1%${code.toString(16).padStart(2, '0')}f`);
    const texts = codes.map((code) => `1${String.fromCodePoint(code)}f`);
    expect(raws.map(decodeQueryText)).toEqual(texts);
    expect(raws.map((raw) => decodeQueryText(raw.toUpperCase()))).toEqual(texts.map((text) => `${text.slice(0, 2)}F`));
  });

  test.for([
    '%FF',
    '%FE',
    '%80',
    '%C0%AF',
    '%E0%80%AF',
    '%ED%A0%80',
    '%F4%90%80%80',
    '%C3',
    '%zz',
    '%4g',
    '%g4',
    '%4',
    '%',
  ])('%s is no text, rather than U+FFFD', (raw) => {
    expect(decodeQueryText(raw)).toBeUndefined();
  });
});

describe('the canonical spelling', () => {
  test('is one for all spellings of the same bytes', () => {
    for (const raw of ['a,b', 'a%2Cb', 'a%2cb', '%61,%62']) expect(recodeQueryText(raw)).toBe('a,b');
    for (const raw of ['a+b', 'a%20b']) expect(recodeQueryText(raw)).toBe('a%20b');
    for (const raw of ['~', '%7E', '%7e']) expect(recodeQueryText(raw)).toBe('~');
    for (const raw of ["!*'();", '%21%2A%27%28%29%3b']) expect(recodeQueryText(raw)).toBe('%21%2A%27%28%29%3B');
  });

  test('keeps bytes apart that are not UTF-8', () => {
    expect(recodeQueryText('%ff')).toBe('%FF');
    expect(recodeQueryText('%fe')).toBe('%FE');
    expect(recodeQueryText('%c0%af')).toBe('%C0%AF');
  });

  test('of a text is that of its UTF-8 bytes, and decodes to it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii' })), (text) => {
        const wellFormed = text.toWellFormed();
        const encoded = encodeQueryValue(wellFormed);
        expect(encoded).toMatch(/^(?:[A-Za-z0-9\-._~,:/@]|%[0-9A-F]{2})*$/);
        expect(recodeQueryText(encoded)).toBe(encoded);
        expect(recodeQueryText(encodeURIComponent(wellFormed))).toBe(encoded);
        expect(decodeQueryText(encoded)).toBe(wellFormed);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  test('never throws, even for a lone surrogate', () => {
    expect(encodeQueryValue('\ud800')).toBe('%EF%BF%BD');
  });

  test('of a piece of a path encodes its slashes', () => {
    expect(encodePathText('ac/dc é')).toBe('ac%2Fdc%20%C3%A9');
  });
});
