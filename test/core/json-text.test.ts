import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, maxJsonDepth } from '../../src/core/json-text.ts';

function canonical(text: string): string | undefined {
  const result = canonicalJson(text);
  return result.ok ? result.value.text : undefined;
}

function words(text: string): string | undefined {
  const result = canonicalJson(text);
  return result.ok ? undefined : result.error;
}

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

function objects(depth: number): string {
  return '{"a":'.repeat(depth) + '1' + '}'.repeat(depth);
}

/** As the platform's reader, which rounds numbers, has it. */
function platform(json: string): string | undefined {
  return canonical(JSON.stringify(JSON.parse(json)));
}

describe('canonical JSON', () => {
  test.each([
    ['the order of members', '{"b":1,"a":2}', '{"a":2,"b":1}'],
    ['white space', ' { "a" :\t[ 1 ,\r\n2 ] } ', '{"a":[1,2]}'],
    ['escapes that need not be', String.raw`"\u0041\/\u00e9"`, '"A/é"'],
    ['a pair of escaped surrogates', String.raw`"\ud83d\ude00"`, '"😀"'],
    ['the case of an escape', String.raw`"\uD800\u001F"`, String.raw`"\ud800\u001f"`],
    ['a fraction of zeros', '1.0', '1'],
    ['an exponent', '10e-1', '1'],
    ['an exponent of zero', '1E+0', '1'],
    ['zeros of zero', '0.000e-999999999999999999999', '0'],
    ['zeros of a negative zero', '-0.000e-999999999999999999999', '-0'],
    ['a small fraction', '5e-3', '0.005'],
    ['leading zeros of an exponent', '1e00000000000000000003', '1000'],
    ['zeros behind the digits', '120.500', '120.5'],
  ])('folds %s', (_what, text, expected) => {
    expect(canonical(text)).toBe(expected);
    expect(canonical(expected)).toBe(expected);
  });

  test.each([
    ['9007199254740993', '9007199254740992'],
    ['0.1', '0.10000000000000001'],
    ['-0', '0'],
    ['-0.0', '0.0'],
    ['1e400', '1e401'],
    ['"1"', '1'],
    [String.raw`"\u00e9"`, String.raw`"e\u0301"`],
    [String.raw`"\ud800"`, String.raw`"\ufffd"`],
    ['[1,2]', '[2,1]'],
    ['{"a":null}', '{}'],
    ['{"__proto__":1}', '{}'],
    ['[]', '{}'],
    ['12', '[1,2]'],
    ['0.000000000000000000000000000000000000000000001', '0.0000000000000000000000000000000000000000000001'],
  ])('tells %s from %s', (one, two) => {
    expect(canonical(one)).toBeTypeOf('string');
    expect(canonical(two)).toBeTypeOf('string');
    expect(canonical(one)).not.toBe(canonical(two));
  });

  test('sorts names by code units, as RFC 8785 does', () => {
    expect(canonical(String.raw`{"\ufb33":1,"\ud83d\ude00":2,"\u20ac":3,"1":4,"\r":5}`)).toBe(
      '{"\\r":5,"1":4,"€":3,"😀":2,"\ufb33":1}',
    );
  });

  test('keeps a number with a huge exponent as short as it came', () => {
    expect(canonical('1e999999999999')).toBe('1e999999999999');
    expect(canonical('12.50e-999999999')).toBe('1.25e-999999998');
    expect(canonical('1e30')).toBe(`1${'0'.repeat(30)}`);
    expect(canonical('1e31')).toBe('1e31');
    expect(canonical('10e30')).toBe('1e31');
    expect(canonical('1e-31')).toBe(`0.${'0'.repeat(30)}1`);
    expect(canonical('1e-32')).toBe('1e-32');
    expect(words('1e1000000000000')).toMatch(/exponent/);
  });

  test('has a long number that is spelt in one go', () => {
    const digits = `1${'23456789'.repeat(5000)}`;
    expect(canonical(digits)).toBe(digits);
    expect(canonical(`0.${digits}`)).toBe(`0.${digits}`);
  });

  test.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '{"a"}',
    '{"a":}',
    '{"a":,"b":1}',
    '[,1]',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    'NaN',
    'tru',
    'truefalse',
    '1 2',
    '"a',
    '"\\',
    '"\\x41"',
    '"\\u12"',
    '"\n"',
    '\ufeff{}',
    '[1}',
    '{"a":1]',
    '/**/1',
    '\u00a01',
  ])('refuses %j', (text) => {
    expect(words(text)).toBe('is not JSON');
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
  });

  test('refuses a member that is named twice, however it is spelt and wherever it is', () => {
    expect(words(String.raw`[{"a":1,"\u0061":1}]`)).toMatch(/twice/);
    expect(words('{"a":{"b":1},"b":{"a":2}}')).toBeUndefined();
  });

  test('refuses what is nested too deep, and only that', () => {
    expect(canonical(nested(maxJsonDepth))).toBe(nested(maxJsonDepth));
    expect(canonical(objects(maxJsonDepth))).toBe(objects(maxJsonDepth));
    expect(words(nested(maxJsonDepth + 1))).toMatch(/deep/);
    expect(words(objects(maxJsonDepth + 1))).toMatch(/deep/);
    expect(words('['.repeat(1_000_000))).toMatch(/deep/);
  });

  test('gives the members of an object by name', () => {
    expect(canonicalJson('{"b":{"y":1.0,"x":[ ]},"a":"\\u0041"}')).toEqual({
      ok: true,
      value: {
        text: '{"a":"A","b":{"x":[],"y":1}}',
        members: new Map([
          ['b', '{"x":[],"y":1}'],
          ['a', '"A"'],
        ]),
      },
    });
    expect(canonicalJson('[]')).toEqual({ ok: true, value: { text: '[]', members: undefined } });
  });
});

