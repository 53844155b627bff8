import { createHash } from 'node:crypto';
import { array, assert as assertProperty, constantFrom, oneof, option, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldLines } from '../../src/core/fields.ts';
import { varyNames, variantKey } from '../../src/core/vary.ts';
import { fieldsOf, routeOf } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function keyOf(names: readonly string[], fields: FieldLines): string {
  return variantKey('honoured|/a?b=c', { names }, fields, sha256);
}

describe('the names in Vary (RFC 9110 §12.5.5)', () => {
  it.each<[readonly string[], readonly string[] | '*']>([
    [[], []],
    [['Vary: Accept'], ['accept']],
    [
      ['Vary: B, a', 'Vary: ,A,'],
      ['a', 'b'],
    ],
    [['Vary: *'], '*'],
    [['Vary: a, *'], '*'],
    [['Vary: a', 'Vary: , *,'], '*'],
    [['Vary:'], []],
  ])('%j: %j', (lines, expected) => {
    expect(varyNames(fieldsOf(...lines))).toEqual(expected);
  });
});

describe('the key of a variant (RFC 9111 §4.1)', () => {
  it('is the base key, the names and what was sent', () => {
    const fields = fieldsOf('Accept: text/html, */*', 'Accept-Language: de');
    expect(keyOf(['accept', 'accept-language', 'prefer'], fields)).toBe(
      'honoured|/a?b=c accept=text/html,*/*|accept-language=de|prefer',
    );
  });

  it('is the same for the same lines, joined or not, with white space round commas or not', () => {
    const spellings = [['Accept: a,b'], ['Accept: a , b'], ['Accept: a', 'Accept:  b'], ['Other: x', 'Accept: a,\tb']];
    const keys = spellings.map((lines) => keyOf(['accept'], fieldsOf(...lines)));
    expect(new Set(keys).size).toBe(1);
  });

  it('tells apart absent, empty, another order, another case and white space that means something', () => {
    const spellings = [
      [],
      ['Accept:'],
      ['Accept: a,b'],
      ['Accept: b,a'],
      ['Accept: A,b'],
      ['Accept: "a, b"'],
      ['Accept: "a,b"'],
    ];
    const keys = spellings.map((lines) => keyOf(['accept'], fieldsOf(...lines)));
    expect(new Set(keys).size).toBe(spellings.length);
  });

  it('shows no value of a field that may hold a credential', () => {
    for (const line of [
      'Authorization: Bearer sesame',
      'X-Api-Key: sesame',
      'Cookie: id=sesame',
      'X-Anything: sesame',
    ]) {
      const [[name]] = [fieldsOf(line)[0] ?? ['', '']];
      expect(keyOf([name], fieldsOf(line))).not.toContain('sesame');
      expect(keyOf([name], fieldsOf(line))).toMatch(/=#[0-9a-f]{32}$/);
    }
  });

  it('is bounded by a digest', () => {
    const long = keyOf(['user-agent'], fieldsOf(`User-Agent: ${'x'.repeat(10_000)}`));
    expect(long.length).toBeLessThan(100);
    expect(keyOf(['user-agent'], fieldsOf(`User-Agent: ${'x'.repeat(10_001)}`))).not.toBe(long);
  });

  it('is injective: equal for two requests only if they sent the same', () => {
    const names = ['accept', 'origin', 'x-other'];
    const value = option(oneof(constantFrom('a', '', '#', '%', '|', '=', '||', '%41', 'ä', '\u0100'), string()));
    const request = tuple(value, value, value);
    const fieldsFor = (values: readonly (string | null)[]): FieldLines =>
      names.flatMap((name, index) => {
        const given = values[index] ?? null;
        return given === null ? [] : [[name, given] as const];
      });
    assertProperty(
      property(request, request, (one, other) => {
        const same = JSON.stringify(one.map(normal)) === JSON.stringify(other.map(normal));
        expect(keyOf(names, fieldsFor(one)) === keyOf(names, fieldsFor(other))).toBe(same);
      }),
      { seed: 10, numRuns: 5000 },
    );
  });
});

describe('the key of a variant beside the keys of whole targets', () => {
  const raw = { ...routeOf({ upstreamCacheControl: 'honour' }, { name: 'h', match: '/p' }), rawQuery: true };
  const table = tableOf(raw);
  const names = ['accept', 'x-other'];

  it('is not made by a query that spells out the variant part', () => {
    const variant = variantKey(keyed(table, '/p?a').key, { names: ['accept'] }, fieldsOf('Accept: x'), sha256);
    for (const forged of ['/p?a|accept=x', '/p?a||accept=x', '/p?a%20accept=x', '/p?a+accept=x']) {
      expect(keyed(table, forged).key).not.toBe(variant);
    }
  });

  it('is never the key of a target, nor the variant of another target, whatever the query holds', () => {
    const piece = constantFrom('a', '|', '||', '=', 'accept', '|accept=x', '%20', '+', '#', '"', '~', 'x-other', ',');
    const query = array(piece, { maxLength: 8 }).map((pieces) => pieces.join('').replaceAll('#', '%23'));
    const value = option(oneof(constantFrom('x', '', '|', '|x-other=', ' ', '||accept=x'), string()));
    assertProperty(
      property(tuple(query, value, value), query, ([one, accept, other], target) => {
        const fields: FieldLines = [
          ...(accept === null ? [] : ([['accept', accept]] as const)),
          ...(other === null ? [] : ([['x-other', other]] as const)),
        ];
        const variant = variantKey(keyed(table, `/p?${one}`).key, { names }, fields, sha256);
        const base = keyed(table, `/p?${target}`).key;
        expect(variant).not.toBe(base);
        expect(variant === variantKey(base, { names }, fields, sha256)).toBe(one === target);
      }),
      { seed: 13_831, numRuns: 3000 },
    );
  });
});

/** White space round commas outside of quoted strings, said another way. */
function normal(value: string | null): string | null {
  if (value === null || value.includes('"')) return value;
  return value.replaceAll(/[ \t]*,[ \t]*/g, ',').replaceAll(/^[ \t]+|[ \t]+$/g, '');
}
