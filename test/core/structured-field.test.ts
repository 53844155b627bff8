import { assert as assertProperty, constantFrom, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  booleanOf,
  innerStringsOf,
  integerOf,
  MAX_STRUCTURED_FIELD,
  readDictionary,
  readItem,
  readList,
  readStringList,
} from '../../src/core/structured-field.ts';

describe('a dictionary (RFC 9651 §4.2.2)', () => {
  it('gives each member with its type', () => {
    const members = readDictionary(['a=1, b="two", c=three, d, e=?0, f=("x" y), g=1.5, h=:aGk=:']);
    expect(Object.fromEntries(members ?? [])).toEqual({
      a: { type: 'integer', value: 1 },
      b: { type: 'string', value: 'two' },
      c: { type: 'token', value: 'three' },
      d: { type: 'boolean', value: true },
      e: { type: 'boolean', value: false },
      f: {
        type: 'inner-list',
        items: [
          { type: 'string', value: 'x' },
          { type: 'token', value: 'y' },
        ],
      },
      g: { type: 'other' },
      h: { type: 'other' },
    });
  });

  it('joins several lines, and takes the last of two values', () => {
    expect(integerOf(readDictionary(['a=1, b', 'a=2'])?.get('a'))).toBe(2);
  });

  it('leaves parameters out', () => {
    expect(readDictionary(['a=1;x=2, b;y'])).toEqual(
      new Map([
        ['a', { type: 'integer', value: 1 }],
        ['b', { type: 'boolean', value: true }],
      ]),
    );
  });

  it.each(['a=@1, b=2', 'a;from=@-1700000000;x, b=2', 'a=(@1 "@2"), b=2', 'b=2, a=@1', 'a="@1, b=3", b=2'])(
    'may hold a Date anywhere: %s',
    (line) => {
      expect(integerOf(readDictionary([line])?.get('b'))).toBe(2);
    },
  );

  it.each(['a@1=2', 'a=1@1', 'a=@1.5', 'a=@1.0', 'a=@', 'a=@1234567890123456', 'a=@1a', 'a= @1', '@1'])(
    'is none where a Date is not well-formed or out of place: %s',
    (line) => {
      expect(readDictionary([line])).toBeUndefined();
      expect(readDictionary([`${line}, b=2`])).toBeUndefined();
    },
  );

  it('takes no Date for a number', () => {
    expect(readDictionary(['a=@60, b'])?.get('a')).toEqual({ type: 'other' });
    expect(readDictionary(['b, a=@60'])?.get('a')).toEqual({ type: 'other' });
  });

  it('is empty where nothing is said', () => {
    expect(readDictionary([])?.size).toBe(0);
    expect(readDictionary([''])?.size).toBe(0);
    expect(readDictionary(['  '])?.size).toBe(0);
  });

  it.each([
    ['a trailing comma', 'a=1,'],
    ['a name in upper case', 'Max-Age=1'],
    ['white space before the equals sign', 'a =1'],
    ['white space after it', 'a= 1'],
    ['a string in single quotes', "a='1'"],
    ['an open string', 'a="1'],
    ['an open inner list', 'a=("x"'],
    ['a semicolon in place of a comma', 'a=1; b=2 c'],
    ['an integer of sixteen digits', 'a=1234567890123456'],
    ['a character outside ASCII', 'a="é"'],
    ['a sign without digits', 'a=-'],
  ])('is ignored as a whole for %s', (_name, line) => {
    expect(readDictionary([line])).toBeUndefined();
    expect(readDictionary(['good=1', line])).toBeUndefined();
  });

  it.each(['60.0', '60.00', '0.000', '-60.0', '60.5'])('does not take the Decimal %s for an Integer', (text) => {
    expect(integerOf(readDictionary([`max-age=${text}`])?.get('max-age'))).toBeUndefined();
    expect(integerOf(readDictionary([`b="1.0", a=7, max-age=${text}, c=v1.0`])?.get('a'))).toBe(7);
  });

  it('leaves digits in strings, tokens and keys as they are beside a Decimal', () => {
    const members = readDictionary(['a="1.0 \\" 2.0", v1.0=x1.0, d=1.0, n=-5']);
    expect(members?.get('a')).toEqual({ type: 'string', value: '1.0 " 2.0' });
    expect(members?.get('v1.0')).toEqual({ type: 'token', value: 'x1.0' });
    expect(members?.get('d')).toEqual({ type: 'other' });
    expect(integerOf(members?.get('n'))).toBe(-5);
  });
});

describe('lists and items (RFC 9651 §4.2.1, §4.2.3)', () => {
  it('reads strings over several lines, parameters left out', () => {
    expect(readStringList(['"a", "b c";x=1', '"d"'])).toEqual(['a', 'b c', 'd']);
    expect(readStringList([])).toEqual([]);
  });

  it.each(['"a", b', '"a", 1', '("a")', '"a",', '"a" "b"', 'a'])('ignores %s as a list of strings', (line) => {
    expect(readStringList([line])).toBeUndefined();
  });

  it('reads an item', () => {
    expect(readItem(['?1'])).toEqual({ type: 'boolean', value: true });
    expect(readItem(['tok;a=1'])).toEqual({ type: 'token', value: 'tok' });
    expect(readItem([])).toBeUndefined();
    expect(readItem(['1', '2'])).toBeUndefined();
  });

  it('reads the inner list of strings, and nothing else as one', () => {
    const members = readDictionary(['a=("x" "y"), b=("x" y), c=(), d="x", e']);
    expect(innerStringsOf(members?.get('a'))).toEqual(['x', 'y']);
    expect(innerStringsOf(members?.get('b'))).toBeUndefined();
    expect(innerStringsOf(members?.get('c'))).toEqual([]);
    expect(innerStringsOf(members?.get('d'))).toBeUndefined();
    expect(innerStringsOf(undefined)).toBeUndefined();
    expect(booleanOf(members?.get('e'))).toBe(true);
    expect(booleanOf(members?.get('d'))).toBeUndefined();
  });
});

describe('a hostile field', () => {
  it('is ignored past the limit and read up to it', () => {
    const longest = `"${'x'.repeat(MAX_STRUCTURED_FIELD - 2)}"`;
    expect(readStringList([longest])?.[0]).toHaveLength(MAX_STRUCTURED_FIELD - 2);
    expect(readStringList([`${longest} `])).toBeUndefined();
  });

  it('never throws', () => {
    const part = constantFrom(
      'a',
      'b=',
      '1',
      '.0',
      '"',
      '\\',
      '(',
      ')',
      ';',
      ',',
      ' ',
      '\t',
      '?1',
      ':',
      '@1',
      '%"',
      'é',
    );
    const text = oneof(string(), string({ unit: part, maxLength: 20 }));
    assertProperty(
      property(text, (line) => {
        readDictionary([line]);
        readItem([line]);
        expect(() => readList([line])).not.toThrow();
      }),
      { seed: 9651, numRuns: 3000 },
    );
  });
});