/** A JSON value whose numbers are exact: `digits` times ten to the power of `exponent`. */
type Value =
  | { readonly kind: 'number'; readonly digits: bigint; readonly exponent: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'array'; readonly items: readonly Value[] }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Value> };

const text = fc.oneof(
  fc.string({ maxLength: 6, unit: 'binary' }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom('a', 'b', '__proto__', 'constructor', 'é', 'e\u0301', '\ud800', '"', '\u2028'),
);

// V8 14.6 takes an escaped name of one character for the name `\\` where an object before had that in its place.
const name = text.filter((one) => one !== '\\');

const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constant('number' as const),
      digits: fc.oneof(fc.bigInt({ min: -20n, max: 20n }), fc.bigInt()),
      exponent: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -60, max: 60 })),
    }),
    fc.record({ kind: fc.constant('text' as const), text }),
    fc.record({ kind: fc.constant('word' as const), word: fc.constantFrom('true', 'false', 'null') }),
    fc.record({ kind: fc.constant('array' as const), items: fc.array(tie('value'), { maxLength: 3 }) }),
    fc.record({
      kind: fc.constant('object' as const),
      members: fc.array(fc.tuple(name, tie('value')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    }),
  ),
}));

type Pick = (below: number) => number;

function space(pick: Pick): string {
  return ['', '', ' ', '\n\t', '\r '][pick(5)] ?? '';
}

function spellString(of: string, pick: Pick): string {
  const units = Array.from({ length: of.length }, (_, index) => {
    const code = of.charCodeAt(index);
    const hex = code.toString(16).padStart(4, '0');
    const must = code < 0x20 || code === 0x22 || code === 0x5c;
    return must || pick(4) === 0 ? `\\u${pick(2) === 0 ? hex : hex.toUpperCase()}` : of.charAt(index);
  });
  return `"${units.join('')}"`;
}

