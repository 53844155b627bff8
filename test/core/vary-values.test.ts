import { array, assert as assertProperty, constantFrom, property, record, string, oneof } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { preferredLanguages, varyValue } from '../../src/core/vary-values.ts';

function language(...lines: readonly string[]): string {
  return varyValue('accept-language', lines);
}

function encoding(...lines: readonly string[]): string {
  return varyValue('accept-encoding', lines);
}

describe('Accept-Language for comparison (RFC 9110 §12.5.4)', () => {
  it.each<[string, readonly string[], string]>([
    ['without regard to case', ['EN-us, De'], 'de,en-us'],
    ['without regard to order within a weight', ['fr, de, en'], 'de,en,fr'],
    ['by weight first', ['a;q=0.1, b;q=0.9, c'], 'c,b;q=0.9,a;q=0.1'],
    ['with a weight of 1 left out', ['de;q=1, en;q=1.000'], 'de,en'],
    ['with weights in one spelling', ['de;q=0.50, en ; Q=0.5'], 'de;q=0.5,en;q=0.5'],
    ['with what is refused', ['de, en;q=0, fr;q=0.000'], 'de,en;q=0,fr;q=0'],
    ['each member once', ['de, de, DE;q=1'], 'de'],
    ['joined, without empty members', ['de', ', en ,,', ''], 'de,en'],
    ['with the wildcard', ['*, de;q=0.5'], '*,de;q=0.5'],
    ['empty as it is', [''], ''],
  ])('is %s', (_, lines, expected) => {
    expect(language(...lines)).toBe(expected);
  });

  it.each([
    'de;q=2',
    'de;q=.5',
    'de;q=0.1234',
    'de;q=1.5',
    'de;x=1',
    'de;q=1;x',
    'd_e',
    'Toolongalanguage',
    'de en',
    '"de"',
  ])('is as it came where it is not well-formed: %j', (value) => {
    expect(language(`FR, ${value}`)).toBe(`FR,${value}`);
  });

  it('keeps apart what a server may answer differently', () => {
    const values = [
      '',
      'de',
      'de;q=0',
      'de;q=0.5',
      'de,en',
      'de,en;q=0',
      'de,en;q=0.9',
      'en,de;q=0.9',
      '*',
      'de,*;q=0',
    ];
    expect(new Set(values.map((value) => language(value))).size).toBe(values.length);
  });
});

describe('Accept-Encoding for comparison (RFC 9110 §12.5.3)', () => {
  it.each<[string, readonly string[], string]>([
    ['without regard to case and order', ['GZIP, br'], 'br,gzip'],
    ['by weight first', ['gzip;q=0.5', 'br;q=1.0'], 'br,gzip;q=0.5'],
    ['with old names of codings as the new ones', ['x-gzip, X-Compress;q=0.1'], 'gzip,compress;q=0.1'],
    ['once where both names of a coding come', ['gzip, x-gzip'], 'gzip'],
    ['without what `*;q=0` says already', ['gzip, *;q=0, identity;q=0'], 'gzip,*;q=0'],
    ['with identity that is refused alone', ['gzip, identity;q=0'], 'gzip,identity;q=0'],
    ['with identity that is wanted in spite of `*;q=0`', ['*;q=0, identity'], 'identity,*;q=0'],
  ])('is %s', (_, lines, expected) => {
    expect(encoding(...lines)).toBe(expected);
  });

  it('keeps apart what a server may answer differently', () => {
    const values = [
      '',
      'identity',
      'gzip',
      'gzip,identity',
      'gzip,identity;q=0',
      'gzip;q=0',
      'gzip,*',
      'gzip,*;q=0',
      'gzip;q=0.5',
    ];
    expect(new Set(values.map((value) => encoding(value))).size).toBe(values.length);
  });

  it('is as it came where it is not well-formed', () => {
    expect(encoding('GZIP, b r')).toBe('GZIP,b r');
  });
});

describe('other fields for comparison', () => {
  it('of lists are compared without empty members, others with them', () => {
    expect(varyValue('accept', ['a/b,, C/d ;q=1'])).toBe('a/b,C/d ;q=1');
    expect(varyValue('user-agent', ['a,, b'])).toBe('a,,b');
  });
});

describe('fields that hold a secret', () => {
  it.each(['cookie', 'authorization'])('are compared byte for byte: %s', (field) => {
    const values = ['a=1,b', 'a=1, b', 'a=1 ,b', 'a=1,,b', 'a="1, b"'];
    expect(values.map((value) => varyValue(field, [value]))).toEqual(values);
  });

  it('are one value in several lines', () => {
    expect(varyValue('cookie', ['a=1', 'b=2, 3'])).toBe('a=1; b=2, 3');
    expect(varyValue('authorization', ['a', 'b'])).toBe('a, b');
  });
});

describe('fields that nobody here knows', () => {
  it('are compared without the white space round commas and the lines that they came in (RFC 9111 §4.1)', () => {
    expect(varyValue('x-any', ['1 ,  2', '3'])).toBe('1,2,3');
  });
});

const name = constantFrom('de', 'en', 'fr', 'de-AT', '*', 'EN');
const member = record({ name, weight: constantFrom('', ';q=0', ';q=0.3', ' ; q=0.30', ';q=0.9', ';q=1.0') });
const wellFormed = array(member, { maxLength: 6 }).map((members) =>
  members.map((one) => one.name + one.weight).join(' , '),
);

/** Weight of each name, said another way: what a list of members means. */
function meaning(value: string): string {
  const pairs = value.split(',').flatMap((one) => {
    const [tag = '', weight = 'q=1'] = one.split(';').map((part) => part.trim().toLowerCase());
    return tag === '' ? [] : [`${tag}=${Number(weight.slice(2))}`];
  });
  return [...new Set(pairs)].toSorted().join(' ');
}

describe('normalised values', () => {
  it('are the same for two lists exactly if these say the same of the same names', () => {
    assertProperty(
      property(wellFormed, wellFormed, (one, other) => {
        expect(language(one) === language(other)).toBe(meaning(one) === meaning(other));
        expect(meaning(language(one))).toBe(meaning(one));
      }),
      { seed: 20_261_125, numRuns: 4000 },
    );
  });

  it('stay as they are when they are normalised again', () => {
    assertProperty(
      property(oneof(wellFormed, string()), (value) => {
        expect(language(language(value))).toBe(language(value));
        expect(encoding(encoding(value))).toBe(encoding(value));
      }),
      { seed: 7, numRuns: 3000 },
    );
  });
});

describe('the languages that are wanted most', () => {
  it.each<[string, readonly string[]]>([
    ['de', ['de']],
    ['de,en', ['de', 'en']],
    ['de;q=0.8,en;q=0.3', ['de']],
    ['*,de;q=0.5', []],
    ['de,*', ['de']],
    ['de;q=0', []],
    ['de,de;q=0', []],
    ['', []],
    ['de;q=2', []],
  ])('of %j are %j', (value, expected) => {
    expect(preferredLanguages(language(value))).toEqual(expected.toSorted());
  });
});