function spellNumber(one: Extract<Value, { kind: 'number' }>, pick: Pick): string {
  const extra = one.digits === 0n ? 0 : pick(4);
  const digits = `${one.digits}${'0'.repeat(extra)}${pick(3) === 0 ? '.000' : ''}`;
  const exponent = one.exponent - extra;
  const plus = exponent >= 0 && pick(2) === 0 ? '+' : '';
  return exponent === 0 && pick(2) === 0 ? digits : `${digits}${pick(2) === 0 ? 'e' : 'E'}${plus}${exponent}`;
}

function shuffled<T>(items: readonly T[], pick: Pick): readonly T[] {
  const left = [...items];
  return items.flatMap(() => left.splice(pick(left.length), 1));
}

function spellPlainly(one: Value, pick: Pick): string {
  switch (one.kind) {
    case 'number':
      return spellNumber(one, pick);
    case 'text':
      return spellString(one.text, pick);
    case 'word':
      return one.word;
    case 'array':
      return `[${one.items.map((item) => spell(item, pick)).join(',')}${space(pick)}]`;
    case 'object': {
      const members = shuffled([...one.members], pick).map(
        ([of, item]) => `${space(pick)}${spellString(of, pick)}${space(pick)}:${spell(item, pick)}`,
      );
      return `{${space(pick)}${members.join(',')}}`;
    }
  }
}

/** One of the many texts of a value; `pick(n)` chooses below n. */
function spell(one: Value, pick: Pick): string {
  return space(pick) + spellPlainly(one, pick) + space(pick);
}

/** The code units of a text, so that none is taken for a separator. */
function unitsOf(of: string): string {
  return Array.from({ length: of.length }, (_, index) => of.charCodeAt(index)).join(' ');
}

/** What a value is, for comparing: written by other rules than those under test. */
function meaning(one: Value): string {
  switch (one.kind) {
    case 'number': {
      let { digits, exponent } = one;
      if (digits === 0n) return 'number 0';
      while (digits % 10n === 0n) {
        digits /= 10n;
        exponent += 1;
      }
      return `number ${digits} ${exponent}`;
    }
    case 'text':
      return `text ${unitsOf(one.text)}`;
    case 'word':
      return one.word;
    case 'array':
      return `[${one.items.map(meaning).join('; ')}]`;
    case 'object': {
      const members = [...one.members].map(([of, item]) => `${unitsOf(of)} = ${meaning(item)}`);
      return `{${members.toSorted().join('; ')}}`;
    }
  }
}

const dice = fc.infiniteStream(fc.nat({ max: 1_000_000 })).map((stream) => (below: number): number => {
  const { value: next } = stream.next();
  return Number(next) % below;
});

const runs = { seed: 20261125, numRuns: 2000 };

describe('any two JSON texts', () => {
  test('of one value have one canonical text, which is its own and means the same', () => {
    fc.assert(
      fc.property(value, dice, dice, (one, first, second) => {
        const [a, b] = [spell(one, first), spell(one, second)];
        const result = canonical(a);
        expect(result).toBeTypeOf('string');
        expect(canonical(b)).toBe(result);
        expect(canonical(result ?? '')).toBe(result);
        expect(platform(result ?? '')).toBe(platform(a));
        expect(result?.isWellFormed()).toBe(true);
      }),
      runs,
    );
  });

  test('have different canonical texts where they differ in value', () => {
    fc.assert(
      fc.property(value, value, dice, (one, two, pick) => {
        expect(canonical(spell(one, pick)) === canonical(spell(two, pick))).toBe(meaning(one) === meaning(two));
      }),
      runs,
    );
  });

  test('are accepted where the platform accepts them, whatever they are', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '1',
      '-',
      '.',
      'e',
      '0',
      'true',
      ' ',
      '\\',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const json = parts.join('');
        let isJson = true;
        try {
          JSON.parse(json);
        } catch {
          isJson = false;
        }
        const twice = words(json)?.includes('twice') ?? false;
        expect(canonical(json) !== undefined || twice).toBe(isJson);
      }),
      { ...runs, numRuns: 20_000 },
    );
  });
});
